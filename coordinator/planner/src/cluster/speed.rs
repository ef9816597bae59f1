//! How fast link 0 is on each server, and whether any link runs at half duplex: the interface is followed through bridges, bonds and VLANs down to the ports.

use std::collections::BTreeSet;
use std::net::IpAddr;

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::network::{Interface, InterfaceKind};
use quorate_model::observation::{FacetName, Network};
use quorate_model::spec::ClusterFile;
use quorate_model::{Severity, View};

use super::links;
use super::members::Standing;
use crate::report::{Report, Weight};

/// Below this, replication and migration over the link take long.
const FAST_MBPS: u32 = 10_000;

pub(super) fn of_links(file: &ClusterFile, view: &View, standing: &Standing<'_>, report: &mut Report) {
    for (node, _) in file.members() {
        let weight = Weight::needed_if(standing.bare.contains_key(node));
        let Some(network) = report.facet(view, node, FacetName::Network, weight, |o| &o.network) else {
            continue;
        };
        for number in 0..links::count(file) {
            let candidates = links::candidates(file, node, network, number);
            let [address] = candidates.into_iter().collect::<Vec<_>>()[..] else {
                continue;
            };
            if number == 0 {
                report.tell_speed(node, network, address);
            }
            report.tell_duplex(node, network, number, address);
        }
    }
}

impl Report {
    fn tell_speed(&mut self, node: &NodeName, network: &Network, address: IpAddr) {
        let Some(interface) = carrier(network, address) else {
            return;
        };
        let ports = ports(network, interface);
        let slowest = ports
            .iter()
            .filter(|p| p.carrier != Some(false))
            .filter_map(|p| p.speed_mbps.map(|s| (s, p)))
            .min_by_key(|(s, _)| *s);
        match slowest {
            Some((speed, _)) if speed >= FAST_MBPS => {}
            Some((speed, port)) => {
                let via = if port.name == interface.name {
                    String::new()
                } else {
                    format!(" (below {})", interface.name)
                };
                self.tell(Finding::new(
                    Code::LinkSlow,
                    node.as_str(),
                    format!("link 0 of {node} runs over {}{via} at {}", port.name, speed_text(speed)),
                    "put link 0 on a faster network, or keep replication and migration off it",
                ));
            }
            None => {
                let mut finding = Finding::new(
                    Code::LinkSlow,
                    node.as_str(),
                    format!(
                        "how fast link 0 of {node} is can't be told: {} shows no port with a speed",
                        interface.name
                    ),
                    format!("on {node}: ethtool on the port that {} uses", interface.name),
                );
                finding.severity = Severity::Note;
                self.tell(finding);
            }
        }
    }

    fn tell_duplex(&mut self, node: &NodeName, network: &Network, number: u8, address: IpAddr) {
        let Some(interface) = carrier(network, address) else {
            return;
        };
        for port in ports(network, interface)
            .into_iter()
            .filter(|p| p.duplex.as_deref() == Some("half"))
        {
            self.tell(Finding::new(
                Code::LinkHalfDuplex,
                node.as_str(),
                format!("link {number} of {node} runs over {} at half duplex", port.name),
                format!(
                    "on {node}: ethtool {}; then cable and switch port: both ends must negotiate, or neither",
                    port.name
                ),
            ));
        }
    }
}

/// The speed of the slowest port with a carrier below this address, in Mbit/s; `None`: it can't be told.
pub(crate) fn slowest_port(network: &Network, address: IpAddr) -> Option<u32> {
    let ports = ports(network, carrier(network, address)?);
    let working = ports.iter().filter(|port| port.carrier != Some(false));
    working
        .map(|port| port.speed_mbps)
        .collect::<Option<Vec<u32>>>()?
        .into_iter()
        .min()
}

/// The interface that has an address.
pub(super) fn carrier(network: &Network, address: IpAddr) -> Option<&Interface> {
    network
        .addresses()
        .find(|(_, a)| a.address == address)
        .map(|(interface, _)| interface)
}

/// The ports of the server that an interface ends in.
pub(super) fn ports<'n>(network: &'n Network, interface: &'n Interface) -> Vec<&'n Interface> {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut open = vec![interface];
    let mut ports = Vec::new();
    while let Some(next) = open.pop() {
        if !seen.insert(&next.name) {
            continue;
        }
        match next.kind {
            InterfaceKind::Physical => ports.push(next),
            InterfaceKind::Bridge | InterfaceKind::Bond => {
                open.extend(
                    network
                        .interfaces
                        .iter()
                        .filter(|i| i.master.as_deref() == Some(&next.name)),
                );
            }
            // An older agent does not tell the parent; the kernel's usual names of VLANs are PARENT.ID.
            InterfaceKind::Vlan => {
                let parent = next
                    .parent
                    .as_deref()
                    .or_else(|| next.name.rsplit_once('.').map(|(parent, _)| parent));
                open.extend(network.interfaces.iter().filter(|i| Some(i.name.as_str()) == parent));
            }
            InterfaceKind::Other => {}
        }
    }
    ports.sort_by(|a, b| a.name.cmp(&b.name));
    ports
}

fn speed_text(mbps: u32) -> String {
    if mbps >= 1000 && mbps.is_multiple_of(1000) {
        format!("{} Gbit/s", mbps / 1000)
    } else if mbps > 1000 {
        format!("{}.{} Gbit/s", mbps / 1000, mbps % 1000 / 100)
    } else {
        format!("{mbps} Mbit/s")
    }
}
