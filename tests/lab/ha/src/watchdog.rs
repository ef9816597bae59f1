//! The nodes' watchdogs: who was opened and did not report in time costs its node the reset (facts C.4, E.1).

use std::collections::BTreeMap;

use crate::constants::{WATCHDOG_LIMIT, WATCHDOG_WARNS};
use crate::model::Seconds;

/// One connection to a node's watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchdogId(u64);

#[derive(Debug, Clone)]
struct Client {
    node: String,
    updated: Seconds,
}

/// The watchdogs of all nodes.
#[derive(Debug, Clone, Default)]
pub struct Watchdogs {
    opened: u64,
    clients: BTreeMap<WatchdogId, Client>,
}

impl Watchdogs {
    /// A daemon on `node` connects; from now on it has to report.
    pub fn open(&mut self, node: &str, now: Seconds) -> WatchdogId {
        self.opened += 1;
        let id = WatchdogId(self.opened);
        let client = Client {
            node: node.to_owned(),
            updated: now,
        };
        self.clients.insert(id, client);
        id
    }

    /// A daemon reports. False when it came too late, or was never there: the reset cannot be stopped any more.
    pub fn update(&mut self, id: WatchdogId, now: Seconds) -> bool {
        match self.clients.get_mut(&id) {
            Some(client) if !late(client, now) => {
                client.updated = now;
                true
            }
            Some(_) | None => false,
        }
    }

    /// A daemon takes its leave as it should. False when it came too late for that.
    pub fn close(&mut self, id: WatchdogId, now: Seconds) -> bool {
        match self.clients.get(&id) {
            Some(client) if !late(client, now) => self.clients.remove(&id).is_some(),
            Some(_) | None => false,
        }
    }

    /// Is the node to be reset now? What ran out is forgotten with the answer.
    pub fn ran_out(&mut self, node: &str, now: Seconds) -> bool {
        let before = self.clients.len();
        self.clients
            .retain(|_, client| client.node != node || !late(client, now));
        self.clients.len() < before
    }

    /// Has somebody on the node not reported for so long that watchdog-mux warns of it?
    #[must_use]
    pub fn late(&self, node: &str, now: Seconds) -> bool {
        let mut own = self.clients.values().filter(|client| client.node == node);
        own.any(|client| now.saturating_sub(client.updated) > WATCHDOG_WARNS)
    }

    /// Does anybody on the node have to report?
    #[must_use]
    pub fn armed(&self, node: &str) -> bool {
        self.clients.values().any(|client| client.node == node)
    }

    /// The node lost its power: its watchdog starts anew, without clients.
    pub fn forget(&mut self, node: &str) {
        self.clients.retain(|_, client| client.node != node);
    }
}

fn late(client: &Client, now: Seconds) -> bool {
    now.saturating_sub(client.updated) > WATCHDOG_LIMIT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reports_in_time_lives() {
        let mut dogs = Watchdogs::default();
        let id = dogs.open("n1", 0);
        assert!(dogs.update(id, 60));
        assert!(!dogs.late("n1", 110) && dogs.late("n1", 111) && !dogs.late("n2", 111));
        assert!(!dogs.ran_out("n1", 120));
        assert!(dogs.ran_out("n1", 121), "60 seconds are not too late, 61 are");
        assert!(!dogs.ran_out("n1", 500), "it is asked for once");
    }

    #[test]
    fn a_report_that_comes_too_late_saves_nobody() {
        let mut dogs = Watchdogs::default();
        let id = dogs.open("n1", 0);
        assert!(!dogs.update(id, 61));
        assert!(!dogs.close(id, 61));
        assert!(dogs.ran_out("n1", 61));
    }

    #[test]
    fn one_of_two_daemons_is_enough_for_the_reset() {
        let mut dogs = Watchdogs::default();
        let crm = dogs.open("n1", 0);
        let lrm = dogs.open("n1", 0);
        let other = dogs.open("n2", 0);
        assert!(dogs.update(crm, 50) && dogs.update(other, 50));
        assert!(dogs.ran_out("n1", 70));
        assert!(!dogs.ran_out("n2", 70));
        assert!(!dogs.update(lrm, 70));
    }

    #[test]
    fn who_leaves_or_loses_its_power_has_nothing_to_fear() {
        let mut dogs = Watchdogs::default();
        let id = dogs.open("n1", 0);
        assert!(dogs.armed("n1"));
        assert!(dogs.close(id, 10));
        assert!(!dogs.armed("n1"));
        assert!(!dogs.close(id, 10), "nobody leaves twice");
        dogs.open("n1", 20);
        dogs.forget("n1");
        assert!(!dogs.ran_out("n1", 1000));
    }
}
