//! The cluster's locks: directories in pmxcfs that live on as long as they are refreshed (facts C.4).

use std::collections::BTreeMap;

use crate::constants::LOCK_LIFE;
use crate::model::Seconds;

/// The lock of the one CRM that decides.
pub const MANAGER_LOCK: &str = "ha_manager_lock";

/// The lock of a node's LRM, without which it may not run a service; also the proof that the node is fenced, when the master has it.
#[must_use]
pub fn agent_lock(node: &str) -> String {
    format!("ha_agent_{node}_lock")
}

/// How a try to take a lock ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was free, or its owner did not refresh it in time: it is ours now.
    New,
    /// It was ours, and lives on.
    Refreshed,
    /// Another one's.
    Refused,
}

impl Taken {
    /// Is it ours?
    #[must_use]
    pub fn ours(self) -> bool {
        self != Self::Refused
    }
}

#[derive(Debug, Clone)]
struct Held {
    by: String,
    refreshed: Seconds,
}

/// All locks, in the partition that has quorum. Whoever asks must have it.
///
/// An owner is a node in PVE's simulator, and a process in a real cluster: there, an LRM that is new after a reboot has to wait until
/// the lock of the one before has ended (facts C.5). Which of both it is, is decided by the name that is given.
#[derive(Debug, Clone, Default)]
pub struct Locks {
    held: BTreeMap<String, Held>,
}

impl Locks {
    /// `owner` takes a lock, or refreshes it.
    pub fn take(&mut self, lock: &str, owner: &str, now: Seconds) -> Taken {
        let taken = match self.held.get(lock) {
            Some(held) if expired(held, now) => Taken::New,
            Some(held) if held.by == owner => Taken::Refreshed,
            Some(_) => Taken::Refused,
            None => Taken::New,
        };
        if taken.ours() {
            let held = Held {
                by: owner.to_owned(),
                refreshed: now,
            };
            self.held.insert(lock.to_owned(), held);
        }
        taken
    }

    /// `owner` gives a lock back. True when nobody else has it now; one that expired stays as it is, free for anybody.
    pub fn release(&mut self, lock: &str, owner: &str, now: Seconds) -> bool {
        match self.held.get(lock) {
            Some(held) if expired(held, now) => true,
            Some(held) if held.by == owner => {
                self.held.remove(lock);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Was a lock left behind, by whoever had it? In pmxcfs it then stands there until somebody asks for it; that frees it, and the
    /// next one who asks gets it (facts C.5).
    #[must_use]
    pub fn is_left_behind(&self, lock: &str, now: Seconds) -> bool {
        self.held.get(lock).is_some_and(|held| expired(held, now))
    }

    /// A lock that was left behind is taken away.
    pub fn free(&mut self, lock: &str) {
        self.held.remove(lock);
    }

    /// Those that stand there, left behind or not.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.held.keys().map(String::as_str)
    }

    /// Whose it is.
    #[must_use]
    pub fn holder(&self, lock: &str, now: Seconds) -> Option<&str> {
        let held = self.held.get(lock)?;
        (!expired(held, now)).then_some(held.by.as_str())
    }
}

fn expired(held: &Held, now: Seconds) -> bool {
    now.saturating_sub(held.refreshed) > LOCK_LIFE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_one_owner_who_refreshes_it() {
        let mut locks = Locks::default();
        assert_eq!(locks.take("l", "n1", 10), Taken::New);
        assert_eq!(locks.take("l", "n2", 20), Taken::Refused);
        assert_eq!(locks.take("l", "n1", 30), Taken::Refreshed);
        assert_eq!(locks.holder("l", 30), Some("n1"));
        assert_eq!(locks.take("other", "n2", 30), Taken::New);
    }

    #[test]
    fn a_lock_must_be_older_than_its_life_before_another_gets_it() {
        let mut locks = Locks::default();
        locks.take("l", "n1", 100);
        assert_eq!(
            locks.take("l", "n2", 220),
            Taken::Refused,
            "120 seconds are not more than 120"
        );
        assert_eq!(locks.holder("l", 221), None);
        assert_eq!(locks.take("l", "n2", 221), Taken::New);
        assert_eq!(locks.take("l", "n1", 222), Taken::Refused);
    }

    #[test]
    fn refreshing_begins_a_new_life() {
        let mut locks = Locks::default();
        locks.take("l", "n1", 0);
        locks.take("l", "n1", 100);
        assert_eq!(locks.take("l", "n2", 220), Taken::Refused);
    }

    #[test]
    fn who_comes_late_to_its_own_lock_gets_it_anew() {
        let mut locks = Locks::default();
        locks.take("l", "n1", 0);
        assert_eq!(locks.take("l", "n1", 121), Taken::New);
    }

    #[test]
    fn a_released_lock_is_free_at_once_but_only_its_owner_releases_it() {
        let mut locks = Locks::default();
        locks.take("l", "n1", 0);
        assert!(!locks.release("l", "n2", 1));
        assert!(locks.release("l", "n1", 1));
        assert_eq!(locks.take("l", "n2", 1), Taken::New);
        assert!(!locks.release("never", "n1", 1));
    }

    #[test]
    fn a_lock_that_was_left_behind_stands_there_until_somebody_frees_it() {
        let mut locks = Locks::default();
        locks.take("l", "n1", 0);
        assert!(!locks.is_left_behind("l", 120));
        assert!(locks.is_left_behind("l", 121));
        assert_eq!(locks.names().collect::<Vec<_>>(), ["l"]);
        locks.free("l");
        assert_eq!(locks.names().count(), 0);
        assert_eq!(locks.take("l", "n2", 121), Taken::New);
    }

    #[test]
    fn an_expired_lock_counts_as_released_by_anybody() {
        let mut locks = Locks::default();
        locks.take("l", "n1", 0);
        assert!(locks.release("l", "n2", 121));
    }
}
