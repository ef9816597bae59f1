//! Interfaces, addresses, speeds, and what the node's own name resolves to.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use quorate_exec::Invocation;
use quorate_model::facet::{Facet, Unknown};
use quorate_model::observation::Network;
use quorate_model::observation::network::{Interface, InterfaceKind, NameResolution};
use quorate_tools::{CallError, getent, ip};

use super::{finished, hostname};
use crate::host::{Host, complaint, text, unparsable};

/// Observes the network, and what these names resolve to here, and back.
pub(super) async fn observe(host: &Host, names: &[String]) -> Result<Network, Unknown> {
    let (interfaces, own_name, names) = tokio::join!(interfaces(host), own_name(host), resolve_all(host, names));
    Ok(Network {
        interfaces: interfaces?,
        own_name: finished(host, own_name),
        names,
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
    let call = getent::ahosts(host.tools(), &name);
    resolved(host, name, call).await
}

/// Eight at a time: a resolver that does not answer makes each wait for its deadline.
async fn resolve_all(host: &Host, names: &[String]) -> BTreeMap<String, Facet<NameResolution>> {
    let (queue, found) = (Mutex::new(names.iter()), Mutex::new(BTreeMap::new()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || async {
        while let Some(name) = next() {
            let call = getent::ahosts_of_many(host.tools(), name);
            let facet = finished(host, both_ways(host, name.clone(), call).await);
            found
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(name.clone(), facet);
        }
    };
    tokio::join!(
        worker(),
        worker(),
        worker(),
        worker(),
        worker(),
        worker(),
        worker(),
        worker()
    );
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

async fn resolved(host: &Host, name: String, call: Result<Invocation, CallError>) -> Result<NameResolution, Unknown> {
    let finished = host.run(call).await?;
    let addresses = match finished.exit {
        exit if exit.is_success() => getent::read(&text(getent::NAME, &finished)?).map_err(unparsable)?,
        exit if getent::says_not_found(exit) => Vec::new(),
        _ => return Err(complaint(getent::NAME, &finished)),
    };
    Ok(NameResolution {
        name,
        addresses,
        back: Facet::not_asked(),
    })
}

/// A name's addresses, and the names that the first of them leads back to.
async fn both_ways(host: &Host, name: String, call: Result<Invocation, CallError>) -> Result<NameResolution, Unknown> {
    let mut resolved = resolved(host, name, call).await?;
    if let Some(address) = resolved.usable() {
        resolved.back = finished(host, names_of(host, address).await);
    }
    Ok(resolved)
}

async fn names_of(host: &Host, address: IpAddr) -> Result<Vec<String>, Unknown> {
    let finished = host.run(getent::hosts(host.tools(), address)).await?;
    match finished.exit {
        exit if exit.is_success() => getent::read_names(&text(getent::NAME, &finished)?).map_err(unparsable),
        exit if getent::says_not_found(exit) => Ok(Vec::new()),
        _ => Err(complaint(getent::NAME, &finished)),
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
