//! The rollout journal's store: the only place that knows sled.
//!
//! sled 0.34 promises less than a journal needs: its flush is no fsync, and after damage it opens with a part of the
//! records and no word about it. So every append is synced here, every record carries the digest of the one before it,
//! and a head file says where the chain ends. What does not agree is damage: the store is moved aside, never deleted,
//! and the servers are asked instead.

mod aside;
pub(crate) mod crash;
#[cfg(test)]
mod damage_tests;
mod frame;
mod head;
mod journal;
#[cfg(test)]
mod tests;
mod thread;

use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use quorate_clock::Clock;
use quorate_engine::ports::{Journal, JournalError, Recorded};
use quorate_model::rollout::{Entry, Record};
use quorate_model::{JournalAnchor, JournalId, RolloutId};
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use self::aside::damage_findings;
#[cfg(test)]
use self::journal::SledJournal;
use self::thread::{Request, Requests};

/// Appends that may wait for the disk at once; who comes later waits to ask.
const QUEUE: usize = 64;

/// Opening reads the whole journal once. What takes longer than this is a disk that does not answer.
const OPENING: Duration = Duration::from_secs(120);

/// The journal, as everybody but its thread sees it. Clones reach the same one.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    requests: mpsc::Sender<Request>,
    seen: watch::Receiver<Seen>,
}

/// What everybody may know of the journal without asking its thread.
#[derive(Debug, Clone, Default)]
struct Seen {
    name: Option<JournalId>,
    newest: Option<JournalAnchor>,
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

impl Store {
    /// Opens the journal in `dir` on a thread of its own: should sled break off in the middle, that is damage and not our
    /// end. A damaged journal is moved aside and an empty one takes its place; the way it was damaged stands in the answer.
    pub(crate) fn open(dir: &Path, expected: bool, clock: Clock) -> Result<Opened, JournalError> {
        let (requests, inbox) = mpsc::channel(QUEUE);
        let (say, seen) = watch::channel(Seen::default());
        let (opened, opening) = std::sync::mpsc::channel();
        let dir = dir.to_owned();
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || thread::run(&dir, expected, &clock, &opened, Requests { inbox, say }))
            .map_err(|error| JournalError::Read(format!("can't start its thread: {error}")))?;
        let damage = opening
            .recv_timeout(OPENING)
            .map_err(|_| JournalError::Read("it does not open: the disk may not answer".to_owned()))??;
        Ok(Opened {
            store: Self { requests, seen },
            thread,
            damage,
        })
    }

    /// The journal's name.
    pub(crate) fn name(&self) -> Option<JournalId> {
        self.seen.borrow().name.clone()
    }

    /// Its newest record, for agents to keep; `None`: it is empty.
    pub(crate) fn newest(&self) -> Option<JournalAnchor> {
        self.seen.borrow().newest.clone()
    }

    /// What stands at a position of this journal; `None`: nothing does.
    pub(crate) async fn anchor(&self, position: u64) -> Result<Option<JournalAnchor>, JournalError> {
        self.ask(|answer| Request::Anchor { position, answer }).await?
    }

    /// Moves the journal aside, since agents know of records that it lacks, and begins an empty one. Rollouts of the old
    /// one can write nothing more.
    pub(crate) async fn begin_anew(&self, reason: &str) -> Result<(), JournalError> {
        let reason = reason.to_owned();
        self.ask(|answer| Request::BeginAnew { reason, answer }).await?
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
                record: Box::new(record),
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

/// Reads a frame, for tests/fuzz: the bytes themselves, and what they would be with a checksum that agrees.
#[cfg(feature = "fuzz")]
pub(crate) fn fuzz(bytes: &[u8]) -> Box<dyn std::fmt::Debug> {
    use frame::Frame;
    let mut sealed = bytes.to_vec();
    sealed.extend(frame::digest(bytes));
    let read = Frame::decode(&sealed);
    if let Ok((frame, _)) = &read {
        // An entry can be written in several ways; what it says must be written as it was read.
        let again = frame
            .encode()
            .map(|(bytes, _)| Frame::decode(&bytes).map(|(frame, _)| frame));
        assert_eq!(again, Ok(Ok(frame.clone())));
    }
    Box::new((Frame::decode(bytes), read))
}
