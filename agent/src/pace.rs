//! How fast everything goes: as in life, or faster in a lab. Every duration of the agent passes through here.

use std::time::Duration;

use serde::Deserialize;

/// Divides durations, never time stamps.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Pace(f64);

impl Pace {
    /// As in life.
    pub const REAL: Pace = Pace(1.0);

    /// How long something takes at this pace that takes `duration` in life.
    #[must_use]
    pub fn of(self, duration: Duration) -> Duration {
        duration.div_f64(self.0)
    }

    /// Waits for that long.
    pub async fn sleep(self, duration: Duration) {
        tokio::time::sleep(self.of(duration)).await;
    }
}

impl TryFrom<f64> for Pace {
    type Error = String;

    fn try_from(speed: f64) -> Result<Self, String> {
        if (1.0..=10_000.0).contains(&speed) {
            Ok(Self(speed))
        } else {
            Err(format!("speed {speed} is not between 1 and 10000"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divides_durations_and_refuses_nonsense() {
        let fast = Pace::try_from(20.0).unwrap();
        assert_eq!(fast.of(Duration::from_secs(60)), Duration::from_secs(3));
        assert_eq!(Pace::REAL.of(Duration::from_secs(60)), Duration::from_secs(60));
        for nonsense in [0.0, -1.0, 0.5, f64::NAN, f64::INFINITY] {
            assert!(Pace::try_from(nonsense).is_err(), "{nonsense}");
        }
    }
}
