//! Storages: what is defined for the cluster, and which of them a node has.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::facet::Facet;
use crate::held::GuestVolume;
use crate::ids::NodeName;
use crate::size::ByteSize;

/// What storages there are, as a node sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Storages {
    /// What is defined, in the file's order. Source: /etc/pve/storage.cfg.
    pub defined: Vec<DefinedStorage>,
    /// How each of them is on this node. Source: `pvesm status`, which waits for the slowest of them.
    pub status: Facet<Vec<StorageStatus>>,
}

/// A storage's definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinedStorage {
    /// Its id.
    pub id: String,
    /// `dir`, `zfspool`, `pbs` …
    pub kind: String,
    /// All that is written below it, in PVE's words; a word alone has an empty value. Secrets are kept elsewhere by PVE.
    pub properties: BTreeMap<String, String>,
}

/// How a storage is on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageStatus {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Can it be used?
    pub state: StorageState,
    /// All room; `None`: not told.
    pub total: Option<ByteSize>,
    /// What of it is taken.
    pub used: Option<ByteSize>,
    /// What pvesm complained about it, on one line. Source: stderr.
    #[serde(default)]
    pub complaint: Option<String>,
}

/// Can a storage be used on a node?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageState {
    /// It can.
    Active,
    /// It should, and can't.
    Inactive,
    /// It is switched off, or is for other nodes.
    Disabled,
}

impl StorageState {
    /// As shown, and as pvesm has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Disabled => "disabled",
        }
    }
}

impl StorageStatus {
    /// Percent that is taken, rounded down.
    #[must_use]
    pub fn fill(&self) -> Option<u8> {
        let (total, used) = (self.total?.0, self.used?.0);
        let percent = u128::from(used) * 100 / u128::from(total.max(1));
        (total > 0).then(|| u8::try_from(percent.min(100)).unwrap_or(100))
    }
}

impl Storages {
    /// Is it a volume that PVE deals with on this node: directly below the dataset (`pool`) of a storage on ZFS that is for the node? What is called
    /// the same elsewhere in a pool is somebody else's, such as a backup of the volume. Source: pve-storage ZFSPoolPlugin.pm (`list_images`).
    #[must_use]
    pub fn has_volume(&self, node: &NodeName, volume: &GuestVolume) -> bool {
        let parent = volume.as_str().rsplit_once('/').map(|(parent, _)| parent);
        let zfs = self
            .defined
            .iter()
            .filter(|one| one.kind == "zfspool" && one.is_for(node));
        let mut datasets = zfs.filter_map(|one| one.properties.get("pool"));
        parent.is_some_and(|parent| datasets.any(|dataset| dataset == parent))
    }

    /// The storage by which PVE deals with a volume on this node, as in [`Storages::has_volume`]; of this node alone, whatever is written.
    #[must_use]
    pub fn local_of(&self, node: &NodeName, volume: &GuestVolume) -> Option<&DefinedStorage> {
        let parent = volume.as_str().rsplit_once('/').map(|(parent, _)| parent)?;
        self.defined.iter().find(|one| {
            let holds = one.properties.get("pool").is_some_and(|dataset| dataset == parent);
            holds && one.kind == "zfspool" && one.is_for(node) && !one.is_shared()
        })
    }

    /// The definition of this id.
    #[must_use]
    pub fn defined(&self, id: &str) -> Option<&DefinedStorage> {
        self.defined.iter().find(|storage| storage.id == id)
    }
}

/// Types of storages that PVE takes as shared, whatever is written. Source: pve-storage PVE/Storage/Plugin.pm (`@SHARED_STORAGE`); `glusterfs` up
/// to PVE 8.
const SHARED: [&str; 10] = [
    "iscsi",
    "nfs",
    "cifs",
    "rbd",
    "cephfs",
    "iscsidirect",
    "zfs",
    "drbd",
    "pbs",
    "glusterfs",
];

impl DefinedStorage {
    /// Is it the same on every node, by its type or since that is written (`shared`)?
    #[must_use]
    pub fn is_shared(&self) -> bool {
        SHARED.contains(&self.kind.as_str()) || self.is_on("shared")
    }

    /// A word alone is a yes.
    fn is_on(&self, key: &str) -> bool {
        let value = self.properties.get(key);
        value.is_some_and(|value| !matches!(value.as_str(), "0" | "no" | "off" | "false"))
    }

    /// The nodes that it is limited to; empty: all.
    #[must_use]
    pub fn nodes(&self) -> BTreeSet<&str> {
        self.list("nodes")
    }

    /// What may be kept there; empty: what is usual for its kind.
    #[must_use]
    pub fn content(&self) -> BTreeSet<&str> {
        self.list("content")
    }

    /// Is it switched off everywhere?
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.is_on("disable")
    }

    /// Should it be there on this node?
    #[must_use]
    pub fn is_for(&self, node: &NodeName) -> bool {
        let nodes = self.nodes();
        !self.is_disabled() && (nodes.is_empty() || nodes.contains(node.as_str()))
    }

    /// PVE writes lists in any order, with whatever may stand between their parts.
    fn list(&self, key: &str) -> BTreeSet<&str> {
        let value = self.properties.get(key).map_or("", String::as_str);
        let parts = value.split([',', ';', ' ', '\t', '\0']);
        parts.filter(|part| !part.is_empty()).collect()
    }
}
