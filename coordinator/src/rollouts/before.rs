//! What the files of the servers were before a rollout began: for whoever has to undo it by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use quorate_model::{NodeName, NodeRef, RolloutId};
use quorate_proto::v1;
use serde::{Deserialize, Serialize};

use crate::documents::{self, DocumentError};

/// Files by node. A node whose files could not be had says why.
pub(crate) type Snapshots = BTreeMap<NodeName, Result<Vec<File>, String>>;

/// A file of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) content: Content,
}

/// What was in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Content {
    Text(String),
    Absent,
    Unknown(String),
}

impl From<v1::SnapshotFile> for File {
    fn from(file: v1::SnapshotFile) -> Self {
        use v1::snapshot_file::Content as Wire;
        let content = match file.content {
            Some(Wire::Text(text)) => Content::Text(text),
            Some(Wire::Absent(_)) => Content::Absent,
            Some(Wire::Unknown(why)) => Content::Unknown(why),
            None => Content::Unknown("the agent did not say".to_owned()),
        };
        Self {
            path: file.path,
            content,
        }
    }
}

impl From<File> for v1::SnapshotFile {
    fn from(file: File) -> Self {
        use v1::snapshot_file::{Absent, Content as Wire};
        let content = match file.content {
            Content::Text(text) => Wire::Text(text),
            Content::Absent => Wire::Absent(Absent {}),
            Content::Unknown(why) => Wire::Unknown(why),
        };
        Self {
            path: file.path,
            content: Some(content),
        }
    }
}

fn path(dir: &Path, rollout: &RolloutId) -> PathBuf {
    dir.join(format!("{rollout}.json"))
}

/// Keeps them, before the first change.
pub(crate) fn keep(dir: &Path, rollout: &RolloutId, snapshots: &Snapshots) -> Result<(), DocumentError> {
    documents::save(&path(dir, rollout), snapshots)
}

/// What was kept; `None`: nothing was.
pub(crate) fn kept(dir: &Path, rollout: &RolloutId) -> Result<Option<Snapshots>, DocumentError> {
    documents::load(&path(dir, rollout))
}

/// The nodes of a plan whose files are kept: those that it touches.
pub(crate) fn names(cluster: &quorate_model::ClusterName, nodes: &BTreeSet<NodeName>) -> BTreeSet<NodeRef> {
    nodes
        .iter()
        .map(|node| NodeRef::new(cluster.clone(), node.clone()))
        .collect()
}
