//! Names of what protects guests: replication jobs, copies, services under HA, and the rules that bind these to nodes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{InvalidName, NodeName};
use crate::observation::GuestKind;

/// The least id that a guest may have, and the most. Source: PVE::JSONSchema `pve-vmid`.
pub const VMIDS: std::ops::RangeInclusive<u32> = 100..=999_999_999;

/// A text form on both ways, for messages and files.
macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.to_string()
            }
        }
    )*};
}
pub(crate) use as_text;

as_text!(JobId, ReplicaRef, Sid, HaName);

fn vmid(what: &'static str, text: &str, part: &str) -> Result<u32, InvalidName> {
    let plain = part.bytes().all(|byte| byte.is_ascii_digit());
    let number = part.parse::<u32>().ok().filter(|id| plain && VMIDS.contains(id));
    number.ok_or_else(|| InvalidName {
        what,
        text: text.to_owned(),
        reason: "a guest's id is a number from 100 to 999999999",
    })
}

/// A replication job: `100-0`. Source: pve-guest-common `pve-replication-id`; the number is chosen by whoever makes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId {
    /// The guest.
    pub guest: u32,
    /// Which of its jobs.
    pub number: u32,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.guest, self.number))
    }
}

impl FromStr for JobId {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        const WHAT: &str = "replication job";
        let bad = |reason| InvalidName {
            what: WHAT,
            text: text.to_owned(),
            reason,
        };
        let (guest, number) = text.split_once('-').ok_or_else(|| bad("it is not GUEST-NUMBER"))?;
        let short = (1..=9).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| short);
        Ok(Self {
            guest: vmid(WHAT, text, guest)?,
            number: number.ok_or_else(|| bad("behind the hyphen stands no number of up to nine digits"))?,
        })
    }
}

/// The copy of a guest on a server, for consent to its destruction: `replica:100@prox2`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplicaRef {
    /// The guest.
    pub guest: u32,
    /// The server that holds the copy.
    pub node: NodeName,
}

impl ReplicaRef {
    /// How one begins.
    pub const PREFIX: &str = "replica:";
}

impl fmt::Display for ReplicaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}@{}", Self::PREFIX, self.guest, self.node))
    }
}

impl FromStr for ReplicaRef {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        const WHAT: &str = "copy of a guest";
        let parts = text.strip_prefix(Self::PREFIX).and_then(|rest| rest.split_once('@'));
        let Some((guest, node)) = parts else {
            return Err(InvalidName {
                what: WHAT,
                text: text.to_owned(),
                reason: "write it as replica:GUEST@NODE, for example replica:100@prox2",
            });
        };
        Ok(Self {
            guest: vmid(WHAT, text, guest)?,
            node: node.parse()?,
        })
    }
}

/// A guest as HA calls it: `vm:100`, `ct:101`. Source: pve-ha-manager `pve-ha-resource-id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sid {
    /// The guest.
    pub vmid: u32,
    /// What it is.
    pub kind: GuestKind,
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            GuestKind::Vm => "vm",
            GuestKind::Container => "ct",
        };
        f.pad(&format!("{kind}:{}", self.vmid))
    }
}

impl FromStr for Sid {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        const WHAT: &str = "service under HA";
        let (kind, id) = match text.split_once(':') {
            Some(("vm", id)) => (GuestKind::Vm, id),
            Some(("ct", id)) => (GuestKind::Container, id),
            _ => {
                return Err(InvalidName {
                    what: WHAT,
                    text: text.to_owned(),
                    reason: "it is neither vm:ID nor ct:ID",
                });
            }
        };
        Ok(Self {
            kind,
            vmid: vmid(WHAT, text, id)?,
        })
    }
}

/// The name of a rule or group of HA that is ours. Source: PVE::JSONSchema `pve-configid`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HaName(String);

/// How what is ours begins.
const OURS: &str = "quorate-";
/// What PVE 9 puts before a group's name when it makes a rule of it. Source: pve-ha-manager Groups.pm (`migrate_groups_to_rules`).
const FROM_GROUP: &str = "ha-group-";

impl HaName {
    /// The name of what binds this service to its nodes.
    #[must_use]
    pub fn of(sid: Sid) -> Self {
        let kind = match sid.kind {
            GuestKind::Vm => "vm",
            GuestKind::Container => "ct",
        };
        Self(format!("{OURS}{kind}-{}", sid.vmid))
    }

    /// Is this name of what PVE has one of ours? Also a rule that PVE made of a group of ours counts.
    #[must_use]
    pub fn is_ours(name: &str) -> bool {
        name.strip_prefix(FROM_GROUP).unwrap_or(name).starts_with(OURS)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for HaName {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let reason = if !Self::is_ours(text) {
            "it is none of ours: those begin with quorate-"
        } else if text.len() > 128 || !text.chars().all(plain) {
            "only letters, digits, hyphens and underscores are allowed"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(InvalidName {
            what: "name of an HA rule",
            text: text.to_owned(),
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back<T: FromStr<Err = InvalidName> + fmt::Display>(text: &str) {
        assert_eq!(
            text.parse::<T>().map(|read| read.to_string()).ok().as_deref(),
            Some(text)
        );
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        back::<JobId>("100-0");
        back::<ReplicaRef>("replica:100@prox2");
        back::<Sid>("ct:101");
        back::<HaName>("quorate-vm-100");
        back::<HaName>("ha-group-quorate-vm-100");
        let sid: Sid = "vm:100".parse().unwrap();
        assert_eq!(HaName::of(sid).as_str(), "quorate-vm-100");
    }

    #[test]
    fn what_pve_would_not_take_or_would_misread_is_refused() {
        for bad in ["100", "99-0", "100-", "100-x", "100-1234567890", "+100-0", "--help-0"] {
            assert!(bad.parse::<JobId>().is_err(), "{bad}");
        }
        for bad in [
            "100@prox2",
            "replica:100",
            "replica:x@prox2",
            "replica:100@-x",
            "prox1:wwn-0x5",
        ] {
            assert!(bad.parse::<ReplicaRef>().is_err(), "{bad}");
        }
        for bad in ["vm:1", "qm:100", "100", "vm:100 --purge"] {
            assert!(bad.parse::<Sid>().is_err(), "{bad}");
        }
        for bad in ["front", "quorate-a b", "ha-group-front", "--quorate-"] {
            assert!(bad.parse::<HaName>().is_err(), "{bad}");
        }
    }
}
