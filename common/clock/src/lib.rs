//! The one clock of agent and coordinator.
//!
//! Two times, never mixed: **wall time** (microseconds since 1970-01-01 00:00 UTC) is for display, certificates and
//! what other machines have to understand; **monotonic time** is for every duration, deadline and order of events,
//! because the wall clock of a server jumps.
//!
//! Nothing else asks the operating system for the wall time. So a lab can give each simulated server a clock that is
//! wrong by an offset, and a test can hold the time in its hand.

mod manual;

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use manual::Hands;
use manual::ManualTime;

/// A source of time. Cheap to clone; clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    System { offset_micros: i64 },
    Manual(ManualTime),
}

impl Default for Source {
    fn default() -> Self {
        Self::System { offset_micros: 0 }
    }
}

/// Where monotonic time starts in this process, one origin for all clocks: readings of two of them can be compared.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock {
    /// The machine's own time, unchanged.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// The machine's time with `offset_micros` added to the wall clock: a simulated server whose clock is wrong.
    /// Only for a process that lives in a lab's root folder; monotonic time is not affected.
    #[must_use]
    pub fn for_lab(offset_micros: i64) -> Self {
        Self {
            source: Source::System { offset_micros },
        }
    }

    /// A clock that stands still at `unix_micros` until its hands are moved. For tests.
    #[must_use]
    pub fn manual(unix_micros: i64) -> (Self, Hands) {
        let time = ManualTime::starting_at(unix_micros);
        (
            Self {
                source: Source::Manual(time.clone()),
            },
            Hands::of(time),
        )
    }

    /// Wall time in microseconds since the Unix epoch; negative before it.
    #[must_use]
    pub fn unix_micros(&self) -> i64 {
        match &self.source {
            Source::System { offset_micros } => system_unix_micros().saturating_add(*offset_micros),
            Source::Manual(time) => time.unix_micros(),
        }
    }

    /// Wall time as the standard library's type, for interfaces that ask for it.
    #[must_use]
    pub fn system_time(&self) -> SystemTime {
        let micros = self.unix_micros();
        let distance = Duration::from_micros(micros.unsigned_abs());
        let time = if micros < 0 {
            UNIX_EPOCH.checked_sub(distance)
        } else {
            UNIX_EPOCH.checked_add(distance)
        };
        time.unwrap_or(UNIX_EPOCH)
    }

    /// Time since an origin that is fixed for the life of this process. It never goes back and knows no offset.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        match &self.source {
            Source::System { .. } => ORIGIN.elapsed(),
            Source::Manual(time) => time.monotonic(),
        }
    }

    /// How long ago the monotonic reading `earlier` was taken; zero if it lies ahead.
    #[must_use]
    pub fn since(&self, earlier: Duration) -> Duration {
        self.monotonic().saturating_sub(earlier)
    }

    /// By how much the wall clock is deliberately wrong, in microseconds: zero outside a lab.
    #[must_use]
    pub fn offset_micros(&self) -> i64 {
        match &self.source {
            Source::System { offset_micros } => *offset_micros,
            Source::Manual(_) => 0,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that asks the system for the wall time"
)]
fn system_unix_micros() -> i64 {
    let saturate = |distance: Duration| i64::try_from(distance.as_micros()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => saturate(after),
        Err(before) => -saturate(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn lab_offset_moves_the_wall_clock_only() {
        let (true_clock, ahead, behind) = (Clock::system(), Clock::for_lab(3 * HOUR), Clock::for_lab(-3 * HOUR));
        assert!(ahead.unix_micros() - true_clock.unix_micros() > 2 * HOUR);
        assert!(true_clock.unix_micros() - behind.unix_micros() > 2 * HOUR);
        assert_eq!((true_clock.offset_micros(), ahead.offset_micros()), (0, 3 * HOUR));
        assert!(ahead.monotonic().abs_diff(true_clock.monotonic()) < Duration::from_secs(1800));
    }

    #[test]
    fn monotonic_readings_of_two_clocks_share_an_origin_and_never_go_back() {
        let first = Clock::system().monotonic();
        let second = Clock::for_lab(HOUR).monotonic();
        let third = Clock::system().monotonic();
        assert!(first <= second && second <= third);
    }

    #[test]
    fn system_time_agrees_with_microseconds_on_both_sides_of_the_epoch() {
        for micros in [0, 1, -1, 1_700_000_000_123_456, -86_400_000_000] {
            let (clock, _hands) = Clock::manual(micros);
            let seen = match clock.system_time().duration_since(UNIX_EPOCH) {
                Ok(after) => i64::try_from(after.as_micros()).unwrap(),
                Err(before) => -i64::try_from(before.duration().as_micros()).unwrap(),
            };
            assert_eq!(seen, micros);
        }
    }

    #[test]
    fn extreme_offsets_saturate() {
        assert_eq!(Clock::for_lab(i64::MAX).unix_micros(), i64::MAX);
        assert_eq!(Clock::system().since(Duration::MAX), Duration::ZERO);
    }
}
