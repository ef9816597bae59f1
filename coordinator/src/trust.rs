//! What a refused connection means as a finding, and identity's clock.

use quorate_clock::Clock;
use quorate_identity::{TimeSource, UnixSeconds};
use quorate_model::Timestamp;
pub(crate) use quorate_reception::{finding, sentence};

/// The process's clock in the form that certificates are checked with.
pub(crate) fn time_source(clock: &Clock) -> TimeSource {
    let clock = clock.clone();
    TimeSource::new(move || unix_seconds(&clock))
}

/// Seconds since 1970 by this clock; zero before.
pub(crate) fn unix_seconds(clock: &Clock) -> UnixSeconds {
    u64::try_from(clock.unix_micros().div_euclid(1_000_000)).unwrap_or(0)
}

/// The present by this clock.
pub(crate) fn now(clock: &Clock) -> Timestamp {
    Timestamp(clock.unix_micros())
}

/// The end of a certificate's life, for people.
pub(crate) fn timestamp(seconds: UnixSeconds) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
}
