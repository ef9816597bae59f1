//! `ip` of iproute2: interfaces and their addresses.

use std::net::IpAddr;

use quorate_exec::{Invocation, Tools};
use quorate_model::observation::network::{AddressState, Interface, InterfaceAddress, InterfaceKind};
use serde::Deserialize;

use crate::{CallError, ParseError, json, lenient};

/// Its name.
pub const NAME: &str = "ip";

/// Lists all interfaces with addresses and details (`-d`: what a virtual one is).
///
/// # Errors
/// When ip is not installed.
pub fn addresses(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["-j", "-d", "address"]).build()?)
}

#[derive(Deserialize)]
struct Link {
    ifname: String,
    flags: Vec<String>,
    #[serde(deserialize_with = "lenient::u32")]
    mtu: u32,
    #[serde(default)]
    master: Option<String>,
    #[serde(default)]
    link: Option<String>,
    link_type: String,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    linkinfo: Option<LinkInfo>,
    addr_info: Vec<Address>,
}

#[derive(Deserialize)]
struct LinkInfo {
    #[serde(default)]
    info_kind: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    family: String,
    local: Option<IpAddr>,
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    prefixlen: Option<u64>,
    #[serde(default)]
    temporary: bool,
    #[serde(default)]
    deprecated: bool,
    #[serde(default)]
    tentative: bool,
    #[serde(default)]
    dadfailed: bool,
}

impl Address {
    /// A duplicate one is tentative as well, for ever.
    fn state(&self) -> AddressState {
        match self {
            Self { dadfailed: true, .. } => AddressState::Duplicate,
            Self { tentative: true, .. } => AddressState::Tentative,
            Self { deprecated: true, .. } => AddressState::Deprecated,
            Self { temporary: true, .. } => AddressState::Temporary,
            _ => AddressState::Usable,
        }
    }
}

/// Reads the list, without the loopback. Speed and duplex are not ip's to tell and are left open.
///
/// # Errors
/// When it is no JSON list, or an interface lacks its name, MTU, type, flags or list of addresses, or an address can't be read.
pub fn read(stdout: &str) -> Result<Vec<Interface>, ParseError> {
    let links: Vec<Option<Link>> = json::read(NAME, stdout)?;
    // Old versions print an empty object for what a filter left out.
    let links = links.into_iter().flatten();
    links
        .filter(|link| !link.flags.iter().any(|flag| flag == "LOOPBACK"))
        .map(interface)
        .collect()
}

fn interface(link: Link) -> Result<Interface, ParseError> {
    let has = |flag: &str| link.flags.iter().any(|f| f == flag);
    let up = has("UP");
    let carrier = up.then(|| has("LOWER_UP"));
    let kind = link.linkinfo.as_ref().and_then(|info| info.info_kind.as_deref());
    let kind = match kind {
        Some("bridge") => InterfaceKind::Bridge,
        Some("bond") => InterfaceKind::Bond,
        Some("vlan") => InterfaceKind::Vlan,
        Some(_) => InterfaceKind::Other,
        None if matches!(link.link_type.as_str(), "ether" | "infiniband") => InterfaceKind::Physical,
        None => InterfaceKind::Other,
    };
    let addresses = link
        .addr_info
        .into_iter()
        .filter(|address| address.family.starts_with("inet"));
    let addresses = addresses.map(|address| {
        let state = address.state();
        let prefix = address.prefixlen.and_then(|length| u8::try_from(length).ok());
        match (address.local, prefix) {
            (Some(address), Some(prefix)) => Ok(InterfaceAddress { address, prefix, state }),
            _ => Err(ParseError::at(
                NAME,
                &link.ifname,
                "an address without address or prefix length",
            )),
        }
    });
    Ok(Interface {
        addresses: addresses.collect::<Result<_, _>>()?,
        name: link.ifname,
        kind,
        mac: link.address.unwrap_or_default(),
        mtu: link.mtu,
        up,
        carrier,
        speed_mbps: None,
        duplex: None,
        master: link.master,
        parent: link.link,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_interfaces() {
        assert_eq!(
            addresses(&Tools::imagined()).unwrap().to_string(),
            "/usr/bin/ip -j -d address"
        );
        let found = read(fixture!("ip/6.1.0/server.json")).unwrap();
        let kinds: Vec<_> = found
            .iter()
            .map(|i| (i.name.as_str(), i.kind.as_str(), i.up, i.carrier))
            .collect();
        let wanted = [
            ("eno1", "port", true, Some(true)),
            ("eno2", "port", true, Some(true)),
            ("eno3", "port", true, Some(false)),
            ("eno4", "port", false, None),
            ("bond0", "bond", true, Some(true)),
            ("vmbr0", "bridge", true, Some(true)),
            ("vmbr0.50", "vlan", true, Some(true)),
            ("tap100i0", "other", true, Some(true)),
        ];
        assert_eq!(kinds, wanted);
        assert_eq!(
            (found[0].master.as_deref(), found[1].master.as_deref()),
            (Some("vmbr0"), Some("bond0"))
        );
        let bond: Vec<_> = found[4]
            .addresses
            .iter()
            .map(|a| format!("{}/{}", a.address, a.prefix))
            .collect();
        assert_eq!(bond, ["10.10.10.11/24", "fd00:10::11/64"]);
        assert_eq!(found[4].mtu, 9000);
        assert_eq!(found[6].parent.as_deref(), Some("vmbr0"));
        let states: Vec<_> = found[5].addresses.iter().map(|a| a.state).collect();
        assert_eq!(
            states,
            [
                AddressState::Usable,
                AddressState::Usable,
                AddressState::Temporary,
                AddressState::Deprecated,
                AddressState::Duplicate
            ]
        );
    }

    #[test]
    fn this_was_printed_by_a_real_one() {
        let found = read(fixture!("ip/6.1.0/virtual-machine.json")).unwrap();
        let names: Vec<_> = found.iter().map(|interface| interface.name.as_str()).collect();
        assert_eq!(names, ["ifb0", "ifb1", "eth0"]);
        assert_eq!(found[2].kind, InterfaceKind::Physical);
    }

    #[test]
    fn an_address_that_cannot_be_read_is_an_error() {
        let broken = fixture!("ip/6.1.0/server.json").replace("10.10.10.11", "10.10.10");
        assert!(read(&broken).unwrap_err().line.unwrap().contains("10.10.10"));
        assert!(read("").is_err());
    }
}
