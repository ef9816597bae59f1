//! The run loop: begins and resumes a rollout alike, one task for each step that is under way.

mod advice;
mod contact;
mod observe;
mod report;
mod scheduler;
mod shared;
mod step;

use std::sync::Arc;

use quorate_model::finding::Finding;
use quorate_model::ids::{Generation, InvalidName, RolloutId};
use quorate_model::rollout::{Progress, RolloutResult};
use tokio::sync::{broadcast, watch};

use crate::log::{IllegalRecord, RolloutState};
use crate::patience::Patience;
use crate::ports::{Agents, Clock, Journal, JournalError, Permit};
use scheduler::Scheduler;
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
    /// Whether the cluster may be disturbed.
    pub permit: Arc<dyn Permit>,
    /// How long to wait for what.
    pub patience: Patience,
}

impl<J, A, C> Clone for Ports<J, A, C> {
    fn clone(&self) -> Self {
        Self {
            journal: Arc::clone(&self.journal),
            agents: Arc::clone(&self.agents),
            clock: Arc::clone(&self.clock),
            permit: Arc::clone(&self.permit),
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
/// Its first record ([`Record::Created`](quorate_model::rollout::Record::Created)) must be in the journal. `cancel` says who wants it to stop between steps. Dropping the future
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
    for (number, step) in plan.steps.iter().enumerate() {
        crate::operation_id::of_number(rollout, number, step, u32::MAX).map_err(RunError::Name)?;
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
    Scheduler::new(shared).drive().await
}
