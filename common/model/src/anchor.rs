//! Where a coordinator's journal ended when it asked an agent for something. Agents keep the newest: a journal that has
//! become shorter, or another one, shows when it is compared with them.

use serde::{Deserialize, Serialize};

use crate::ids::{FrameDigest, JournalId, RolloutId};

/// The newest record of a rollout journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalAnchor {
    /// Which journal.
    pub journal: JournalId,
    /// The record's number in the whole journal, from 0.
    pub position: u64,
    /// The digest of its frame, which covers all before it.
    pub digest: FrameDigest,
    /// The rollout that it belongs to.
    pub rollout: RolloutId,
    /// Its number within the rollout, from 0.
    pub sequence: u64,
}
