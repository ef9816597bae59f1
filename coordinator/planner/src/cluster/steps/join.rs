//! One creation where there is no cluster, then one join after another, then links that are new to all.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use quorate_model::ids::NodeName;
use quorate_model::operation::Action;
use quorate_model::plan::Condition;

use super::line::{Draft, Line};
use crate::cluster::has_coordinator;
use crate::cluster::links::joining;
use crate::cluster::preflight::Founder;

/// `pvecm create` takes 2.5 s, and /etc/pve is read-only for about 5 s more.
const CREATE_SECONDS: u64 = 8;
/// Seen live: 14 to 15.4 s each.
const JOIN_SECONDS: u64 = 15;
/// Seen live: connected 3.2 s after the file was put in place.
const LINK_SECONDS: u64 = 5;

pub(super) fn create(line: &mut Line<'_>) -> Option<()> {
    let Founder::Creates { node, has_guests } = line.intent.founder else {
        return Some(());
    };
    let cluster = line.cluster();
    let links = line.intent.links.joiners.get(node)?.clone();
    let mut why = vec![format!(
        "none of the servers is in a cluster yet; the name {cluster} can't be changed later"
    )];
    if has_guests {
        why.push(format!(
            "{node} has guests, and only the server that creates the cluster keeps its guests"
        ));
    }
    why.push("/etc/pve can't be written for some seconds while it restarts; guests keep running".to_owned());
    let mut gate: Vec<Condition> = joining(line.intent.standing)
        .into_iter()
        .map(|node| Condition::Standalone { node: node.clone() })
        .collect();
    gate.push(Condition::HaDisarmed {
        cluster: cluster.clone(),
        nodes: BTreeSet::from([node.clone()]),
    });
    let priorities = line.intent.file.cluster.links.iter().zip(0u8..);
    let priorities: BTreeMap<u8, u8> = priorities
        .filter_map(|(link, number)| Some((number, link.priority.as_ref()?.value)))
        .collect();
    line.online.insert(node.clone());
    line.next(Draft {
        id: "cluster.create".to_owned(),
        node: node.clone(),
        action: Action::CreateCluster {
            cluster: cluster.clone(),
            links,
            priorities,
        },
        title: format!("create cluster {cluster} on {node}"),
        why,
        gate,
        done_when: line.members(),
        seconds: CREATE_SECONDS,
        undo: format!(
            "on {node}: systemctl stop pve-cluster corosync; pmxcfs -l; rm /etc/pve/corosync.conf /etc/corosync/authkey \
             /etc/corosync/corosync.conf; killall pmxcfs; systemctl start pve-cluster"
        ),
        destroys: vec![],
        restores: None,
    })?;
    line.quorate = true;
    Some(())
}

pub(super) fn others(line: &mut Line<'_>) -> Option<()> {
    let intent = *line.intent;
    let mut joiners: Vec<&NodeName> = joining(intent.standing)
        .into_iter()
        .filter(|node| !intent.founder.is(node))
        .collect();
    // The server with the coordinator last: it is the one whose trouble nobody else would tell of.
    joiners.sort_by_key(|node| (has_coordinator(intent.view, node), *node));
    for node in joiners {
        join(line, node)?;
    }
    Some(())
}

/// The address that a member is called by: PVE's own, or the file's where none is published yet.
fn address_of(line: &Line<'_>, member: &NodeName) -> Option<IpAddr> {
    let intent = line.intent;
    let published = intent
        .standing
        .inside
        .get(member)
        .and_then(|m| m.nodes.iter().find(|n| n.name == member.as_str())?.address);
    published.or_else(|| intent.file.nodes.get(member).map(|spec| spec.address.value))
}

fn join(line: &mut Line<'_>, node: &NodeName) -> Option<()> {
    let (member, cluster) = (line.via(), line.cluster());
    let member_address = address_of(line, &member)?;
    let intent = *line.intent;
    let there = &intent.links.there;
    let links = intent
        .links
        .joiners
        .get(node)?
        .iter()
        .map(|(number, address)| (*number, *address));
    let links: BTreeMap<u8, IpAddr> = links
        .filter(|(number, _)| there.is_empty() || there.contains(number))
        .collect();
    let mut why = vec![format!(
        "{node} is in no cluster; joins go one after another, since two at once leave one of them hanging"
    )];
    if line.online.len() == 1 {
        why.push(format!(
            "until {node} is in, {member} has one of two votes: it loses quorum and its /etc/pve is read-only for about 5 s, for longer if \
             {node} can't reach it"
        ));
    }
    why.push(format!(
        "{node}'s own /etc/pve is replaced by that of {cluster}: storage definitions, users, firewall rules; the old one is kept in \
         /var/lib/pve-cluster/backup"
    ));
    let gate = vec![
        line.members(),
        Condition::Standalone { node: node.clone() },
        line.at_rest(),
    ];
    line.online.insert(node.clone());
    line.next(Draft {
        id: format!("cluster.join/{node}"),
        node: node.clone(),
        action: Action::JoinCluster {
            cluster: cluster.clone(),
            member: member.clone(),
            member_address,
            links,
        },
        title: format!("join {node} to cluster {cluster} through {member}"),
        why,
        gate,
        done_when: line.members(),
        seconds: JOIN_SECONDS,
        undo: format!("take [nodes.{node}] out of the file, then: quorate apply FILE --remove {node}; {node} has to be installed anew"),
        destroys: vec![],
        restores: None,
    })?;
    Some(())
}

pub(super) fn links(line: &mut Line<'_>) -> Option<()> {
    let intent = *line.intent;
    for (number, addresses) in &intent.links.new {
        let (via, cluster) = (line.via(), line.cluster());
        // A link that not every member has an address on is refused by corosync, and silently so.
        if !addresses.keys().eq(line.online.iter()) {
            return None;
        }
        let spec = intent.file.cluster.links.get(usize::from(*number));
        let priority = spec.and_then(|s| s.priority.as_ref()).map(|p| p.value);
        line.next(Draft {
            id: format!("link.add/{number}"),
            node: via.clone(),
            action: Action::AddLink {
                cluster: cluster.clone(),
                link: *number,
                addresses: addresses.clone(),
                priority,
            },
            title: format!("add link {number} to cluster {cluster}"),
            why: vec![
                "the cluster file names it; one edit of corosync.conf for all members at once".to_owned(),
                "corosync takes it over while it runs; every member is asked whether it did".to_owned(),
            ],
            gate: vec![
                line.members(),
                Condition::LinksUp {
                    cluster: cluster.clone(),
                    nodes: line.online.clone(),
                },
                line.at_rest(),
            ],
            done_when: Condition::LinkUp {
                cluster,
                link: *number,
                addresses: addresses.clone(),
                priority,
            },
            seconds: LINK_SECONDS,
            undo: format!("on {via}: take ring{number}_addr of every node and the interface {number} out of corosync.conf the same way"),
            destroys: vec![],
            restores: None,
        })?;
    }
    Some(())
}
