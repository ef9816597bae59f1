//! The lab's time: durations are divided by the speed, time stamps are true (plus a server's own offset).

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

/// Simulated time since the world began.
pub(crate) type SimTime = Duration;

/// Turns simulated durations into real ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    began: Instant,
    speed: f64,
}

impl Pace {
    pub(crate) fn new(speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Self {
            began: Instant::now(),
            speed,
        }
    }

    pub(crate) fn now(&self) -> SimTime {
        self.began.elapsed().mul_f64(self.speed)
    }

    pub(crate) fn speed(&self) -> f64 {
        self.speed
    }

    pub(crate) fn real(&self, simulated: Duration) -> Duration {
        simulated.div_f64(self.speed)
    }

    pub(crate) fn simulated(&self, real: Duration) -> Duration {
        real.mul_f64(self.speed)
    }

    /// How often the world looks around, in real time.
    pub(crate) fn tick(&self) -> Duration {
        self.real(Duration::from_millis(100))
            .clamp(Duration::from_millis(2), Duration::from_millis(100))
    }

    /// Waits for a simulated duration.
    pub(crate) async fn sleep(&self, simulated: Duration) {
        tokio::time::sleep(self.real(simulated)).await;
    }
}

/// A server's wall clock: the true time plus its offset.
pub(crate) fn wall(offset_ms: i64) -> Timestamp {
    let now = Timestamp::now();
    now.checked_add(SignedDuration::from_millis(offset_ms)).unwrap_or(now)
}

/// As `date` prints it and corosync's tools do: `Sun Nov 22 11:15:24 2026`.
pub(crate) fn ctime(at: Timestamp) -> String {
    utc(at).strftime("%a %b %e %H:%M:%S %Y").to_string()
}

/// As syslog begins its lines: `Nov 22 11:15:24`.
pub(crate) fn syslog(at: Timestamp) -> String {
    utc(at).strftime("%b %e %H:%M:%S").to_string()
}

/// As PVE's migrations and replications begin their lines: `2026-11-22 11:15:24`.
pub(crate) fn log(at: Timestamp) -> String {
    utc(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// As `pvesr status` shows times: `2026-11-22_11:15:24`.
pub(crate) fn joined(seconds: i64) -> String {
    let at = Timestamp::from_second(seconds).unwrap_or_default();
    utc(at).strftime("%Y-%m-%d_%H:%M:%S").to_string()
}

fn utc(at: Timestamp) -> Zoned {
    at.to_zoned(TimeZone::UTC)
}
