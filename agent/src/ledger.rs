//! What the agent must not forget: who drives, which certificates are revoked, which operations it has accepted.
//!
//! It is kept in two files with the same content. Each is written whole beside the old one and renamed after an fsync,
//! one after the other; the newest whole one counts. A torn or damaged file therefore costs nothing, and a crash between
//! the two at most what nobody was told yet.

mod copies;
mod stored;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use quorate_identity::{FileError, Fingerprint, create_private_dir};
use quorate_model::Hold;
use quorate_model::ids::{Driver, OperationId};
use quorate_model::operation::{LedgerEntry, Operation, Outcome};
use quorate_model::{Generation, JournalAnchor, Timestamp};
use serde::{Deserialize, Serialize};

/// How many operations are remembered. A rollout over a big cluster has dozens; what is older than a thousand no
/// coordinator asks for.
const REMEMBERED: usize = 1000;

/// What the ledger holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content {
    /// The driver of the highest generation seen; `None` before the first.
    pub driver: Option<Driver>,
    /// Where the driver's journal ended when it last asked for something; `None` before the first.
    pub anchor: Option<Anchored>,
    /// Certificates that no longer count.
    pub revoked: Revoked,
    /// What holds disruptive operations up, as the coordinator said last.
    pub hold: Hold,
    /// Operations, oldest first.
    pub operations: Vec<LedgerEntry>,
}

/// The end of a coordinator's journal, as it told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchored {
    /// Where it ended.
    pub anchor: JournalAnchor,
    /// Under which generation it was told: within one, requests may overtake each other.
    pub generation: Generation,
}

/// Certificates that no longer count, as the coordinator pushed them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// Generation of the list.
    pub generation: u64,
    /// The certificates' SHA-256.
    pub fingerprints: BTreeSet<Fingerprint>,
}

/// Why the ledger can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A folder or file can't be made, read or written, or others may change it.
    #[error(transparent)]
    File(#[from] FileError),
    /// Both copies are there, or one is, and none is whole.
    #[error(
        "the ledger is damaged: {}; the node would forget who drives it and what it has done. \
         If the disk is sound again, move these files away; the coordinator then observes what was done",
        .0.join("; ")
    )]
    Damaged(Vec<String>),
    /// Written by a later version.
    #[error("{} has format {format}, written by a newer version of the agent; this one knows up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// The highest that this version knows.
        known: u32,
    },
    /// The content can't be put into words; never seen.
    #[error("the ledger can't be encoded")]
    Encoding(#[from] serde_json::Error),
    /// The task that writes was broken off.
    #[error("the ledger's writer ended early")]
    Writer,
}

/// The ledger, open. Clones share it.
#[derive(Debug, Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    /// What is on disk. Held for moments only.
    content: RwLock<Arc<Content>>,
    /// Revision on disk; whoever holds this writes.
    revision: tokio::sync::Mutex<u64>,
}

impl Ledger {
    /// Opens the ledger in the agent's state directory, or starts an empty one.
    ///
    /// # Errors
    /// The directory is exposed, or the ledger is damaged, or newer than this agent.
    pub fn open(state_dir: &Path) -> Result<Self, LedgerError> {
        create_private_dir(state_dir)?;
        let copies::Found {
            content,
            revision,
            heal,
        } = copies::read(state_dir)?;
        if heal {
            copies::write(state_dir, revision, &content)?;
        }
        let shared = Shared {
            dir: state_dir.to_owned(),
            content: RwLock::new(Arc::new(content)),
            revision: tokio::sync::Mutex::new(revision),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// What it holds now.
    #[must_use]
    pub fn content(&self) -> Arc<Content> {
        Arc::clone(&self.shared.content.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes it. When this returns, the change is durable; if `change` refuses, nothing happens. Whoever stops waiting
    /// does not stop the change.
    ///
    /// # Errors
    /// What `change` says, or the ledger can't be written: the change then has not happened.
    pub async fn change<T, E>(&self, change: impl FnOnce(&mut Content) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<LedgerError> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let task = async move {
            let mut revision = shared.revision.lock().await;
            let old = Arc::clone(&shared.content.read().unwrap_or_else(PoisonError::into_inner));
            let mut new = (*old).clone();
            let answer = change(&mut new)?;
            if new == *old {
                return Ok(answer);
            }
            let (next, new) = (*revision + 1, Arc::new(new));
            let (dir, content) = (shared.dir.clone(), Arc::clone(&new));
            tokio::task::spawn_blocking(move || copies::write(&dir, next, &content))
                .await
                .map_err(|_| LedgerError::Writer)??;
            *revision = next;
            *shared.content.write().unwrap_or_else(PoisonError::into_inner) = new;
            Ok(answer)
        };
        match tokio::spawn(task).await {
            Ok(result) => result,
            Err(_) => Err(LedgerError::Writer.into()),
        }
    }
}

impl Content {
    /// The entry of an operation.
    #[must_use]
    pub fn entry(&self, id: &OperationId) -> Option<&LedgerEntry> {
        self.operations.iter().find(|entry| entry.operation.id == *id)
    }

    /// The operations that have not ended.
    pub fn running(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.operations.iter().filter(|entry| entry.outcome.is_none())
    }

    /// Adds an operation. Returns the ended ones that are forgotten for it.
    pub fn accept(&mut self, operation: Operation, now: Timestamp) -> Vec<OperationId> {
        self.operations.push(LedgerEntry {
            operation,
            accepted_at: now,
            outcome: None,
            ended_at: None,
        });
        let surplus = self.operations.len().saturating_sub(REMEMBERED);
        let forgotten: Vec<OperationId> = self
            .operations
            .iter()
            .filter(|entry| entry.outcome.is_some())
            .take(surplus)
            .map(|entry| entry.operation.id.clone())
            .collect();
        self.operations.retain(|entry| !forgotten.contains(&entry.operation.id));
        forgotten
    }

    /// Notes how an operation ended. The first word counts.
    pub fn end(&mut self, id: &OperationId, outcome: Outcome, now: Timestamp) {
        let open = |entry: &&mut LedgerEntry| entry.operation.id == *id && entry.outcome.is_none();
        if let Some(entry) = self.operations.iter_mut().find(open) {
            entry.outcome = Some(outcome);
            entry.ended_at = Some(now);
        }
    }
}

/// Reads one of the two files, for tests/fuzz.
#[cfg(feature = "fuzz")]
pub(crate) fn fuzz(bytes: &[u8]) -> impl std::fmt::Debug + use<> {
    copies::fuzz(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use quorate_model::operation::Action;

    use super::*;

    fn operation(id: &str) -> Operation {
        let action = Action::CreateCluster {
            cluster: "hk1".parse().unwrap(),
            links: [].into(),
            priorities: std::collections::BTreeMap::new(),
        };
        Operation {
            id: id.parse().unwrap(),
            action,
        }
    }

    async fn accept(ledger: &Ledger, id: &str) {
        let operation = operation(id);
        ledger
            .change(|c| Ok::<_, LedgerError>(c.accept(operation, Timestamp(1))))
            .await
            .unwrap();
    }

    fn ids(ledger: &Ledger) -> Vec<String> {
        ledger
            .content()
            .operations
            .iter()
            .map(|e| e.operation.id.to_string())
            .collect()
    }

    #[tokio::test]
    async fn a_change_survives_the_loss_of_either_copy() {
        for damaged in copies::NAMES {
            for damage in ["", "{\"format\":1", "tooth of time"] {
                let dir = tempfile::tempdir().unwrap();
                let ledger = Ledger::open(dir.path()).unwrap();
                accept(&ledger, "one").await;
                accept(&ledger, "two").await;
                fs::write(dir.path().join(damaged), damage).unwrap();
                assert_eq!(
                    ids(&Ledger::open(dir.path()).unwrap()),
                    ["one", "two"],
                    "{damaged} {damage:?}"
                );
                // It has been healed: now the other one may be lost.
                for other in copies::NAMES.into_iter().filter(|name| *name != damaged) {
                    fs::remove_file(dir.path().join(other)).unwrap();
                }
                assert_eq!(
                    ids(&Ledger::open(dir.path()).unwrap()),
                    ["one", "two"],
                    "{damaged} {damage:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_changed_letter_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        accept(&ledger, "one").await;
        for name in copies::NAMES {
            let path = dir.path().join(name);
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replace("\"one\"", "\"two\"")).unwrap();
        }
        let error = Ledger::open(dir.path()).unwrap_err();
        assert!(matches!(&error, LedgerError::Damaged(all) if all.len() == 2), "{error}");
    }

    #[tokio::test]
    async fn the_newer_copy_wins_and_a_newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second] = copies::NAMES.map(|name| dir.path().join(name));
        let ledger = Ledger::open(dir.path()).unwrap();
        accept(&ledger, "one").await;
        let old = fs::read(&second).unwrap();
        accept(&ledger, "two").await;
        // As after a crash between the two copies.
        fs::write(&second, old).unwrap();
        assert_eq!(ids(&Ledger::open(dir.path()).unwrap()), ["one", "two"]);

        let text = fs::read_to_string(&first).unwrap();
        fs::write(&first, text.replacen("\"format\":1", "\"format\":9", 1)).unwrap();
        assert!(matches!(
            Ledger::open(dir.path()).unwrap_err(),
            LedgerError::Newer { format: 9, .. }
        ));
    }

    #[tokio::test]
    async fn a_refused_change_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let refused: Result<(), LedgerError> = ledger
            .change(|content| {
                content.accept(operation("one"), Timestamp(1));
                Err(LedgerError::Writer)
            })
            .await;
        assert!(refused.is_err());
        assert!(ids(&ledger).is_empty() && ids(&Ledger::open(dir.path()).unwrap()).is_empty());
    }

    #[test]
    fn the_oldest_ended_operations_are_forgotten_and_running_ones_never() {
        let mut content = Content::default();
        for number in 0..REMEMBERED {
            content.accept(operation(&format!("op-{number}")), Timestamp(1));
        }
        let done = || Outcome::Done {
            evidence: String::new(),
        };
        content.end(&"op-3".parse().unwrap(), done(), Timestamp(2));
        assert_eq!(
            content.accept(operation("next"), Timestamp(3)),
            ["op-3".parse::<OperationId>().unwrap()]
        );
        assert!(content.accept(operation("one-more"), Timestamp(3)).is_empty());
        assert_eq!(content.running().count(), REMEMBERED + 1);
    }

    #[test]
    fn a_state_directory_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = Ledger::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 0700"), "{error}");
    }
}
