//! The small file beside the store that says how much there must be in it. sled opens silently shortened after damage;
//! with this, a missing tail shows.

use std::collections::BTreeMap;
use std::path::Path;

use data_encoding::HEXLOWER;
use quorate_engine::ports::JournalError;
use quorate_identity::FileError;
use quorate_model::JournalId;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::frame::{GENESIS, Link};
use crate::documents::{self, DocumentError};
use crate::trust::sentence;

/// The only format of the file that this version knows. It does not name itself: a file that names another one is of another version.
const FORMAT: u32 = 1;

/// Where the journal ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
struct Stored {
    head: Head,
    sha256: String,
}

/// What it says of itself before anything else is understood.
#[derive(Debug, Deserialize)]
struct Described {
    format: Option<u32>,
}

/// All fields that stand in it, with those of its head.
#[derive(Debug, Deserialize)]
struct Fields {
    head: BTreeMap<String, IgnoredAny>,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

impl Fields {
    /// One that this version does not know: who wrote it knew more.
    fn unknown(&self) -> Option<&str> {
        let heads = self.head.keys().map(String::as_str);
        let unknown_in_head = heads.filter(|name| !matches!(*name, "journal" | "count" | "last"));
        let others = self.others.keys().map(String::as_str);
        unknown_in_head
            .chain(others.filter(|name| *name != "sha256" && *name != "format"))
            .next()
    }
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

    /// Reads it; `None`: there is none. One that another version wrote is no damage: what it says beyond ours would be lost with our next
    /// record, so it is left to that version.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, JournalError> {
        let described: Option<Described> = read(path)?;
        if let Some(format) = described.and_then(|d| d.format).filter(|format| *format != FORMAT) {
            return Err(newer(&format!("it is of format {format}")));
        }
        let Some(stored) = read::<Stored>(path)? else {
            return Ok(None);
        };
        if Stored::of(&stored.head).sha256 != stored.sha256 {
            return Err(JournalError::Damaged(
                "its head file is not as it was written".to_owned(),
            ));
        }
        let fields: Option<Fields> = read(path)?;
        match fields.as_ref().and_then(Fields::unknown) {
            Some(name) => Err(newer(&format!("it has a field `{name}`"))),
            None => Ok(Some(stored.head)),
        }
    }

    /// Replaces it, durably.
    pub(super) fn save(&self, path: &Path) -> Result<(), JournalError> {
        documents::save(path, &Stored::of(self)).map_err(|error| JournalError::Write(sentence(&error)))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, JournalError> {
    documents::load(path).map_err(|error| match error {
        DocumentError::Damaged { .. } | DocumentError::File(FileError::NotText { .. }) => {
            JournalError::Damaged(sentence(&error))
        }
        other => JournalError::Read(sentence(&other)),
    })
}

/// Nothing is moved aside for that.
fn newer(what: &str) -> JournalError {
    JournalError::Read(format!(
        "its head file was written by a newer version of quorate, which has to go on with it: {what}"
    ))
}
