//! Links: what the file says is not what corosync runs with, so both are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::membership::member_of;
use super::{Not, Verdict, on_each};
use crate::ids::{ClusterName, NodeName};
use crate::observation::cluster::Member;
use crate::view::View;

pub(super) fn all_up(view: &View, cluster: &ClusterName, nodes: &BTreeSet<NodeName>) -> Verdict {
    let evidence = || format!("all links of {cluster} connected between {} members", nodes.len());
    on_each(nodes, evidence, |node| {
        let member = member_of(view.cluster_of(node)?, cluster)?;
        same_version(member)?;
        let numbers: BTreeSet<u8> = member
            .configured
            .iter()
            .flat_map(|n| n.addresses.keys().copied())
            .collect();
        for number in numbers {
            connected(member, node, nodes, number)?;
        }
        Ok(())
    })
}

pub(super) fn up(
    view: &View,
    cluster: &ClusterName,
    link: u8,
    addresses: &BTreeMap<NodeName, IpAddr>,
    priority: Option<u8>,
) -> Verdict {
    let nodes: BTreeSet<NodeName> = addresses.keys().cloned().collect();
    let evidence = || {
        format!(
            "link {link} connected between all {} members, each on the same version",
            nodes.len()
        )
    };
    on_each(&nodes, evidence, |node| {
        let member = member_of(view.cluster_of(node)?, cluster)?;
        for (name, address) in addresses {
            let written = member.configured.iter().find(|n| n.name == name.as_str());
            let written = written.and_then(|n| n.addresses.get(&link));
            match written {
                None => {
                    return Err(Not::Yet(format!(
                        "has no address of {name} for link {link} in corosync.conf"
                    )));
                }
                Some(other) if other.parse() != Ok(*address) => {
                    return Err(Not::Yet(format!(
                        "has {other} for {name} on link {link} in corosync.conf"
                    )));
                }
                Some(_) => {}
            }
        }
        let has = member.link_priority(link);
        if priority.is_some_and(|wanted| wanted.max(1) != has) {
            return Err(Not::Yet(format!("has priority {has} for link {link} in corosync.conf")));
        }
        same_version(member)?;
        connected(member, node, &nodes, link)
    })
}

/// An edit that corosync did not take over leaves the file ahead of what runs, on some members or on all.
pub(super) fn same_version(member: &Member) -> Result<(), Not> {
    let running = member.running_versions.get()?;
    match running.iter().find(|r| r.version != member.file_version) {
        None => Ok(()),
        Some(other) => Err(Not::Yet(format!(
            "says that corosync on {} runs with version {} of corosync.conf, while the file has {}",
            member.name_of(other.id),
            other.version,
            member.file_version
        ))),
    }
}

fn connected(member: &Member, node: &NodeName, nodes: &BTreeSet<NodeName>, number: u8) -> Result<(), Not> {
    let links = member.links.get()?;
    for peer in nodes.iter().filter(|peer| *peer != node) {
        let id = member.configured.iter().find(|n| n.name == peer.as_str()).map(|n| n.id);
        let link = links.iter().find(|l| Some(l.peer) == id && l.number == number);
        match link {
            Some(link) if link.enabled && link.connected => {}
            Some(_) => return Err(Not::Yet(format!("is not connected with {peer} on link {number}"))),
            None => return Err(Not::Yet(format!("does not list link {number} to {peer}"))),
        }
    }
    Ok(())
}
