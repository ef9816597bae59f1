//! How fast time passes for deadlines and waits: as it does, or divided by a lab's speed.

use std::time::Duration;

use crate::config::Config;

/// Divides durations of the real world by the lab's speed. Time stamps are never divided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    speed: f64,
}

/// What a handshake or a quick call takes at least, however fast the lab plays: our own work is not simulated.
const FLOOR: Duration = Duration::from_secs(2);

impl Pace {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            speed: config.lab.as_ref().map_or(1.0, |lab| lab.speed),
        }
    }

    /// A wait: divided.
    pub(crate) fn wait(self, duration: Duration) -> Duration {
        duration.div_f64(self.speed)
    }

    /// A time that clocks here have shown, in real time: multiplied.
    pub(crate) fn played(self, duration: Duration) -> Duration {
        duration.mul_f64(self.speed)
    }

    /// For tests, and whoever knows the speed otherwise.
    #[cfg(test)]
    pub(crate) fn at(speed: f64) -> Self {
        Self { speed }
    }

    /// A deadline for something that is partly our own work: divided, but never below what that work needs on a
    /// loaded machine.
    pub(crate) fn deadline(self, duration: Duration) -> Duration {
        self.wait(duration).max(duration.min(FLOOR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_divides_waits_and_leaves_room_in_deadlines() {
        let (real, lab) = (Pace { speed: 1.0 }, Pace { speed: 20.0 });
        let ten = Duration::from_secs(10);
        assert_eq!((real.wait(ten), real.deadline(ten)), (ten, ten));
        assert_eq!(
            (lab.wait(ten), lab.deadline(ten)),
            (Duration::from_millis(500), Duration::from_secs(2))
        );
        assert_eq!(lab.deadline(Duration::from_secs(1)), Duration::from_secs(1));
    }
}
