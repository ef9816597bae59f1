//! What must hold on the node itself in the instant before its cluster membership is changed. The coordinator's plan has
//! checked the same; between plan and use things may have changed, and pvecm itself checks only half of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use quorate_model::facet::Unknown;
use quorate_model::ids::NodeName;
use quorate_model::observation::cluster::{Cluster, Membership, Pmxcfs};
use quorate_model::{Code, Finding, Observation};

use super::member;

/// Something that must be known is not.
pub(super) fn unknown(node: &NodeName, what: &str, unknown: &Unknown) -> Finding {
    Finding::new(
        Code::FacetUnknown,
        node.as_str(),
        format!("its {what} can't be seen: {}", unknown.reason),
        format!("look on {node}: quorate-agent observe {what}"),
    )
}

/// What stands against both creating and joining. All of it at once.
pub(super) fn common(node: &NodeName, observation: &Observation, links: &BTreeMap<u8, IpAddr>) -> Vec<Finding> {
    let cluster = match observation.cluster.get() {
        Ok(cluster) => cluster,
        Err(reason) => return vec![unknown(node, "cluster", reason)],
    };
    let mut findings = Vec::new();
    if observation.hostname != node.as_str() {
        findings.push(Finding::new(
            Code::HostNameDiffers,
            node.as_str(),
            format!("the server calls itself {}; PVE would take that name into the cluster", observation.hostname),
            "set the host name right (hostnamectl and /etc/hosts) before there is a cluster, or enrol it under its own name",
        ));
    }
    findings.extend(membership(node, cluster));
    match observation.network.get() {
        Err(reason) => findings.push(unknown(node, "network", reason)),
        Ok(network) => {
            for (link, address) in links {
                let here = network.addresses().find(|(_, on)| on.address == *address);
                let problem = match here {
                    Some((interface, _)) if interface.up => continue,
                    Some((interface, _)) => format!("is on {}, which is down", interface.name),
                    None => "is on no interface of this server".to_owned(),
                };
                findings.push(Finding::new(
                    Code::AddressNotOnNode,
                    node.as_str(),
                    format!("the address {address} of link {link} {problem}"),
                    "bring the interface up, or correct the cluster file's links",
                ));
            }
            match network.own_name.get() {
                Err(reason) => findings.push(unknown(node, "network", reason)),
                Ok(name) if name.usable().is_none() => findings.push(Finding::new(
                    Code::NameDoesNotResolve,
                    node.as_str(),
                    format!(
                        "its own name {} resolves to no address that is not a loopback one",
                        name.name
                    ),
                    format!(
                        "give {} its address in /etc/hosts on the server, in the place of 127.0.1.1",
                        name.name
                    ),
                )),
                Ok(name) => {
                    let is_here = |address: &IpAddr| {
                        let mut here = network.addresses().filter(|(interface, _)| interface.up);
                        here.any(|(_, on)| on.address == *address)
                    };
                    if !name.addresses.iter().any(is_here) {
                        let usable = name.usable().map(|address| address.to_string());
                        findings.push(Finding::new(
                            Code::AddressNotOnNode,
                            node.as_str(),
                            format!(
                                "its own name {} resolves to {}, which is on no interface of this server that is up",
                                name.name,
                                usable.unwrap_or_default()
                            ),
                            format!("give {} its present address in /etc/hosts on the server", name.name),
                        ));
                    }
                }
            }
        }
    }
    findings
}

fn membership(node: &NodeName, cluster: &Cluster) -> Option<Finding> {
    if let Membership::Member(member) = &cluster.membership {
        let others: Vec<&str> = member
            .nodes
            .iter()
            .map(|n| n.name.as_str())
            .filter(|n| *n != node.as_str())
            .collect();
        let with = if others.is_empty() {
            "alone".to_owned()
        } else {
            format!("with {}", others.join(", "))
        };
        return Some(Finding::new(
            Code::NodeInOtherCluster,
            node.as_str(),
            format!("it is a member of cluster {} already, {with}", member.cluster),
            "name that cluster in the cluster file, or take the server out of it first (pvecm delnode, then reinstall)",
        ));
    }
    if let Some(files) = member::leftovers(cluster) {
        return Some(Finding::new(
            Code::NodeHasLeftovers,
            node.as_str(),
            format!("it has {files} of an earlier cluster or of a try that was not finished"),
            format!(
                "make sure that it belongs to no cluster any more, then remove {files} and stop corosync on {node}"
            ),
        ));
    }
    (cluster.pmxcfs != Pmxcfs::Writable).then(|| {
        Finding::new(
            Code::PmxcfsNotReady,
            node.as_str(),
            "/etc/pve is not mounted and writable",
            format!("look on {node}: systemctl status pve-cluster"),
        )
    })
}

/// Guests stand against joining: their ids could clash with the cluster's.
pub(super) fn guests(node: &NodeName, observation: &Observation) -> Option<Finding> {
    let guests = match observation.guests.get() {
        Ok(guests) => guests,
        Err(reason) => return Some(unknown(node, "guests", reason)),
    };
    let ids: Vec<String> = guests.iter().take(10).map(|guest| guest.vmid.to_string()).collect();
    (!guests.is_empty()).then(|| {
        let more = if guests.len() > ids.len() { " …" } else { "" };
        Finding::new(
            Code::NodeHasGuests,
            node.as_str(),
            format!("it has {} guests: {}{more}", guests.len(), ids.join(", ")),
            "back them up and remove them, or create the cluster on this server and let the others join it",
        )
    })
}
