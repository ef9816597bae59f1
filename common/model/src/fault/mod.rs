//! Failures that are rehearsed on one server, and what becomes of them.
//!
//! Whoever rehearses says what fails and for how long. [`rules`] is the table: how the cluster sees it, what it may cost, who ends it and how,
//! and how long it may last.

mod met;
mod questions;
mod rules;
pub mod text;

use serde::{Deserialize, Serialize};

use crate::ids::PoolName;

pub use met::{HealPhase, MetFault};
pub use rules::{BLIP_AT_MOST, BadFault, FAILOVER_AT_LEAST, FAULT_RULES, FaultEnd, FaultRules, Length, Lengths, rules};
pub use text::{FORMS, InvalidFault};

/// A failure that is rehearsed on one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum Fault {
    /// Nothing comes in or goes out by any port of the server: its own traffic and that of its guests.
    Network,
    /// corosync's packets alone, on all links; everything else goes on.
    ClusterNetwork,
    /// corosync's packets on one link.
    Link {
        /// The link's number.
        link: u8,
    },
    /// The server itself.
    Power {
        /// How.
        how: PowerCut,
        /// Somebody, or a BMC, is there to switch it on again.
        #[serde(default)]
        attended: bool,
    },
    /// corosync is stopped: the server takes its leave of the cluster.
    Corosync,
    /// pmxcfs (pve-cluster) is stopped: /etc/pve is gone.
    Pmxcfs,
    /// HA's local manager is stopped.
    Lrm,
    /// The process of a virtual machine is killed.
    Guest {
        /// The guest's id.
        guest: u32,
    },
    /// A disk is taken out of a pool for a while.
    Disk {
        /// The pool.
        pool: PoolName,
        /// Its path below /dev/disk/by-id, as the pool has it. Source: `zpool status -P`.
        disk: String,
    },
    /// An OSD of Ceph is stopped.
    Osd {
        /// Its number.
        osd: u32,
    },
    /// The monitor of Ceph is stopped.
    Mon,
    /// The ports over which storages are reached.
    StorageNetwork,
}

/// How a server is taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerCut {
    /// It starts anew at once, without a word to anybody: `b` to /proc/sysrq-trigger.
    Reset,
    /// It goes off at once: `o` to /proc/sysrq-trigger.
    Off,
    /// It is shut down: `systemctl poweroff`.
    Shutdown,
}

impl PowerCut {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Reset, Self::Off, Self::Shutdown];
}

/// One row for each kind: its name in code and as written.
macro_rules! kinds {
    ($($kind:ident $text:literal;)*) => {
        /// The kinds of faults: every table about faults has a row for each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultKind {
            $(
                #[doc = concat!("`", $text, "`.")]
                $kind,
            )*
        }

        impl FaultKind {
            /// All of them.
            pub const ALL: [FaultKind; [$($text),*].len()] = [$(Self::$kind),*];

            /// As written.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)*
                }
            }
        }
    };
}

kinds! {
    Network "network";
    ClusterNetwork "cluster-network";
    Link "link";
    PowerReset "power:reset";
    PowerOff "power:off";
    Shutdown "power:shutdown";
    Corosync "corosync";
    Pmxcfs "pmxcfs";
    Lrm "lrm";
    Guest "guest";
    Disk "disk";
    Osd "osd";
    Mon "mon";
    StorageNetwork "storage-network";
}

impl Fault {
    /// Its kind, for tables.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Network => FaultKind::Network,
            Self::ClusterNetwork => FaultKind::ClusterNetwork,
            Self::Link { .. } => FaultKind::Link,
            Self::Power { how, .. } => match how {
                PowerCut::Reset => FaultKind::PowerReset,
                PowerCut::Off => FaultKind::PowerOff,
                PowerCut::Shutdown => FaultKind::Shutdown,
            },
            Self::Corosync => FaultKind::Corosync,
            Self::Pmxcfs => FaultKind::Pmxcfs,
            Self::Lrm => FaultKind::Lrm,
            Self::Guest { .. } => FaultKind::Guest,
            Self::Disk { .. } => FaultKind::Disk,
            Self::Osd { .. } => FaultKind::Osd,
            Self::Mon => FaultKind::Mon,
            Self::StorageNetwork => FaultKind::StorageNetwork,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_written_and_read_back() {
        let faults = [
            Fault::Network,
            Fault::Link { link: 1 },
            Fault::Power {
                how: PowerCut::Off,
                attended: true,
            },
            Fault::Disk {
                pool: "tank".parse().unwrap(),
                disk: "/dev/disk/by-id/wwn-0x5000c500a1b2c301".into(),
            },
        ];
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["network", "link:1", "power:off", "disk:tank/wwn-0x5000c500a1b2c301"]
        );
        for fault in faults {
            let json = serde_json::to_string(&fault).unwrap();
            assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
        }
        assert!(serde_json::from_str::<Fault>(r#"{"fault":"meteor"}"#).is_err());
    }
}
