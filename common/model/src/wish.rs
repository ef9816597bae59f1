//! What the operator asks for beside the cluster file: consents, statements that nobody can observe, and how much of the plan.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::guest_ids::ReplicaRef;
use crate::ids::{DiskName, DiskRef, NodeName, PackageDigest, PoolName, StepId, StorageName};
use crate::moves::Moves;
use crate::release::Release;

/// What an operator says with a plan. The plan depends on it, and the audit log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wish {
    /// `--remove NODE`: members that the file no longer names are taken out of the cluster, not merely left alone.
    pub remove: BTreeSet<NodeName>,
    /// `--is-off NODE`: the operator's word that this server is switched off for good. Nobody can observe that of a server that
    /// does not answer.
    pub is_off: BTreeSet<NodeName>,
    /// `--undo-join NODE`: a join that was begun and not finished is undone rather than finished.
    pub undo_join: BTreeSet<NodeName>,
    /// `--replace DEAD=NEW`: NEW takes DEAD's place; DEAD is removed as by `remove` first.
    pub replace: BTreeMap<NodeName, NodeName>,
    /// `--destroy NODE:STABLE-NAME`: everything on this disk may go. Nothing else says so, `--yes` least of all.
    pub destroy: BTreeSet<DiskRef>,
    /// `--destroy replica:GUEST@NODE`: this copy of a guest may go.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub destroy_replicas: BTreeSet<ReplicaRef>,
    /// `quorate zfs replace`: a disk of a pool is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace_disk: Option<DiskReplacement>,
    /// `--password STORAGE`: the password of this storage is given when the plan is applied. Only its name is here.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub passwords: BTreeSet<StorageName>,
    /// `quorate node upgrade`: agents get another version, and nothing else is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<AgentUpgrade>,
    /// `quorate migrate`, `quorate node drain` and `undrain`, `quorate reboot`: guests are moved, and nothing else is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moves: Option<Moves>,
    /// `--only PART`: steps whose id begins with this, and what they need.
    pub only: Option<String>,
    /// `--until STEP`: this step, and what it needs.
    pub until: Option<StepId>,
}

/// A disk of a pool that is to be replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskReplacement {
    /// The server.
    pub node: NodeName,
    /// The pool.
    pub pool: PoolName,
    /// The old disk: a stable name, or what the pool calls it, such as a number where the disk is gone.
    pub old: String,
    /// The new one, by its stable name; `None`: one that fits is chosen.
    pub with: Option<DiskName>,
}

/// Agents that are to be upgraded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentUpgrade {
    /// The version.
    pub version: Release,
    /// The package's file, which the coordinator has.
    pub package: PackageDigest,
    /// Its size in bytes.
    pub size: u64,
    /// Whose agents; empty: those of all nodes of the cluster file.
    pub nodes: BTreeSet<NodeName>,
}

impl Wish {
    /// The disk to replace, if nothing else is asked for.
    #[must_use]
    pub fn only_replaces_a_disk(&self) -> Option<&DiskReplacement> {
        let others = self.removed().next().is_some() || !self.is_off.is_empty() || !self.undo_join.is_empty();
        self.replace_disk.as_ref().filter(|_| !others)
    }

    /// All who are to be taken out.
    pub fn removed(&self) -> impl Iterator<Item = &NodeName> {
        self.remove.iter().chain(self.replace.keys())
    }
}
