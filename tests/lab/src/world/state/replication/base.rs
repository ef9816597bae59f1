//! From which snapshot a volume is sent. Source: pve-guest-common Replication.pm (`find_common_replication_snapshot`).

use crate::world::replication::snapshot_name;
use crate::world::volumes::{Snapshot, Volume};

/// What a job knows that helps to choose.
pub(super) struct Known<'k> {
    pub(super) job: &'k str,
    /// 0: never, or not here.
    pub(super) last_sync: i64,
    /// The snapshot that the guest goes on from, as its configuration says.
    pub(super) parent: Option<&'k str>,
    /// Every snapshot of the guest's configuration.
    pub(super) configured: &'k [String],
}

/// What is sent of a volume.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Choice {
    Full,
    From(Snapshot),
    /// The copy has snapshots, and none of them is one of ours.
    NoCommon,
    /// A volume of that name is there that never was a copy.
    InTheWay,
}

pub(super) fn choose(known: &Known<'_>, here: &Volume, there: Option<&Volume>) -> Choice {
    let Some(there) = there else { return Choice::Full };
    if there.snapshots.is_empty() {
        return Choice::InTheWay;
    }
    let common = |snapshot: &&Snapshot| there.has(snapshot.guid);
    let named = |name: &str| {
        here.snapshots
            .iter()
            .filter(common)
            .find(|snapshot| snapshot.name == name)
    };
    let last = (known.last_sync > 0).then(|| snapshot_name(known.job, known.last_sync));
    let counts =
        |snapshot: &&Snapshot| snapshot.name.starts_with("__replicate_") || known.configured.contains(&snapshot.name);
    let newest = || here.snapshots.iter().rev().filter(common).find(counts);
    let chosen = last
        .and_then(|name| named(&name))
        .or_else(|| known.parent.and_then(named))
        .or_else(newest);
    chosen.cloned().map_or(Choice::NoCommon, Choice::From)
}

/// What `zfs recv -F` leaves: all of the sender's snapshots up to the new one that are not older than the base, and those older ones
/// that both have.
pub(super) fn received(here: &Volume, there: Option<&Volume>, base: Option<&Snapshot>, fresh: &Snapshot) -> Volume {
    let place = |guid: u64| here.snapshots.iter().position(|snapshot| snapshot.guid == guid);
    let from = base.and_then(|base| place(base.guid));
    let to = place(fresh.guid).unwrap_or(here.snapshots.len());
    let snapshots = here.snapshots.iter().enumerate().filter(|(at, snapshot)| match from {
        Some(from) if *at < from => there.is_some_and(|there| there.has(snapshot.guid)),
        _ => *at <= to,
    });
    Volume {
        size: here.size,
        number: fresh.number,
        snapshots: snapshots.map(|(_, snapshot)| snapshot.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(name: &str, guid: u64) -> Snapshot {
        Snapshot {
            name: name.to_owned(),
            guid,
            number: guid,
            at: 0,
        }
    }

    fn volume(snapshots: &[(&str, u64)]) -> Volume {
        Volume {
            size: 1,
            number: 99,
            snapshots: snapshots.iter().map(|(name, guid)| snapshot(name, *guid)).collect(),
        }
    }

    #[test]
    fn a_name_is_not_enough_for_a_common_base() {
        let known = Known {
            job: "100-0",
            last_sync: 7,
            parent: None,
            configured: &[],
        };
        let here = volume(&[
            ("before", 1),
            ("__replicate_100-1_5__", 2),
            ("__replicate_100-0_7__", 3),
        ]);
        assert_eq!(choose(&known, &here, None), Choice::Full);
        assert_eq!(choose(&known, &here, Some(&volume(&[]))), Choice::InTheWay);
        let last = volume(&[("__replicate_100-0_7__", 3)]);
        assert_eq!(
            choose(&known, &here, Some(&last)),
            Choice::From(snapshot("__replicate_100-0_7__", 3))
        );
        let other = volume(&[("__replicate_100-0_7__", 8), ("__replicate_100-1_5__", 2)]);
        assert_eq!(
            choose(&known, &here, Some(&other)),
            Choice::From(snapshot("__replicate_100-1_5__", 2))
        );
        // A snapshot that the configuration does not know is none to go on from.
        assert_eq!(choose(&known, &here, Some(&volume(&[("before", 1)]))), Choice::NoCommon);
    }

    #[test]
    fn what_the_sender_does_not_have_is_gone() {
        let here = volume(&[("a", 1), ("b", 2), ("new", 3)]);
        let there = volume(&[("a", 1), ("own", 9)]);
        let fresh = snapshot("new", 3);
        let left = received(&here, Some(&there), Some(&snapshot("a", 1)), &fresh);
        assert_eq!(left.snapshots, here.snapshots);
        assert_eq!(left.number, 3);
        let left = received(&here, Some(&volume(&[("b", 2)])), Some(&snapshot("b", 2)), &fresh);
        assert_eq!(left.snapshots.len(), 2);
    }
}
