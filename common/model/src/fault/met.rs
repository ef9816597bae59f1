//! What whoever looks for faults on a server met, and what became of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Fault;
use crate::ids::OperationId;
use crate::time::Timestamp;

/// A fault of a server's, and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetFault {
    /// The operation that caused it; `None`: nobody noted it, and it was found by the name of its table.
    pub id: Option<OperationId>,
    /// What it is; `None`: see `id`.
    pub fault: Option<Fault>,
    /// When it was about to begin, on the node's clock.
    pub begun_at: Option<Timestamp>,
    /// When it ends by itself; `None`: no timer ends it.
    pub ends_at: Option<Timestamp>,
    /// How far it was.
    pub phase: HealPhase,
    /// What was met and done, line by line.
    pub said: Vec<String>,
}

/// In which phase a fault was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealPhase {
    /// It holds: somebody has only looked.
    Holds,
    /// It was undone.
    Undone,
    /// It was undone, but late: the watchdog may reset the server all the same.
    MayReset,
    /// It was undone, and a reset is coming that nobody can call back.
    ResetComing,
    /// There was nothing: it never began, or has ended.
    NothingThere,
    /// Only a person, or a BMC, can end it.
    Person,
    /// It could not be undone.
    Failed,
}

impl HealPhase {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Holds,
        Self::Undone,
        Self::MayReset,
        Self::ResetComing,
        Self::NothingThere,
        Self::Person,
        Self::Failed,
    ];

    /// As shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "in force",
            Self::Undone => "undone",
            Self::MayReset => "undone; the watchdog may reset the server all the same",
            Self::ResetComing => "undone, but a reset is coming",
            Self::NothingThere => "nothing there",
            Self::Person => "only a person or a BMC can end it",
            Self::Failed => "could not be undone",
        }
    }
}

impl fmt::Display for HealPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
