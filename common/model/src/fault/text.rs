//! Faults as people write them: `network`, `link:1`, `power:off`, `guest:100`, `disk:POOL/DISK`. In cluster files and records they stand so; between
//! coordinator and agent they don't.
//!
//! Whether somebody is there to switch the server on again is no part of it: that is said by whoever runs it, each time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serializer, de};

use super::{Fault, PowerCut};
use crate::ids::PoolName;

/// Where disks have names that last.
const BY_ID: &str = "/dev/disk/by-id/";

/// knet has the links 0 to 7.
const LAST_LINK: u32 = 7;

/// The guest of a drill, whose id is said elsewhere.
pub(crate) const ITS_GUEST: &str = "guest";

/// How each is written in a drill of the cluster file, for tables and messages.
pub const FORMS: [&str; 14] = [
    "network",
    "cluster-network",
    "link:0",
    "power:reset",
    "power:off",
    "power:shutdown",
    "corosync",
    "pmxcfs",
    "lrm",
    ITS_GUEST,
    "disk:POOL/DISK",
    "osd:0",
    "mon",
    "storage-network",
];

/// A text that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no fault")]
pub struct InvalidFault(String);

impl Fault {
    /// What a drill says: there `guest` alone is the drill's own guest.
    ///
    /// # Errors
    /// It is no fault, or one of another guest.
    pub fn of_drill(text: &str, guest: u32) -> Result<Self, InvalidFault> {
        if text == ITS_GUEST {
            return Ok(Self::Guest { guest });
        }
        match text.parse::<Self>()? {
            Self::Guest { guest: other } if other != guest => Err(InvalidFault(text.to_owned())),
            fault => Ok(fault),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link { link } => f.pad(&format!("link:{link}")),
            Self::Guest { guest } => f.pad(&format!("guest:{guest}")),
            Self::Disk { pool, disk } => {
                let disk = disk.strip_prefix(BY_ID).unwrap_or(disk);
                f.pad(&format!("disk:{pool}/{disk}"))
            }
            Self::Osd { osd } => f.pad(&format!("osd:{osd}")),
            other => f.pad(other.kind().as_str()),
        }
    }
}

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let invalid = || InvalidFault(text.to_owned());
        let (word, more) = match text.split_once(':') {
            Some((word, more)) => (word, Some(more)),
            None => (text, None),
        };
        let power = |how| Self::Power { how, attended: false };
        Ok(match (word, more) {
            ("network", None) => Self::Network,
            ("cluster-network", None) => Self::ClusterNetwork,
            ("link", Some(number)) => {
                let link = plain(number).filter(|number| *number <= LAST_LINK);
                let link = link.and_then(|number| u8::try_from(number).ok());
                Self::Link {
                    link: link.ok_or_else(invalid)?,
                }
            }
            ("power", None | Some("reset")) => power(PowerCut::Reset),
            ("power", Some("off")) => power(PowerCut::Off),
            ("power", Some("shutdown")) => power(PowerCut::Shutdown),
            ("corosync", None) => Self::Corosync,
            ("pmxcfs", None) => Self::Pmxcfs,
            ("lrm", None) => Self::Lrm,
            ("guest", Some(number)) => Self::Guest {
                guest: plain(number).ok_or_else(invalid)?,
            },
            ("disk", Some(more)) => {
                let (pool, disk) = more
                    .split_once('/')
                    .filter(|(_, disk)| is_name(disk))
                    .ok_or_else(invalid)?;
                Self::Disk {
                    pool: PoolName::new(pool).map_err(|_| invalid())?,
                    disk: format!("{BY_ID}{disk}"),
                }
            }
            ("osd", Some(number)) => Self::Osd {
                osd: plain(number).ok_or_else(invalid)?,
            },
            ("mon", None) => Self::Mon,
            ("storage-network", None) => Self::StorageNetwork,
            _ => return Err(invalid()),
        })
    }
}

/// Digits and nothing else.
fn plain(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// What links below /dev/disk/by-id are called, without what would lead elsewhere.
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._:+-".contains(c);
    !text.is_empty() && text.chars().all(fits) && !text.starts_with(['-', '.'])
}

/// For serde's `with`.
///
/// # Errors
/// The serializer's own.
pub fn serialize<S: Serializer>(fault: &Fault, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(fault)
}

/// For serde's `with`.
///
/// # Errors
/// It is no text, or no fault.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fault, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultKind;

    #[test]
    fn each_is_read_back_as_it_is_shown() {
        let mut kinds = Vec::new();
        for form in FORMS {
            let fault = Fault::of_drill(form, 100).unwrap();
            assert_eq!(fault.to_string().parse(), Ok(fault.clone()), "{fault}");
            assert!(form == ITS_GUEST || fault.to_string() == form, "{fault}");
            kinds.push(fault.kind());
        }
        assert_eq!(kinds, FaultKind::ALL, "each has a form");
        assert_eq!("power".parse::<Fault>(), Fault::of_drill("power:reset", 100));
        let disk: Fault = "disk:tank/wwn-0x5000c500a1b2c301-part1".parse().unwrap();
        assert_eq!(
            disk,
            Fault::Disk {
                pool: "tank".parse().unwrap(),
                disk: "/dev/disk/by-id/wwn-0x5000c500a1b2c301-part1".to_owned(),
            }
        );
    }

    #[test]
    fn a_drill_breaks_its_own_guest() {
        assert_eq!(Fault::of_drill("guest", 100), Ok(Fault::Guest { guest: 100 }));
        assert_eq!(Fault::of_drill("guest:100", 100), Ok(Fault::Guest { guest: 100 }));
        assert!(Fault::of_drill("guest:101", 100).is_err());
        assert!("guest".parse::<Fault>().is_err(), "of which?");
    }

    #[test]
    fn what_is_no_fault() {
        for text in [
            "",
            "networks",
            "link",
            "link:8",
            "link:+1",
            "link:x",
            "network:1",
            "disk:tank",
            "disk:tank/../x",
            "disk:/x",
            "disk:mirror/x",
            "osd:",
            "guest:",
            "power:on",
        ] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
