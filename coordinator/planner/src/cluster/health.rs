//! Whether the existing cluster is well enough to be joined, and what is weak in the shape that it will have.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::observation::cluster::{Member, Pmxcfs};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use super::members::Standing;
use crate::report::{Report, Weight, facet_unknown, in_a_row};

/// Judges the members. What is wrong with them refuses a join, and is only told where nobody is to join.
pub(super) fn members(view: &View, standing: &Standing<'_>, changes: Weight, report: &mut Report) {
    let mut offline: BTreeMap<&str, Vec<&NodeName>> = BTreeMap::new();
    for (node, member) in &standing.inside {
        let cluster = &member.cluster;
        for gone in member.nodes.iter().filter(|n| !n.online) {
            offline.entry(&gone.name).or_default().push(node);
        }
        if !member.quorate {
            report.weigh(
                changes,
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
            report.weigh(changes, not_writable(view, node));
        }
        if member.running_version != member.file_version {
            report.tell(config_not_running(node, member, changes));
        }
        links(node, member, report);
    }
    for (gone, by) in offline {
        report.weigh(
            changes,
            Finding::new(
                Code::MemberOffline,
                gone,
                format!("{gone} is not in the membership now, says {}", in_a_row(by)),
                format!(
                    "start {gone}, or see why corosync is not running there: systemctl status corosync pve-cluster"
                ),
            ),
        );
    }
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

/// An edit that corosync did not take over is a nuisance; on top of it, a join's own edit would not be taken over either,
/// and the joiner would wait for quorum without end.
fn config_not_running(node: &NodeName, member: &Member, changes: Weight) -> Finding {
    let mut finding = Finding::new(
        Code::ConfigNotRunning,
        node.as_str(),
        format!(
            "corosync on {node} runs with version {} of its configuration, and the file has version {}",
            member.running_version, member.file_version
        ),
        format!("on {node}: journalctl -u corosync -n 50 says why; after mending the file: corosync-cfgtool -R"),
    );
    if changes == Weight::Needed {
        finding.severity = quorate_model::Severity::Refusal;
    }
    finding
}

/// Every configured link to every online peer should be connected; a peer without any link is not even listed.
fn links(node: &NodeName, member: &Member, report: &mut Report) {
    let links = match member.links.get() {
        Ok(links) => links,
        Err(unknown) => {
            report.weigh(Weight::Told, facet_unknown(node, FacetName::Cluster, "links", unknown));
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
            report.tell(Finding::new(
                Code::LinkDown,
                node.as_str(),
                format!("link {} from {node} to {} is not connected", in_a_row(down), peer.name),
                format!("on {node}: corosync-cfgtool -n; then the cable, switch and address of that link"),
            ));
        }
    }
}

/// What is weak in the cluster as the file wants it.
pub(super) fn shape(file: &ClusterFile, standing: &Standing<'_>, report: &mut Report) {
    if !standing.clear {
        return;
    }
    let cluster = &file.cluster.name;
    let links = standing.any_member().map_or(file.cluster.links.len().max(1), |m| {
        m.configured
            .iter()
            .flat_map(|n| n.addresses.keys())
            .collect::<BTreeSet<_>>()
            .len()
    });
    if links == 1 {
        report.tell(
            Finding::new(
                Code::OneLink,
                cluster.value.as_str(),
                format!(
                    "{} has a single corosync link: one switch or cable can cost the quorum",
                    cluster.value
                ),
                "name a second network in `links`, over other cables and another switch",
            )
            .at(file.cluster.links.first().map(|l| l.place.clone())),
        );
    }
    let votes = votes(standing);
    if votes.is_multiple_of(2) && !standing.any_member().is_some_and(|m| m.qdevice) {
        let message = if votes == 2 {
            format!(
                "{} will have 2 votes: when one server fails, the other has no quorum either",
                cluster.value
            )
        } else {
            format!(
                "{} will have {votes} votes: it survives the loss of no more servers than with {}",
                cluster.value,
                votes - 1
            )
        };
        report.tell(Finding::new(
            Code::EvenVotes,
            cluster.value.as_str(),
            message,
            "add a server, or a third vote outside of the cluster: pvecm qdevice setup ADDRESS",
        ));
    }
}

fn votes(standing: &Standing<'_>) -> u32 {
    let configured = standing
        .any_member()
        .map_or(0, |m| m.configured.iter().map(|n| n.votes).sum());
    configured + u32::try_from(standing.bare.len()).unwrap_or(u32::MAX)
}
