//! What is broken in a drill: how the cluster sees it, what ends it, and what it may cost.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is broken on the victim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FaultKind {
    /// All its physical ports carry nothing: the server is away for everybody, its guests too.
    Network,
    /// Only corosync's traffic is cut, on all links: guests and management go on until the watchdog resets it.
    ClusterNetwork,
    /// One link of corosync is cut.
    Link(u8),
    /// It loses power, or is restarted or shut down.
    Power(PowerHow),
    /// corosync is stopped.
    Corosync,
    /// pmxcfs is stopped: /etc/pve is gone there.
    Pmxcfs,
    /// HA's local manager is stopped, as it should be.
    Lrm,
    /// The process of the guest is killed.
    Guest,
    /// A disk of a pool is taken offline: `disk:POOL/DISK`.
    Disk {
        /// The pool.
        pool: String,
        /// The disk, by its stable name.
        disk: String,
    },
    /// A daemon of Ceph is stopped: this OSD.
    Osd(u32),
    /// The monitor of Ceph is stopped.
    Mon,
    /// The network of the storages is cut, and nothing else.
    StorageNetwork,
}

/// How power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerHow {
    /// The kernel restarts the server at once (sysrq `b`): no clean shutdown, and it comes back by itself.
    Reset,
    /// The kernel switches it off at once (sysrq `o`): a person or a BMC has to switch it on.
    Off,
    /// A clean shutdown (`systemctl poweroff`): a person or a BMC has to switch it on.
    Shutdown,
}

/// What ends a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Its time: it is gone within that and 5 s, whoever has died meanwhile.
    Timer,
    /// The server's restart.
    Reboot,
    /// Only a person, or a BMC.
    Person,
}

impl FaultKind {
    /// One of each, for tables and messages.
    #[must_use]
    pub fn examples() -> Vec<Self> {
        let disk = Self::Disk {
            pool: "POOL".to_owned(),
            disk: "DISK".to_owned(),
        };
        vec![
            Self::Network,
            Self::ClusterNetwork,
            Self::Link(0),
            Self::Power(PowerHow::Reset),
            Self::Power(PowerHow::Off),
            Self::Power(PowerHow::Shutdown),
            Self::Corosync,
            Self::Pmxcfs,
            Self::Lrm,
            Self::Guest,
            disk,
            Self::Osd(0),
            Self::Mon,
            Self::StorageNetwork,
        ]
    }

    /// Does the victim leave the membership by it, so that the others take its guests over?
    #[must_use]
    pub fn isolates(&self) -> bool {
        match self {
            Self::Network | Self::ClusterNetwork | Self::Power(_) | Self::Corosync | Self::Pmxcfs => true,
            Self::Link(_) | Self::Lrm | Self::Guest | Self::Disk { .. } | Self::Osd(_) | Self::Mon => false,
            Self::StorageNetwork => false,
        }
    }

    /// Does the victim live on, cut off, until its watchdog resets it?
    #[must_use]
    pub fn leads_to_reset(&self) -> bool {
        self.isolates() && !matches!(self, Self::Power(_))
    }

    /// Do clients still reach the victim's guests while it lasts?
    #[must_use]
    pub fn guests_stay_reachable(&self) -> bool {
        !matches!(self, Self::Network | Self::Power(_) | Self::Guest)
    }

    /// Is the guest started again because of it, on another server or on its own?
    #[must_use]
    pub fn fails_guests(&self) -> bool {
        self.isolates() || *self == Self::Guest
    }

    /// Does it cut something that must come back soon, or stay away until all is decided? Healed in between it is the worst of both.
    #[must_use]
    pub fn is_worst_in_between(&self) -> bool {
        self.leads_to_reset()
    }

    /// What ends it.
    #[must_use]
    pub fn ending(&self) -> Ending {
        match self {
            Self::Power(PowerHow::Reset) => Ending::Reboot,
            Self::Power(PowerHow::Off | PowerHow::Shutdown) => Ending::Person,
            // HA's own manager starts the guest again; there is nothing left to heal.
            _ => Ending::Timer,
        }
    }

    /// Why it can be no blip, which is over before anything is decided; `None`: it can.
    #[must_use]
    pub fn no_blip(&self) -> Option<&'static str> {
        match (self, self.ending()) {
            (Self::Guest, _) => Some("the guest is started again because of it"),
            (_, Ending::Timer) => None,
            (_, Ending::Reboot | Ending::Person) => Some("it does not end by itself"),
        }
    }

    /// Does it touch Ceph?
    #[must_use]
    pub fn concerns_ceph(&self) -> bool {
        self.isolates() || matches!(self, Self::Osd(_) | Self::Mon | Self::StorageNetwork)
    }

    /// How the cluster sees it, in a sentence.
    #[must_use]
    pub fn seen_as(&self) -> &'static str {
        match self {
            Self::Network => "a server that has vanished from every network",
            Self::ClusterNetwork => "a member that has fallen silent, while its guests still answer",
            Self::Link(_) => "one link that is down; the others carry on",
            Self::Power(PowerHow::Reset) => "a server that vanishes and comes back by itself",
            Self::Power(PowerHow::Off) => "a server that has vanished",
            Self::Power(PowerHow::Shutdown) => "a server that takes its leave",
            Self::Corosync => "a member that takes its leave of corosync, at once",
            Self::Pmxcfs => "a member whose /etc/pve is gone: HA counts it as offline, corosync does not",
            Self::Lrm => "a node whose HA manager has handed over: its guests are frozen and go on",
            Self::Guest => "nothing; HA's manager on that node finds the guest not running",
            Self::Disk { .. } => "a pool that works without a disk",
            Self::Osd(_) => "an OSD that is down",
            Self::Mon => "a monitor that is down",
            Self::StorageNetwork => "nothing: HA does not look at storages, and guests that wait for theirs hang",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network => f.pad("network"),
            Self::ClusterNetwork => f.pad("cluster-network"),
            Self::Link(number) => f.pad(&format!("link:{number}")),
            Self::Power(PowerHow::Reset) => f.pad("power:reset"),
            Self::Power(PowerHow::Off) => f.pad("power:off"),
            Self::Power(PowerHow::Shutdown) => f.pad("power:shutdown"),
            Self::Corosync => f.pad("corosync"),
            Self::Pmxcfs => f.pad("pmxcfs"),
            Self::Lrm => f.pad("lrm"),
            Self::Guest => f.pad("guest"),
            Self::Disk { pool, disk } => f.pad(&format!("disk:{pool}/{disk}")),
            Self::Osd(number) => f.pad(&format!("osd:{number}")),
            Self::Mon => f.pad("mon"),
            Self::StorageNetwork => f.pad("storage-network"),
        }
    }
}

/// A text that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no fault")]
pub struct InvalidFault(String);

impl FromStr for FaultKind {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let invalid = || InvalidFault(text.to_owned());
        let (word, more) = match text.split_once(':') {
            Some((word, more)) => (word, Some(more)),
            None => (text, None),
        };
        Ok(match (word, more) {
            ("network", None) => Self::Network,
            ("cluster-network", None) => Self::ClusterNetwork,
            // knet has the links 0 to 7.
            ("link", Some(number)) => match plain(number) {
                Some(number @ 0..=7) => Self::Link(u8::try_from(number).map_err(|_| invalid())?),
                _ => return Err(invalid()),
            },
            ("power", None | Some("reset")) => Self::Power(PowerHow::Reset),
            ("power", Some("off")) => Self::Power(PowerHow::Off),
            ("power", Some("shutdown")) => Self::Power(PowerHow::Shutdown),
            ("corosync", None) => Self::Corosync,
            ("pmxcfs", None) => Self::Pmxcfs,
            ("lrm", None) => Self::Lrm,
            ("guest", None) => Self::Guest,
            ("disk", Some(more)) => match more.split_once('/') {
                Some((pool, disk)) if is_name(pool) && is_name(disk) => Self::Disk {
                    pool: pool.to_owned(),
                    disk: disk.to_owned(),
                },
                _ => return Err(invalid()),
            },
            ("osd", Some(number)) => Self::Osd(plain(number).ok_or_else(invalid)?),
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

/// What pools and links below /dev/disk/by-id are called, without what would lead elsewhere.
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._:+-".contains(c);
    !text.is_empty() && text.chars().all(fits) && !text.starts_with(['-', '.'])
}

impl TryFrom<String> for FaultKind {
    type Error = InvalidFault;
    fn try_from(text: String) -> Result<Self, InvalidFault> {
        text.parse()
    }
}

impl From<FaultKind> for String {
    fn from(fault: FaultKind) -> String {
        fault.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_back_as_it_is_shown() {
        for fault in FaultKind::examples() {
            assert_eq!(fault.to_string().parse(), Ok(fault.clone()), "{fault}");
        }
        assert_eq!("power".parse(), Ok(FaultKind::Power(PowerHow::Reset)));
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
            "osd:",
            "power:on",
        ] {
            assert!(text.parse::<FaultKind>().is_err(), "{text}");
        }
    }
}
