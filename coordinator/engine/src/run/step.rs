//! One step from wherever its records end to its own end. Each turn reads the recorded state and does the next thing; so
//! going on after a crash is the same as going on.

use std::sync::Arc;
use std::time::Duration;

use quorate_model::finding::Finding;
use quorate_model::operation::Outcome;
use quorate_model::plan::{Needs, Step};
use quorate_model::rollout::{StepState, StopKind};

use super::RunError;
use super::contact::Asked;
use super::observe::Before;
use super::report;
use super::shared::Shared;
use crate::log::{Attempt, StepLog};
use crate::ports::{Agents, Clock, Journal, Recorded};
use crate::recovery::{Sight, may_try_again};

pub(super) struct Driver<J, A, C> {
    pub(super) shared: Arc<Shared<J, A, C>>,
    pub(super) step: Step,
    /// What its conditions are about.
    pub(super) needs: Needs,
    /// What the one about its outcome is about: nothing else is looked at while that only has to settle.
    pub(super) wanted: Needs,
}

impl<J: Journal, A: Agents, C: Clock> Driver<J, A, C> {
    pub(super) fn new(shared: Arc<Shared<J, A, C>>, step: Step) -> Self {
        let wanted = step.done_when.needs();
        let mut needs = wanted.clone();
        for condition in &step.gate {
            for (node, facets) in condition.needs() {
                needs.entry(node).or_default().extend(facets);
            }
        }
        Self {
            shared,
            step,
            needs,
            wanted,
        }
    }

    /// Returns when the step is verified or stopped, or was not begun because of a cancel or because the cluster may not be
    /// disturbed any more.
    pub(super) async fn drive(&self) -> Result<(), RunError> {
        // The proof of an intent that this very run recorded: without it, the request may or may not have left.
        let mut fresh: Option<Recorded> = None;
        loop {
            let log = self.shared.log_of(&self.step.id).await?;
            match (&log.state, &log.attempt) {
                (StepState::Verified | StepState::Skipped | StepState::Stopped { .. }, _) => return Ok(()),
                (StepState::Waiting, _) => match self.before().await? {
                    Before::Clear if self.shared.forbidden(&self.step.id).is_some() => return Ok(()),
                    Before::Clear => match self.shared.intend(&self.step).await? {
                        Some((recorded, _)) => fresh = Some(recorded),
                        None => return Ok(()),
                    },
                    Before::Reached(evidence) => self.shared.verified(&self.step, evidence).await?,
                    Before::Cancelled => return Ok(()),
                    Before::Held(why) => {
                        let finding = report::held(&self.step, &why, self.patience_before());
                        self.shared.stopped(&self.step, StopKind::Held, vec![finding]).await?;
                    }
                },
                (StepState::Intended, Some(attempt)) => match fresh.take() {
                    Some(recorded) => self.send(&recorded, attempt).await?,
                    None => fresh = self.recover(attempt).await?,
                },
                (StepState::Running, Some(attempt)) => self.follow_on(attempt).await?,
                (StepState::Ended, Some(attempt)) => match &attempt.outcome {
                    Some(outcome) => fresh = self.judge(&log, outcome).await?,
                    None => return Err(RunError::Internal(format!("{} ended without an outcome", self.step.id))),
                },
                (StepState::Intended | StepState::Running | StepState::Ended, None) => {
                    return Err(RunError::Internal(format!("{} has no attempt", self.step.id)));
                }
            }
        }
    }

    /// Finds out what became of an intent of an earlier run. Gives the proof of a new one, if it came to nothing.
    async fn recover(&self, attempt: &Attempt) -> Result<Option<Recorded>, RunError> {
        match self.ask(attempt).await? {
            Asked::Has(outcome) => {
                self.take_up(outcome).await?;
                Ok(None)
            }
            Asked::HasNot => match self.settle_or_clean().await {
                Sight::Reached(evidence) => self.shared.verified(&self.step, evidence).await.map(|()| None),
                Sight::Clean(_) => self.intend_again().await,
                Sight::Mixed { wanted: why, .. } | Sight::Unseen(why) => {
                    let finding =
                        report::stuck(&self.step, &format!("the agent does not know the operation, and {why}"));
                    self.shared
                        .stopped(&self.step, StopKind::Stuck, vec![finding])
                        .await
                        .map(|()| None)
                }
            },
            Asked::GaveUp(why) => self.gave_up(&why).await.map(|()| None),
        }
    }

    /// The intent of an earlier run came to nothing, and the gate still holds.
    async fn intend_again(&self) -> Result<Option<Recorded>, RunError> {
        if let Some(forbidden) = self.shared.forbidden(&self.step.id) {
            return self.not_allowed_any_more(forbidden).await.map(|()| None);
        }
        if let Some((recorded, _)) = self.shared.intend(&self.step).await? {
            return Ok(Some(recorded));
        }
        let why = "it was cancelled before the agent had it; nothing was changed";
        let finding = report::failed(&self.step, why);
        self.shared
            .stopped(&self.step, StopKind::Failed, vec![finding])
            .await
            .map(|()| None)
    }

    /// The agent reported an end, or that it knows none: a fresh observation decides. Gives the proof of a new attempt, if one is made.
    async fn judge(&self, log: &StepLog, outcome: &Outcome) -> Result<Option<Recorded>, RunError> {
        let sight = match outcome {
            // Wanted, or possible: it gets time to show.
            Outcome::Done { .. } | Outcome::Unknown { .. } => self.settle().await,
            Outcome::Failed { .. } => self.look().await,
        };
        if let Sight::Reached(evidence) = sight {
            self.shared.verified(&self.step, evidence).await?;
            return Ok(None);
        }
        let again = may_try_again(&self.step, outcome, log.failures, self.shared.ports.patience.attempts);
        let clean = matches!(sight, Sight::Clean(_)) || matches!(outcome, Outcome::Failed { unchanged: true, .. });
        if again && clean {
            return self.try_again(log, outcome).await;
        }
        let (kind, findings) = report::ended_badly(&self.step, outcome, &sight);
        self.shared.stopped(&self.step, kind, findings).await.map(|()| None)
    }

    async fn try_again(&self, log: &StepLog, outcome: &Outcome) -> Result<Option<Recorded>, RunError> {
        let patience = &self.shared.ports.patience;
        let pause = patience.retry.saturating_mul(log.failures);
        self.wait(
            pause,
            &format!(
                "attempt {} of {} follows a failed one",
                log.failures + 1,
                patience.attempts
            ),
        )
        .await;
        let why_not = match self.before().await? {
            Before::Reached(evidence) => {
                self.shared.verified(&self.step, evidence).await?;
                return Ok(None);
            }
            Before::Clear => match self.shared.forbidden(&self.step.id) {
                Some(forbidden) => format!("it could not be tried again: {}", forbidden.message),
                None => match self.shared.intend(&self.step).await? {
                    Some((recorded, _)) => return Ok(Some(recorded)),
                    None => "it was cancelled before another attempt".to_owned(),
                },
            },
            Before::Cancelled => "it was cancelled before another attempt".to_owned(),
            Before::Held(why) => format!("it could not be tried again: {why}"),
        };
        let mut findings = report::of_outcome(&self.step, outcome);
        findings.push(report::failed(&self.step, &why_not));
        self.shared
            .stopped(&self.step, StopKind::Failed, findings)
            .await
            .map(|()| None)
    }

    /// It was intended, certainly did not reach the agent, and may not begin now. It does not wait with its intent standing: that
    /// would keep what must be taken back from being so.
    pub(super) async fn not_allowed_any_more(&self, forbidden: Finding) -> Result<(), RunError> {
        let why = "it may not begin any more, and the agent does not have it; nothing was changed";
        let findings = vec![forbidden, report::failed(&self.step, why)];
        self.shared.stopped(&self.step, StopKind::Failed, findings).await
    }

    /// Waits, and says so.
    async fn wait(&self, pause: Duration, why: &str) {
        self.say_waiting(why);
        self.shared.ports.clock.sleep(pause).await;
    }

    pub(super) fn say_waiting(&self, reason: &str) {
        let step = self.step.id.clone();
        self.shared.tell(quorate_model::rollout::Progress::Waiting {
            step,
            reason: reason.to_owned(),
        });
    }
}
