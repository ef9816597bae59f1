//! Health events: what a live stream says changed, for `quorate status`, logs and later reports.

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::ids::NodeRef;
use crate::time::Timestamp;

/// Something that happened in the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// On the coordinator's clock.
    pub at: Timestamp,
    /// The node it is about, if it is about one.
    pub node: Option<NodeRef>,
    /// What.
    pub kind: EventKind,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum EventKind {
    /// The health stream of a node's agent came up.
    Connected,
    /// The health stream of a node's agent was lost.
    Lost {
        /// Why.
        reason: String,
    },
    /// A finding appeared.
    Raised(Finding),
    /// A finding is no longer there.
    Cleared(Finding),
}
