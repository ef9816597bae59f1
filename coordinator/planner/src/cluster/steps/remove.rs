//! Servers out, in the order that PVE wants: off for good, then `delnode`, then what it leaves to the administrator.

use std::collections::BTreeSet;

use quorate_model::ids::NodeName;
use quorate_model::operation::Action;
use quorate_model::plan::Condition;

use super::line::{Draft, Line};
use crate::cluster::removal::{Removal, State, lets_in};

const POWER_OFF_SECONDS: u64 = 60;
/// The command itself takes a second or two; then the others take over the new configuration.
const REMOVE_SECONDS: u64 = 5;

pub(super) fn power_off(line: &mut Line<'_>, removal: &Removal) -> Option<()> {
    let (node, cluster) = (&removal.node, line.cluster());
    let rest: BTreeSet<NodeName> = line.online.iter().filter(|n| *n != node).cloned().collect();
    let gate = vec![
        line.members(),
        Condition::LinksUp {
            cluster: cluster.clone(),
            nodes: line.online.clone(),
        },
        line.at_rest(),
    ];
    let why = vec![format!(
        "{node} is to be taken out for good; one that runs on with its old configuration would disturb the cluster"
    )];
    line.next(Draft {
        id: format!("cluster.power-off/{node}"),
        node: node.clone(),
        action: Action::PowerOff {
            cluster: cluster.clone(),
        },
        title: format!("switch {node} off"),
        why,
        gate,
        done_when: Condition::Off {
            cluster,
            node: node.clone(),
            seen_by: rest.clone(),
        },
        seconds: POWER_OFF_SECONDS,
        undo: format!("switch {node} on again, as long as it was not taken out"),
        destroys: vec![],
        restores: None,
    })?;
    line.online = rest;
    line.offline.insert(node.clone());
    Some(())
}

/// Takes a server out that is off, or stands alone, and clears up after it.
pub(super) fn take_out(line: &mut Line<'_>, removal: &Removal) -> Option<()> {
    let why = match removal.state {
        State::Alive => "it is off, and the cluster file does not name it any more",
        State::Dead { .. } => {
            "it is off for good by your word, seen by nobody, and the cluster file does not name it any more"
        }
        State::Bare | State::Gone => "it stands alone, and the cluster file does not name it any more",
    };
    let mut gate = Vec::new();
    match removal.state {
        State::Alive | State::Dead { enrolled: true } => gate.push(Condition::Off {
            cluster: line.cluster(),
            node: removal.node.clone(),
            seen_by: line.online.clone(),
        }),
        State::Bare => gate.push(Condition::Standalone {
            node: removal.node.clone(),
        }),
        // Nobody can be asked but the members, and that is the other gate.
        State::Dead { enrolled: false } | State::Gone => {}
    }
    entry(line, &removal.node, removal.id?, why, gate)?;
    clean_up(line, &removal.node)
}

/// `delnode` of a server that is counted and not in.
pub(super) fn entry(line: &mut Line<'_>, node: &NodeName, id: u32, why: &str, gate: Vec<Condition>) -> Option<()> {
    let (via, cluster) = (line.via(), line.cluster());
    if !line.quorate {
        expect(line, node)?;
    }
    let mut all = vec![line.members(), line.at_rest()];
    all.extend(gate);
    let mut reasons = vec![why.to_owned()];
    if line.intent.standing.any_member().is_some_and(|m| m.qdevice.is_some()) {
        reasons.push(
            "the QDevice stays on until it is out: it can only be taken off while all members are online".to_owned(),
        );
    }
    line.offline.remove(node);
    line.next(Draft {
        id: format!("cluster.remove/{node}"),
        node: via.clone(),
        action: Action::RemoveMember {
            cluster: cluster.clone(),
            removed: node.clone(),
            id,
        },
        title: format!("take {node} out of cluster {cluster}"),
        why: reasons,
        gate: all,
        done_when: line.members(),
        seconds: REMOVE_SECONDS,
        undo: format!("install {node} anew, write it into the cluster file, and let it join"),
        destroys: vec![format!("the membership of {node} (id {id}) in {cluster}")],
        restores: None,
    })?;
    line.quorate = true;
    Some(())
}

/// Quorum by fiat, where it was lost by servers that are gone.
fn expect(line: &mut Line<'_>, node: &NodeName) -> Option<()> {
    let (via, cluster) = (line.via(), line.cluster());
    let standing = line.intent.standing;
    let votes = line
        .online
        .iter()
        .filter_map(|n| standing.configured(n.as_str()))
        .map(|n| n.votes)
        .sum();
    line.next(Draft {
        id: format!("cluster.expect/{node}"),
        node: via.clone(),
        action: Action::ExpectVotes {
            cluster: cluster.clone(),
            votes,
        },
        title: format!("give {} quorum with {votes} of the votes", via),
        why: vec![format!(
            "without {node} there is no quorum, and without quorum nothing can be taken out; the next change of corosync.conf ends it"
        )],
        gate: vec![line.at_rest()],
        done_when: Condition::Quorate {
            cluster,
            node: via.clone(),
        },
        seconds: 2,
        undo: format!("on {via}: systemctl restart corosync"),
        destroys: vec![],
        restores: None,
    })?;
    Some(())
}

pub(super) fn clean_up(line: &mut Line<'_>, node: &NodeName) -> Option<()> {
    let (via, cluster) = (line.via(), line.cluster());
    line.next(Draft {
        id: format!("cluster.clean-up/{node}"),
        node: via.clone(),
        action: Action::CleanUpAfter {
            cluster: cluster.clone(),
            removed: node.clone(),
            keep_folder: false,
        },
        title: format!("clear up what {node} leaves behind"),
        why: vec![format!(
            "pvecm leaves /etc/pve/nodes/{node}, by which PVE shows it as offline for ever, and its key, by which it could still log in"
        )],
        gate: vec![line.quorate_via()],
        done_when: Condition::CleanedUp {
            cluster,
            removed: node.clone(),
            on: via.clone(),
            keep_folder: false,
        },
        seconds: 2,
        undo: format!("the agent on {via} keeps a copy of the folder in its state"),
        destroys: vec![
            format!("/etc/pve/nodes/{node}"),
            format!("the key root@{node} in the cluster's authorized_keys"),
        ],
        restores: None,
    })?;
    Some(())
}

/// The key of a server that was installed anew and is to join afresh: its old one would be let in for ever. Its folder stays.
pub(super) fn old_key(line: &mut Line<'_>, node: &NodeName) -> Option<()> {
    let (via, cluster) = (line.via(), line.cluster());
    let config = line.intent.view.facet(&via, |o| &o.config);
    if !config.is_ok_and(|config| lets_in(config, node)) {
        return Some(());
    }
    line.next(Draft {
        id: format!("cluster.clean-up/{node}"),
        node: via.clone(),
        action: Action::CleanUpAfter {
            cluster: cluster.clone(),
            removed: node.clone(),
            keep_folder: true,
        },
        title: format!("take {node}'s old key out"),
        why: vec![format!(
            "{node} is in no cluster, and a key that it had is still let in by all members; it brings a new one when it joins"
        )],
        gate: vec![line.quorate_via()],
        done_when: Condition::CleanedUp {
            cluster,
            removed: node.clone(),
            on: via.clone(),
            keep_folder: true,
        },
        seconds: 2,
        undo: format!("nothing to undo: {node} brings a new key"),
        destroys: vec![format!("the key root@{node} in the cluster's authorized_keys")],
        restores: None,
    })?;
    Some(())
}
