//! What a journal may say, and what it means: the state of a rollout is nothing but its records, replayed.

mod questions;

use std::collections::BTreeSet;
use std::sync::Arc;

use quorate_model::Timestamp;
use quorate_model::ids::{Generation, OperationId, StepId};
use quorate_model::operation::Outcome;
use quorate_model::plan::{Plan, Step};
use quorate_model::rollout::{Entry, Record, RolloutResult, StepState, StopKind};

use crate::outlook::{Outlook, Shape};

/// A record that may not stand where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {sequence} of the rollout is not legal: {why}")]
pub struct IllegalRecord {
    /// Its number.
    pub sequence: u64,
    /// What speaks against it.
    pub why: String,
}

/// A rollout as its journal tells it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RolloutState {
    created: Option<Created>,
    shape: Arc<Shape>,
    /// In the plan's order.
    steps: Vec<StepLog>,
    cancelled_by: Option<String>,
    finished: Option<(RolloutResult, Timestamp)>,
    next_sequence: u64,
    operations: BTreeSet<OperationId>,
    generation: Generation,
}

/// What the first record says.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// The plan as it was shown.
    pub plan: Arc<Plan>,
    /// Who asked for it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What is known of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepLog {
    /// Where it stands.
    pub state: StepState,
    /// Its newest attempt, once there is one.
    pub attempt: Option<Attempt>,
    /// How many attempts were reported to have ended other than done.
    pub failures: u32,
}

/// One attempt at a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// The operation.
    pub operation: OperationId,
    /// When the agent was known to have it.
    pub accepted: Option<Timestamp>,
    /// Its end, once reported.
    pub outcome: Option<Outcome>,
}

impl RolloutState {
    /// Replays a journal.
    ///
    /// # Errors
    /// The first record that may not stand where it stands.
    pub fn replay(entries: &[Entry]) -> Result<Self, IllegalRecord> {
        let mut state = Self::default();
        for entry in entries {
            state.apply(entry)?;
        }
        Ok(state)
    }

    /// Takes one more entry.
    ///
    /// # Errors
    /// It may not come now; nothing has changed then.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), IllegalRecord> {
        let illegal = |why: String| IllegalRecord {
            sequence: entry.sequence,
            why,
        };
        if entry.sequence != self.next_sequence {
            return Err(illegal(format!("record {} is due", self.next_sequence)));
        }
        self.may_follow(&entry.record).map_err(illegal)?;
        self.take(entry);
        self.next_sequence += 1;
        Ok(())
    }

    /// May this record come now? The one place that says what may follow what.
    ///
    /// # Errors
    /// What speaks against it.
    pub fn may_follow(&self, record: &Record) -> Result<(), String> {
        if self.finished.is_some() {
            return Err("the rollout is finished".to_owned());
        }
        if let Record::Created { .. } = record {
            return if self.created.is_none() {
                Ok(())
            } else {
                Err("the rollout was created before".to_owned())
            };
        }
        if self.created.is_none() {
            return Err("the rollout was not created yet".to_owned());
        }
        match record {
            Record::Created { .. } => Ok(()),
            Record::CancelRequested { .. } if self.cancelled_by.is_some() => Err("it was cancelled before".to_owned()),
            Record::CancelRequested { .. } => Ok(()),
            Record::Finished { result } => self.may_finish(*result),
            Record::Intended { step, .. }
            | Record::Accepted { step }
            | Record::Ended { step, .. }
            | Record::Verified { step, .. }
            | Record::Stopped { step, .. }
            | Record::Skipped { step, .. } => {
                let number = self
                    .shape
                    .number(step)
                    .ok_or_else(|| format!("the plan has no step {step}"))?;
                let log = self
                    .steps
                    .get(number)
                    .ok_or_else(|| format!("nothing is known of step {step}"))?;
                match (&log.state, record) {
                    // Sent for the first time, or again: after a failure, or because the agent turned out not to have it.
                    (StepState::Waiting | StepState::Intended, Record::Intended { .. }) => self.may_intend(number, log, record),
                    (StepState::Ended, Record::Intended { .. }) if log.may_be_tried_again() => self.may_intend(number, log, record),
                    (StepState::Intended, Record::Accepted { .. }) | (StepState::Running, Record::Ended { .. }) => Ok(()),
                    // Seen to be so, whether or not it was asked for and whatever the agent said.
                    (StepState::Waiting | StepState::Intended | StepState::Ended, Record::Verified { .. })
                    // Never begun.
                    | (StepState::Waiting, Record::Stopped { state: StopKind::Held, .. }) => self.is_due(number, step),
                    (StepState::Intended | StepState::Ended, Record::Stopped { state: StopKind::Failed | StopKind::Stuck, .. }) => Ok(()),
                    // There is nothing to take back, and there never will be.
                    (StepState::Waiting, Record::Skipped { .. }) => self.may_skip(number, step),
                    (state, _) => Err(format!("step {step} is {}", name(state))),
                }
            }
        }
    }

    fn may_intend(&self, number: usize, log: &StepLog, record: &Record) -> Result<(), String> {
        let Record::Intended {
            step,
            operation,
            attempt,
            generation,
        } = record
        else {
            return Err("it is no intent".to_owned());
        };
        self.is_due(number, step)?;
        if self.cancelled_by.is_some() && !self.shape.is_restoring(number) {
            return Err("the rollout was cancelled".to_owned());
        }
        let due = log.attempt.as_ref().map_or(1, |a| a.number + 1);
        if *attempt != due {
            return Err(format!("attempt {due} of step {step} is due, not {attempt}"));
        }
        if self.operations.contains(operation) {
            return Err(format!("operation {operation} was used before"));
        }
        if *generation < self.generation {
            return Err(format!("generation {} has driven it", self.generation));
        }
        let node = self.step(number).map(|s| &s.node);
        for other in self.active_numbers().filter(|other| *other != number) {
            let Some(under_way) = self.step(other) else { continue };
            if Some(&under_way.node) == node {
                return Err(format!("step {} is under way on the same node", under_way.id));
            }
            if self.shape.is_disruptive(number) && self.shape.is_disruptive(other) {
                return Err(format!(
                    "step {} is under way, and disturbs the cluster as well",
                    under_way.id
                ));
            }
        }
        Ok(())
    }

    /// Is all there that must come before it?
    fn is_due(&self, number: usize, step: &StepId) -> Result<(), String> {
        let outlook = self.outlook();
        if outlook.is_impossible(number) {
            return Err(format!("step {step} needs what is not in the plan, or itself"));
        }
        if let Some(need) = outlook.lacks(number) {
            let why = if self.shape.is_restoring(number) {
                "which can still run"
            } else {
                "which is not verified"
            };
            return Err(format!("step {step} needs {}, {why}", self.id(need)));
        }
        if self.shape.is_restoring(number) && !outlook.may_have_begun(number, |n| self.state(n)) {
            return Err(format!("step {step} has nothing to take back"));
        }
        let skipped = outlook
            .restorers(number)
            .find(|r| *self.state(*r) == StepState::Skipped);
        skipped.map_or(Ok(()), |restorer| {
            Err(format!(
                "nobody would take back what {step} does: {} was skipped",
                self.id(restorer)
            ))
        })
    }

    fn may_skip(&self, number: usize, step: &StepId) -> Result<(), String> {
        if self.outlook().never_begins(number, |n| self.state(n)) {
            Ok(())
        } else {
            Err(format!("step {step} may have something to take back"))
        }
    }

    fn may_finish(&self, result: RolloutResult) -> Result<(), String> {
        if let Some(step) = self.active().next() {
            return Err(format!("step {step} is under way"));
        }
        if let Some(step) = self.runnable().into_iter().next() {
            return Err(format!("step {step} can still be done"));
        }
        let open = |n: &usize| self.shape.is_restoring(*n) && *self.state(*n) == StepState::Waiting;
        if let Some(restorer) = (0..self.steps.len()).find(open) {
            return Err(format!(
                "step {} was neither carried out nor skipped",
                self.id(restorer)
            ));
        }
        let due = self.due_result();
        if due == RolloutResult::Cancelled && self.cancelled_by.is_none() {
            return Err("nobody cancelled it, and its steps wait for each other".to_owned());
        }
        if result == due {
            Ok(())
        } else {
            Err(format!("it ended {due:?}, not {result:?}"))
        }
    }

    /// How the rollout ends if it ends now.
    #[must_use]
    pub fn due_result(&self) -> RolloutResult {
        if self.steps.iter().any(|s| matches!(s.state, StepState::Stopped { .. })) {
            RolloutResult::Failed
        } else if self.steps.iter().all(|s| s.state == StepState::Verified) {
            RolloutResult::Done
        } else {
            RolloutResult::Cancelled
        }
    }

    fn take(&mut self, entry: &Entry) {
        match &entry.record {
            Record::Created { plan, by } => {
                let waiting = || StepLog {
                    state: StepState::Waiting,
                    attempt: None,
                    failures: 0,
                };
                self.steps = plan.steps.iter().map(|_| waiting()).collect();
                self.shape = Arc::new(Shape::of(plan));
                self.created = Some(Created {
                    plan: Arc::new((**plan).clone()),
                    by: by.clone(),
                    at: entry.at,
                });
            }
            Record::CancelRequested { by } => self.cancelled_by = Some(by.clone()),
            Record::Finished { result } => self.finished = Some((*result, entry.at)),
            Record::Intended {
                step,
                operation,
                attempt,
                generation,
            } => {
                self.operations.insert(operation.clone());
                self.generation = *generation;
                self.change(step, |log| {
                    log.state = StepState::Intended;
                    log.attempt = Some(Attempt {
                        number: *attempt,
                        operation: operation.clone(),
                        accepted: None,
                        outcome: None,
                    });
                });
            }
            Record::Accepted { step } => self.change(step, |log| {
                log.state = StepState::Running;
                if let Some(attempt) = &mut log.attempt {
                    attempt.accepted = Some(entry.at);
                }
            }),
            Record::Ended { step, outcome } => self.change(step, |log| {
                log.state = StepState::Ended;
                log.failures += u32::from(!matches!(outcome, Outcome::Done { .. }));
                if let Some(attempt) = &mut log.attempt {
                    attempt.outcome = Some(outcome.clone());
                }
            }),
            Record::Verified { step, .. } => self.change(step, |log| log.state = StepState::Verified),
            Record::Stopped { step, state, .. } => {
                self.change(step, |log| log.state = StepState::Stopped { kind: *state })
            }
            Record::Skipped { step, .. } => self.change(step, |log| log.state = StepState::Skipped),
        }
    }

    fn change(&mut self, step: &StepId, change: impl FnOnce(&mut StepLog)) {
        let number = self.shape.number(step);
        if let Some(log) = number.and_then(|number| self.steps.get_mut(number)) {
            change(log);
        }
    }

    fn step(&self, number: usize) -> Option<&Step> {
        self.created.as_ref().and_then(|c| c.plan.steps.get(number))
    }

    fn id(&self, number: usize) -> &str {
        self.step(number).map_or("(no step)", |s| s.id.as_str())
    }

    fn state(&self, number: usize) -> &StepState {
        self.steps.get(number).map_or(&StepState::Waiting, |log| &log.state)
    }

    fn outlook(&self) -> Outlook<'_> {
        Outlook::new(&self.shape, |n| self.state(n), self.cancelled_by.is_some())
    }

    pub(crate) fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// What the first record says, once it is there.
    #[must_use]
    pub fn created(&self) -> Option<&Created> {
        self.created.as_ref()
    }

    /// What is known of a step of the plan.
    #[must_use]
    pub fn log_of(&self, step: &StepId) -> Option<&StepLog> {
        self.shape.number(step).and_then(|number| self.steps.get(number))
    }

    /// The number that the next entry must have.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Who cancelled it, if somebody did.
    #[must_use]
    pub fn cancelled_by(&self) -> Option<&str> {
        self.cancelled_by.as_deref()
    }

    /// How and when it ended, if it did.
    #[must_use]
    pub fn finished(&self) -> Option<(RolloutResult, Timestamp)> {
        self.finished
    }
}

impl StepLog {
    /// May another attempt follow the one that ended? Not after one that was done, that left traces, or that may still run.
    fn may_be_tried_again(&self) -> bool {
        let outcome = self.attempt.as_ref().and_then(|a| a.outcome.as_ref());
        matches!(
            outcome,
            Some(Outcome::Failed { unchanged: true, .. } | Outcome::Unknown { over: true, .. })
        )
    }
}

fn name(state: &StepState) -> &'static str {
    match state {
        StepState::Waiting => "waiting",
        StepState::Intended => "intended",
        StepState::Running => "running",
        StepState::Ended => "ended",
        StepState::Verified => "verified",
        StepState::Skipped => "skipped",
        StepState::Stopped { .. } => "stopped",
    }
}
