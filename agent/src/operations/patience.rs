//! When it is time to say that something takes too long: at its deadline, and then ever more rarely.

use std::time::Duration;

use quorate_clock::Clock;

use crate::pace::Pace;

/// However long something takes, it is diagnosed again at least this often.
const LONGEST_GAP: Duration = Duration::from_secs(3600);

/// Watches one deadline.
#[derive(Debug)]
pub(super) struct Patience {
    clock: Clock,
    /// From the beginning to the next word, and from that to the one after it.
    next: Duration,
    gap: Duration,
    longest: Duration,
    began: Duration,
}

impl Patience {
    /// Begins now.
    pub(super) fn new(clock: Clock, pace: Pace, deadline: Duration) -> Self {
        let (began, gap) = (clock.monotonic(), pace.of(deadline));
        Self {
            clock,
            next: gap,
            gap,
            longest: pace.of(LONGEST_GAP).max(gap),
            began,
        }
    }

    /// Is it time for a word? Once for each time that it is.
    pub(super) fn is_over(&mut self) -> bool {
        if self.clock.since(self.began) < self.next {
            return false;
        }
        self.next = self.clock.since(self.began) + self.gap;
        self.gap = (self.gap * 2).min(self.longest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gaps_grow_to_an_hour() {
        let (clock, hands) = Clock::manual(0);
        let mut patience = Patience::new(clock, Pace::REAL, Duration::from_secs(120));
        let mut said = Vec::new();
        for second in 1..=20_000 {
            hands.advance(Duration::from_secs(1));
            if patience.is_over() {
                said.push(second);
            }
        }
        assert_eq!(said, [120, 240, 480, 960, 1920, 3840, 7440, 11_040, 14_640, 18_240]);
    }
}
