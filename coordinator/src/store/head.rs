//! The small file beside the store that says how much there must be in it. sled opens silently shortened after damage;
//! with this, a missing tail shows.

use std::path::Path;

use data_encoding::HEXLOWER;
use quorate_engine::ports::JournalError;
use quorate_identity::FileError;
use quorate_model::JournalId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::frame::{GENESIS, Link};
use crate::documents::{self, DocumentError};
use crate::trust::sentence;

/// Where the journal ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// The journal's name.
    pub(super) journal: Option<JournalId>,
    /// How many frames there are.
    pub(super) count: u64,
    /// The digest of the last one.
    pub(super) last: Link,
}

/// The file: a head, and a digest over it. A changed letter must not become another journal's name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    head: Head,
    sha256: String,
}

impl Stored {
    fn of(head: &Head) -> Self {
        let name = head.journal.as_ref().map_or("", |name| name.as_str());
        let text = format!("{name} {} {}", head.count, HEXLOWER.encode(&head.last));
        Self {
            head: head.clone(),
            sha256: HEXLOWER.encode(&Sha256::digest(text)),
        }
    }
}

impl Head {
    /// Of an empty journal without a name.
    pub(super) const EMPTY: Self = Self {
        journal: None,
        count: 0,
        last: GENESIS,
    };

    /// Of a new journal. Its name is never given twice: agents remember it.
    pub(super) fn new() -> Result<Self, JournalError> {
        let name = format!("{:016x}", rand::random::<u64>());
        let journal = JournalId::new(name).map_err(|error| JournalError::Write(error.to_string()))?;
        Ok(Self {
            journal: Some(journal),
            ..Self::EMPTY
        })
    }

    /// Reads it; `None`: there is none.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, JournalError> {
        let stored: Option<Stored> = documents::load(path).map_err(|error| match error {
            DocumentError::Damaged { .. } | DocumentError::File(FileError::NotText { .. }) => {
                JournalError::Damaged(sentence(&error))
            }
            other => JournalError::Read(sentence(&other)),
        })?;
        stored.map_or(Ok(None), |stored| {
            if Stored::of(&stored.head).sha256 == stored.sha256 {
                Ok(Some(stored.head))
            } else {
                Err(JournalError::Damaged(
                    "its head file is not as it was written".to_owned(),
                ))
            }
        })
    }

    /// Replaces it, durably.
    pub(super) fn save(&self, path: &Path) -> Result<(), JournalError> {
        documents::save(path, &Stored::of(self)).map_err(|error| JournalError::Write(sentence(&error)))
    }
}
