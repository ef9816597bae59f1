//! Whether the links of a server fail apart: two over one port, or in one network, are one link to whatever breaks.

use std::net::IpAddr;

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::Network;
use quorate_model::observation::network::Interface;
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use super::links;
use super::speed::ports;
use crate::report::Report;

/// A server's end of a link.
struct End<'n> {
    link: u8,
    address: IpAddr,
    interface: &'n Interface,
    prefix: u8,
}

pub(super) fn check(file: &ClusterFile, view: &View, report: &mut Report) {
    for (node, _) in file.members() {
        // A network facet that is unknown has been told.
        let Ok(network) = view.facet(node, |o| &o.network) else {
            continue;
        };
        let ends: Vec<End<'_>> = (0..links::count(file))
            .filter_map(|link| end(file, node, network, link))
            .collect();
        for (at, one) in ends.iter().enumerate() {
            for other in ends.iter().skip(at + 1) {
                if let Some(why) = shared(network, one, other) {
                    report.tell(Finding::new(
                        Code::LinksShare,
                        node.as_str(),
                        format!("links {} and {} of {node} both run {why}", one.link, other.link),
                        "lead them over different ports, cables and switches, in networks of their own",
                    ));
                }
            }
        }
    }
}

fn end<'n>(file: &ClusterFile, node: &NodeName, network: &'n Network, link: u8) -> Option<End<'n>> {
    let candidates = links::candidates(file, node, network, link);
    let address = *candidates.first().filter(|_| candidates.len() == 1)?;
    let (interface, found) = network.addresses().find(|(_, a)| a.address == address)?;
    Some(End {
        link,
        address,
        interface,
        prefix: found.prefix,
    })
}

/// What they share, in words. A bond of several ports is left out of this: one of them may fail.
fn shared(network: &Network, one: &End<'_>, other: &End<'_>) -> Option<String> {
    let subnet = ipnet::IpNet::new(one.address, one.prefix).ok()?.trunc();
    if subnet.contains(&other.address) {
        return Some(format!("in {subnet}"));
    }
    match (&ports(network, one.interface)[..], &ports(network, other.interface)[..]) {
        ([port], [same]) if port.name == same.name => Some(format!("over {}", port.name)),
        _ => None,
    }
}
