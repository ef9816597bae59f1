//! Canaries: guests of ours that show what guests can do here. Each is known by its tag, may be removed at any time, and carries the program
//! that writes numbers and tells the last one.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::guest_ids::as_text;
use crate::ids::{InvalidName, NodeName, PackageDigest, StorageName};
use crate::observation::{ConfiguredGuest, GuestKind};

/// The tag of a canary in its configuration. Source: PVE's `tags`.
pub const TAG: &str = "quorate-canary";

/// The first line of a canary's description: a guest that has the tag and not this line is not taken for ours. Nothing in it is written in
/// another way in the configuration (PVE escapes `%`, and has escaped `:`).
pub const DESCRIPTION: &str = "A canary of Quorate. Nothing depends on it, and it may be removed at any time.";

/// The least and the most memory that one is given, in MiB.
pub const MEMORY: std::ops::RangeInclusive<u32> = 64..=4096;

/// The largest program that is put into one, in bytes. Source: `qm guest exec --pass-stdin` takes 1 MiB.
pub const MAX_PROGRAM: usize = 1 << 20;

/// What one is called.
#[must_use]
pub fn name(guest: u32) -> String {
    format!("{TAG}-{guest}")
}

/// Does it bear our tag? Unknown where its configuration is.
#[must_use]
pub fn is_tagged(guest: &ConfiguredGuest) -> Option<bool> {
    let config = guest.config.get().ok()?;
    Some(config.tags.iter().any(|tag| tag == TAG))
}

/// A canary that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCanary {
    /// Its id; `None`: the lowest that is free.
    pub guest: Option<u32>,
    /// Where it is made.
    pub node: NodeName,
    /// What it is made from.
    pub source: CanarySource,
    /// Where its disk is to lie.
    pub storage: StorageName,
    /// What its network card is plugged into.
    pub bridge: BridgeName,
    /// The card's VLAN.
    pub vlan: Option<u16>,
    /// Its address; `None`: nothing is set.
    pub address: Option<GuestAddress>,
    /// Its memory, in MiB.
    pub memory: u32,
    /// The program that is put into it; the coordinator, who has it, fills this in.
    pub program: Option<PackageDigest>,
}

as_text!(CanarySource, BridgeName, GuestAddress);

fn invalid<T>(what: &'static str, text: &str, reason: &'static str) -> Result<T, InvalidName> {
    Err(InvalidName {
        what,
        text: text.to_owned(),
        reason,
    })
}

/// What a canary is made from: `image:local:import/debian-12.qcow2`, `image:/srv/debian-12.qcow2` (a machine), or
/// `template:local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst` (a container).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CanarySource {
    kind: GuestKind,
    volume: String,
}

impl CanarySource {
    /// An image for a machine, or a template for a container: a volume of a storage, or a path on the server.
    ///
    /// # Errors
    /// It is neither, or PVE would misread it.
    pub fn new(kind: GuestKind, volume: &str) -> Result<Self, InvalidName> {
        const WHAT: &str = "image or template";
        // It is a word of a property string, and of a command line.
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '=' | ';' | '"' | '\'' | '\\');
        if volume.len() > 255 || !volume.chars().all(plain) || volume.contains("..") {
            return invalid(
                WHAT,
                volume,
                "it has characters that PVE does not take there, leads out of its folder, or is too long",
            );
        }
        let of_storage = volume
            .split_once(':')
            .is_some_and(|(storage, rest)| StorageName::new(storage).is_ok() && !rest.is_empty());
        if !of_storage && !volume.starts_with('/') {
            return invalid(
                WHAT,
                volume,
                "write a volume as `pvesm list` shows it, such as local:import/debian-12.qcow2, or a path on the server",
            );
        }
        Ok(Self {
            kind,
            volume: volume.to_owned(),
        })
    }

    /// What is made from it.
    #[must_use]
    pub fn kind(&self) -> GuestKind {
        self.kind
    }

    /// The volume or path.
    #[must_use]
    pub fn volume(&self) -> &str {
        &self.volume
    }
}

impl fmt::Display for CanarySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            GuestKind::Vm => "image",
            GuestKind::Container => "template",
        };
        f.pad(&format!("{kind}:{}", self.volume))
    }
}

impl FromStr for CanarySource {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.split_once(':') {
            Some(("image", volume)) => Self::new(GuestKind::Vm, volume),
            Some(("template", volume)) => Self::new(GuestKind::Container, volume),
            _ => invalid(
                "image or template",
                text,
                "it is neither image:VOLUME nor template:VOLUME",
            ),
        }
    }
}

/// A bridge of a server. Source: PVE::JSONSchema `pve-bridge-id`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BridgeName(String);

impl BridgeName {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BridgeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for BridgeName {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let fits = (1..=15).contains(&text.len()) && text.starts_with(|c: char| c.is_ascii_alphabetic());
        if fits && text.chars().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        invalid(
            "bridge",
            text,
            "it is no name of a network interface: up to 15 letters, digits, hyphens, underscores and dots",
        )
    }
}

/// The address of a guest: `dhcp`, `192.0.2.7/24` or `192.0.2.7/24,gw=192.0.2.1`. Source: PVE's `ipconfigN` and `netN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GuestAddress {
    /// Somebody gives it one; for IPv4.
    Dhcp,
    /// This one.
    Fixed {
        /// The address.
        address: IpAddr,
        /// The length of its network's prefix.
        prefix: u8,
        /// Who carries what goes elsewhere.
        gateway: Option<IpAddr>,
    },
}

impl GuestAddress {
    /// Where it can be called, if that is known.
    #[must_use]
    pub fn known(self) -> Option<IpAddr> {
        match self {
            Self::Dhcp => None,
            Self::Fixed { address, .. } => Some(address),
        }
    }

    /// As PVE wants it in `ipconfig0` and in `net0` of a container.
    #[must_use]
    pub fn property(self) -> String {
        match self {
            Self::Dhcp => "ip=dhcp".to_owned(),
            Self::Fixed {
                address,
                prefix,
                gateway,
            } => {
                let six = if address.is_ipv6() { "6" } else { "" };
                let gateway = gateway.map_or_else(String::new, |gateway| format!(",gw{six}={gateway}"));
                format!("ip{six}={address}/{prefix}{gateway}")
            }
        }
    }

    /// With this gateway.
    ///
    /// # Errors
    /// It is of the other kind, or nobody takes one from here.
    pub fn via(self, gateway: IpAddr) -> Result<Self, InvalidName> {
        match self {
            Self::Fixed { address, prefix, .. } if address.is_ipv4() == gateway.is_ipv4() => Ok(Self::Fixed {
                address,
                prefix,
                gateway: Some(gateway),
            }),
            _ => invalid(
                "gateway",
                &gateway.to_string(),
                "it goes with an address of its own kind, and with none from DHCP",
            ),
        }
    }
}

impl fmt::Display for GuestAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dhcp => f.pad("dhcp"),
            Self::Fixed {
                address,
                prefix,
                gateway,
            } => {
                let gateway = gateway.map_or_else(String::new, |gateway| format!(",gw={gateway}"));
                f.pad(&format!("{address}/{prefix}{gateway}"))
            }
        }
    }
}

impl FromStr for GuestAddress {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        const WHAT: &str = "address of a guest";
        if text == "dhcp" {
            return Ok(Self::Dhcp);
        }
        let (own, gateway) = match text.split_once(",gw=") {
            Some((own, gateway)) => (own, Some(gateway)),
            None => (text, None),
        };
        let parts = own
            .split_once('/')
            .map(|(address, prefix)| (address.parse(), prefix.parse::<u8>()));
        let Some((Ok(address), Ok(prefix))) = parts else {
            return invalid(WHAT, text, "write it as ADDRESS/PREFIX, such as 192.0.2.7/24, or dhcp");
        };
        let address: IpAddr = address;
        if prefix > if address.is_ipv4() { 32 } else { 128 } {
            return invalid(WHAT, text, "its prefix is too long");
        }
        let fixed = Self::Fixed {
            address,
            prefix,
            gateway: None,
        };
        match gateway.map(str::parse) {
            None => Ok(fixed),
            Some(Ok(gateway)) => fixed.via(gateway),
            Some(Err(_)) => invalid(WHAT, text, "behind gw= stands no address"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_is_made_from_is_a_volume_or_a_path() {
        for good in [
            "image:local:import/debian-12.qcow2",
            "image:/srv/debian.qcow2",
            "template:local:vztmpl/d.tar.zst",
        ] {
            assert_eq!(good.parse::<CanarySource>().unwrap().to_string(), good);
        }
        for bad in [
            "local:import/debian.qcow2",
            "image:debian.qcow2",
            "image:",
            "image:/srv/a,format=raw",
            "image:/srv/a b",
            "image:/srv/../etc/shadow",
            "image:--help",
            "template:9:x",
        ] {
            assert!(bad.parse::<CanarySource>().is_err(), "{bad}");
        }
        assert_eq!(
            "template:/srv/d.tar".parse::<CanarySource>().unwrap().kind(),
            GuestKind::Container
        );
    }

    #[test]
    fn addresses_are_written_as_pve_wants_them() {
        for (text, property) in [
            ("dhcp", "ip=dhcp"),
            ("192.0.2.7/24", "ip=192.0.2.7/24"),
            ("192.0.2.7/24,gw=192.0.2.1", "ip=192.0.2.7/24,gw=192.0.2.1"),
            ("2001:db8::7/64,gw=2001:db8::1", "ip6=2001:db8::7/64,gw6=2001:db8::1"),
        ] {
            let address: GuestAddress = text.parse().unwrap();
            assert_eq!(
                (address.to_string().as_str(), address.property().as_str()),
                (text, property)
            );
        }
        for bad in [
            "",
            "192.0.2.7",
            "192.0.2.7/33",
            "192.0.2.7/24,gw=2001:db8::1",
            "192.0.2.7/24,gw=x",
            "auto",
        ] {
            assert!(bad.parse::<GuestAddress>().is_err(), "{bad}");
        }
        assert!(GuestAddress::Dhcp.via("192.0.2.1".parse().unwrap()).is_err());
    }

    #[test]
    fn bridges_are_interfaces() {
        assert!("vmbr0".parse::<BridgeName>().is_ok());
        for bad in ["", "vmbr0,tag=5", "0vmbr", "a-very-long-bridge-name", "vm br"] {
            assert!(bad.parse::<BridgeName>().is_err(), "{bad}");
        }
    }
}
