//! Interfaces, addresses, speeds, and what the node's own name resolves to.

use quorate_model::facet::Unknown;
use quorate_model::observation::Network;
use quorate_model::observation::network::{Interface, InterfaceKind, NameResolution};
use quorate_tools::{getent, ip};

use super::{finished, hostname};
use crate::host::{Host, complaint, text, unparsable};

/// Observes the network.
pub(super) async fn observe(host: &Host) -> Result<Network, Unknown> {
    let (interfaces, own_name) = tokio::join!(interfaces(host), own_name(host));
    Ok(Network {
        interfaces: interfaces?,
        own_name: finished(host, own_name),
    })
}

async fn interfaces(host: &Host) -> Result<Vec<Interface>, Unknown> {
    let stdout = host.ask(ip::addresses(host.tools())).await?;
    let mut interfaces = ip::read(&stdout).map_err(unparsable)?;
    for interface in &mut interfaces {
        if matches!(interface.kind, InterfaceKind::Physical | InterfaceKind::Bond) {
            add_speed(host, interface);
        }
    }
    Ok(interfaces)
}

/// Speed and duplex, where the driver tells. Without a link reading them fails (EINVAL) or gives -1 and `unknown`.
fn add_speed(host: &Host, interface: &mut Interface) {
    let read = |file: &str| {
        host.root()
            .read_text(&format!("/sys/class/net/{}/{file}", interface.name))
            .ok()
    };
    let speed = read("speed")
        .and_then(|speed| speed.trim().parse::<u32>().ok())
        .filter(|speed| *speed > 0);
    let duplex = read("duplex").map(|duplex| duplex.trim().to_owned());
    interface.speed_mbps = speed;
    interface.duplex = duplex.filter(|duplex| matches!(duplex.as_str(), "full" | "half"));
}

async fn own_name(host: &Host) -> Result<NameResolution, Unknown> {
    let name = hostname(host);
    let finished = host.run(getent::ahosts(host.tools(), &name)).await?;
    let addresses = match finished.exit {
        exit if exit.is_success() => getent::read(&text(getent::NAME, &finished)?).map_err(unparsable)?,
        exit if getent::says_not_found(exit) => Vec::new(),
        _ => return Err(complaint(getent::NAME, &finished)),
    };
    Ok(NameResolution { name, addresses })
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
