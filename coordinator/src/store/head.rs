//! The small file beside the store that says how much there must be in it. sled opens silently shortened after damage;
//! with this, a missing tail shows.

use std::path::Path;

use quorate_engine::ports::JournalError;
use serde::{Deserialize, Serialize};

use super::frame::{GENESIS, Link};
use crate::documents::{self, DocumentError};
use crate::trust::sentence;

/// Where the journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// How many frames there are.
    pub(super) count: u64,
    /// The digest of the last one.
    pub(super) last: Link,
}

impl Head {
    /// Of an empty journal.
    pub(super) const EMPTY: Self = Self {
        count: 0,
        last: GENESIS,
    };

    /// Reads it; `None`: there is none.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, JournalError> {
        documents::load(path).map_err(|error| match error {
            DocumentError::Damaged { .. } => JournalError::Damaged(sentence(&error)),
            other => JournalError::Read(sentence(&other)),
        })
    }

    /// Replaces it, durably.
    pub(super) fn save(&self, path: &Path) -> Result<(), JournalError> {
        documents::save(path, self).map_err(|error| JournalError::Write(sentence(&error)))
    }
}
