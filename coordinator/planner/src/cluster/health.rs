//! Whether the existing cluster is well enough to be changed.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::Severity;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::observation::cluster::{Member, Pmxcfs};
use quorate_model::view::View;

use super::Changes;
use super::link_changes::EDIT;
use super::members::Standing;
use crate::report::{Report, Weight, facet_unknown, in_a_row};

/// PVE breaks a lock that was not renewed for so long (pmxcfs, `CFS_LOCK_TIMEOUT`).
const LOCK_EXPIRES_SECONDS: u64 = 120;

/// Judges the members. What is wrong with them refuses a change, and is only told where nothing is to be changed.
pub(super) fn members(view: &View, standing: &Standing<'_>, changes: Changes, report: &mut Report) {
    let weight = changes.weight();
    let mended = mended_by_the_plan(standing);
    let mut offline: BTreeMap<&str, Vec<&NodeName>> = BTreeMap::new();
    for (node, member) in &standing.inside {
        let cluster = &member.cluster;
        for gone in member
            .nodes
            .iter()
            .filter(|n| !n.online && !expected_offline(standing, &n.name))
        {
            offline.entry(&gone.name).or_default().push(node);
        }
        let quorum_matters = if mended { Weight::Told } else { weight };
        if !member.quorate {
            report.weigh(
                quorum_matters,
                Finding::new(
                    Code::ClusterNotQuorate,
                    node.as_str(),
                    format!(
                        "{node} has no quorum: it sees {} of {} members of {cluster}",
                        member.online().count(),
                        member.nodes.len()
                    ),
                    format!("on {node}: pvecm status; start the missing members, or mend the network between them"),
                ),
            );
        } else if view.cluster_of(node).is_ok_and(|c| c.pmxcfs != Pmxcfs::Writable) {
            report.weigh(weight, not_writable(view, node));
        }
        ids(member, weight, report);
        versions(node, member, changes, report);
        links(node, member, changes, report);
    }
    lock(view, standing, weight, report);
    for (gone, by) in offline {
        report.weigh(
            weight,
            Finding::new(
                Code::MemberOffline,
                gone,
                format!("{gone} is not in the membership now, says {}", in_a_row(by)),
                format!(
                    "start {gone}, or see why corosync is not running there: systemctl status corosync pve-cluster; if it is gone for \
                     good, take it out of the file and: --remove {gone} --is-off {gone}"
                ),
            ),
        );
    }
}

/// Counted and not in, which is what the plan is about.
fn expected_offline(standing: &Standing<'_>, name: &str) -> bool {
    standing.leaving.contains(name) || standing.unfinished.keys().any(|node| node.as_str() == name)
}

/// Is quorum missing for no other reason than servers that the plan takes out or brings in?
fn mended_by_the_plan(standing: &Standing<'_>) -> bool {
    let offline: BTreeSet<&str> = standing
        .inside
        .values()
        .flat_map(|m| m.nodes.iter().filter(|n| !n.online).map(|n| n.name.as_str()))
        .filter(|name| !standing.seen_online(name))
        .collect();
    !offline.is_empty() && offline.iter().all(|name| expected_offline(standing, name))
}

/// The one lock that changes of corosync.conf take; everybody sees the same one. Told is the first who sees it, and the
/// least age that anybody measured: clocks differ a little, and so a lock that is new to one may be a second old to another.
fn lock(view: &View, standing: &Standing<'_>, weight: Weight, report: &mut Report) {
    let mut seen = standing
        .inside
        .keys()
        .filter_map(|node| Some((*node, view.cluster_of(node).ok()?.config_lock_age?)));
    let Some((node, age)) = seen.next() else {
        return;
    };
    let age = seen.map(|(_, age)| age).fold(age, u64::min);
    let expired = age > LOCK_EXPIRES_SECONDS;
    let message = if expired {
        format!(
            "an old lock on corosync.conf is left ({age} s): a change that took it lost quorum, or its server; PVE breaks it by itself"
        )
    } else {
        format!(
            "somebody holds the lock on corosync.conf since {age} s: another change runs, or one lost quorum in the middle"
        )
    };
    let next = if expired {
        String::new()
    } else {
        format!(
            "wait until it is over, {LOCK_EXPIRES_SECONDS} s at most, and plan again; on {node}: ls -ld /etc/pve/priv/lock/file-corosync_conf"
        )
    };
    let finding = Finding::new(Code::ClusterLocked, node.as_str(), message, next);
    report.weigh(if expired { Weight::Told } else { weight }, finding);
}

/// `/etc/pve` of a server can't be written, or isn't there.
pub(super) fn not_writable(view: &View, node: &NodeName) -> Finding {
    let state = match view.cluster_of(node).map(|c| c.pmxcfs) {
        Ok(Pmxcfs::ReadOnly) => "is read-only",
        _ => "is not mounted",
    };
    Finding::new(
        Code::PmxcfsNotReady,
        node.as_str(),
        format!("/etc/pve on {node} {state}"),
        format!("on {node}: systemctl status pve-cluster; journalctl -u pve-cluster -n 50"),
    )
}

/// One id for two servers: each takes the other's place, and nobody can be taken out without hitting the other.
fn ids(member: &Member, weight: Weight, report: &mut Report) {
    let mut by_id: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    for node in &member.configured {
        by_id.entry(node.id).or_default().insert(&node.name);
    }
    for (id, names) in by_id.into_iter().filter(|(_, names)| names.len() > 1) {
        let finding = Finding::new(
            Code::NodeIdTwice,
            member.cluster.as_str(),
            format!("corosync.conf gives the id {id} to {}", in_a_row(&names)),
            format!("give each its own `nodeid`; {}", super::link_changes::EDIT),
        );
        report.weigh(weight, finding);
    }
}

/// An edit that corosync did not take over is a nuisance; on top of it, another edit would not be taken over either,
/// and a joiner would wait for quorum without end.
fn versions(node: &NodeName, member: &Member, changes: Changes, report: &mut Report) {
    let elsewhere = match member.running_versions.get() {
        Ok(running) => running.iter().find(|r| r.version != member.file_version),
        Err(unknown) => {
            let what = "the version of corosync.conf that each member runs with";
            report.weigh(
                Weight::needed_if(changes.links || changes.removals),
                facet_unknown(node, FacetName::Cluster, what, unknown),
            );
            None
        }
    };
    let message = if member.running_version != member.file_version {
        format!(
            "corosync on {node} runs with version {} of its configuration, and the file has version {}",
            member.running_version, member.file_version
        )
    } else if let Some(other) = elsewhere {
        let name = member
            .configured
            .iter()
            .find(|n| n.id == other.id)
            .map_or("a node", |n| n.name.as_str());
        format!(
            "corosync on {name} runs with version {} of its configuration, says {node}, and the file has version {}",
            other.version, member.file_version
        )
    } else {
        return;
    };
    let running = elsewhere
        .map_or(member.running_version, |r| r.version)
        .max(member.running_version);
    let next = if running > member.file_version {
        // Neither pmxcfs nor corosync goes back to a lower version.
        format!("give the file a config_version above {running}; {EDIT}")
    } else {
        format!("on {node}: journalctl -u corosync -n 50 says why; mend the file with a higher config_version; {EDIT}")
    };
    let mut finding = Finding::new(Code::ConfigNotRunning, node.as_str(), message, next);
    if changes.weight() == Weight::Needed {
        finding.severity = Severity::Refusal;
    }
    report.tell(finding);
}

/// Every configured link to every online peer should be connected; a peer without any link is not even listed. A link is only
/// added to others that work, and a server only switched off when the rest does not hang by a thread.
fn links(node: &NodeName, member: &Member, changes: Changes, report: &mut Report) {
    let needed = changes.links || changes.removals;
    let links = match member.links.get() {
        Ok(links) => links,
        Err(unknown) => {
            report.weigh(
                Weight::needed_if(needed),
                facet_unknown(node, FacetName::Cluster, "links", unknown),
            );
            return;
        }
    };
    let numbers: BTreeSet<u8> = member
        .configured
        .iter()
        .flat_map(|n| n.addresses.keys().copied())
        .collect();
    for peer in member.nodes.iter().filter(|n| n.online && n.name != node.as_str()) {
        let down: Vec<u8> = numbers
            .iter()
            .copied()
            .filter(|number| {
                !links
                    .iter()
                    .any(|l| l.peer == peer.id && l.number == *number && l.enabled && l.connected)
            })
            .collect();
        if !down.is_empty() {
            let mut finding = Finding::new(
                Code::LinkDown,
                node.as_str(),
                format!("link {} from {node} to {} is not connected", in_a_row(down), peer.name),
                format!("on {node}: corosync-cfgtool -n; then the cable, switch and address of that link"),
            );
            if needed {
                finding.severity = Severity::Refusal;
            }
            report.tell(finding);
        }
    }
}
