//! How the membership changed while this process looked at it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quorate_model::observation::cluster::{Member, Membership, MembershipChange, QuorumChange};
use quorate_model::time::Timestamp;

/// So many changes are kept: a cluster that is not well has some in an hour, and each observation carries them all.
const KEPT: usize = 16;

/// What was seen last, and the changes up to it.
#[derive(Debug, Default)]
pub(crate) struct Memberships(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// When the look began that showed `last`, on the monotonic clock.
    begun: Duration,
    last: Option<State>,
    changes: VecDeque<MembershipChange>,
}

/// What changes are told of.
#[derive(Debug, PartialEq, Eq)]
struct State {
    cluster: String,
    online: BTreeSet<String>,
    quorate: bool,
}

impl Memberships {
    /// Takes note of what a look showed that began at `begun` on the monotonic clock; returns the changes up to now. Looks overlap, and
    /// one that began before another may end after it: what it shows is older, and no change.
    pub(crate) fn note(&self, begun: Duration, at: Timestamp, shown: &Membership) -> Vec<MembershipChange> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if begun >= seen.begun {
            seen.begun = begun;
            let now = match shown {
                Membership::Standalone => None,
                Membership::Member(member) => Some(State::of(member)),
            };
            let change = seen.last.as_ref().zip(now.as_ref()).and_then(|(a, b)| a.change(b, at));
            seen.changes.extend(change);
            while seen.changes.len() > KEPT {
                seen.changes.pop_front();
            }
            seen.last = now;
        }
        seen.changes.iter().cloned().collect()
    }
}

impl State {
    fn of(member: &Member) -> Self {
        Self {
            cluster: member.cluster.clone(),
            online: member.online().map(str::to_owned).collect(),
            quorate: member.quorate,
        }
    }

    /// From this state to that one; from one cluster to another there is none.
    fn change(&self, to: &Self, at: Timestamp) -> Option<MembershipChange> {
        if self.cluster != to.cluster || self == to {
            return None;
        }
        let quorum = match (self.quorate, to.quorate) {
            (false, true) => Some(QuorumChange::Gained),
            (true, false) => Some(QuorumChange::Lost),
            _ => None,
        };
        Some(MembershipChange {
            at,
            joined: to.online.difference(&self.online).cloned().collect(),
            left: self.online.difference(&to.online).cloned().collect(),
            quorum,
        })
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::Facet;
    use quorate_model::observation::cluster::MemberNode;

    use super::*;

    fn membership(cluster: &str, online: &[&str], quorate: bool) -> Membership {
        let node = |(name, id): (&str, u32)| MemberNode {
            name: name.to_owned(),
            id,
            online: online.contains(&name),
            address: None,
        };
        Membership::Member(Box::new(Member {
            cluster: cluster.to_owned(),
            running_version: 1,
            file_version: 1,
            quorate,
            nodes: ["prox1", "prox2", "prox3"].into_iter().zip(1..).map(node).collect(),
            configured: vec![],
            interfaces: [].into(),
            qdevice: None,
            running_versions: Facet::not_asked(),
            votes: Facet::not_asked(),
            links: Facet::not_asked(),
            latencies: Facet::not_asked(),
            totem: Facet::not_asked(),
        }))
    }

    fn told(changes: &[MembershipChange]) -> Vec<String> {
        let words = |change: &MembershipChange| {
            let MembershipChange {
                at,
                joined,
                left,
                quorum,
            } = change;
            format!("{}: +{} -{} {quorum:?}", at.0, joined.join(","), left.join(","))
        };
        changes.iter().map(words).collect()
    }

    #[test]
    fn who_came_who_went_and_what_became_of_the_quorum() {
        let memberships = Memberships::default();
        let note = |second: u64, shown: &Membership| {
            let at = Timestamp(i64::try_from(second).unwrap());
            told(&memberships.note(Duration::from_secs(second), at, shown))
        };
        let all = membership("hk1", &["prox1", "prox2", "prox3"], true);
        let alone = membership("hk1", &["prox3"], false);
        assert_eq!(note(1, &all), [""; 0], "nobody came: they were there");
        assert_eq!(note(2, &all), [""; 0]);
        let cut = ["3: + -prox1,prox2 Some(Lost)"];
        assert_eq!(note(3, &alone), cut);
        assert_eq!(note(4, &alone), cut);
        let back = "9: +prox1 - Some(Gained)";
        assert_eq!(note(9, &membership("hk1", &["prox1", "prox3"], true)), [cut[0], back]);
        // Without quorum in between: an operator said how many votes to expect.
        assert_eq!(
            note(10, &membership("hk1", &["prox1", "prox3"], false))[2],
            "10: + - Some(Lost)"
        );
    }

    #[test]
    fn another_cluster_is_no_change_of_this_one() {
        let memberships = Memberships::default();
        let note = |second, shown: &Membership| memberships.note(Duration::from_secs(second), Timestamp(0), shown);
        note(1, &membership("hk1", &["prox1", "prox2"], true));
        assert!(note(2, &Membership::Standalone).is_empty());
        assert!(note(3, &membership("hk2", &["prox1"], true)).is_empty());
        assert!(note(4, &membership("hk3", &["prox3"], false)).is_empty());
    }

    #[test]
    fn a_look_that_took_long_shows_what_was() {
        let memberships = Memberships::default();
        let note =
            |second, shown: &Membership| told(&memberships.note(Duration::from_secs(second), Timestamp(7), shown));
        let (all, two) = (
            membership("hk1", &["prox1", "prox2", "prox3"], true),
            membership("hk1", &["prox1", "prox2"], true),
        );
        note(1, &all);
        let left = ["7: + -prox3 None"];
        assert_eq!(note(3, &two), left);
        assert_eq!(note(2, &all), left, "it began before prox3 left");
        assert_eq!(note(4, &two), left);
    }

    #[test]
    fn the_newest_are_kept() {
        let memberships = Memberships::default();
        for second in 0..100 {
            let (all, two) = (&["prox1", "prox2"][..], &["prox1"][..]);
            let shown = membership("hk1", if second % 2 == 0 { all } else { two }, true);
            let at = Timestamp(i64::try_from(second).unwrap());
            let changes = memberships.note(Duration::from_secs(second), at, &shown);
            assert!(changes.len() <= KEPT);
            assert!(second == 0 || changes.last().unwrap().at == at);
        }
    }
}
