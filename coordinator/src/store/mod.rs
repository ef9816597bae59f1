//! The rollout journal's store: the only place that knows sled.
//!
//! sled 0.34 promises less than a journal needs: its flush is no fsync, and after damage it opens with a part of the
//! records and no word about it. So every append is synced here, every record carries the digest of the one before it,
//! and a head file says where the chain ends. What does not agree is damage: the store is moved aside, never deleted,
//! and the servers are asked instead.

mod frame;
mod head;
mod journal;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use quorate_clock::Clock;
use quorate_engine::ports::{Journal, JournalError, Recorded};
use quorate_model::rollout::{Entry, Record};
use quorate_model::{Code, Finding, RolloutId, Timestamp};
use tokio::sync::{mpsc, oneshot};

use self::journal::SledJournal;

/// Appends that may wait for the disk at once; who comes later waits to ask.
const QUEUE: usize = 64;

/// What a damaged journal's directory is called from then on, before the time.
const DAMAGED: &str = "journal.damaged-";

/// The journal, as everybody but its thread sees it. Clones reach the same one.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    requests: mpsc::Sender<Request>,
}

/// A journal that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The journal.
    pub(crate) store: Store,
    /// Its thread: ends after the last clone of the store is gone.
    pub(crate) thread: JoinHandle<()>,
    /// How the journal that was there was damaged, if it was.
    pub(crate) damage: Option<String>,
}

#[derive(Debug)]
enum Request {
    Append {
        rollout: RolloutId,
        record: Record,
        answer: oneshot::Sender<Result<Entry, JournalError>>,
    },
    Load {
        rollout: RolloutId,
        answer: oneshot::Sender<Result<Vec<Entry>, JournalError>>,
    },
    Rollouts {
        answer: oneshot::Sender<Vec<RolloutId>>,
    },
}

impl Store {
    /// Opens the journal in `dir` on a thread of its own. A damaged one is moved aside and an empty one takes its place;
    /// the way it was damaged stands in the answer.
    pub(crate) fn open(dir: &Path, expected: bool, clock: Clock) -> Result<Opened, JournalError> {
        let (journal, damage) = match SledJournal::open(dir, expected) {
            Ok(journal) => (journal, None),
            Err(JournalError::Damaged(reason)) => {
                move_aside(dir, &clock)?;
                (SledJournal::open(dir, false)?, Some(reason))
            }
            Err(other) => return Err(other),
        };
        let (requests, inbox) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || serve(journal, inbox, &clock))
            .map_err(|error| JournalError::Read(format!("can't start its thread: {error}")))?;
        Ok(Opened {
            store: Self { requests },
            thread,
            damage,
        })
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, JournalError> {
        let gone = || JournalError::Read("the journal's thread has ended".to_owned());
        let (answer, reply) = oneshot::channel();
        self.requests.send(make(answer)).await.map_err(|_| gone())?;
        reply.await.map_err(|_| gone())
    }
}

impl Journal for Store {
    async fn append(&self, rollout: &RolloutId, record: Record) -> Result<Recorded, JournalError> {
        let rollout = rollout.clone();
        let entry = self
            .ask(|answer| Request::Append {
                rollout,
                record,
                answer,
            })
            .await??;
        Ok(Recorded { entry })
    }

    async fn load(&self, rollout: &RolloutId) -> Result<Vec<Entry>, JournalError> {
        let rollout = rollout.clone();
        self.ask(|answer| Request::Load { rollout, answer }).await?
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, JournalError> {
        self.ask(|answer| Request::Rollouts { answer }).await
    }
}

fn serve(mut journal: SledJournal, mut inbox: mpsc::Receiver<Request>, clock: &Clock) {
    while let Some(request) = inbox.blocking_recv() {
        // Whoever asked may have gone away; what was asked for is done all the same.
        match request {
            Request::Append {
                rollout,
                record,
                answer,
            } => {
                drop(answer.send(journal.append(&rollout, Timestamp(clock.unix_micros()), record)));
            }
            Request::Load { rollout, answer } => drop(answer.send(journal.load(&rollout))),
            Request::Rollouts { answer } => drop(answer.send(journal.rollouts().to_vec())),
        }
    }
}

fn move_aside(dir: &Path, clock: &Clock) -> Result<(), JournalError> {
    let time: String = Timestamp(clock.unix_micros())
        .to_string()
        .chars()
        .filter(|c| !matches!(c, '-' | ':'))
        .collect();
    let failed = |error: std::io::Error| JournalError::Write(format!("can't move {} aside: {error}", dir.display()));
    if !dir.exists() {
        // It is gone altogether. An empty directory under the name says so for as long as nobody clears it away.
        std::fs::create_dir(dir).map_err(failed)?;
    }
    // A name that is free: two within a second would otherwise be an error of our own.
    let aside = (0..100)
        .map(|n| {
            dir.with_file_name(if n == 0 {
                format!("{DAMAGED}{time}")
            } else {
                format!("{DAMAGED}{time}-{n}")
            })
        })
        .find(|path| !path.exists())
        .ok_or_else(|| JournalError::Write("there are too many damaged journals".to_owned()))?;
    std::fs::rename(dir, &aside).map_err(failed)?;
    tracing::error!(aside = %aside.display(), "the rollout journal is damaged; it was moved aside");
    Ok(())
}

/// A finding for each damaged journal that was moved aside and not yet cleared away.
pub(crate) fn damage_findings(state: &Path) -> Vec<Finding> {
    let mut aside: Vec<PathBuf> = std::fs::read_dir(state)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(DAMAGED))
        })
        .collect();
    aside.sort();
    aside
        .into_iter()
        .map(|path| {
            Finding::new(
                Code::JournalDamaged,
                "",
                format!("a damaged rollout journal was moved to {}: rollouts before that are not known here", path.display()),
                "look at the servers: quorate status --fresh; apply the cluster file again: it goes on from what is seen; \
                 then move the directory away",
            )
        })
        .collect()
}
