//! A lab plays time faster than it passes: what is expected in real time is measured in less. Elsewhere nothing changes.

use std::time::Duration;

use quorate_model::drill::verdict::Expectation;
use quorate_model::drill::{Lasting, Prediction, Range};

use crate::pace::Pace;

/// A forecast, as clocks here will show it.
pub(super) fn predicted(pace: Pace, real: &Prediction) -> Prediction {
    let mut here = real.clone();
    for expected in &mut here.phases {
        expected.at = range(expected.at, |time| pace.wait(time));
    }
    here.outage = real.outage.map(|outage| range(outage, |time| pace.wait(time)));
    here.oldest = real.oldest.map(|oldest| micros(oldest, |time| pace.wait(time)));
    here
}

/// What is wanted, as clocks here will show it. Not less than a second is ever wanted.
pub(super) fn expected(pace: Pace, real: Expectation) -> Expectation {
    let here = |limit: Lasting| Lasting::seconds(pace.wait(limit.duration()).as_secs().max(1));
    Expectation {
        rto: real.rto.map(here),
        rpo: real.rpo.map(here),
    }
}

/// What clocks here have shown, in real time.
pub(super) fn real(pace: Pace, here: Range) -> Range {
    range(here, |time| pace.played(time))
}

fn range(range: Range, change: impl Fn(Duration) -> Duration) -> Range {
    Range {
        likely: micros(range.likely, &change),
        least: micros(range.least, &change),
        most: micros(range.most, &change),
    }
}

fn micros(micros: i64, change: impl Fn(Duration) -> Duration) -> i64 {
    let changed = change(Duration::from_micros(micros.unsigned_abs())).as_micros();
    i64::try_from(changed)
        .unwrap_or(i64::MAX)
        .saturating_mul(micros.signum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lab_is_faster() {
        let (world, lab) = (Pace::at(1.0), Pace::at(10.0));
        let minute = Range::seconds(-10, 60, 120);
        assert_eq!(range(minute, |time| world.wait(time)), minute);
        assert_eq!(range(minute, |time| lab.wait(time)), Range::seconds(-1, 6, 12));
        assert_eq!(real(lab, Range::seconds(-1, 6, 12)), minute);
        let wanted = |seconds| Expectation {
            rto: Some(Lasting::seconds(seconds)),
            rpo: None,
        };
        assert_eq!(expected(lab, wanted(240)), wanted(24));
        assert_eq!(expected(lab, wanted(1)), wanted(1), "nothing is never wanted");
        assert_eq!(expected(world, wanted(240)), wanted(240));
    }
}
