//! The axis that bars, strips and ticks share.

use quorate_model::drill::answers::Answers;
use quorate_model::drill::axis::Instant;
use quorate_model::drill::phase::Phase;
use quorate_model::drill::record::Record;

const SECOND: i64 = 1_000_000;
/// So much is shown of the time before the fault.
const BEFORE: i64 = 20 * SECOND;
/// Nothing later is shown: a record that says so is wrong, and its chart would be empty.
const LONGEST: i64 = 24 * 3600 * SECOND;
/// Distances of ticks, in seconds.
const STEPS: [i64; 12] = [5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400];

/// From where to where, on the coordinator's clock in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axis {
    /// The fault, or the drill's beginning where that is not known.
    pub(crate) zero: i64,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Axis {
    pub(crate) fn of(record: &Record) -> Self {
        let zero = record.line.at(Phase::Fault).map_or(record.began.0, |at| at.best);
        let seen = record.line.phases.iter().filter_map(|seen| seen.at).map(|at| at.best);
        let ends = record
            .probes
            .iter()
            .filter_map(|probe| probe.place(probe.lasted_ms))
            .map(|at| at.best);
        let last = match seen.max() {
            Some(last) if last > zero => last,
            // Nothing is known to have happened: then what was asked is shown.
            _ => ends.max().unwrap_or(record.ended.0).max(record.ended.0),
        };
        let to = last
            .saturating_add(10 * SECOND)
            .clamp(zero.saturating_add(30 * SECOND), zero.saturating_add(LONGEST));
        Self {
            zero,
            from: zero.saturating_sub(BEFORE),
            to,
        }
    }

    /// Where a moment lies, in so many parts of the whole; what is outside lies at the end.
    pub(crate) fn part(&self, at: i64, whole: i64) -> i64 {
        let length = i128::from(self.to.saturating_sub(self.from).max(1));
        let off = i128::from(at.saturating_sub(self.from)).clamp(0, length);
        i64::try_from(off * i128::from(whole) / length).unwrap_or(whole)
    }

    /// Moments to write a time at, with what is written: at most a dozen.
    pub(crate) fn ticks(&self) -> Vec<(i64, String)> {
        let length = self.to.saturating_sub(self.zero) / SECOND;
        let step = STEPS.into_iter().find(|step| length / step <= 10).unwrap_or(14_400);
        let mut ticks = Vec::new();
        let mut second = 0;
        while second <= length {
            ticks.push((self.zero.saturating_add(second.saturating_mul(SECOND)), clock(second)));
            second += step;
        }
        ticks
    }

    /// What a probe saw from one moment to the next: all answered, some, none; `None`: it did not ask then.
    pub(crate) fn seen(probe: &Answers, from: i64, to: i64) -> Option<Seen> {
        let place = |ms: u64| probe.place(ms).map(|at: Instant| at.best);
        let (began, ended) = (place(0)?, place(probe.lasted_ms)?);
        if to <= began || from >= ended {
            return None;
        }
        let mut away = 0;
        for gap in &probe.gaps {
            let begin = place(gap.from_ms)?.max(from);
            let end = gap.to_ms.map_or(Some(ended), place)?.min(to);
            away += end.saturating_sub(begin).max(0);
        }
        let whole = to.min(ended).saturating_sub(from.max(began)).max(1);
        // However short a gap is, it is shown.
        Some(match away.saturating_mul(10) / whole {
            _ if away == 0 => Seen::All,
            9.. => Seen::None,
            _ => Seen::Some,
        })
    }
}

/// What a probe saw in a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    All,
    Some,
    None,
}

/// Seconds after the fault as they stand at an axis: `0:00`, `2:30`, `1:02:00`.
pub(crate) fn clock(seconds: i64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{rest:02}")
    } else {
        format!("{minutes}:{rest:02}")
    }
}

/// The chain that a client waits for; the others are told beside it.
pub(crate) const CHAIN: [Phase; 6] = [
    Phase::MembershipLost,
    Phase::FenceDecided,
    Phase::LockTaken,
    Phase::GuestStarted,
    Phase::FirstAnswer,
    Phase::Steady,
];

/// From where the bar of a phase goes: from the one before it in the chain that was seen, else from the fault.
pub(crate) fn begins(record: &Record, phase: Phase) -> Option<i64> {
    let fault = record.line.at(Phase::Fault)?.best;
    let before = CHAIN
        .iter()
        .rev()
        .skip_while(|one| **one != phase)
        .skip(1)
        .find_map(|one| record.line.at(*one));
    Some(before.filter(|_| CHAIN.contains(&phase)).map_or(fault, |at| at.best))
}
