//! Which members of the cluster were online at every look for a while, without a gap: HA recovers nothing of those.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_tools::pmxcfs::members;

use crate::pace::Pace;

/// HA recovers guests of a server that it has not seen for a minute; this is longer than anything that it does about one.
const LONG: Duration = Duration::from_secs(300);

/// Looks that are further apart are no watching.
const GAP: Duration = Duration::from_secs(15);

/// However fast a lab goes, a machine may be busy.
const GAP_AT_LEAST: Duration = Duration::from_secs(2);

/// Since when each node was seen online, by the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Steady {
    since: BTreeMap<String, Duration>,
    last: Duration,
}

impl Steady {
    /// What `/etc/pve/.members` says now; `None`: it can't be read. Only the word of a quorate cluster counts.
    pub(super) fn look(&mut self, now: Duration, members: Option<&str>, pace: Pace) {
        if now.saturating_sub(self.last) > pace.of(GAP).max(GAP_AT_LEAST) {
            self.since.clear();
        }
        self.last = now;
        let members = members.and_then(|text| members::read(text).ok());
        let quorate = |members: &members::Members| members.cluster.as_ref().is_some_and(|cluster| cluster.quorate);
        let nodes = members.filter(quorate).map(|members| members.nodes).unwrap_or_default();
        let online: BTreeSet<String> = nodes
            .into_iter()
            .filter(|node| node.online)
            .map(|node| node.name)
            .collect();
        self.since.retain(|node, _| online.contains(node));
        for node in online {
            self.since.entry(node).or_insert(now);
        }
    }

    /// Those that were online at every look for five minutes.
    pub(super) fn nodes(&self, now: Duration, pace: Pace) -> BTreeSet<String> {
        let long = |since: Duration| now.saturating_sub(since) >= pace.of(LONG);
        let steady = self.since.iter().filter(|(_, since)| long(**since));
        steady.map(|(node, _)| node.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(quorate: u8, online: u8) -> String {
        format!(
            r#"{{"nodename":"prox2","version":4,"cluster":{{"name":"hk1","version":3,"nodes":2,"quorate":{quorate}}},
            "nodelist":{{"prox1":{{"id":1,"online":{online},"ip":"10.10.10.1"}},"prox2":{{"id":2,"online":1,"ip":"10.10.10.2"}}}}}}"#
        )
    }

    /// Looked at each ten seconds until then; at one moment it says this.
    fn watched(odd: Option<(u64, Option<&str>)>) -> bool {
        let (mut steady, usual, pace) = (Steady::default(), members(1, 1), Pace::REAL);
        for at in (100..=400).step_by(10) {
            let said = match odd {
                Some((when, said)) if when == at => said,
                _ => Some(usual.as_str()),
            };
            steady.look(Duration::from_secs(at), said, pace);
        }
        steady.nodes(Duration::from_secs(400), pace).contains("prox1")
    }

    #[test]
    fn only_who_was_online_at_every_look_was_there_all_the_time() {
        assert!(watched(None));
        assert!(!watched(Some((200, Some(members(1, 0).as_str())))), "away for a moment");
        assert!(
            !watched(Some((200, Some(members(0, 1).as_str())))),
            "nobody's word counts without quorum"
        );
        assert!(!watched(Some((200, None))), "pmxcfs was not there");
        assert!(!watched(Some((110, None))), "not long enough since");
    }

    #[test]
    fn looks_with_a_gap_between_them_are_none() {
        let (mut steady, usual, pace) = (Steady::default(), members(1, 1), Pace::REAL);
        for at in [100, 110, 140, 150] {
            steady.look(Duration::from_secs(at), Some(usual.as_str()), pace);
        }
        assert!(!steady.nodes(Duration::from_secs(405), pace).contains("prox1"));
        assert!(steady.nodes(Duration::from_secs(440), pace).contains("prox1"));
    }
}
