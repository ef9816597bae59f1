//! What an operator says beside the cluster file: consents, words that nobody can observe, and how much of the plan.

use std::str::FromStr;

use quorate_model::guest_ids::ReplicaRef;
use quorate_model::ids::{DiskRef, InvalidName, NodeName, StepId, StorageName};
use quorate_model::{Code, Wish};

/// Options that `plan` and `apply` share.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// Go on in spite of this finding; only for codes that allow it, and recorded
    #[arg(long = "accept", value_name = "CODE")]
    accept: Vec<Code>,
    /// Take this member, which the file no longer names, out of the cluster for good
    #[arg(long, value_name = "NODE")]
    remove: Vec<NodeName>,
    /// My word that this server is switched off for good
    #[arg(long, value_name = "NODE")]
    is_off: Vec<NodeName>,
    /// Undo the unfinished join of this server instead of finishing it
    #[arg(long, value_name = "NODE")]
    undo_join: Vec<NodeName>,
    /// Everything on this disk may go: its server and its stable name, as `quorate disks` shows it; or, written as replica:GUEST@NODE, the copy of a
    /// guest on a server. --yes never says that
    #[arg(long, value_name = "NODE:DISK")]
    destroy: Vec<Destroyed>,
    /// The password of this storage is given with the word to apply: asked for without echo or, where stdin is no terminal, read from it,
    /// a line for each storage by name
    #[arg(long, value_name = "STORAGE")]
    password: Vec<StorageName>,
    /// Only the steps of this part (cluster, link, qdevice, ha, firewall, packages, agent, zfs, storage, options, replication), and what they need
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Only this step, and what it needs
    #[arg(long, value_name = "STEP")]
    until: Option<StepId>,
}

/// What may go.
#[derive(Debug, Clone)]
enum Destroyed {
    Disk(DiskRef),
    Replica(ReplicaRef),
}

impl Destroyed {
    fn disk(&self) -> Option<&DiskRef> {
        match self {
            Self::Disk(disk) => Some(disk),
            Self::Replica(_) => None,
        }
    }

    fn replica(&self) -> Option<&ReplicaRef> {
        match self {
            Self::Replica(replica) => Some(replica),
            Self::Disk(_) => None,
        }
    }
}

impl FromStr for Destroyed {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.starts_with(ReplicaRef::PREFIX) {
            text.parse().map(Self::Replica)
        } else {
            text.parse().map(Self::Disk)
        }
    }
}

impl Options {
    pub(crate) fn accepted(&self) -> Vec<String> {
        self.accept.iter().map(|code| code.as_str().to_owned()).collect()
    }

    pub(crate) fn wish(&self) -> Wish {
        Wish {
            remove: self.remove.iter().cloned().collect(),
            is_off: self.is_off.iter().cloned().collect(),
            undo_join: self.undo_join.iter().cloned().collect(),
            destroy: self.destroy.iter().filter_map(Destroyed::disk).cloned().collect(),
            destroy_replicas: self.destroy.iter().filter_map(Destroyed::replica).cloned().collect(),
            passwords: self.password.iter().cloned().collect(),
            only: self.only.clone(),
            until: self.until.clone(),
            ..Wish::default()
        }
    }
}
