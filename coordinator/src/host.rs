//! The host that the coordinator runs on: is it one of the cluster's own servers?

use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};

use quorate_model::{Code, Finding, NodeRef, Observation};
use quorate_proto::Sighting;

use crate::fleet::registry::Registry;

/// What is known of the own host.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// The kernel's name for this boot. Containers have their host's.
    boot_id: Option<String>,
    lab: bool,
    /// Addresses of enrolled agents that are this host's own.
    here: fn(IpAddr) -> bool,
}

impl Host {
    /// Looks at this host. In a lab, every simulated server is on it: there, only boots are compared.
    pub(crate) fn this(lab: bool) -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        Self {
            boot_id: boot_id
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty()),
            lab,
            here: if lab { |_| false } else { is_ours },
        }
    }

    /// The one of these nodes that the coordinator runs on, or in a container of which.
    pub(crate) fn node_of(&self, seen: &[Sighting]) -> Option<NodeRef> {
        let same_boot = |observation: &Observation| {
            let boot_id = observation.system.get().ok().map(|system| system.boot_id.trim());
            boot_id.is_some() && boot_id == self.boot_id.as_deref()
        };
        let on = |sighting: &&Sighting| sighting.view.observation.as_ref().is_ok_and(same_boot);
        seen.iter().find(on).map(|sighting| sighting.node.clone())
    }

    /// The addresses from which agents are called: all of this host's, and the one that it is advertised by. In a lab only that one.
    pub(crate) fn addresses(&self, advertise: &str) -> BTreeSet<IpAddr> {
        let advertised = advertise.parse().ok();
        let own = nix::ifaddrs::getifaddrs()
            .into_iter()
            .flatten()
            .filter_map(|interface| {
                let address = interface.address?;
                let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
            });
        let useful = |address: &IpAddr| match address {
            IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
        };
        own.filter(|address| !self.lab && useful(address))
            .chain(advertised)
            .collect()
    }

    /// The MAC addresses of this host's interfaces, in lower case: those of a guest's are in its configuration. None in a lab, where all
    /// servers are one host.
    pub(crate) fn macs(&self) -> BTreeSet<String> {
        let hardware = |interface: nix::ifaddrs::InterfaceAddress| {
            let address = interface.address?;
            let bytes = address.as_link_addr()?.addr().filter(|bytes| *bytes != [0; 6])?;
            Some(bytes.map(|byte| format!("{byte:02x}")).join(":"))
        };
        let all = nix::ifaddrs::getifaddrs().into_iter().flatten();
        all.filter(|_| !self.lab).filter_map(hardware).collect()
    }

    /// The same from the books, for a node that can't be seen: by the address that its agent is called at.
    pub(crate) fn node_at(&self, registry: &Registry) -> Option<NodeRef> {
        let nodes = registry.nodes();
        nodes
            .into_iter()
            .find(|(_, node)| (self.here)(node.address.ip()))
            .map(|(name, _)| name)
    }
}

/// Only an own address can be bound to. Loopback addresses are everybody's.
fn is_ours(address: IpAddr) -> bool {
    !address.is_loopback() && !address.is_unspecified() && UdpSocket::bind((address, 0)).is_ok()
}

/// What is to be said of it.
pub(crate) fn finding(node: &NodeRef) -> Finding {
    Finding::new(
        Code::CoordinatorOnNode,
        node.to_string(),
        format!("the coordinator runs on {node}, or in a container on it: it stops when that server stops"),
        "better on another host: quorate backup here, quorate init --restore there, then enrol nothing anew",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers() -> Vec<Sighting> {
        let view = quorate_planner::testkit::Servers::bare(3).view;
        let sighting = |(name, view): (quorate_model::NodeName, _)| Sighting {
            node: NodeRef::new("hk1".parse().unwrap(), name),
            view,
            received_at: None,
            connection: None,
        };
        view.nodes.into_iter().map(sighting).collect()
    }

    #[test]
    fn the_node_of_the_same_boot_is_the_one() {
        let mut host = Host::this(true);
        let mut seen = servers();
        assert!(host.boot_id.is_some());
        assert_eq!(host.node_of(&seen), None);
        if let Ok(observation) = &mut seen[1].view.observation
            && let quorate_model::Facet::Known { value, .. } = &mut observation.system
        {
            value.boot_id = host.boot_id.clone().unwrap();
        }
        assert_eq!(host.node_of(&seen).unwrap().to_string(), "hk1/prox2");
        host.boot_id = None;
        assert_eq!(host.node_of(&seen), None, "unknown is not equal to unknown");
    }

    #[test]
    fn only_addresses_of_this_host_are_ours() {
        for other in ["127.0.0.1", "0.0.0.0", "192.0.2.1", "2001:db8::1"] {
            assert!(!is_ours(other.parse().unwrap()), "{other}");
        }
    }
}
