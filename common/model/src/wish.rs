//! What the operator asks for beside the cluster file: consents, statements that nobody can observe, and how much of the plan.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{DiskRef, NodeName, StepId};

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
    /// `--only PART`: steps whose id begins with this, and what they need.
    pub only: Option<String>,
    /// `--until STEP`: this step, and what it needs.
    pub until: Option<StepId>,
}

impl Wish {
    /// All who are to be taken out.
    pub fn removed(&self) -> impl Iterator<Item = &NodeName> {
        self.remove.iter().chain(self.replace.keys())
    }
}
