//! Who is in whose membership, and when that changes.
//!
//! Two corosyncs *reach* each other while a cable carries at least one link that both know. Membership follows reach with
//! totem's delays: a peer that falls silent is dropped after token + consensus, on both sides at once; one that returns is
//! taken in about three seconds later; one that says goodbye is dropped at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::super::clock::SimTime;

/// How long a peer that stopped in an orderly way stays in the membership.
pub(crate) const LEAVE: Duration = Duration::from_millis(700);

/// How long after a link comes up a node is taken in: knet's pings, then a new ring. 2.4 s were seen with two nodes, 2.7 to
/// 3.5 with three. With many it takes longer, which nobody measured.
pub(crate) fn gather(token: Duration) -> Duration {
    (token * 8 / 10).min(Duration::from_millis(3000))
}

/// How long a silent link is taken for a good one: with three nodes 1.1 to 2.0 s were seen.
pub(crate) fn link_down(token: Duration) -> Duration {
    token * 41 / 100
}

/// How long knet needs to call a link up: two answers to its pings, of which four go to a token.
pub(crate) fn link_up(token: Duration) -> Duration {
    (token * 55 / 100).min(Duration::from_millis(2000))
}

/// What each pair of servers thinks of the other, by their indexes (lower first).
#[derive(Debug, Default)]
pub(crate) struct Pairs(BTreeMap<(usize, usize), Pair>);

#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    together: bool,
    differs_since: Option<SimTime>,
    /// A link carries.
    hears: bool,
    /// Nothing carries, or one of them vanished.
    silent: bool,
}

/// Why a pair can or can't hear one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A link carries.
    Hears {
        /// How long until they are taken in.
        patience: Duration,
    },
    /// Nothing carries.
    Silent {
        /// How long until totem gives up.
        patience: Duration,
    },
    /// One of them is not running, or does not know the other.
    Gone,
}

impl Pairs {
    /// Takes note of one pair's reach at `now`; returns whether they belong together.
    pub(crate) fn observe(&mut self, a: usize, b: usize, reach: Reach, now: SimTime) -> bool {
        let pair = self.0.entry((a.min(b), a.max(b))).or_default();
        let wanted = matches!(reach, Reach::Hears { .. });
        pair.hears = wanted;
        pair.silent = matches!(reach, Reach::Silent { .. });
        if pair.together == wanted {
            pair.differs_since = None;
            return pair.together;
        }
        let since = *pair.differs_since.get_or_insert(now);
        let delay = match reach {
            Reach::Hears { patience } | Reach::Silent { patience } => patience,
            Reach::Gone => LEAVE,
        };
        if now.saturating_sub(since) >= delay {
            pair.together = wanted;
            pair.differs_since = None;
        }
        pair.together
    }

    /// Do they belong together, and hear nothing of one another?
    pub(crate) fn lost(&self, a: usize, b: usize) -> bool {
        let pair = self.0.get(&(a.min(b), a.max(b)));
        pair.is_some_and(|pair| pair.together && !pair.hears)
    }

    /// Since when two that belong together do not hear one another; an orderly leave is no silence.
    pub(crate) fn silent_since(&self, a: usize, b: usize) -> Option<SimTime> {
        let pair = self.0.get(&(a.min(b), a.max(b)))?;
        pair.differs_since.filter(|_| pair.together && pair.silent)
    }

    pub(crate) fn together(&self, a: usize, b: usize) -> bool {
        a == b || self.0.get(&(a.min(b), a.max(b))).is_some_and(|pair| pair.together)
    }

    /// A corosync that starts anew knows nobody.
    pub(crate) fn forget(&mut self, server: usize) {
        for ((a, b), pair) in &mut self.0 {
            if *a == server || *b == server {
                *pair = Pair::default();
            }
        }
    }

    /// The servers that form one membership with `start`.
    pub(crate) fn component(&self, start: usize, running: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut found = BTreeSet::from([start]);
        let mut queue = VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            for other in running {
                if self.together(at, *other) && found.insert(*other) {
                    queue.push_back(*other);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Reach = Reach::Silent {
        patience: Duration::from_millis(8030),
    };

    const HEARS: Reach = Reach::Hears {
        patience: Duration::from_millis(3000),
    };

    fn at(ms: u64) -> SimTime {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_silent_peer_is_dropped_after_token_and_consensus() {
        let mut pairs = Pairs::default();
        assert!(!pairs.observe(0, 1, HEARS, at(0)));
        assert!(pairs.observe(0, 1, HEARS, at(3000)));
        assert!(pairs.observe(0, 1, PATIENCE, at(10_000)));
        assert_eq!(pairs.silent_since(1, 0), Some(at(10_000)));
        assert!(pairs.observe(1, 0, PATIENCE, at(18_000)));
        assert!(!pairs.observe(0, 1, PATIENCE, at(18_030)));
    }

    #[test]
    fn a_short_silence_changes_nothing() {
        let mut pairs = Pairs::default();
        pairs.observe(0, 1, HEARS, at(0));
        pairs.observe(0, 1, HEARS, at(3000));
        assert!(pairs.observe(0, 1, PATIENCE, at(4000)));
        assert!(pairs.observe(0, 1, HEARS, at(11_000)));
        assert!(pairs.observe(0, 1, PATIENCE, at(12_100)));
    }

    #[test]
    fn an_orderly_leave_is_quick() {
        let mut pairs = Pairs::default();
        pairs.observe(0, 1, HEARS, at(0));
        pairs.observe(0, 1, HEARS, at(3000));
        assert!(pairs.observe(0, 1, Reach::Gone, at(4000)));
        assert!(!pairs.observe(0, 1, Reach::Gone, at(4700)));
    }

    #[test]
    fn a_membership_is_what_hangs_together() {
        let mut pairs = Pairs::default();
        for now in [at(0), at(3000)] {
            pairs.observe(0, 1, HEARS, now);
            pairs.observe(1, 2, HEARS, now);
        }
        let running = BTreeSet::from([0, 1, 2, 3]);
        assert_eq!(pairs.component(0, &running), BTreeSet::from([0, 1, 2]));
        assert_eq!(pairs.component(3, &running), BTreeSet::from([3]));
    }
}
