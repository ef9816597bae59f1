//! Where a fault of the network has to cut: what is seen now, and nothing that is only believed.

use std::net::IpAddr;

use quorate_model::observation::FacetName;
use quorate_model::observation::network::{Interface, InterfaceKind};
use quorate_tools::corosync_conf;

use crate::errors::chain;
use crate::host::Host;
use crate::observe::{hostname, observe};

/// What corosync was started with.
const CONFIG: &str = "/etc/corosync/corosync.conf";

/// The kernel's own limit for the name of an interface, without the byte that ends it.
const LONGEST_NAME: usize = 15;

/// Every port of the server by which something leaves it: network cards, also as parts of bonds and bridges, and neither those nor what guests are
/// connected by.
pub(super) async fn ports(host: &Host) -> Result<Vec<String>, String> {
    let seen = Box::pin(observe(host, &[FacetName::Network])).await;
    let network = seen
        .network
        .get()
        .map_err(|unknown| format!("which ports the server has can't be told: {}", unknown.reason))?;
    let mut ports = Vec::new();
    for interface in &network.interfaces {
        if is_port(host, interface)? {
            ports.push(interface.name.clone());
        }
    }
    if ports.is_empty() {
        return Err("no port of the server is known as a network card: nothing would be cut".to_owned());
    }
    Ok(ports)
}

fn is_port(host: &Host, interface: &Interface) -> Result<bool, String> {
    let name = &interface.name;
    match interface.kind {
        InterfaceKind::Physical => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
                return Err(format!("the port `{name}` has a name that nft can't be given"));
            }
            Ok(true)
        }
        InterfaceKind::Bridge | InterfaceKind::Bond | InterfaceKind::Vlan => Ok(false),
        // Taps, tunnels, ends of virtual cables. A device behind it would make it a way out that is not known as one.
        InterfaceKind::Other => match host.root().exists(&format!("/sys/class/net/{name}/device")) {
            Ok(false) => Ok(false),
            Ok(true) => Err(format!(
                "whether {name} leads out of the server can't be told: it is a device of an unknown kind"
            )),
            Err(error) => Err(format!(
                "whether {name} leads out of the server can't be told: {}",
                chain(&error)
            )),
        },
    }
}

/// A link of the server's own: its number, address, and the UDP port of corosync's.
pub(super) type OwnLink = (u8, IpAddr, u16);

/// The links of this server, by the configuration that corosync was started with.
pub(super) fn links(host: &Host) -> Result<Vec<OwnLink>, String> {
    let text = host.root().read_text(CONFIG).map_err(|error| chain(&error))?;
    let unreadable = |error: quorate_tools::ParseError| format!("{CONFIG}: {error}");
    let config = corosync_conf::read(&text).map_err(unreadable)?;
    let ports = corosync_conf::ports(&text).map_err(unreadable)?;
    let own = hostname(host);
    let node = config.nodes.iter().find(|node| node.name == own);
    let node = node.ok_or_else(|| format!("{CONFIG} has no node {own}"))?;
    let mut links = Vec::new();
    for (link, address) in &node.addresses {
        let address: IpAddr = address.parse().map_err(|_| {
            format!("{CONFIG} says `{address}` for link {link}, which is no address: where to cut can't be told")
        })?;
        let port = ports
            .get(link)
            .ok_or_else(|| format!("{CONFIG} has no port for link {link}"))?;
        links.push((*link, address, *port));
    }
    if links.is_empty() {
        return Err(format!("{CONFIG} has no link of {own}"));
    }
    Ok(links)
}
