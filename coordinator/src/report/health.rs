//! The fleet's health in findings: stale data, servers out of reach, quorum, members, links.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_model::observation::cluster::{Cluster, Member, Pmxcfs};
use quorate_model::operation::HaService;
use quorate_model::time::spoken;
use quorate_model::view::Rest;
use quorate_model::{ClusterName, Code, Finding, NodeRef, Observation, Timestamp};
use quorate_proto::{Connection, ConnectionState, Sighting};

use super::copies::copies;
use super::storage::storage;
use super::storages::storages;

/// The health stream speaks every second. What is ten times as old is not the present.
const STALE: Duration = Duration::from_secs(10);

/// Everything worth saying about these nodes, most grave first, then by subject.
pub(crate) fn health(now: Timestamp, sightings: &[Sighting]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut clusters: BTreeMap<&ClusterName, Vec<Seen<'_>>> = BTreeMap::new();
    for sighting in sightings {
        node(now, sighting, &mut findings);
        let fresh = !stale(now, sighting);
        if let (Ok(observation), true) = (&sighting.view.observation, fresh)
            && let Ok(cluster) = observation.cluster.get()
        {
            clusters.entry(&sighting.node.cluster).or_default().push(Seen {
                node: &sighting.node,
                cluster,
            });
        }
    }
    for (name, seen) in clusters {
        cluster(name, &seen, &mut findings);
    }
    at_rest(now, sightings, &mut findings);
    findings.sort_by(|a, b| (b.severity, &a.subject, a.code).cmp(&(a.severity, &b.subject, b.code)));
    findings.dedup();
    findings
}

/// A node that says something about its cluster.
struct Seen<'a> {
    node: &'a NodeRef,
    cluster: &'a Cluster,
}

pub(super) fn stale(now: Timestamp, sighting: &Sighting) -> bool {
    sighting.received_at.is_none_or(|at| at.age(now) > STALE)
}

fn node(now: Timestamp, sighting: &Sighting, findings: &mut Vec<Finding>) {
    let name = &sighting.node;
    let subject = name.to_string();
    if let Some(connection) = &sighting.connection
        && connection.state != ConnectionState::Connected
    {
        findings.push(unreachable(now, name, connection));
    }
    let Ok(observation) = &sighting.view.observation else {
        return;
    };
    if let Some(at) = sighting.received_at
        && stale(now, sighting)
    {
        findings.push(Finding::new(
            Code::DataStale,
            &subject,
            format!("what is shown of {name} was seen {} ago", spoken(at.age(now))),
            format!(
                "ask it now: quorate status --fresh; or look at its agent: systemctl status quorate-agent (on {})",
                name.node
            ),
        ));
    }
    if observation.hostname != name.node.as_str() {
        findings.push(Finding::new(
            Code::HostNameDiffers,
            &subject,
            format!(
                "the server that is enrolled as {name} calls itself {}",
                observation.hostname
            ),
            format!(
                "give it its name back, or remove it and enrol it as {}/{}",
                name.cluster, observation.hostname
            ),
        ));
    }
    facets(name, observation, findings);
    if let Ok(strays) = observation.strays.get() {
        findings.extend(strays.iter().map(|stray| stray.finding(&subject, name.node.as_str())));
    }
    storage(name, observation, findings);
    storages(name, observation, findings);
    copies(name, observation, findings);
}

fn unreachable(now: Timestamp, name: &NodeRef, connection: &Connection) -> Finding {
    let since = spoken(connection.since.age(now));
    let told = match connection.state {
        ConnectionState::Lost => format!("the connection to {name} has been lost for {since}"),
        ConnectionState::Connecting | ConnectionState::Connected => {
            format!("there has been no connection to {name} for {since}")
        }
    };
    Finding::new(
        Code::NodeUnreachable,
        name.to_string(),
        format!("{told}: {}", connection.reason),
        format!(
            "on {}: systemctl status quorate-agent; from here: ping, and port 7443 through every firewall",
            name.node
        ),
    )
}

fn facets(name: &NodeRef, observation: &Observation, findings: &mut Vec<Finding>) {
    let unknowns = [
        ("system", observation.system.get().err()),
        ("disks", observation.disks.get().err()),
        ("network", observation.network.get().err()),
        ("cluster", observation.cluster.get().err()),
        ("guests", observation.guests.get().err()),
        ("strays", observation.strays.get().err()),
        ("backups", observation.backups.get().err()),
        ("pools", observation.pools.get().err()),
        ("storages", observation.storages.get().err()),
        ("replication", observation.replication.get().err()),
    ];
    for (facet, unknown) in unknowns {
        let Some(unknown) = unknown.filter(|unknown| unknown.kind != quorate_model::UnknownKind::NotAsked) else {
            continue;
        };
        // Where the guests can't be seen, nothing of theirs can, and that is told.
        if facet == "replication" && observation.guests.get().is_err() {
            continue;
        }
        findings.push(Finding::new(
            Code::FacetUnknown,
            name.to_string(),
            format!("{facet} of {name}: {}", unknown.reason),
            format!("on {}: quorate-agent observe {facet}", name.node),
        ));
    }
}

fn cluster(name: &ClusterName, seen: &[Seen<'_>], findings: &mut Vec<Finding>) {
    let members: Vec<(&NodeRef, &Member)> = seen
        .iter()
        .filter_map(|seen| Some((seen.node, seen.cluster.member()?)))
        .collect();
    split(name, &members, findings);
    quorum(name, &members, findings);
    offline(name, &members, findings);
    without_pmxcfs(seen, findings);
    for (node, member) in &members {
        // Each node's own word, and what it sees of the others: an edit may be taken over by some, or its version be lower.
        let others = member.running_versions.get().ok().into_iter().flatten();
        let other = others
            .map(|r| r.version)
            .find(|version| *version != member.file_version);
        let own = (member.running_version != member.file_version).then_some(member.running_version);
        if let Some(running) = own.or(other) {
            let whom = if own.is_some() {
                node.to_string()
            } else {
                format!("a server that {node} sees")
            };
            findings.push(Finding::new(
                Code::ConfigNotRunning,
                node.to_string(),
                format!(
                    "corosync on {whom} runs with version {running} of its configuration; the file is at {}",
                    member.file_version
                ),
                format!("on {}: journalctl -u corosync", node.node),
            ));
        }
        links(node, member, findings);
    }
}

/// Members whose corosync speaks for itself: nobody there can read or write the cluster's files, and no guest is started or moved.
fn without_pmxcfs(seen: &[Seen<'_>], findings: &mut Vec<Finding>) {
    let down = |seen: &&Seen<'_>| seen.cluster.member().is_some() && seen.cluster.pmxcfs == Pmxcfs::NotMounted;
    for seen in seen.iter().filter(down) {
        let node = seen.node;
        findings.push(Finding::new(
            Code::PmxcfsNotReady,
            node.to_string(),
            format!("/etc/pve is not mounted on {node}: pmxcfs is down, and what is told of the cluster is corosync's own word"),
            format!("on {}: systemctl start pve-cluster; journalctl -u pve-cluster -n 50", node.node),
        ));
    }
}

/// HA that is at rest: guests of a server that fails are not restarted.
fn at_rest(now: Timestamp, sightings: &[Sighting], findings: &mut Vec<Finding>) {
    let mut told = BTreeSet::new();
    for sighting in sightings.iter().filter(|sighting| !stale(now, sighting)) {
        let Ok(observation) = &sighting.view.observation else {
            continue;
        };
        let member = observation
            .cluster
            .get()
            .is_ok_and(|cluster| cluster.member().is_some());
        let Ok(ha) = observation.ha.get() else { continue };
        let name = &sighting.node;
        let looked_after = ha.resources.get().is_ok_and(|resources| !resources.is_empty());
        if !member || !looked_after {
            continue;
        }
        if Rest::Whole.is_so(&name.node, ha) == Some(true) {
            // Every member says the same.
            if told.insert(&name.cluster) {
                findings.push(Finding::new(
                    Code::HaAlreadyDisarmed,
                    name.cluster.as_str(),
                    format!(
                        "HA of {} is disarmed: nobody restarts the guests of a server that fails",
                        name.cluster
                    ),
                    format!(
                        "if nobody works on it any more, on {}: ha-manager crm-command arm-ha",
                        name.node
                    ),
                ));
            }
            continue;
        }
        let daemons = [HaService::Crm, HaService::Lrm].map(|service| Rest::Daemon {
            node: name.node.clone(),
            service,
        });
        if daemons.iter().any(|rest| rest.is_so(&name.node, ha) == Some(true)) {
            findings.push(Finding::new(
                Code::HaAlreadyDisarmed,
                name.to_string(),
                format!(
                    "HA's daemons are stopped on {}: its guests are not looked after",
                    name.node
                ),
                format!(
                    "if nobody works on it any more, on {}: systemctl start pve-ha-crm pve-ha-lrm",
                    name.node
                ),
            ));
        }
    }
}

fn split(name: &ClusterName, members: &[(&NodeRef, &Member)], findings: &mut Vec<Finding>) {
    let views: BTreeSet<_> = members
        .iter()
        .map(|(_, member)| {
            (
                member.cluster.as_str(),
                member.nodes.iter().map(|n| n.name.as_str()).collect::<BTreeSet<_>>(),
            )
        })
        .collect();
    if views.len() > 1 {
        let said: Vec<String> = members
            .iter()
            .map(|(node, member)| {
                let names: Vec<&str> = member.nodes.iter().map(|n| n.name.as_str()).collect();
                format!("{} says {} of {}", node.node, member.cluster, names.join(", "))
            })
            .collect();
        findings.push(Finding::new(
            Code::SplitMembership,
            name.as_str(),
            format!("the members of {name} disagree about who they are: {}", said.join("; ")),
            "compare /etc/pve/corosync.conf on each; change nothing before it is clear which one is right",
        ));
    }
}

fn quorum(name: &ClusterName, members: &[(&NodeRef, &Member)], findings: &mut Vec<Finding>) {
    let without: Vec<&str> = members
        .iter()
        .filter(|(_, member)| !member.quorate)
        .map(|(node, _)| node.node.as_str())
        .collect();
    if without.is_empty() {
        return;
    }
    let votes = members
        .iter()
        .filter(|(_, member)| !member.quorate)
        .find_map(|(_, member)| member.votes.get().ok());
    let votes = votes
        .map(|v| format!(" ({} of {} votes, {} needed)", v.total, v.expected, v.quorum))
        .unwrap_or_default();
    findings.push(Finding::new(
        Code::ClusterNotQuorate,
        name.as_str(),
        format!("{name} has no quorum{votes}, say {}", without.join(", ")),
        "bring back the members that are missing, or their links; never `pvecm expected` while they may be running",
    ));
}

fn offline(name: &ClusterName, members: &[(&NodeRef, &Member)], findings: &mut Vec<Finding>) {
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (node, member) in members {
        for gone in member.nodes.iter().filter(|n| !n.online) {
            missing.entry(gone.name.as_str()).or_default().push(node.node.as_str());
        }
    }
    for (gone, sayers) in missing {
        findings.push(Finding::new(
            Code::MemberOffline,
            format!("{name}/{gone}"),
            format!("{gone} is not in the membership of {name}, say {}", sayers.join(", ")),
            format!("on {gone}: systemctl status corosync pve-cluster"),
        ));
    }
}

fn links(node: &NodeRef, member: &Member, findings: &mut Vec<Finding>) {
    let Ok(links) = member.links.get() else { return };
    for link in links.iter().filter(|link| link.enabled && !link.connected) {
        let peer = member.nodes.iter().find(|n| n.id == link.peer);
        // All links to a member that is gone are down; that it is gone is said already.
        if peer.is_some_and(|peer| !peer.online) {
            continue;
        }
        let peer = peer.map_or_else(|| format!("member {}", link.peer), |peer| peer.name.clone());
        findings.push(Finding::new(
            Code::LinkDown,
            node.to_string(),
            format!(
                "link {} from {} to {peer} ({} to {}) is not connected",
                link.number, node.node, link.local, link.remote
            ),
            format!(
                "on {}: corosync-cfgtool -n; then cable, switch and firewall of that network",
                node.node
            ),
        ));
    }
}
