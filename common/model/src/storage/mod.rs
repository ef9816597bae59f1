//! Storages of a cluster as they are to be: their kinds, what each kind can be told, and whether one that is there is that one.

mod difference;
mod property;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{NodeName, StorageName};
use crate::observation::storages::DefinedStorage;

pub use difference::{Difference, Remedy};
pub use property::{Property, Value};

/// A storage as it is to be defined, once for the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageDefinition {
    /// Its id.
    pub name: StorageName,
    /// Where it lies.
    pub kind: StorageKind,
    /// What is said about it, as PVE has it written. What is not said is left to PVE, or as it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<Property, String>,
    /// What may be kept there; empty: not said.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub content: BTreeSet<Content>,
    /// On which nodes it is; `None`: on all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<BTreeSet<NodeName>>,
}

/// Kinds of storages that are defined here. Source: facts of `pvesm add`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageKind {
    /// A ZFS pool, or a dataset in it, on each node's own disks.
    Zfspool,
    /// A folder, on each node.
    Dir,
    /// An NFS export.
    Nfs,
    /// A datastore of a Proxmox Backup Server.
    Pbs,
    /// A Ceph pool.
    Rbd,
}

impl StorageKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Zfspool, Self::Dir, Self::Nfs, Self::Pbs, Self::Rbd];

    /// As written in the cluster file, and as PVE has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zfspool => "zfspool",
            Self::Dir => "dir",
            Self::Nfs => "nfs",
            Self::Pbs => "pbs",
            Self::Rbd => "rbd",
        }
    }

    /// What may be kept on it. pvesm only warns of anything else, and drops it.
    #[must_use]
    pub fn takes(self) -> &'static [Content] {
        use Content::{Backup, Images, Import, Iso, Rootdir, Snippets, Vztmpl};
        match self {
            Self::Zfspool | Self::Rbd => &[Images, Rootdir],
            Self::Pbs => &[Backup],
            Self::Dir | Self::Nfs => &[Images, Rootdir, Vztmpl, Iso, Backup, Snippets, Import],
        }
    }

    /// The properties without which there is none. They say where it lies, and PVE never changes them.
    #[must_use]
    pub fn required(self) -> &'static [Property] {
        match self {
            Self::Zfspool => &[Property::Pool],
            Self::Dir => &[Property::Path],
            Self::Nfs => &[Property::Server, Property::Export],
            Self::Pbs => &[Property::Server, Property::Datastore],
            Self::Rbd => &[],
        }
    }

    /// What else can be said.
    #[must_use]
    pub fn optional(self) -> &'static [Property] {
        use Property as P;
        match self {
            Self::Zfspool => &[P::Thin, P::Mountpoint],
            Self::Dir => &[P::Shared, P::IsMountpoint, P::PruneBackups],
            Self::Nfs => &[P::Options, P::PruneBackups],
            Self::Pbs => &[P::Username, P::Fingerprint, P::Namespace, P::Port, P::PruneBackups],
            Self::Rbd => &[P::Pool, P::DataPool, P::Namespace, P::Monhost, P::Username, P::Krbd],
        }
    }

    /// Can this be said of it?
    #[must_use]
    pub fn has(self, property: Property) -> bool {
        self.required().contains(&property) || self.optional().contains(&property)
    }
}

impl fmt::Display for StorageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no kind of storage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of storage that is known here")]
pub struct InvalidStorageKind(String);

impl FromStr for StorageKind {
    type Err = InvalidStorageKind;

    fn from_str(text: &str) -> Result<Self, InvalidStorageKind> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| InvalidStorageKind(text.to_owned()))
    }
}

/// What may be kept on a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Disks of virtual machines.
    Images,
    /// Disks of containers.
    Rootdir,
    /// Templates of containers.
    Vztmpl,
    /// Installation media.
    Iso,
    /// Backups.
    Backup,
    /// Hook scripts and cloud-init files.
    Snippets,
    /// Images to import (PVE 8.2 and later).
    Import,
}

impl Content {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Images,
        Self::Rootdir,
        Self::Vztmpl,
        Self::Iso,
        Self::Backup,
        Self::Snippets,
        Self::Import,
    ];

    /// As written in the cluster file, and as PVE has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Rootdir => "rootdir",
            Self::Vztmpl => "vztmpl",
            Self::Iso => "iso",
            Self::Backup => "backup",
            Self::Snippets => "snippets",
            Self::Import => "import",
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is nothing that a storage keeps")]
pub struct InvalidContent(String);

impl FromStr for Content {
    type Err = InvalidContent;

    fn from_str(text: &str) -> Result<Self, InvalidContent> {
        let found = Self::ALL.into_iter().find(|content| content.as_str() == text);
        found.ok_or_else(|| InvalidContent(text.to_owned()))
    }
}

impl StorageDefinition {
    /// What is wrong with it, if anything: an agent asks before it acts, whoever made the definition.
    ///
    /// # Errors
    /// The first thing that is.
    pub fn check(&self) -> Result<(), String> {
        let Self { name, kind, .. } = self;
        if let Some(missing) = kind.required().iter().find(|p| !self.properties.contains_key(p)) {
            return Err(format!("the storage {name} ({kind}) has no {missing}"));
        }
        for (property, value) in &self.properties {
            if !kind.has(*property) {
                return Err(format!("a storage of the kind {kind} has no {property}"));
            }
            if let Err(why) = property.check(value) {
                return Err(format!("{property} of the storage {name} {why}"));
            }
        }
        if let Some(other) = self.content.iter().find(|content| !kind.takes().contains(content)) {
            return Err(format!("a storage of the kind {kind} keeps no {other}"));
        }
        if self.nodes.as_ref().is_some_and(BTreeSet::is_empty) {
            return Err(format!("the storage {name} is on no node"));
        }
        Ok(())
    }

    /// Is it to be on this node?
    #[must_use]
    pub fn is_on(&self, node: &NodeName) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(node))
    }

    /// In what the storage that bears this id is another one than is meant, thing by thing.
    #[must_use]
    pub fn differences(&self, there: &DefinedStorage) -> Vec<Difference> {
        difference::between(self, there)
    }
}
