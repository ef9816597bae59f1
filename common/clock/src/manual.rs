//! A clock whose time only its holder moves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct ManualTime(Arc<Mutex<Reading>>);

#[derive(Debug)]
struct Reading {
    unix_micros: i64,
    monotonic: Duration,
}

impl ManualTime {
    pub(crate) fn starting_at(unix_micros: i64) -> Self {
        Self(Arc::new(Mutex::new(Reading {
            unix_micros,
            monotonic: Duration::ZERO,
        })))
    }

    pub(crate) fn unix_micros(&self) -> i64 {
        self.reading().unix_micros
    }

    pub(crate) fn monotonic(&self) -> Duration {
        self.reading().monotonic
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves the time of the manual clock it was made with, and of that clock's clones.
#[derive(Clone, Debug)]
pub struct Hands(ManualTime);

impl Hands {
    pub(crate) fn of(time: ManualTime) -> Self {
        Self(time)
    }

    /// Lets `step` pass: wall and monotonic time move together.
    pub fn advance(&self, step: Duration) {
        let mut reading = self.0.reading();
        let micros = i64::try_from(step.as_micros()).unwrap_or(i64::MAX);
        reading.unix_micros = reading.unix_micros.saturating_add(micros);
        reading.monotonic = reading.monotonic.saturating_add(step);
    }

    /// Sets the wall clock, as an administrator or a time service does; monotonic time does not notice.
    pub fn set_wall(&self, unix_micros: i64) {
        self.0.reading().unix_micros = unix_micros;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::Clock;

    #[test]
    fn stands_still_until_advanced_and_clones_agree() {
        let (clock, hands) = Clock::manual(5_000_000);
        let clone = clock.clone();
        assert_eq!((clock.unix_micros(), clock.monotonic()), (5_000_000, Duration::ZERO));
        hands.advance(Duration::from_millis(1500));
        assert_eq!(
            (clone.unix_micros(), clone.monotonic()),
            (6_500_000, Duration::from_millis(1500))
        );
    }

    #[test]
    fn a_jump_of_the_wall_clock_leaves_durations_alone() {
        let (clock, hands) = Clock::manual(0);
        let before = clock.monotonic();
        hands.set_wall(-7);
        hands.advance(Duration::from_micros(2));
        assert_eq!(clock.unix_micros(), -5);
        assert_eq!(clock.since(before), Duration::from_micros(2));
    }
}
