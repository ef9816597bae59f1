//! The current time, given from outside.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

/// Seconds since 1970-01-01 00:00 UTC.
pub type UnixSeconds = u64;

/// Where the current wall time comes from. A lab gives one with an offset, to skew a server's clock.
#[derive(Clone)]
pub struct TimeSource(Arc<dyn Fn() -> UnixSeconds + Send + Sync>);

impl TimeSource {
    /// Takes a function that returns the current time.
    pub fn new(now: impl Fn() -> UnixSeconds + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> UnixSeconds {
        (self.0)()
    }
}

impl fmt::Debug for TimeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TimeSource")
    }
}

impl TimeProvider for TimeSource {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.now())))
    }
}

/// A length of time in at most two units, e.g. `3 d 4 h` or `1 s`.
#[must_use]
pub fn describe_duration(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, size) in units {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        } else if !parts.is_empty() {
            // Two *neighbouring* units: nobody needs the seconds of a number of days.
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::describe_duration;

    #[test]
    fn durations_are_short() {
        for (seconds, text) in [
            (0, "0 s"),
            (1, "1 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3_600, "1 h"),
            (3_601, "1 h"),
            (90_000, "1 d 1 h"),
            (86_400 * 400 + 59, "400 d"),
        ] {
            assert_eq!(describe_duration(seconds), text);
        }
    }
}
