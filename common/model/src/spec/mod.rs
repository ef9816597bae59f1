//! The cluster file: what the operator wants. It is read once, into checked types that remember where in the file they stood.

mod disks;
pub mod drills;
pub mod edit;
mod guests;
mod ha;
pub mod keys;
mod links;
mod nodes;
mod pools;
mod read;
mod reader;
pub mod replication;
mod rules;
mod schema;
mod storages;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::finding::{Finding, Place};
use crate::ids::{ClusterName, DrillName, NodeName, PoolName, StorageName};
use crate::maintenance::MaintenanceWindow;

pub use disks::{DiskChoice, DiskName, InvalidDiskName, Pick, Selector};
pub use drills::{DrillSpec, Expect};
pub use guests::{Chosen, Closeness, GuestChoice, GuestPick};
pub use ha::HaSpec;
pub use pools::PoolSpec;
pub use replication::{ReplicationSpec, ReturningNode};
pub use schema::schema;
pub use storages::StorageSpec;
pub use write::{Draft, DraftDisks, DraftLink, DraftNode, DraftPool, DraftStorage, write};

/// A value with its place in the operator's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// The cluster file, checked as far as it can be without looking at servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFile {
    /// SHA-256 of the file's text, in hex: what a plan was made from.
    pub digest: String,
    /// `[cluster]`
    pub cluster: ClusterSpec,
    /// `[nodes.NAME]`, at least one; also hosts that are no members (see [`NodeRole`]).
    pub nodes: BTreeMap<NodeName, NodeSpec>,
    /// `[zfs.NAME]`
    pub pools: BTreeMap<PoolName, PoolSpec>,
    /// `[storage.NAME]`; a pool's own storage stands with the pool.
    pub storages: BTreeMap<StorageName, StorageSpec>,
    /// `[[replication]]`, in the file's order.
    pub replication: Vec<ReplicationSpec>,
    /// `[ha]`
    pub ha: Option<HaSpec>,
    /// `[drills.NAME]`
    pub drills: BTreeMap<DrillName, DrillSpec>,
}

/// `[cluster]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSpec {
    /// `name`
    pub name: Located<ClusterName>,
    /// `links`: one for each corosync link, link 0 first. Where only the nodes' own `links` say how many there are, as many without
    /// a network. Empty: one link over the nodes' addresses.
    pub links: Vec<LinkSpec>,
    /// `migration_network`
    pub migration_network: Option<Located<IpNet>>,
    /// `third_vote`
    pub third_vote: Option<ThirdVote>,
    /// `maintenance`: disruptive steps may begin only inside one of these. Empty: at any time.
    pub maintenance: Vec<Located<MaintenanceWindow>>,
}

/// An item of `links` in `[cluster]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSpec {
    /// Where it stands; for a link that only the nodes' own `links` tell of: there.
    pub place: Place,
    /// In which network each node's address is to be found. `None`: every voting node names its address ([`NodeSpec::links`]).
    pub network: Option<Located<IpNet>>,
    /// corosync's `knet_link_priority`: of the links that work, the one with the highest number is used. `None`: not written, which
    /// corosync takes as 1, as it takes 0.
    pub priority: Option<Located<u8>>,
}

/// `[cluster.third_vote]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThirdVote {
    /// Where the table stands.
    pub place: Place,
    /// `qdevice`: a node of the file with the role [`NodeRole::Qnetd`].
    pub qdevice: Located<NodeName>,
}

/// `[nodes.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Where the table begins.
    pub place: Place,
    /// `address`: the server's own management address, to which its name resolves.
    pub address: Located<IpAddr>,
    /// `role`
    pub role: NodeRole,
    /// `links`: its address on each link, as many as [`ClusterSpec::links`] has. `None`: found by the links' networks.
    pub links: Option<Vec<Located<IpAddr>>>,
}

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeRole {
    /// A full server: votes, runs guests, holds replicas and OSDs.
    #[default]
    Member,
    /// A PVE server that votes and does nothing else.
    Witness,
    /// No PVE server and no member: it can hold the third vote, by corosync-qnetd.
    Qnetd,
}

impl NodeRole {
    /// All of them, the usual one first.
    pub const ALL: [Self; 3] = [Self::Member, Self::Witness, Self::Qnetd];

    /// As written in the cluster file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Witness => "witness",
            Self::Qnetd => "qnetd",
        }
    }

    /// Is it a member of the corosync cluster, with a vote of its own?
    #[must_use]
    pub fn votes(self) -> bool {
        match self {
            Self::Member | Self::Witness => true,
            Self::Qnetd => false,
        }
    }
}

impl fmt::Display for NodeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role")]
pub struct InvalidRole(String);

impl FromStr for NodeRole {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| InvalidRole(text.to_owned()))
    }
}

/// As many links as corosync can have (knet: link 0 to 7).
pub const MOST_LINKS: usize = 8;

impl ClusterFile {
    /// Reads a cluster file.
    ///
    /// # Errors
    /// Every problem in the file at once, each with its place.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Vec<Finding>> {
        read::cluster_file(file_name, text, digest_of(text))
    }

    /// Is there one link, which is not written down but runs over the nodes' own addresses?
    #[must_use]
    pub fn links_by_address(&self) -> bool {
        self.cluster.links.is_empty()
    }

    /// The nodes that are to be in the corosync cluster, each with a vote: members and witnesses.
    pub fn members(&self) -> impl Iterator<Item = (&NodeName, &NodeSpec)> {
        self.nodes.iter().filter(|(_, node)| node.role.votes())
    }

    /// The host that holds the third vote, if one is wanted. A host with the role `qnetd` that `third_vote` doesn't name holds none.
    #[must_use]
    pub fn qnetd(&self) -> Option<(&NodeName, &NodeSpec)> {
        let wanted = &self.cluster.third_vote.as_ref()?.qdevice.value;
        self.nodes.get_key_value(wanted)
    }
}

/// SHA-256 of a cluster file's text, in hex.
#[must_use]
pub fn digest_of(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

#[cfg(test)]
mod tests;
