//! Operations: accepted once, run to their end whatever happens to us, told to whoever asks.

mod actions;
mod context;
mod follow;
mod join_secret;
mod log;
mod passed;
mod patience;
mod perform;
mod redact;
mod run_op;
mod secret;
mod supervisor;
mod tail;

pub mod folder;
pub mod task;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quorate_model::ids::{Driver, NodeName, OperationId};
use quorate_model::operation::{Action, Operation, OperationEventKind, Outcome, rules};
use quorate_model::{Code, Finding, JournalAnchor};
use tokio::sync::Mutex;

use crate::config::Policy;
use crate::errors::chain;
use crate::guard;
use crate::host::Host;
use crate::ledger::{Content, Ledger, LedgerError};
use crate::pace::Pace;
use context::Context;
use folder::{Folder, FolderError};
use patience::Patience;
use perform::{Start, perform};

#[cfg(test)]
pub(crate) use actions::testing;
pub use join_secret::{InvalidSecret, JoinSecret, line as secret_line};
pub use log::{EventLog, Follower};
pub use passed::Passed;
pub use run_op::{RunOpError, run_op};
pub use supervisor::{Place, StartError, Supervisor};

/// An end that could not be written down is tried again after this long, then ever more rarely.
const NOTE_AGAIN_AFTER: Duration = Duration::from_millis(500);
const NOTE_AGAIN_AT_LEAST_EVERY: Duration = Duration::from_secs(60);

/// Why an operation is not taken on, or not to be had.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A rule stands against it.
    #[error("refused: {}", .0.message)]
    Finding(Box<Finding>),
    /// The request makes no sense.
    #[error("{0}")]
    Request(String),
    /// Nobody has heard of it.
    #[error("operation {0} is not known on this node")]
    NotKnown(OperationId),
    /// The ledger can't be written, and without it nothing is begun.
    #[error("the ledger can't be used")]
    Ledger(#[from] LedgerError),
    /// The operation's folder can't be used.
    #[error("the operation's folder can't be used")]
    Folder(#[from] FolderError),
}

impl From<Box<Finding>> for Refused {
    fn from(finding: Box<Finding>) -> Self {
        Self::Finding(finding)
    }
}

/// All operations of this node. Clones share them.
#[derive(Debug, Clone)]
pub struct Operations {
    shared: Arc<Shared>,
}

/// What operations are made with.
#[derive(Debug)]
pub struct Parts {
    /// The machine.
    pub host: Arc<Host>,
    /// The name under which it is enrolled.
    pub node: NodeName,
    /// Where the folders lie.
    pub state_dir: PathBuf,
    /// Where they are written down.
    pub ledger: Ledger,
    /// What the node allows.
    pub policy: Policy,
    /// How fast everything goes.
    pub pace: Pace,
    /// How tools are started.
    pub supervisor: Supervisor,
}

#[derive(Debug)]
struct Shared {
    parts: Parts,
    /// Those that run. Held while one is accepted, so that nobody finds it in the ledger and not here.
    live: Mutex<BTreeMap<OperationId, Live>>,
}

/// An operation that runs.
#[derive(Debug, Clone)]
struct Live {
    log: EventLog,
    /// Another one waits for its place: if its tool does nothing but wait, it is to end.
    give_way: Arc<AtomicBool>,
}

/// What the ledger says to a request.
enum Verdict {
    Known,
    New { forgotten: Vec<OperationId> },
}

impl Operations {
    /// Over the given parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            shared: Arc::new(Shared {
                parts,
                live: Mutex::default(),
            }),
        }
    }

    /// Does the node's administrator allow changes at all?
    #[must_use]
    pub fn allow_changes(&self) -> bool {
        self.shared.parts.policy.allow_changes
    }

    /// Where the agent keeps what it must not forget.
    #[must_use]
    pub fn state_dir(&self) -> &std::path::Path {
        &self.shared.parts.state_dir
    }

    /// What the node's own policy says to an action.
    ///
    /// # Errors
    /// It forbids it.
    pub fn allows(&self, action: quorate_model::operation::ActionKind) -> Result<(), Refused> {
        let parts = &self.shared.parts;
        Ok(guard::check_policy(&parts.policy, action, parts.node.as_str())?)
    }

    /// What it says to join tickets: who has one is root in the cluster.
    ///
    /// # Errors
    /// It forbids all changes.
    pub fn allows_tickets(&self) -> Result<(), Refused> {
        self.allows(quorate_model::operation::ActionKind::JoinCluster)
    }

    /// Takes up what the ledger says is not over. Returns how many.
    pub async fn resume(&self) -> usize {
        let shared = &self.shared;
        let content = shared.parts.ledger.content();
        let mut live = shared.live.lock().await;
        let mut count = 0;
        for entry in content.running() {
            let operation = entry.operation.clone();
            tracing::info!(operation = %operation.id, "taking up an operation that has not ended");
            match shared.open(&operation) {
                Ok((folder, log)) => {
                    let give_way = Arc::new(AtomicBool::new(false));
                    let running = Live { log, give_way };
                    live.insert(operation.id.clone(), running.clone());
                    shared.run(operation, folder, running, Start::Again);
                    count += 1;
                }
                Err(error) => {
                    let reason = format!("its folder can't be used: {}", chain(&error));
                    shared.note_end_meanwhile(operation.id, Outcome::Unknown { reason, over: false });
                }
            }
        }
        count
    }

    /// Begins an operation for a driver whose journal ends there, or attaches to it if its id is known; follows it from
    /// its first event. One that `restores` what an earlier one did for a time is not held up by a freeze or a closed window.
    ///
    /// # Errors
    /// See [`Refused`]. Nothing was begun then.
    pub async fn execute(
        &self,
        driver: (Driver, Option<JournalAnchor>),
        (operation, restores): (Operation, bool),
        passed: Option<Passed>,
    ) -> Result<Follower, Refused> {
        let shared = Arc::clone(&self.shared);
        let id = operation.id.clone();
        // In a task of its own: a caller that goes away can't leave an operation accepted and not begun.
        let accepting = tokio::spawn(async move { shared.accept(driver, (operation, restores), passed).await });
        accepting.await.map_err(|_| LedgerError::Writer)??;
        self.attach(&id, 0).await
    }

    /// What is written down. Whatever is being accepted is waited for: who is told that an operation is not there may send another.
    pub async fn ledger(&self) -> Arc<Content> {
        let _nothing_is_being_accepted = self.shared.live.lock().await;
        self.shared.parts.ledger.content()
    }

    /// Follows a known operation from an event on.
    ///
    /// # Errors
    /// It is not known, or its events can't be read.
    pub async fn attach(&self, id: &OperationId, from: u64) -> Result<Follower, Refused> {
        let shared = &self.shared;
        if let Some(running) = shared.live.lock().await.get(id) {
            return Ok(running.log.follow(from));
        }
        let content = shared.parts.ledger.content();
        let entry = content.entry(id).ok_or_else(|| Refused::NotKnown(id.clone()))?;
        let folder = Folder::of(&shared.parts.state_dir, id);
        let log = EventLog::read_only(&folder, shared.parts.host.clock().clone())?;
        if !log.has(|kind| matches!(kind, OperationEventKind::Ended(_))) {
            let reason = "its end can't be written down; see the agent's log".to_owned();
            let outcome = entry
                .outcome
                .clone()
                .unwrap_or(Outcome::Unknown { reason, over: false });
            log.say(OperationEventKind::Ended(outcome));
        }
        Ok(log.follow(from))
    }
}

impl Shared {
    async fn accept(
        self: Arc<Self>,
        (driver, anchor): (Driver, Option<JournalAnchor>),
        (operation, restores): (Operation, bool),
        passed: Option<Passed>,
    ) -> Result<(), Refused> {
        let folder = Folder::of(&self.parts.state_dir, &operation.id);
        let (node, policy) = (self.parts.node.clone(), self.parts.policy.clone());
        let (asked, now) = (operation.clone(), self.parts.host.now());
        let needs = actions::of(&operation.action).needs();
        let lacks = needs.filter(|kind| !kind.is_kind_of(passed.as_ref()));
        let mut live = self.live.lock().await;
        let verdict = self.parts.ledger.change(move |content| {
            guard::admit(content, &driver, node.as_str())?;
            guard::note_anchor(content, driver.generation, anchor, node.as_str())?;
            if let Some(entry) = content.entry(&asked.id) {
                let same = entry.operation == asked;
                let other = || Refused::Request(format!("operation {} is known, and is another action", asked.id));
                return if same { Ok(Verdict::Known) } else { Err(other()) };
            }
            // Before anything about the request itself: what is forbidden is forbidden however it is asked for.
            guard::check_policy(&policy, asked.action.kind(), node.as_str())?;
            guard::check_fault(&policy, &asked.action, node.as_str())?;
            if let Some(kind) = lacks {
                let message = format!("this action needs {}, and none came with it", kind.as_str());
                return Err(Refused::Request(message));
            }
            guard::check_hold(content, (asked.action.kind(), restores), node.as_str(), now)?;
            guard::check_idle(content, node.as_str())?;
            Ok::<_, Refused>(Verdict::New {
                forgotten: content.accept(asked, now),
            })
        });
        let forgotten = match verdict.await {
            Ok(Verdict::New { forgotten }) => forgotten,
            Ok(Verdict::Known) => return Ok(()),
            Err(Refused::Finding(finding)) if finding.code == Code::NodeBusy => {
                // Nothing else stands against it.
                self.ask_to_give_way(&operation, &live);
                return Err(Refused::Finding(finding));
            }
            Err(refused) => return Err(refused),
        };
        self.forget(&forgotten);
        match self.prepare(&operation, &folder) {
            Ok((folder, log, began_before)) => {
                log.say(OperationEventKind::Accepted);
                let give_way = Arc::new(AtomicBool::new(false));
                let running = Live { log, give_way };
                live.insert(operation.id.clone(), running.clone());
                let start = if began_before {
                    Start::Again
                } else {
                    Start::Fresh(passed)
                };
                self.run(operation, folder, running, start);
                Ok(())
            }
            Err(error) => {
                let message = format!("nothing was done: its folder can't be used: {}", chain(&error));
                let next = "look at the disk that holds the agent's state directory on the node";
                let findings = vec![Finding::new(Code::StepFailed, self.parts.node.as_str(), message, next)];
                let unchanged = true;
                self.note_end_meanwhile(operation.id, Outcome::Failed { findings, unchanged });
                Err(error.into())
            }
        }
    }

    /// A join that waits for quorum, for which `pvecm add` has no limit, gives way to what finishes or undoes it: who asked for that is
    /// refused as long as it runs, and asks again.
    fn ask_to_give_way(&self, operation: &Operation, live: &BTreeMap<OperationId, Live>) {
        let (Action::FinishJoin { cluster, .. } | Action::AbandonJoin { cluster }) = &operation.action else {
            return;
        };
        for entry in self.parts.ledger.content().running() {
            let joins =
                matches!(&entry.operation.action, Action::JoinCluster { cluster: joined, .. } if joined == cluster);
            if let (true, Some(running)) = (joins, live.get(&entry.operation.id)) {
                running.give_way.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Makes the folder. If there is one under this id, the ledger was lost: what was begun is followed, never run twice.
    fn prepare(&self, operation: &Operation, folder: &Folder) -> Result<(Folder, EventLog, bool), FolderError> {
        let began_before = folder.request()?.is_some();
        if !began_before {
            folder.remove()?;
        }
        let (folder, log) = self.open(operation)?;
        Ok((folder, log, began_before))
    }

    fn open(&self, operation: &Operation) -> Result<(Folder, EventLog), FolderError> {
        let folder = Folder::of(&self.parts.state_dir, &operation.id);
        folder.create()?;
        let log = EventLog::open(&folder, self.parts.host.clock().clone())?;
        Ok((folder, log))
    }

    fn forget(&self, ids: &[OperationId]) {
        for id in ids {
            if let Err(error) = Folder::of(&self.parts.state_dir, id).remove() {
                tracing::warn!(operation = %id, %error, "the folder of a forgotten operation stays behind");
            }
        }
    }

    fn run(self: &Arc<Self>, operation: Operation, folder: Folder, running: Live, start: Start) {
        let shared = Arc::clone(self);
        let (id, log) = (operation.id.clone(), running.log.clone());
        tokio::spawn(async move {
            let outcome = whatever_happens(Arc::clone(&shared).perform(operation, folder, running, start)).await;
            tracing::info!(operation = %id, ?outcome, "an operation has ended");
            if !shared.note_end(&id, &outcome).await {
                log.say(OperationEventKind::Verifying {
                    waiting_for: "its end is written down (is the disk with the agent's state directory full?)".into(),
                });
                shared.keep_noting(&id, &outcome).await;
            }
            log.say(OperationEventKind::Ended(outcome));
            shared.live.lock().await.remove(&id);
        });
    }

    async fn perform(self: Arc<Self>, operation: Operation, folder: Folder, running: Live, start: Start) -> Outcome {
        let parts = &self.parts;
        let deadline = rules(operation.action.kind()).deadline;
        let mut ctx = Context {
            host: &parts.host,
            pace: parts.pace,
            supervisor: &parts.supervisor,
            node: &parts.node,
            operation: &operation,
            folder: &folder,
            log: &running.log,
            give_way: &running.give_way,
            secret: None,
            patience: Patience::new(parts.host.clock().clone(), parts.pace, deadline),
        };
        perform(&mut ctx, start).await
    }

    /// Tries until it is written down, ever more rarely.
    async fn keep_noting(&self, id: &OperationId, outcome: &Outcome) {
        let mut pause = NOTE_AGAIN_AFTER;
        while !self.note_end(id, outcome).await {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(NOTE_AGAIN_AT_LEAST_EVERY);
        }
    }

    fn note_end_meanwhile(self: &Arc<Self>, id: OperationId, outcome: Outcome) {
        let shared = Arc::clone(self);
        tokio::spawn(async move { shared.keep_noting(&id, &outcome).await });
    }

    /// Writes an end down; `false`: it could not be. Until it is, the operation counts as running.
    async fn note_end(&self, id: &OperationId, outcome: &Outcome) -> bool {
        let (note, outcome, now) = (id.clone(), outcome.clone(), self.parts.host.now());
        let noted = self.parts.ledger.change(move |content| {
            content.end(&note, outcome, now);
            Ok::<_, LedgerError>(())
        });
        let noted = noted.await;
        if let Err(error) = &noted {
            tracing::error!(operation = %id, error = chain(error), "the end of an operation could not be written down");
        }
        noted.is_ok()
    }
}

/// The outcome, also where a bug of ours breaks the work off: then nobody knows, and the operation must not count as running for ever.
async fn whatever_happens(work: impl Future<Output = Outcome> + Send + 'static) -> Outcome {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => {
            let reason = format!("the agent's own work on it broke off ({error}); its tool may go on");
            Outcome::Unknown { reason, over: false }
        }
        // The agent ends, and takes it up when it is started again.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_breaks_off_ends_as_unknown() {
        let evidence = || "seen".to_owned();
        let done = whatever_happens(async move { Outcome::Done { evidence: evidence() } }).await;
        assert!(matches!(done, Outcome::Done { .. }));
        let broken = whatever_happens(async { panic!("index out of bounds") }).await;
        let Outcome::Unknown { reason, over: false } = broken else {
            panic!("{broken:?}")
        };
        assert!(reason.contains("index out of bounds"), "{reason}");
    }
}
