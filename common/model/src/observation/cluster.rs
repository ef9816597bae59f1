//! Corosync and pmxcfs as one node sees them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::facet::Facet;

/// The cluster as one node sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// In a cluster or alone. Source: /etc/pve/.members and /etc/pve/corosync.conf.
    pub membership: Membership,
    /// Is /etc/pve mounted, and can it be written?
    pub pmxcfs: Pmxcfs,
    /// /etc/corosync/authkey exists: `pvecm add` refuses then.
    pub authkey_present: bool,
    /// /etc/corosync/corosync.conf exists: corosync starts at boot.
    pub local_config_present: bool,
}

/// In a cluster or alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Membership {
    /// pmxcfs runs in local mode and there is no /etc/pve/corosync.conf.
    Standalone,
    /// It belongs to a cluster.
    Member(Box<Member>),
}

/// State of /etc/pve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pmxcfs {
    /// Mounted and writable.
    Writable,
    /// Mounted, but read-only: no quorum.
    ReadOnly,
    /// Not mounted: pve-cluster is down, starting, or failed.
    NotMounted,
}

/// A member's view of its cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The cluster's name. Source: .members.
    pub cluster: String,
    /// config_version that corosync runs with. Source: .members `cluster.version`.
    pub running_version: u64,
    /// config_version of the file; may be ahead of the running one. Source: /etc/pve/corosync.conf.
    pub file_version: u64,
    /// Source: .members `cluster.quorate`.
    pub quorate: bool,
    /// All nodes that the running configuration names. Source: .members `nodelist`.
    pub nodes: Vec<MemberNode>,
    /// Nodes as written in the file, with their link addresses. Source: /etc/pve/corosync.conf `nodelist`.
    pub configured: Vec<ConfiguredNode>,
    /// A QDevice is configured. Source: /etc/pve/corosync.conf `quorum.device`, the only reliable one.
    pub qdevice: bool,
    /// Votes. Source: `corosync-quorumtool -siH`.
    pub votes: Facet<Votes>,
    /// Links. Source: `corosync-cfgtool -n`.
    pub links: Facet<Vec<Link>>,
}

/// A node in the running membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberNode {
    /// Its name.
    pub name: String,
    /// Its corosync id.
    pub id: u32,
    /// Is it in the membership now?
    pub online: bool,
    /// The address that its pmxcfs published; missing until it has.
    pub address: Option<IpAddr>,
}

/// A node in corosync.conf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredNode {
    /// Its name.
    pub name: String,
    /// Its corosync id.
    pub id: u32,
    /// quorum_votes.
    pub votes: u32,
    /// Link number → address, as text: the file may hold host names.
    #[serde(deserialize_with = "crate::keys::numbers")]
    pub addresses: BTreeMap<u8, String>,
}

/// Votes. Source: `corosync-quorumtool -siH`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    /// Votes that the cluster expects.
    pub expected: u32,
    /// Highest it ever expected.
    pub highest_expected: u32,
    /// Votes present.
    pub total: u32,
    /// Votes needed.
    pub quorum: u32,
    /// Votes present suffice.
    pub quorate: bool,
    /// corosync's flags, such as `Quorate`, `Qdevice`, `2Node`.
    pub flags: Vec<String>,
}

/// A link from this node to a peer. Source: `corosync-cfgtool -n`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The peer's corosync id.
    pub peer: u32,
    /// Link number.
    pub number: u8,
    /// Own address on it.
    pub local: String,
    /// The peer's address on it.
    pub remote: String,
    /// Administratively enabled.
    pub enabled: bool,
    /// knet has an answer from the other end.
    pub connected: bool,
    /// Data MTU that knet found, in bytes.
    pub mtu: Option<u32>,
}

impl Cluster {
    /// The member's view, if it is one.
    #[must_use]
    pub fn member(&self) -> Option<&Member> {
        match &self.membership {
            Membership::Standalone => None,
            Membership::Member(member) => Some(member),
        }
    }
}

impl Member {
    /// Names of the nodes that are in the membership now.
    pub fn online(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter(|n| n.online).map(|n| n.name.as_str())
    }
}
