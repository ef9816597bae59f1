//! What the watcher knows of guests and their jobs. It is on the disk before anything is done about it, so that an agent that starts anew knows whose
//! a guest was before.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use quorate_identity::{FileError, write_secret_file};
use quorate_model::Timestamp;
use quorate_model::held::Held;
use serde::{Deserialize, Serialize};

/// Below the agent's own folder.
const FILE: &str = "held-copies.json";

/// Guests with jobs that hold, by id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Notes {
    /// By guest.
    pub(super) guests: BTreeMap<u32, Known>,
}

/// What is known of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// Whose it was when it was seen last.
    pub(super) owner: String,
    /// When it was first seen with that one, by this server's clock.
    pub(super) since: Timestamp,
    /// Its jobs while it is this server's own, by id.
    #[serde(default)]
    pub(super) jobs: BTreeMap<String, JobNote>,
}

/// How a job of a guest of this server stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "note")]
pub(super) enum JobNote {
    /// It has not copied from here yet, and there is nothing that it could overwrite: it was made here, or leads to no former owner.
    Fresh,
    /// It has copied from here, or its state came along with a migration.
    Settled,
    /// It is to be switched off.
    Holding {
        /// What its comment is to say.
        held: Held,
    },
    /// It was seen switched off.
    Held {
        /// What its comment says.
        held: Held,
    },
    /// It was switched on again after that: somebody decided.
    Decided,
    /// It is still switched off, and the guest is back on the server whose writes were kept: there is nothing to decide any more, and nothing copies it.
    Returned {
        /// What its comment says.
        held: Held,
    },
}

/// Why nothing could be noted.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoteError {
    /// The file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It could not be written down.
    #[error("what is known of copies could not be written down")]
    Json(#[from] serde_json::Error),
}

impl Notes {
    /// What was noted last; nothing where nothing was, or where it can't be read: then as much is held as can't be told apart.
    pub(super) fn read(state_dir: &Path) -> Self {
        let text = match fs::read_to_string(state_dir.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::default(),
            Err(error) => {
                tracing::warn!(%error, "what was known of copies can't be read");
                return Self::default();
            }
        };
        serde_json::from_str(&text)
            .inspect_err(|error| tracing::warn!(%error, "what was known of copies makes no sense"))
            .unwrap_or_default()
    }

    /// Puts it on the disk. It outlives a loss of power.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn write(&self, state_dir: &Path) -> Result<(), NoteError> {
        let text = serde_json::to_string_pretty(self)?;
        Ok(write_secret_file(&state_dir.join(FILE), &text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_outlives_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Notes::read(dir.path()), Notes::default());
        let held = Held::now("prox1", Timestamp(0));
        let jobs = [
            ("100-0", JobNote::Holding { held: held.clone() }),
            ("100-1", JobNote::Held { held: held.clone() }),
            ("100-2", JobNote::Fresh),
            ("100-3", JobNote::Decided),
            ("100-4", JobNote::Returned { held }),
        ];
        let known = Known {
            owner: "prox2".to_owned(),
            since: Timestamp(7),
            jobs: jobs.map(|(id, note)| (id.to_owned(), note)).into(),
        };
        let notes = Notes {
            guests: [(100, known)].into(),
        };
        notes.write(dir.path()).unwrap();
        assert_eq!(Notes::read(dir.path()), notes);
        fs::write(dir.path().join(FILE), "{\"guests\":{\"100\":").unwrap();
        assert_eq!(Notes::read(dir.path()), Notes::default());
    }
}
