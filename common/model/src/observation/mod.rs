//! What a node's agent saw, part by part.

pub mod backups;
pub mod cluster;
pub mod config;
pub mod disks;
pub mod eligibility;
pub mod firewall;
pub mod guest_config;
pub mod guest_status;
pub mod guests;
pub mod ha;
pub mod network;
pub mod pools;
pub mod readiness;
pub mod replication;
pub mod storages;
pub mod strays;
pub mod system;

use serde::{Deserialize, Serialize};

use crate::facet::{Facet, Unknown, UnknownKind};
use crate::time::Timestamp;

pub use backups::{BackupEnd, GuestBackup};
pub use cluster::{Cluster, Membership};
pub use config::PveConfig;
pub use disks::{Disk, Disks};
pub use guest_config::{ConfiguredGuest, GuestConfig};
pub use guest_status::{GuestRun, GuestStatus};
pub use guests::{Guest, GuestKind};
pub use ha::Ha;
pub use network::Network;
pub use pools::Pool;
pub use readiness::Readiness;
pub use replication::{ReplicationJob, ReplicationState};
pub use storages::Storages;
pub use strays::Stray;
pub use system::System;

/// The parts that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FacetName {
    /// Versions, CPU, memory, load, clock.
    System,
    /// Whole disks, partitions, holders, SMART.
    Disks,
    /// Interfaces, addresses, speeds, own name.
    Network,
    /// Membership, votes, quorum, links.
    Cluster,
    /// The list of guests.
    Guests,
    /// HA manager, watchdog.
    Ha,
    /// What the files of /etc/pve say.
    Config,
    /// Services, packages, free space, keys.
    Readiness,
    /// ZFS pools that are imported.
    Pools,
    /// Storages: definitions, and how they are here.
    Storages,
    /// How the guests of the node run.
    Running,
    /// How the copying of the node's own guests goes.
    Replication,
    /// Guests that run here and belong to another node.
    Strays,
    /// How the last backups went that vzdump made on the node.
    Backups,
}

impl FacetName {
    /// All of them, in the order in which they are shown.
    pub const ALL: [FacetName; 14] = [
        Self::System,
        Self::Disks,
        Self::Pools,
        Self::Storages,
        Self::Network,
        Self::Cluster,
        Self::Guests,
        Self::Running,
        Self::Replication,
        Self::Strays,
        Self::Backups,
        Self::Ha,
        Self::Config,
        Self::Readiness,
    ];

    /// As typed on a command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Disks => "disks",
            Self::Network => "network",
            Self::Cluster => "cluster",
            Self::Guests => "guests",
            Self::Ha => "ha",
            Self::Config => "config",
            Self::Readiness => "readiness",
            Self::Pools => "pools",
            Self::Storages => "storages",
            Self::Running => "running",
            Self::Replication => "replication",
            Self::Strays => "strays",
            Self::Backups => "backups",
        }
    }
}

/// What one agent saw. A part that nobody asked for is unknown like any other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The node's own short host name, as its kernel has it; not necessarily the name it was enrolled under.
    pub hostname: String,
    /// When the agent finished, on the node's clock.
    pub observed_at: Timestamp,
    /// Versions, CPU, memory, load, clock.
    #[serde(default)]
    pub system: Facet<System>,
    /// Disks.
    #[serde(default)]
    pub disks: Facet<Disks>,
    /// Network.
    #[serde(default)]
    pub network: Facet<Network>,
    /// Cluster.
    #[serde(default)]
    pub cluster: Facet<Cluster>,
    /// Guests.
    #[serde(default)]
    pub guests: Facet<Vec<Guest>>,
    /// HA manager.
    #[serde(default)]
    pub ha: Facet<Ha>,
    /// Files of /etc/pve.
    #[serde(default)]
    pub config: Facet<PveConfig>,
    /// Services, packages, space.
    #[serde(default)]
    pub readiness: Facet<Readiness>,
    /// ZFS pools that are imported.
    #[serde(default)]
    pub pools: Facet<Vec<Pool>>,
    /// Storages: definitions, and how they are here.
    #[serde(default)]
    pub storages: Facet<Storages>,
    /// How the node's guests run.
    #[serde(default)]
    pub running: Facet<Vec<GuestStatus>>,
    /// How the copying of the node's own guests goes.
    #[serde(default)]
    pub replication: Facet<Vec<ReplicationState>>,
    /// Guests that run here and belong to another node.
    #[serde(default)]
    pub strays: Facet<Vec<Stray>>,
    /// How the last backups went that vzdump made on the node.
    #[serde(default)]
    pub backups: Facet<Vec<GuestBackup>>,
}

impl Observation {
    /// An observation in which nothing was asked for yet.
    #[must_use]
    pub fn empty(hostname: impl Into<String>, observed_at: Timestamp) -> Self {
        Self {
            hostname: hostname.into(),
            observed_at,
            system: Facet::not_asked(),
            disks: Facet::not_asked(),
            network: Facet::not_asked(),
            cluster: Facet::not_asked(),
            guests: Facet::not_asked(),
            ha: Facet::not_asked(),
            config: Facet::not_asked(),
            readiness: Facet::not_asked(),
            pools: Facet::not_asked(),
            storages: Facet::not_asked(),
            running: Facet::not_asked(),
            replication: Facet::not_asked(),
            strays: Facet::not_asked(),
            backups: Facet::not_asked(),
        }
    }

    /// What was asked for and not answered is unknown, with the reason: an older agent does not know of it.
    pub fn told_by_older(&mut self, asked: &[FacetName]) {
        for facet in asked {
            let part = self.part(*facet);
            if part.is_not_asked() {
                let reason = "this agent is older than the coordinator and does not tell it: quorate node upgrade";
                part.set_unknown(Unknown::new(UnknownKind::Failed, reason));
            }
        }
    }

    /// Takes out what nobody asked for.
    pub fn leave_out(&mut self, asked: &[FacetName]) {
        for facet in FacetName::ALL.into_iter().filter(|facet| !asked.contains(facet)) {
            self.part(facet).set_unknown(Unknown::not_asked());
        }
    }

    /// A part by its name.
    fn part(&mut self, name: FacetName) -> &mut dyn Part {
        match name {
            FacetName::System => &mut self.system,
            FacetName::Disks => &mut self.disks,
            FacetName::Network => &mut self.network,
            FacetName::Cluster => &mut self.cluster,
            FacetName::Guests => &mut self.guests,
            FacetName::Ha => &mut self.ha,
            FacetName::Config => &mut self.config,
            FacetName::Readiness => &mut self.readiness,
            FacetName::Pools => &mut self.pools,
            FacetName::Storages => &mut self.storages,
            FacetName::Running => &mut self.running,
            FacetName::Replication => &mut self.replication,
            FacetName::Strays => &mut self.strays,
            FacetName::Backups => &mut self.backups,
        }
    }

    /// Takes over every part of `newer` that was asked for, and keeps the others.
    pub fn update(&mut self, newer: Observation) {
        fn take<T>(old: &mut Facet<T>, new: Facet<T>) {
            if !new.is_not_asked() {
                *old = new;
            }
        }
        self.hostname = newer.hostname;
        self.observed_at = newer.observed_at;
        take(&mut self.system, newer.system);
        take(&mut self.disks, newer.disks);
        take(&mut self.network, newer.network);
        take(&mut self.cluster, newer.cluster);
        take(&mut self.guests, newer.guests);
        take(&mut self.ha, newer.ha);
        take(&mut self.config, newer.config);
        take(&mut self.readiness, newer.readiness);
        take(&mut self.pools, newer.pools);
        take(&mut self.storages, newer.storages);
        take(&mut self.running, newer.running);
        take(&mut self.replication, newer.replication);
        take(&mut self.strays, newer.strays);
        take(&mut self.backups, newer.backups);
    }
}

/// A facet, whatever it holds.
trait Part {
    fn is_not_asked(&self) -> bool;
    fn set_unknown(&mut self, unknown: Unknown);
}

impl<T> Part for Facet<T> {
    fn is_not_asked(&self) -> bool {
        Facet::is_not_asked(self)
    }

    fn set_unknown(&mut self, unknown: Unknown) {
        *self = Self::Unknown(unknown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_agent_does_not_answer_is_unknown_and_not_left_out() {
        let mut seen = Observation::empty("prox1", Timestamp(0));
        seen.guests = Facet::known(vec![], Timestamp(0));
        seen.told_by_older(&[FacetName::Guests, FacetName::Running]);
        assert!(seen.guests.is_known());
        let unknown = seen.running.get().unwrap_err();
        assert_eq!(unknown.kind, UnknownKind::Failed);
        assert!(unknown.reason.contains("older than the coordinator"));
        assert_eq!(
            seen.pools.get().unwrap_err().kind,
            UnknownKind::NotAsked,
            "nobody asked for it"
        );
    }
}
