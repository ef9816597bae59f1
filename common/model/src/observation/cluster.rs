//! Corosync and pmxcfs as one node sees them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::facet::Facet;
use crate::time::Timestamp;

/// The cluster as one node sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// In a cluster or alone. Source: /etc/pve/.members and /etc/pve/corosync.conf; where pmxcfs is down, corosync itself and its own
    /// copy of the configuration.
    pub membership: Membership,
    /// Is /etc/pve mounted, and can it be written?
    pub pmxcfs: Pmxcfs,
    /// /etc/corosync/authkey exists: `pvecm add` refuses then.
    pub authkey_present: bool,
    /// /etc/corosync/corosync.conf exists: corosync starts at boot.
    pub local_config_present: bool,
    /// What /etc/corosync/corosync.conf says: what corosync starts with, which may be of a join that was not finished.
    /// `None`: there is no such file.
    #[serde(default)]
    pub local_config: Facet<Option<LocalConfig>>,
    /// The lock that commands hold while they change corosync.conf: how many seconds old the folder
    /// /etc/pve/priv/lock/file-corosync_conf is; `None`: nobody holds it. PVE itself breaks one of more than 120 s.
    #[serde(default)]
    pub config_lock_age: Option<u64>,
    /// How the membership changed while the agent looked: the newest few, oldest first. What came and went while nobody looked is not
    /// among them.
    #[serde(default)]
    pub changes: Vec<MembershipChange>,
}

/// A change of the membership, as one node saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipChange {
    /// When the agent saw it, on the node's clock.
    pub at: Timestamp,
    /// Nodes that came.
    pub joined: Vec<String>,
    /// Nodes that went, whether they took their leave or fell silent.
    pub left: Vec<String>,
    /// What became of the node's quorum; `None`: it is as it was.
    pub quorum: Option<QuorumChange>,
}

/// What became of a node's quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuorumChange {
    /// It has quorum now.
    Gained,
    /// It has none any more.
    Lost,
}

/// The node's own copy of corosync.conf. Source: /etc/corosync/corosync.conf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalConfig {
    /// `totem.cluster_name`.
    pub cluster: String,
    /// `totem.config_version`.
    pub version: u64,
    /// The nodes that it names.
    pub nodes: Vec<ConfiguredNode>,
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
    /// config_version of the file; may be ahead of the running one. Source: /etc/pve/corosync.conf; while that is not mounted, the node's
    /// own copy.
    pub file_version: u64,
    /// Source: .members `cluster.quorate`.
    pub quorate: bool,
    /// All nodes that the running configuration names. Source: .members `nodelist`.
    pub nodes: Vec<MemberNode>,
    /// Nodes as written in the file, with their link addresses. Source: /etc/pve/corosync.conf `nodelist`.
    pub configured: Vec<ConfiguredNode>,
    /// Links as the file defines them: number → `knet_link_priority` where it is given. Source: /etc/pve/corosync.conf `totem.interface`.
    #[serde(default, deserialize_with = "crate::keys::numbers")]
    pub interfaces: BTreeMap<u8, Option<u8>>,
    /// The QDevice that is configured. Source: /etc/pve/corosync.conf `quorum.device`, the only reliable one.
    pub qdevice: Option<QdeviceConfig>,
    /// config_version with which each member's corosync runs now, by corosync id: an edit that some did not take over shows here and
    /// nowhere else. Source: `corosync-cmapctl runtime.members` (`runtime.members.ID.config_version`).
    #[serde(default)]
    pub running_versions: Facet<Vec<RunningVersion>>,
    /// Votes. Source: `corosync-quorumtool -siH`.
    pub votes: Facet<Votes>,
    /// Links. Source: `corosync-cfgtool -n`.
    pub links: Facet<Vec<Link>>,
    /// What corosync itself measures on its links, all the time. Source: `corosync-cmapctl -m stats` (`stats.knet.nodeID.linkN.latency_*`).
    #[serde(default)]
    pub latencies: Facet<Vec<LinkLatency>>,
    /// corosync's timers as it runs with them now. Source: `corosync-cmapctl` (`runtime.config.totem.*`).
    #[serde(default)]
    pub totem: Facet<Totem>,
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
    /// The members present, as the table lists them.
    #[serde(default)]
    pub rows: Vec<VoteRow>,
    /// Votes that the QDevice gives now (the row of id 0): 0 where it is configured but doesn't vote; `None`: no such row.
    #[serde(default)]
    pub device: Option<u32>,
}

/// With which version of corosync.conf a member runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningVersion {
    /// corosync id.
    pub id: u32,
    /// config_version.
    pub version: u64,
}

/// A QDevice as corosync.conf has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QdeviceConfig {
    /// Where corosync-qnetd answers: `quorum.device.net.host`.
    pub host: String,
    /// `quorum.device.net.algorithm`: `ffsplit`, or `lms`.
    pub algorithm: String,
    /// `quorum.device.votes`; missing with `lms`.
    pub votes: Option<u32>,
}

/// A row of the membership table. Source: `corosync-quorumtool -siH`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteRow {
    /// corosync id.
    pub id: u32,
    /// Its votes.
    pub votes: u32,
    /// The Qdevice column, such as `A,V,NMW`, `NR`; `None`: the table has none.
    pub qdevice: Option<String>,
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

/// The round trips of knet's pings on a link to a peer, in microseconds, since corosync started. What was measured on a link that is
/// down stays as it was. Source: `corosync-cmapctl -m stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkLatency {
    /// The peer's corosync id.
    pub peer: u32,
    /// Link number.
    pub number: u8,
    /// The average, as corosync has it.
    pub average: u32,
    /// The longest.
    pub longest: u32,
    /// The shortest.
    pub shortest: u32,
    /// How many there were.
    pub samples: u32,
}

/// corosync's timers, in milliseconds, as it runs with them: what corosync.conf says of them, and what corosync makes of that for the number of
/// nodes. Source: `corosync-cmapctl` (`runtime.config.totem.*`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totem {
    /// After so long without the token a node is given up: `totem.token`, and `totem.token_coefficient` for each node from the third on
    /// (`token`).
    pub token: u32,
    /// So long it is waited then for who forms the next membership (`consensus`).
    pub consensus: u32,
    /// knet's pings, by link: links that run (`interface.N.knet_ping_*`).
    pub pings: Vec<LinkPings>,
}

/// How knet asks whether a link works, in milliseconds. Source: as for [`Totem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPings {
    /// Link number.
    pub link: u8,
    /// From one ping to the next (`knet_ping_interval`).
    pub interval: u32,
    /// A link is down when no ping was answered for so long (`knet_ping_timeout`).
    pub timeout: u32,
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

    /// Which priority corosync takes a link to have: without one, or without an interface section, and with 0, it is 1.
    #[must_use]
    pub fn link_priority(&self, link: u8) -> u8 {
        self.interfaces.get(&link).copied().flatten().unwrap_or(1).max(1)
    }

    /// What was measured on a link, if it is connected and something was.
    #[must_use]
    pub fn latency_of(&self, link: &Link) -> Option<&LinkLatency> {
        let all = self.latencies.get().ok().filter(|_| link.connected)?;
        all.iter().find(|l| (l.peer, l.number) == (link.peer, link.number))
    }

    /// How to speak of the node with this corosync id: by its name, where corosync.conf or the membership has it.
    #[must_use]
    pub fn name_of(&self, id: u32) -> String {
        let written = self.configured.iter().map(|n| (n.id, &n.name));
        let mut running = self.nodes.iter().map(|n| (n.id, &n.name)).chain(written);
        let found = running.find(|(of, _)| *of == id);
        found.map_or_else(|| format!("node id {id}"), |(_, name)| name.clone())
    }
}
