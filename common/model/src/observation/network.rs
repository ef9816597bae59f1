//! Interfaces, addresses, speeds, and whether the node can resolve its own name.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::facet::Facet;

/// The node's network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// All interfaces but the loopback, in the kernel's order.
    pub interfaces: Vec<Interface>,
    /// What the node's own name resolves to, on the node itself. Source: `getent ahosts NAME`.
    pub own_name: Facet<NameResolution>,
    /// What the names that the coordinator asked about (the other servers') resolve to here, by name.
    #[serde(default)]
    pub names: BTreeMap<String, Facet<NameResolution>>,
}

impl Network {
    /// All addresses with the interface that carries each.
    pub fn addresses(&self) -> impl Iterator<Item = (&Interface, &InterfaceAddress)> {
        self.interfaces
            .iter()
            .flat_map(|i| i.addresses.iter().map(move |a| (i, a)))
    }
}

/// An interface. Source: `ip -j -d address`, speed and duplex from /sys/class/net.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Such as `eno1`, `vmbr0`.
    pub name: String,
    /// What it is.
    pub kind: InterfaceKind,
    /// MAC address; empty where it has none.
    pub mac: String,
    /// Maximum transmission unit in bytes.
    pub mtu: u32,
    /// Set up (administratively).
    pub up: bool,
    /// Does the port see a link? Unknown while it is down.
    pub carrier: Option<bool>,
    /// Megabits per second; missing for virtual ones and without a link.
    pub speed_mbps: Option<u32>,
    /// `full`, `half`; missing as above.
    pub duplex: Option<String>,
    /// The bridge or bond that it belongs to.
    pub master: Option<String>,
    /// The interface that it lies on, such as a VLAN's parent. Source: `link` of `ip -j -d address`.
    #[serde(default)]
    pub parent: Option<String>,
    /// Its addresses.
    pub addresses: Vec<InterfaceAddress>,
}

/// What an interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterfaceKind {
    /// A port of the server.
    Physical,
    /// A Linux bridge.
    Bridge,
    /// A bond.
    Bond,
    /// A VLAN.
    Vlan,
    /// Anything else (tap, veth, dummy, WireGuard …).
    Other,
}

impl InterfaceKind {
    /// As shown in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Physical => "port",
            Self::Bridge => "bridge",
            Self::Bond => "bond",
            Self::Vlan => "vlan",
            Self::Other => "other",
        }
    }
}

/// An address on an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceAddress {
    /// IPv4 or IPv6.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix: u8,
    /// May it be relied on? Source: the flags of `ip -j -d address`.
    #[serde(default)]
    pub state: AddressState,
}

/// What the kernel says of an address. IPv4 ones are usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressState {
    /// It works, and stays.
    #[default]
    Usable,
    /// A privacy address: it works, and is another one tomorrow.
    Temporary,
    /// It works for what has begun with it, and goes.
    Deprecated,
    /// Whether another host has it is still being found out.
    Tentative,
    /// Another host has it: it does not work.
    Duplicate,
}

impl AddressState {
    /// Can packets be sent from it now?
    #[must_use]
    pub fn works(self) -> bool {
        !matches!(self, Self::Tentative | Self::Duplicate)
    }
}

/// What a name resolves to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NameResolution {
    /// The name that was asked for.
    pub name: String,
    /// Its addresses, in the resolver's order, without repeats; empty: it does not resolve.
    pub addresses: Vec<IpAddr>,
    /// The names that its first usable address leads back to; only of other servers. Source: `getent hosts ADDRESS`.
    #[serde(default)]
    pub back: Facet<Vec<String>>,
}

impl NameResolution {
    /// The first address that isn't a loopback one: pmxcfs and pvecm need it.
    #[must_use]
    pub fn usable(&self) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|a| !a.is_loopback())
    }
}
