//! One axis for all: moments on the coordinator's clock, each with an error bar, and the spans between them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Timestamp, spoken};
use crate::view::ClockOffset;

const SECOND: i64 = 1_000_000;

/// A moment on the coordinator's clock, in microseconds since 1970: it lies between the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instant {
    /// The most likely one.
    pub best: i64,
    /// Not before this.
    pub earliest: i64,
    /// Not after this.
    pub latest: i64,
}

impl Instant {
    /// What a source saw at a time of its own clock, which had then been so for at most `within` microseconds: it looks only now and then.
    #[must_use]
    pub fn of(at: Timestamp, clock: ClockOffset, within: u64) -> Self {
        let error = signed(clock.error_micros);
        let best = at.0.saturating_sub(clock.micros);
        Self {
            best,
            earliest: best.saturating_sub(error).saturating_sub(signed(within)),
            latest: best.saturating_add(error),
        }
    }

    /// The first of several sightings of one thing, each of which may be off: it was no later than the earliest end, and no earlier than the
    /// earliest beginning.
    #[must_use]
    pub fn first(self, other: Self) -> Self {
        Self {
            best: self.best.min(other.best),
            earliest: self.earliest.min(other.earliest),
            latest: self.latest.min(other.latest),
        }
    }

    /// How wide the error bar is, in microseconds.
    #[must_use]
    pub fn width(self) -> i64 {
        self.latest.saturating_sub(self.earliest)
    }

    /// The span from another moment to this one.
    #[must_use]
    pub fn since(self, other: Self) -> Range {
        Range {
            likely: self.best.saturating_sub(other.best),
            least: self.earliest.saturating_sub(other.latest),
            most: self.latest.saturating_sub(other.earliest),
        }
    }

    /// So many microseconds later, as exactly known as this.
    #[must_use]
    pub fn plus(self, micros: i64) -> Self {
        Self {
            best: self.best.saturating_add(micros),
            earliest: self.earliest.saturating_add(micros),
            latest: self.latest.saturating_add(micros),
        }
    }
}

/// A span in microseconds, between two ends; below zero: the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Range {
    /// The most likely one.
    pub likely: i64,
    /// At least.
    pub least: i64,
    /// At most.
    pub most: i64,
}

impl Range {
    /// Nothing at all.
    pub const ZERO: Self = Self {
        likely: 0,
        least: 0,
        most: 0,
    };

    /// In seconds: at least, likely, at most.
    #[must_use]
    pub const fn seconds(least: i64, likely: i64, most: i64) -> Self {
        Self {
            likely: likely.saturating_mul(SECOND),
            least: least.saturating_mul(SECOND),
            most: most.saturating_mul(SECOND),
        }
    }

    /// In milliseconds: at least, likely, at most.
    #[must_use]
    pub const fn millis(least: i64, likely: i64, most: i64) -> Self {
        Self {
            likely: likely.saturating_mul(1000),
            least: least.saturating_mul(1000),
            most: most.saturating_mul(1000),
        }
    }

    /// One after the other.
    #[must_use]
    pub fn then(self, other: Self) -> Self {
        Self {
            likely: self.likely.saturating_add(other.likely),
            least: self.least.saturating_add(other.least),
            most: self.most.saturating_add(other.most),
        }
    }

    /// Whichever takes longer.
    #[must_use]
    pub fn or_longer(self, other: Self) -> Self {
        Self {
            likely: self.likely.max(other.likely),
            least: self.least.max(other.least),
            most: self.most.max(other.most),
        }
    }

    /// What is left of it after the other, which may be nothing.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        let least = self.least.saturating_sub(other.most).max(0);
        let most = self.most.saturating_sub(other.least).max(least);
        Self {
            likely: self.likely.saturating_sub(other.likely).clamp(least, most),
            least,
            most,
        }
    }

    /// Does it lie within the other, as far as it is known?
    #[must_use]
    pub fn may_lie_in(self, other: Self) -> bool {
        self.most >= other.least && self.least <= other.most
    }

    /// As people say it: `2 min 13 s`, with how far it may be off where that matters.
    #[must_use]
    pub fn told(self) -> String {
        let off = self
            .most
            .saturating_sub(self.likely)
            .max(self.likely.saturating_sub(self.least));
        // Less than a hundredth is no news.
        if off <= 1000 || off.saturating_mul(100) <= self.likely.saturating_abs() {
            return span(self.likely);
        }
        match (self.most == self.likely, self.least == self.likely) {
            (true, false) => format!("{} (up to {} less)", span(self.likely), span(off)),
            (false, true) => format!("{} (up to {} more)", span(self.likely), span(off)),
            _ => format!("{} (± {})", span(self.likely), span(off)),
        }
    }

    /// As a forecast: `1 min 51 s to 2 min 31 s`.
    #[must_use]
    pub fn between(self) -> String {
        let (least, most) = (span(self.least.max(0)), span(self.most.max(0)));
        if least == most {
            return most;
        }
        if self.least <= 0 {
            return format!("up to {most}");
        }
        format!("{least} to {most}")
    }
}

/// Microseconds as people say them.
#[must_use]
pub fn span(micros: i64) -> String {
    let text = spoken(Duration::from_micros(micros.unsigned_abs()));
    if micros < 0 { format!("-{text}") } else { text }
}

/// As a signed number; what is larger than any time is as large as it gets.
pub(crate) fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_clock_says_is_taken_with_its_error() {
        let clock = ClockOffset {
            micros: 5_000_000,
            error_micros: 300,
        };
        let seen = Instant::of(Timestamp(25_000_000), clock, 1000);
        assert_eq!(
            (seen.earliest, seen.best, seen.latest),
            (19_998_700, 20_000_000, 20_000_300)
        );
        let fault = Instant::of(
            Timestamp(10_000_000),
            ClockOffset {
                micros: 0,
                error_micros: 0,
            },
            0,
        );
        let span = seen.since(fault);
        assert_eq!(
            (span.least, span.likely, span.most),
            (9_998_700, 10_000_000, 10_000_300)
        );
    }

    #[test]
    fn spans_are_told_with_what_matters_of_their_error() {
        assert_eq!(Range::millis(133_000, 133_050, 133_100).told(), "2 min 13 s");
        assert_eq!(Range::millis(1800, 2000, 2000).told(), "2.0 s (up to 200 ms less)");
        assert_eq!(Range::millis(900, 2000, 3100).told(), "2.0 s (± 1.1 s)");
        assert_eq!(Range::seconds(111, 135, 151).between(), "1 min 51 s to 2 min 31 s");
        assert_eq!(Range::seconds(0, 0, 0).between(), "0 ms");
    }
}
