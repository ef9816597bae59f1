//! What all steps of a running rollout share: the ports, and the state that is never ahead of the journal.

use std::sync::Arc;
use std::time::Duration;

use quorate_model::finding::Finding;
use quorate_model::ids::{Generation, RolloutId, StepId};
use quorate_model::operation::Outcome;
use quorate_model::plan::{Plan, Step};
use quorate_model::rollout::{Progress, Record, StopKind};
use tokio::sync::{Mutex, MutexGuard, broadcast, watch};

use super::{Ports, RunError, report};
use crate::log::{Attempt, IllegalRecord, RolloutState, StepLog};
use crate::outlook::Shape;
use crate::ports::{Agents, Clock, Journal, Recorded};

pub(super) struct Shared<J, A, C> {
    pub(super) ports: Ports<J, A, C>,
    pub(super) plan: Arc<Plan>,
    rollout: RolloutId,
    generation: Generation,
    shape: Arc<Shape>,
    state: Mutex<RolloutState>,
    progress: broadcast::Sender<Progress>,
    cancel: watch::Receiver<Option<String>>,
}

impl<J: Journal, A: Agents, C: Clock> Shared<J, A, C> {
    pub(super) fn new(
        ports: Ports<J, A, C>,
        rollout: RolloutId,
        plan: Arc<Plan>,
        generation: Generation,
        state: RolloutState,
        progress: broadcast::Sender<Progress>,
        cancel: watch::Receiver<Option<String>>,
    ) -> Self {
        Self {
            ports,
            plan,
            rollout,
            generation,
            shape: Arc::clone(state.shape()),
            state: Mutex::new(state),
            progress,
            cancel,
        }
    }

    pub(super) async fn state(&self) -> MutexGuard<'_, RolloutState> {
        self.state.lock().await
    }

    pub(super) async fn log_of(&self, step: &StepId) -> Result<StepLog, RunError> {
        let state = self.state().await;
        state
            .log_of(step)
            .cloned()
            .ok_or_else(|| RunError::Internal(format!("the plan has no step {step}")))
    }

    /// Writes a record, if it may come now; one at a time.
    pub(super) async fn record(&self, record: Record) -> Result<Recorded, RunError> {
        let mut state = self.state().await;
        self.record_in(&mut state, record).await
    }

    async fn record_in(&self, state: &mut RolloutState, record: Record) -> Result<Recorded, RunError> {
        state.may_follow(&record).map_err(|why| IllegalRecord {
            sequence: state.next_sequence(),
            why,
        })?;
        let recorded = self.ports.journal.append(&self.rollout, record).await?;
        state.apply(&recorded.entry)?;
        tracing::debug!(rollout = %self.rollout, sequence = recorded.entry.sequence, "recorded");
        self.tell(Progress::Entry(Box::new(recorded.entry.clone())));
        Ok(recorded)
    }

    fn number(&self, step: &StepId) -> usize {
        self.shape.number(step).unwrap_or(usize::MAX)
    }

    /// Does the step take back what another one did for a time? Then neither a cancel nor a frozen cluster keeps it.
    pub(super) fn is_restoring(&self, step: &StepId) -> bool {
        self.shape.is_restoring(self.number(step))
    }

    pub(super) fn is_disruptive(&self, step: &StepId) -> bool {
        self.shape.is_disruptive(self.number(step))
    }

    /// Why a step may not begin now, though all that it needs is there.
    pub(super) fn forbidden(&self, step: &StepId) -> Option<Finding> {
        if !self.shape.asks_leave(self.number(step)) {
            return None;
        }
        let now = self.ports.clock.now();
        self.ports.permit.disruptive(now).err().map(|finding| *finding)
    }

    /// Records the next attempt at a step; `None` if the rollout was cancelled, and it may not begin any more.
    pub(super) async fn intend(&self, step: &Step) -> Result<Option<(Recorded, Attempt)>, RunError> {
        let mut state = self.state().await;
        if !self.is_restoring(&step.id) && (state.cancelled_by().is_some() || self.cancelled()) {
            return Ok(None);
        }
        let number = state
            .log_of(&step.id)
            .and_then(|log| log.attempt.as_ref())
            .map_or(1, |a| a.number + 1);
        let operation = crate::operation_id::of_number(&self.rollout, self.number(&step.id), step, number)
            .map_err(RunError::Name)?;
        let attempt = Attempt {
            number,
            operation: operation.clone(),
            accepted: None,
            outcome: None,
        };
        let record = Record::Intended {
            step: step.id.clone(),
            operation,
            attempt: number,
            generation: self.generation,
        };
        Ok(Some((self.record_in(&mut state, record).await?, attempt)))
    }

    pub(super) async fn accepted(&self, step: &Step) -> Result<(), RunError> {
        self.record(Record::Accepted { step: step.id.clone() }).await.map(drop)
    }

    pub(super) async fn ended(&self, step: &Step, outcome: Outcome) -> Result<(), RunError> {
        self.record(Record::Ended {
            step: step.id.clone(),
            outcome,
        })
        .await
        .map(drop)
    }

    pub(super) async fn verified(&self, step: &Step, evidence: String) -> Result<(), RunError> {
        self.record(Record::Verified {
            step: step.id.clone(),
            evidence,
        })
        .await
        .map(drop)
    }

    pub(super) async fn stopped(
        &self,
        step: &Step,
        state: StopKind,
        mut findings: Vec<Finding>,
    ) -> Result<(), RunError> {
        if self.is_restoring(&step.id) {
            // Nothing that is said of this rollout matters more.
            findings.insert(0, report::not_restored(&self.plan, step));
        }
        findings.extend(report::aftermath(&self.plan, step));
        self.record(Record::Stopped {
            step: step.id.clone(),
            state,
            findings,
        })
        .await
        .map(drop)
    }

    /// Records that somebody wants to stop, once, and only while there is something left to stop.
    pub(super) async fn record_cancel(&self) -> Result<(), RunError> {
        let Some(by) = self.cancel.borrow().clone() else {
            return Ok(());
        };
        let mut state = self.state().await;
        let over = state.active().next().is_none() && state.runnable().is_empty();
        if state.cancelled_by().is_none() && !over {
            self.record_in(&mut state, Record::CancelRequested { by }).await?;
        }
        Ok(())
    }

    pub(super) fn cancel(&self) -> watch::Receiver<Option<String>> {
        self.cancel.clone()
    }

    /// Does somebody want the step not to begin? True too where it was recorded before a crash; never of what must be taken back.
    pub(super) async fn is_to_stop(&self, step: &StepId) -> bool {
        !self.is_restoring(step) && self.wants_to_stop().await
    }

    /// Does somebody want to stop the rollout?
    pub(super) async fn wants_to_stop(&self) -> bool {
        self.cancelled() || self.state().await.cancelled_by().is_some()
    }

    /// Returns when somebody does; without anybody left who could, nobody will.
    pub(super) async fn somebody_cancels(&self) {
        let mut cancel = self.cancel();
        if cancel.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Is it known of the newest attempt that it brought about what it was to?
    pub(super) async fn is_done(&self, step: &StepId) -> bool {
        let state = self.state().await;
        let attempt = state.log_of(step).and_then(|log| log.attempt.as_ref());
        matches!(attempt.and_then(|a| a.outcome.as_ref()), Some(Outcome::Done { .. }))
    }

    /// How long ago the agent was known to have the newest attempt, if it was.
    pub(super) async fn accepted_for(&self, step: &StepId) -> Option<Duration> {
        let state = self.state().await;
        let attempt = state.log_of(step).and_then(|log| log.attempt.as_ref());
        attempt
            .and_then(|a| a.accepted)
            .map(|at| at.age(self.ports.clock.now()))
    }

    fn cancelled(&self) -> bool {
        self.cancel.borrow().is_some()
    }

    /// Tells whoever watches; nobody has to.
    pub(super) fn tell(&self, progress: Progress) {
        // The only error is that nobody watches.
        drop(self.progress.send(progress));
    }
}
