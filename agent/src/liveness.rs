//! Whether this program still does what it is for. systemd is told so from here, and restarts an agent that is no longer alive.
//!
//! The pings come from the runtime itself: if it stands still, so do they. And they stop when a look at the server that somebody
//! listens to does not end: each has deadlines on everything that it does, so one that hangs is our own mistake. A tool or a disk
//! that hangs is none: it makes a facet unknown, and restarting the agent would not mend it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

/// How long one look may take. A tick of health takes a quarter of a second; the rest is for a server that is drowning.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// The looks that have begun and not ended.
#[derive(Debug, Clone, Default)]
pub struct Looks(Arc<Mutex<Begun>>);

#[derive(Debug, Default)]
struct Begun {
    next: u64,
    at: BTreeMap<u64, Instant>,
}

/// A look that is going on; it ends when this is dropped.
#[derive(Debug)]
pub struct Look {
    looks: Looks,
    number: u64,
}

impl Looks {
    /// A look begins.
    #[must_use]
    pub fn begin(&self) -> Look {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = begun.next;
        begun.next = number.wrapping_add(1);
        begun.at.insert(number, Instant::now());
        Look {
            looks: self.clone(),
            number,
        }
    }

    /// The look that has been going on for too long, if there is one: for how long.
    fn stuck(&self, now: Instant) -> Option<Duration> {
        let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = begun.at.values().map(|at| now.saturating_duration_since(*at)).max();
        longest.filter(|longest| *longest > LONGEST_LOOK)
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        let mut begun = self.looks.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun.at.remove(&self.number);
    }
}

/// Calls `ping` for as long as this program is alive; systemd wants one within each `watchdog`.
pub async fn keep_telling(looks: Looks, watchdog: Duration, ping: impl Fn()) {
    // As sd_watchdog_enabled(3) has it, at half the time; and once more, since a busy machine lets us wait.
    let mut ticks = tokio::time::interval((watchdog / 4).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match looks.stuck(Instant::now()) {
            None => ping(),
            Some(since) => tracing::error!(
                ?since,
                "a look at this server does not end; systemd will restart the agent"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_does_not_end_is_told_and_one_that_ends_is_not() {
        let looks = Looks::default();
        let (first, second) = (looks.begin(), looks.begin());
        let now = Instant::now();
        assert_eq!(looks.stuck(now + LONGEST_LOOK / 2), None);
        let later = now + LONGEST_LOOK * 2;
        assert!(looks.stuck(later).is_some_and(|since| since >= LONGEST_LOOK));
        drop(first);
        assert!(looks.stuck(later).is_some(), "the other one is still going on");
        drop(second);
        assert_eq!(looks.stuck(later), None);
    }
}
