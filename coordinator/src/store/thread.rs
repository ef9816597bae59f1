//! The journal's thread: the only one that touches sled, from its opening on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use quorate_clock::Clock;
use quorate_engine::ports::JournalError;
use quorate_model::rollout::{Entry, Record};
use quorate_model::{JournalAnchor, RolloutId, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};

use super::journal::{SledJournal, broke};
use super::{Seen, aside};

/// What the thread is asked.
#[derive(Debug)]
pub(super) enum Request {
    Append {
        rollout: RolloutId,
        record: Box<Record>,
        answer: oneshot::Sender<Result<Entry, JournalError>>,
    },
    Load {
        rollout: RolloutId,
        answer: oneshot::Sender<Result<Vec<Entry>, JournalError>>,
    },
    Rollouts {
        answer: oneshot::Sender<Vec<RolloutId>>,
    },
    Anchor {
        position: u64,
        answer: oneshot::Sender<Result<Option<JournalAnchor>, JournalError>>,
    },
    BeginAnew {
        reason: String,
        answer: oneshot::Sender<Result<(), JournalError>>,
    },
}

/// The thread's two ends.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) inbox: mpsc::Receiver<Request>,
    pub(super) say: watch::Sender<Seen>,
}

type Opened = std::sync::mpsc::Sender<Result<Option<String>, JournalError>>;

/// Opens the journal, says how that went, and answers until nobody can ask any more.
pub(super) fn run(dir: &Path, expected: bool, clock: &Clock, opened: &Opened, requests: Requests) {
    let (mut journal, damage) = match open(dir, expected, clock) {
        Ok(opened) => opened,
        Err(error) => return drop(opened.send(Err(error))),
    };
    let Requests { mut inbox, say } = requests;
    say.send_replace(seen(&journal));
    if opened.send(Ok(damage)).is_err() {
        return;
    }
    let mut begun_anew = false;
    while let Some(request) = inbox.blocking_recv() {
        // Whoever asked may have gone away; what was asked for is done all the same.
        match request {
            Request::Append {
                rollout,
                record,
                answer,
            } => {
                let at = Timestamp(clock.unix_micros());
                // A rollout of the journal that was moved aside may still be driven for a moment: it must not write its middle
                // into the new one.
                let lost = begun_anew && !journal.has(&rollout) && !matches!(*record, Record::Created { .. });
                let result = if lost {
                    Err(JournalError::Damaged(format!(
                        "the journal of rollout {rollout} was lost"
                    )))
                } else {
                    guarded(|| journal.append(&rollout, at, *record))
                };
                if result.is_ok() {
                    say.send_replace(seen(&journal));
                }
                drop(answer.send(result));
            }
            Request::Load { rollout, answer } => drop(answer.send(guarded(|| journal.load(&rollout)))),
            Request::Rollouts { answer } => drop(answer.send(journal.rollouts().to_vec())),
            Request::Anchor { position, answer } => drop(answer.send(guarded(|| journal.anchor(position)))),
            Request::BeginAnew { reason, answer } => {
                // Closed before its directory gets another name.
                drop(journal);
                match begin_anew(dir, clock, &reason) {
                    Ok(new) => {
                        journal = new;
                        begun_anew = true;
                        say.send_replace(seen(&journal));
                        drop(answer.send(Ok(())));
                    }
                    // Without a journal nothing is driven: from now on every request is told that the thread has ended.
                    Err(error) => return drop(answer.send(Err(error))),
                }
            }
        }
    }
}

fn open(dir: &Path, expected: bool, clock: &Clock) -> Result<(SledJournal, Option<String>), JournalError> {
    match guarded(|| SledJournal::open(dir, expected)) {
        Ok(journal) => Ok((journal, None)),
        Err(JournalError::Damaged(reason)) => begin_anew(dir, clock, &reason).map(|journal| (journal, Some(reason))),
        Err(other) => Err(other),
    }
}

fn begin_anew(dir: &Path, clock: &Clock, reason: &str) -> Result<SledJournal, JournalError> {
    aside::move_aside(dir, clock, reason)?;
    guarded(|| SledJournal::open(dir, false))
}

/// A panic inside sled is damage: it checks some of its own format with assertions.
fn guarded<T>(work: impl FnOnce() -> Result<T, JournalError>) -> Result<T, JournalError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(broke()))
}

fn seen(journal: &SledJournal) -> Seen {
    let newest = guarded(|| journal.newest()).unwrap_or_else(|error| {
        // What was just written or checked can be read; if not, agents keep what they had.
        tracing::error!(%error, "the newest record can't be read");
        None
    });
    Seen {
        name: journal.name().cloned(),
        newest,
    }
}
