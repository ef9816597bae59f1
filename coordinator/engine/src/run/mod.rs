//! The run loop: begins and resumes a rollout alike, one task for each step that is under way.

mod contact;
mod observe;
mod report;
mod shared;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_model::finding::Finding;
use quorate_model::ids::{Generation, InvalidName, NodeName, RolloutId, StepId};
use quorate_model::rollout::{Progress, Record, RolloutResult};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use crate::log::{IllegalRecord, RolloutState};
use crate::patience::Patience;
use crate::ports::{Agents, Clock, Journal, JournalError};
use shared::Shared;

/// What a rollout is run with.
#[derive(Debug)]
pub struct Ports<J, A, C> {
    /// Where records go.
    pub journal: Arc<J>,
    /// The agents of the plan's cluster.
    pub agents: Arc<A>,
    /// Time.
    pub clock: Arc<C>,
    /// How long to wait for what.
    pub patience: Patience,
}

impl<J, A, C> Clone for Ports<J, A, C> {
    fn clone(&self) -> Self {
        Self {
            journal: Arc::clone(&self.journal),
            agents: Arc::clone(&self.agents),
            clock: Arc::clone(&self.clock),
            patience: self.patience.clone(),
        }
    }
}

/// Why a rollout is no longer driven. What agents execute goes on, and running it again takes it up where its journal ends.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// The journal can't be used. Nothing more was started.
    #[error("the rollout can't go on without its journal")]
    Journal(#[source] JournalError),
    /// The journal says what can't be.
    #[error("the rollout's journal contradicts itself")]
    Illegal(#[source] IllegalRecord),
    /// There is no such rollout.
    #[error("there is no rollout {0}")]
    NotFound(RolloutId),
    /// Another coordinator drives the agents now.
    #[error("superseded: {}", .0.message)]
    Superseded(Box<Finding>),
    /// The rollout's id is too long to name operations by.
    #[error("no operation can be named after the rollout")]
    Name(#[source] InvalidName),
    /// A step's task broke off: a bug.
    #[error("internal error while driving a step: {0}")]
    Internal(String),
}

impl From<JournalError> for RunError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl From<IllegalRecord> for RunError {
    fn from(error: IllegalRecord) -> Self {
        Self::Illegal(error)
    }
}

/// Drives a rollout from wherever its journal ends to its last record; one that is finished already just tells how.
///
/// Its first record ([`Record::Created`]) must be in the journal. `cancel` says who wants it to stop between steps. Dropping the future
/// is like a crash: nothing is lost that the journal has, and another call resumes.
///
/// # Errors
/// It is not driven any longer, and not finished.
pub async fn run_rollout<J: Journal, A: Agents, C: Clock>(
    ports: &Ports<J, A, C>,
    rollout: &RolloutId,
    generation: Generation,
    progress: broadcast::Sender<Progress>,
    cancel: watch::Receiver<Option<String>>,
) -> Result<RolloutResult, RunError> {
    let state = RolloutState::replay(&ports.journal.load(rollout).await?)?;
    if let Some((result, _)) = state.finished() {
        return Ok(result);
    }
    let plan = state
        .created()
        .map(|c| Arc::clone(&c.plan))
        .ok_or_else(|| RunError::NotFound(rollout.clone()))?;
    for step in &plan.steps {
        crate::operation_id(rollout, &plan, step, u32::MAX).map_err(RunError::Name)?;
    }
    let shared = Arc::new(Shared::new(
        ports.clone(),
        rollout.clone(),
        plan,
        generation,
        state,
        progress,
        cancel,
    ));
    let mut scheduler = Scheduler {
        shared,
        tasks: JoinSet::new(),
        nodes: BTreeMap::new(),
    };
    let result = scheduler.run().await;
    // After an error no step goes on behind the caller's back.
    scheduler.tasks.shutdown().await;
    result
}

struct Scheduler<J, A, C> {
    shared: Arc<Shared<J, A, C>>,
    tasks: JoinSet<(StepId, Result<(), RunError>)>,
    /// The node that each task occupies: one changing operation on a node at a time.
    nodes: BTreeMap<StepId, NodeName>,
}

impl<J: Journal, A: Agents, C: Clock> Scheduler<J, A, C> {
    async fn run(&mut self) -> Result<RolloutResult, RunError> {
        let mut cancel = self.shared.cancel();
        let mut listening = true;
        loop {
            self.shared.record_cancel().await?;
            self.spawn().await;
            if self.tasks.is_empty() {
                break;
            }
            tokio::select! {
                Some(joined) = self.tasks.join_next() => {
                    let (step, result) = joined.map_err(|error| RunError::Internal(error.to_string()))?;
                    self.nodes.remove(&step);
                    result?;
                }
                changed = cancel.changed(), if listening => listening = changed.is_ok(),
            }
        }
        let result = self.shared.state().await.due_result();
        self.shared.record(Record::Finished { result }).await?;
        Ok(result)
    }

    /// Takes up what was under way, then whatever may begin.
    async fn spawn(&mut self) {
        let ready: Vec<StepId> = {
            let state = self.shared.state().await;
            let begin = state.cancelled_by().is_none();
            state
                .active()
                .chain(state.runnable().filter(|_| begin))
                .cloned()
                .collect()
        };
        for id in ready {
            let Some(step) = self.shared.plan.step(&id) else {
                continue;
            };
            let busy: BTreeSet<&NodeName> = self.nodes.values().collect();
            if self.nodes.contains_key(&id) || busy.contains(&step.node) {
                continue;
            }
            self.nodes.insert(id.clone(), step.node.clone());
            let driver = step::Driver {
                shared: Arc::clone(&self.shared),
                step: step.clone(),
            };
            self.tasks.spawn(async move { (id, driver.drive().await) });
        }
    }
}
