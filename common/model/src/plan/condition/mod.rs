//! What must be seen: gates before a step and `done_when` after it. Judged on a view, with three answers:
//! it holds, it does not (yet), or it can't be told.

mod disks;
mod ha;
mod host;
mod judged;
mod links;
mod membership;
mod moves;
#[cfg(test)]
mod moves_tests;
mod pools;
mod protection;
mod qdevice;
mod shown;
mod storages;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::disk_marks::Mark;
use crate::finding::KnownFinding;
use crate::guest_ids::{HaName, JobId, Sid};
use crate::held::GuestVolume;
use crate::ids::{ClusterName, NodeName, PoolName, SshPublicKey};
use crate::observation::eligibility::ReasonKind;
use crate::observation::{FacetName, GuestKind};
use crate::operation::{HaService, Package};
use crate::passage::Passage;
use crate::pool_layout::{DiskIdentity, PoolLayout};
use crate::release::Release;
use crate::schedule::Schedule;
use crate::spec::ReturningNode;
use crate::storage::StorageDefinition;
use crate::time::Timestamp;

pub use verdict::Verdict;
use verdict::{Not, on_each, row};

/// Something that a view can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "condition")]
pub enum Condition {
    /// This node is in no cluster, has no leftovers of one, and its /etc/pve is writable.
    Standalone {
        /// The node.
        node: NodeName,
    },
    /// The cluster consists of exactly these members: `nodes` online and quorate with /etc/pve writable, every one of them saying so
    /// (a joiner that believes it is in while the member does not is not in) and run the file's version, and `offline` configured but
    /// seen offline by each.
    Members {
        /// The cluster's name.
        cluster: ClusterName,
        /// Who must be in and online.
        nodes: BTreeSet<NodeName>,
        /// Who is still counted and must be offline.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        offline: BTreeSet<NodeName>,
    },
    /// This member is quorate, and its /etc/pve is writable, whoever else is there.
    Quorate {
        /// The cluster.
        cluster: ClusterName,
        /// The member.
        node: NodeName,
    },
    /// Every link that corosync.conf defines connects each of these members with each other, and all run the file's version.
    LinksUp {
        /// The cluster.
        cluster: ClusterName,
        /// The members.
        nodes: BTreeSet<NodeName>,
    },
    /// This link has these addresses and this priority, in the file and as corosync runs: connected from each to each, all on the
    /// file's version.
    LinkUp {
        /// The cluster.
        cluster: ClusterName,
        /// The link's number.
        link: u8,
        /// Each member's address on it.
        addresses: BTreeMap<NodeName, IpAddr>,
        /// Its `knet_link_priority`; `None`: whatever it has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        priority: Option<u8>,
    },
    /// The node does not answer, and every one of `seen_by` sees it outside the membership.
    Off {
        /// The cluster.
        cluster: ClusterName,
        /// The node.
        node: NodeName,
        /// Who must see it so.
        seen_by: BTreeSet<NodeName>,
    },
    /// Nothing of what `delnode` leaves behind is there any more, as `on` sees it.
    CleanedUp {
        /// The cluster.
        cluster: ClusterName,
        /// Who was taken out.
        removed: NodeName,
        /// Who looks.
        on: NodeName,
        /// Its folder may stay: it is to join afresh.
        #[serde(default)]
        keep_folder: bool,
    },
    /// With `host`: the QDevice is configured to that address, every member is registered with it and it gives its vote.
    /// Without: no QDevice is configured.
    Qdevice {
        /// The cluster.
        cluster: ClusterName,
        /// The members.
        nodes: BTreeSet<NodeName>,
        /// Where corosync-qnetd answers.
        host: Option<IpAddr>,
    },
    /// A QDevice may be set up for those who are in by then, whoever that is: all whom `via` counts are online, see the same members,
    /// are at rest, have corosync-qdevice and no QDevice.
    QdeviceDue {
        /// The cluster.
        cluster: ClusterName,
        /// The member by whose word they are in.
        via: NodeName,
        /// Who may be in by then.
        nodes: BTreeSet<NodeName>,
    },
    /// The QDevice at this address gives its vote to all whom `via` counts; or an odd number of servers is in, which needs none.
    QdeviceBack {
        /// The cluster.
        cluster: ClusterName,
        /// The member by whose word they are in.
        via: NodeName,
        /// Who may be in by then.
        nodes: BTreeSet<NodeName>,
        /// Where corosync-qnetd answers.
        host: IpAddr,
    },
    /// This node does not see a cluster of two votes without a third one that is given: armed, HA would have the server that is left
    /// reset itself when the other one fails.
    NotTwoVotes {
        /// The cluster.
        cluster: ClusterName,
        /// Who looks.
        node: NodeName,
    },
    /// These packages are installed; corosync-qnetd also runs.
    Installed {
        /// Where.
        node: NodeName,
        /// Which.
        packages: BTreeSet<Package>,
    },
    /// Exactly these keys of the cluster may log in as root on this host now; none: nobody of the cluster may.
    KeysAdmitted {
        /// The host.
        node: NodeName,
        /// Whose keys.
        cluster: ClusterName,
        /// The keys.
        keys: BTreeSet<SshPublicKey>,
    },
    /// No watchdog is armed on any of these nodes and nothing can arm one: HA is disarmed as a whole, or its daemons are stopped.
    HaDisarmed {
        /// The cluster.
        cluster: ClusterName,
        /// The nodes.
        nodes: BTreeSet<NodeName>,
    },
    /// HA is not disarmed: the master says so, and its daemons run on each of these nodes.
    HaArmed {
        /// The cluster.
        cluster: ClusterName,
        /// The nodes.
        nodes: BTreeSet<NodeName>,
    },
    /// An HA daemon runs on this node, or is stopped there.
    HaService {
        /// The node.
        node: NodeName,
        /// Which daemon.
        service: HaService,
        /// Runs, or is stopped.
        running: bool,
    },
    /// An HA daemon runs on this node again, or the node went out for good: it is off, or not counted any more.
    HaServiceOrOut {
        /// The cluster.
        cluster: ClusterName,
        /// The node.
        node: NodeName,
        /// Which daemon.
        service: HaService,
        /// By whose word the node is off or out.
        seen_by: NodeName,
    },
    /// The firewall surely lets these addresses through to and from the agents, as this node has it.
    AgentsAllowed {
        /// The node that looks.
        node: NodeName,
        /// The ways that must be open.
        #[serde(alias = "port", deserialize_with = "crate::passage::or_port")]
        passages: BTreeSet<Passage>,
        /// For whom.
        from: BTreeSet<IpAddr>,
    },
    /// Each disk of a pool that is to be made is there, is the one that was planned, and carries nothing; and no pool has the name.
    DisksFree {
        /// Where.
        node: NodeName,
        /// The pool.
        layout: PoolLayout,
    },
    /// The pool is imported, has each of its disks in its place, and all of them are well.
    PoolMade {
        /// Where.
        node: NodeName,
        /// The pool.
        layout: PoolLayout,
    },
    /// The disk is there, is the one that was planned, carries nothing but this, and nobody uses it.
    DiskCarries {
        /// Where.
        node: NodeName,
        /// The disk.
        disk: DiskIdentity,
        /// What it carries.
        carries: BTreeSet<Mark>,
    },
    /// The disk is there, is the one that was planned, and carries nothing.
    DiskEmpty {
        /// Where.
        node: NodeName,
        /// The disk.
        disk: DiskIdentity,
    },
    /// The pool is imported and well, has none of these disks yet, and each of them is the one that was planned and carries nothing.
    PoolCanGrow {
        /// Where.
        node: NodeName,
        /// The pool, with the new disks alone.
        layout: PoolLayout,
    },
    /// The pool is imported and well, and has these disks, each in its place, whatever else it has.
    PoolHas {
        /// Where.
        node: NodeName,
        /// The pool, with the new disks alone.
        layout: PoolLayout,
    },
    /// The pool is imported and has the old disk, which nothing replaces yet; the new one is the one that was planned and carries nothing.
    DiskCanReplace {
        /// Where.
        node: NodeName,
        /// The pool.
        pool: PoolName,
        /// The old disk, as the pool calls it.
        old: String,
        /// The new one.
        with: DiskIdentity,
        /// What can't be decided about it, and the operator has said yes to.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        accepted: BTreeSet<ReasonKind>,
    },
    /// The new disk is in the pool, in the place of the old one or beside it while its data is being made anew.
    DiskReplaced {
        /// Where.
        node: NodeName,
        /// The pool.
        pool: PoolName,
        /// The old disk, as the pool calls it.
        old: String,
        /// The new one.
        with: DiskIdentity,
    },
    /// The storage is defined so, and each of these nodes has it active.
    StorageReady {
        /// The storage.
        storage: StorageDefinition,
        /// Who must have it active.
        nodes: BTreeSet<NodeName>,
    },
    /// The agent of this node answers and is of this version; as a member of a cluster, the node is quorate in it.
    AgentRuns {
        /// The node.
        node: NodeName,
        /// The version.
        version: Release,
        /// The cluster; `None`: the node is in none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster: Option<ClusterName>,
    },
    /// This member owns the guest, has a job for its copy on the target that is not switched off, and a run of it has succeeded and none failed since.
    CopyMade {
        /// The owner.
        node: NodeName,
        /// The guest.
        guest: u32,
        /// Who has the copy.
        target: NodeName,
    },
    /// The job connects these, and is as it should be.
    ReplicationSet {
        /// The guest's owner.
        node: NodeName,
        /// The job.
        job: JobId,
        /// Whom it connects the owner with.
        other: NodeName,
        /// When it runs.
        schedule: Schedule,
        /// The most that it sends, in MB/s; `None`: whatever it says.
        rate: Option<u32>,
        /// What becomes of a server that returns.
        returning_node: ReturningNode,
        /// It is not switched off.
        enabled: bool,
    },
    /// No job is left that copies the guest from this owner to the target: PVE has taken the copy away.
    CopyGone {
        /// The owner.
        node: NodeName,
        /// The guest.
        guest: u32,
        /// Who had the copy.
        target: NodeName,
    },
    /// The cluster's setting for migration and replication is this.
    MigrationSet {
        /// Who looks.
        node: NodeName,
        /// `migration` of datacenter.cfg, as written.
        migration: String,
    },
    /// The guest is under HA, and what is said here of it is so.
    HaResourceSet {
        /// Who looks.
        node: NodeName,
        /// The guest.
        service: Sid,
        /// How often a start is tried again on one node; `None`: whatever it says.
        max_restart: Option<u32>,
        /// On how many other nodes it is tried then; `None`: whatever it says.
        max_relocate: Option<u32>,
        /// The group that binds it (PVE 8); `None`: whatever it says.
        group: Option<HaName>,
        /// It stays where it is when a node is back.
        no_failback: bool,
    },
    /// The rule, or with `service` missing the group, binds strictly to exactly these nodes, none of them preferred.
    HaBound {
        /// Who looks.
        node: NodeName,
        /// The rule or group.
        name: HaName,
        /// The guest that the rule is about.
        service: Option<Sid>,
        /// The nodes.
        nodes: BTreeSet<NodeName>,
    },
    /// The guest belongs to this node, by its own word and that of each of `seen_by`; it runs there, or is stopped, and nothing holds it. One
    /// under HA is also there by the master's word, and no command of it is under way.
    GuestAt {
        /// The cluster.
        cluster: ClusterName,
        /// The guest's id.
        guest: u32,
        /// What it is.
        kind: GuestKind,
        /// Where it should be.
        node: NodeName,
        /// Who else must say so.
        seen_by: BTreeSet<NodeName>,
        /// It runs, or is stopped.
        running: bool,
        /// It is under HA.
        managed: bool,
    },
    /// HA's master has this node in maintenance, and nothing that it looks after is left there; or it may use the node again.
    Maintenance {
        /// The cluster.
        cluster: ClusterName,
        /// The node.
        node: NodeName,
        /// In maintenance, or not.
        on: bool,
        /// By whose copy of the master's word.
        seen_by: NodeName,
    },
    /// No guest runs on this node.
    Drained {
        /// The node.
        node: NodeName,
    },
    /// The cluster can do without this node for a while: all others are in and have quorum without it, HA is at rest, every copy is fresh, and
    /// what runs on it finds memory elsewhere.
    Spare {
        /// The cluster.
        cluster: ClusterName,
        /// The node.
        node: NodeName,
        /// All other members.
        others: BTreeSet<NodeName>,
    },
    /// The node has started anew since this boot, its agent answers, and it is quorate.
    Rebooted {
        /// The cluster.
        cluster: ClusterName,
        /// The node.
        node: NodeName,
        /// The boot before. Source: /proc/sys/kernel/random/boot_id.
        boot: String,
    },
    /// What this node had of a guest's volumes is kept aside under other names, see [`GuestVolume::kept`].
    VolumesKept {
        /// Where.
        node: NodeName,
        /// By the names that they had.
        volumes: BTreeSet<GuestVolume>,
        /// Since when the copy is held.
        since: Timestamp,
    },
    /// Nothing is said of the cluster that was not said, or not as badly, when this was planned.
    NothingWorse {
        /// The cluster.
        cluster: ClusterName,
        /// Its members, which are looked at for it.
        nodes: BTreeSet<NodeName>,
        /// What was said then.
        known: BTreeSet<KnownFinding>,
    },
    /// A canary of ours runs on this node and bears our tag; or no guest of this id is there any more.
    Canary {
        /// The cluster.
        cluster: ClusterName,
        /// The guest's id.
        guest: u32,
        /// What it is.
        kind: GuestKind,
        /// Where it is, or was.
        node: NodeName,
        /// It runs there, or is gone.
        there: bool,
    },
    /// The pool is there, and this volume is not (any more).
    VolumeGone {
        /// Where.
        node: NodeName,
        /// Which.
        volume: GuestVolume,
    },
}

/// The facets that must be looked at, node by node.
pub type Needs = BTreeMap<NodeName, BTreeSet<FacetName>>;

impl Condition {
    /// What must be looked at to judge it.
    #[must_use]
    pub fn needs(&self) -> Needs {
        if let Self::QdeviceDue { via, nodes, .. } = self {
            let facets = BTreeSet::from([FacetName::Cluster, FacetName::Ha, FacetName::Readiness]);
            return nodes
                .iter()
                .chain([via])
                .map(|node| (node.clone(), facets.clone()))
                .collect();
        }
        if let Self::HaServiceOrOut { node, seen_by, .. } = self {
            let own = BTreeSet::from([FacetName::Cluster, FacetName::Ha]);
            return Needs::from([
                (seen_by.clone(), BTreeSet::from([FacetName::Cluster])),
                (node.clone(), own),
            ]);
        }
        if let Self::AgentRuns { node, .. } = self {
            let facets = BTreeSet::from([FacetName::System, FacetName::Cluster]);
            return Needs::from([(node.clone(), facets)]);
        }
        if let Some(needs) = self.about_moves() {
            return needs;
        }
        if let Some(node) = self.about_disks() {
            let facets = BTreeSet::from([FacetName::Disks, FacetName::Pools]);
            return Needs::from([(node.clone(), facets)]);
        }
        if let Self::CopyMade { node, .. } = self {
            let facets = BTreeSet::from([FacetName::Config, FacetName::Replication]);
            return Needs::from([(node.clone(), facets)]);
        }
        let (nodes, facet): (BTreeSet<&NodeName>, FacetName) = match self {
            Self::Standalone { node } | Self::Quorate { node, .. } | Self::NotTwoVotes { node, .. } => {
                (BTreeSet::from([node]), FacetName::Cluster)
            }
            Self::QdeviceDue { via, nodes, .. } | Self::QdeviceBack { via, nodes, .. } => {
                (nodes.iter().chain([via]).collect(), FacetName::Cluster)
            }
            Self::Members { nodes, .. } | Self::LinksUp { nodes, .. } | Self::Qdevice { nodes, .. } => {
                (nodes.iter().collect(), FacetName::Cluster)
            }
            Self::LinkUp { addresses, .. } => (addresses.keys().collect(), FacetName::Cluster),
            Self::Off { node, seen_by, .. } => (seen_by.iter().chain([node]).collect(), FacetName::Cluster),
            Self::CleanedUp { on, .. } => (BTreeSet::from([on]), FacetName::Config),
            Self::Installed { node, .. } | Self::KeysAdmitted { node, .. } => {
                (BTreeSet::from([node]), FacetName::Readiness)
            }
            Self::HaDisarmed { nodes, .. } | Self::HaArmed { nodes, .. } => (nodes.iter().collect(), FacetName::Ha),
            Self::HaService { node, .. } | Self::HaServiceOrOut { node, .. } => (BTreeSet::from([node]), FacetName::Ha),
            Self::AgentsAllowed { node, .. } => (BTreeSet::from([node]), FacetName::Config),
            Self::AgentRuns { node, .. } => (BTreeSet::from([node]), FacetName::System),
            Self::DisksFree { node, .. }
            | Self::PoolMade { node, .. }
            | Self::DiskCarries { node, .. }
            | Self::DiskEmpty { node, .. }
            | Self::PoolCanGrow { node, .. }
            | Self::PoolHas { node, .. }
            | Self::DiskCanReplace { node, .. }
            | Self::DiskReplaced { node, .. }
            | Self::VolumesKept { node, .. }
            | Self::VolumeGone { node, .. } => (BTreeSet::from([node]), FacetName::Pools),
            Self::StorageReady { nodes, .. } => (nodes.iter().collect(), FacetName::Storages),
            Self::CopyMade { node, .. }
            | Self::ReplicationSet { node, .. }
            | Self::CopyGone { node, .. }
            | Self::MigrationSet { node, .. } => (BTreeSet::from([node]), FacetName::Config),
            Self::HaResourceSet { node, .. } | Self::HaBound { node, .. } => (BTreeSet::from([node]), FacetName::Ha),
            Self::GuestAt { node, .. } | Self::Drained { node } | Self::Spare { node, .. } => {
                (BTreeSet::from([node]), FacetName::Running)
            }
            Self::Maintenance { seen_by, .. } => (BTreeSet::from([seen_by]), FacetName::Ha),
            Self::Rebooted { node, .. } => (BTreeSet::from([node]), FacetName::System),
            Self::NothingWorse { nodes, .. } => (nodes.iter().collect(), FacetName::Cluster),
            Self::Canary { node, .. } => (BTreeSet::from([node]), FacetName::Config),
        };
        nodes
            .into_iter()
            .map(|node| (node.clone(), BTreeSet::from([facet])))
            .collect()
    }

    /// The node on whose disks and pools it depends, if it is of that kind.
    fn about_disks(&self) -> Option<&NodeName> {
        match self {
            Self::DisksFree { node, .. }
            | Self::PoolMade { node, .. }
            | Self::DiskCarries { node, .. }
            | Self::DiskEmpty { node, .. }
            | Self::PoolCanGrow { node, .. }
            | Self::PoolHas { node, .. }
            | Self::DiskCanReplace { node, .. }
            | Self::DiskReplaced { node, .. } => Some(node),
            _ => None,
        }
    }

    /// The nodes that must be looked at to judge it.
    #[must_use]
    pub fn nodes(&self) -> BTreeSet<NodeName> {
        self.needs().into_keys().collect()
    }
}
