//! What becomes of every guest on the victim, before anything is done.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::NodeName;
use crate::observation::GuestKind;

/// A guest of the victim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestFate {
    /// Its id.
    pub guest: u32,
    /// What it is.
    pub kind: GuestKind,
    /// Its name, as far as that is known.
    pub name: Option<String>,
    /// Is it a canary of ours?
    pub canary: bool,
    /// What becomes of it.
    pub fate: GuestFateKind,
}

/// What becomes of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fate")]
pub enum GuestFateKind {
    /// It is moved off first, and back afterwards.
    MovedOff {
        /// Where it is meanwhile.
        to: NodeName,
        /// About how long each way takes, in seconds.
        seconds: u64,
    },
    /// It fails with the server, and is started again elsewhere.
    Restarted {
        /// Where: several, where HA's choice can't be told.
        on: Vec<NodeName>,
        /// How old what it is started from is at this moment; `None`: not known, or its disks are shared.
        copy_age: Option<Duration>,
        /// The oldest that its copy gets by the schedule; `None`: its disks are shared, or that is not known.
        loses_up_to: Option<Duration>,
        /// Its disks are shared: only what it has not written is lost.
        shared: bool,
    },
    /// It stays down until the server is back.
    StaysDown {
        /// Why.
        why: String,
    },
    /// It goes on, with what the fault leaves.
    GoesOn {
        /// What that is.
        what: String,
    },
    /// It does not run, and stays as it is.
    Off {
        /// Why.
        why: String,
    },
    /// Nobody can tell.
    Unknown {
        /// Why.
        reason: String,
    },
}

impl GuestFateKind {
    /// Is somebody without it because of the drill?
    #[must_use]
    pub fn is_at_risk(&self) -> bool {
        matches!(
            self,
            Self::Restarted { .. } | Self::StaysDown { .. } | Self::Unknown { .. }
        )
    }
}
