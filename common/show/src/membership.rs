//! How a cluster's membership changed lately, in words.

use std::cmp::Reverse;
use std::time::Duration;

use quorate_model::Timestamp;
use quorate_model::observation::cluster::{MembershipChange, QuorumChange};
use quorate_model::time::spoken;

use crate::status::{ClusterStatus, NodeStatus};

/// For so long a change of the membership is told: whoever looks after an alarm finds it, and it is over with the day.
const TOLD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// So many changes at most.
const MOST_CHANGES: usize = 5;

/// The same changes show on several nodes, at about the same time: the node's word is told that saw the most. Of several, one that did not lose the
/// quorum: who was cut off or stopped saw it go, while the cluster kept it.
pub(crate) fn changes(cluster: &ClusterStatus<'_>, now: Timestamp) -> String {
    let best = cluster
        .nodes
        .iter()
        .filter_map(|node| Some((node, told_changes(node, now)?)))
        .filter(|(_, told)| !told.is_empty())
        .max_by_key(|(_, told)| (told.len(), Reverse(losses(told)), told.last().map(|(_, at)| *at)));
    let Some((by, told)) = best else {
        return String::new();
    };
    let newest = told.iter().rev().take(MOST_CHANGES);
    let lines: String = newest
        .map(|(change, at)| format!("  {} ago  {}\n", spoken(at.age(now)), in_words(change)))
        .collect();
    format!("Membership, as {} saw it change:\n{lines}", by.name)
}

fn losses(told: &[(&MembershipChange, Timestamp)]) -> usize {
    let lost = |(change, _): &&(&MembershipChange, Timestamp)| change.quorum == Some(QuorumChange::Lost);
    told.iter().filter(lost).count()
}

/// Each with its time on the coordinator's clock.
fn told_changes<'a>(node: &NodeStatus<'a>, now: Timestamp) -> Option<Vec<(&'a MembershipChange, Timestamp)>> {
    let seen = node.seen.ok()?.cluster.get().ok()?;
    let ahead = node.clock_offset_micros.unwrap_or(0);
    let here = |change: &'a MembershipChange| (change, Timestamp(change.at.0.saturating_sub(ahead)));
    let told = seen.changes.iter().map(here).filter(|(_, at)| at.age(now) < TOLD_FOR);
    Some(told.collect())
}

/// `prox3 left; quorum lost`.
fn in_words(change: &MembershipChange) -> String {
    let mut said = Vec::new();
    for (names, word) in [(&change.left, "left"), (&change.joined, "joined")] {
        if !names.is_empty() {
            said.push(format!("{} {word}", names.join(", ")));
        }
    }
    match change.quorum {
        Some(QuorumChange::Gained) => said.push("quorum gained".to_owned()),
        Some(QuorumChange::Lost) => said.push("quorum LOST".to_owned()),
        None => {}
    }
    said.join("; ")
}
