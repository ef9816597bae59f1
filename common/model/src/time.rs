//! Wall-clock instants for display, staleness and records. Durations are measured on monotonic clocks, never
//! by subtracting these across machines.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01 UTC on the clock of whoever made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From whole seconds since 1970.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// How long before `now` this was, on the same clock; zero if it lies in the future.
    #[must_use]
    pub fn age(self, now: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(now.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// This instant plus a duration.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with seconds, such as `2026-11-22T11:09:32Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.seconds()) {
            Ok(at) => f.pad(&at.to_string()),
            Err(_) => f.pad("(time out of range)"),
        }
    }
}

impl FromStr for Timestamp {
    type Err = NotATime;

    /// RFC 3339, such as `2026-11-22T11:09:32Z`.
    fn from_str(text: &str) -> Result<Self, NotATime> {
        let at: jiff::Timestamp = text.parse().map_err(|_| NotATime(text.to_owned()))?;
        Ok(Self(at.as_microsecond()))
    }
}

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time; write it as 2026-11-22T11:09:32Z")]
pub struct NotATime(String);

/// A duration as people say it: `950 ms`, `3.2 s`, `4 min 5 s`, `2 h`, `5 d 1 h`.
#[must_use]
pub fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..=9 => format!("{:.1} s", duration.as_secs_f64()),
        10..=59 => format!("{seconds} s"),
        60..=3599 => two((seconds / 60, "min"), (seconds % 60, "s")),
        3600..=86_399 => two((seconds / 3600, "h"), (seconds % 3600 / 60, "min")),
        _ => two((seconds / 86_400, "d"), (seconds % 86_400 / 3600, "h")),
    }
}

fn two(large: (u64, &str), small: (u64, &str)) -> String {
    let rest = if small.0 == 0 {
        String::new()
    } else {
        format!(" {} {}", small.0, small.1)
    };
    format!("{} {}{rest}", large.0, large.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_in_utc_with_seconds() {
        assert_eq!(
            Timestamp::from_seconds(1_795_345_772).to_string(),
            "2026-11-22T11:09:32Z"
        );
    }

    #[test]
    fn durations_as_people_say_them() {
        let said: Vec<_> = [0.95, 3.2, 45.0, 245.0, 7200.0, 435_600.0]
            .map(Duration::from_secs_f64)
            .map(spoken)
            .into();
        assert_eq!(said, ["950 ms", "3.2 s", "45 s", "4 min 5 s", "2 h", "5 d 1 h"]);
    }

    #[test]
    fn a_time_is_read_back_as_it_is_shown() {
        let at = Timestamp::from_seconds(1_795_345_772);
        assert_eq!(at.to_string().parse(), Ok(at));
        assert!("tomorrow".parse::<Timestamp>().is_err());
    }

    #[test]
    fn age_of_the_future_is_zero() {
        assert_eq!(
            Timestamp::from_seconds(9).age(Timestamp::from_seconds(5)),
            Duration::ZERO
        );
    }
}
