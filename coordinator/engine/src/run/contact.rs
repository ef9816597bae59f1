//! Talking with the agent about one operation: sent once, asked about, and followed for as long as it may run.

use std::time::Duration;

use quorate_model::finding::{Code, Finding};
use quorate_model::operation::{Operation, OperationEventKind, Outcome};
use quorate_model::rollout::{Progress, StopKind};

use super::RunError;
use super::observe::Said;
use super::report;
use super::step::Driver;
use crate::log::Attempt;
use crate::ports::{AgentError, Agents, Clock, Events, Journal, Recorded};
use crate::recovery::Sight;

/// What the agent's ledger says.
pub(super) enum Asked {
    /// It has the operation, and perhaps its end.
    Has(Option<Outcome>),
    /// It has never seen it.
    HasNot,
    /// It does not answer because its server is off, which is what was wanted; this shows it.
    Seen(String),
    /// Somebody cancelled while it did not answer.
    GaveUp(String),
}

/// How following ended.
enum Followed {
    /// Its end is recorded.
    ToTheEnd,
    /// The stream broke before anything came: perhaps the agent has not got the request.
    NeverBegan,
}

impl<J: Journal, A: Agents, C: Clock> Driver<J, A, C> {
    /// Sends an operation whose intent was just recorded. The same id may be sent again: the agent takes it once.
    pub(super) async fn send(&self, recorded: &Recorded, attempt: &Attempt) -> Result<(), RunError> {
        let agents = &self.shared.ports.agents;
        let operation = Operation {
            id: attempt.operation.clone(),
            action: self.step.action.clone(),
        };
        let mut pause = self.backoff();
        loop {
            let why = match agents.start(recorded, &self.step, &operation).await {
                Ok(events) => match self.follow(attempt, Some(events), false).await? {
                    Followed::ToTheEnd => return Ok(()),
                    Followed::NeverBegan => None,
                },
                Err(AgentError::Refused(finding)) => {
                    let finding = not_superseded(*finding)?;
                    return self.shared.stopped(&self.step, StopKind::Failed, vec![finding]).await;
                }
                Err(AgentError::NotReached(why)) => Some(why),
                Err(AgentError::NoAnswer(_) | AgentError::NotKnown) => None,
            };
            let why = match why {
                Some(why) => why,
                None => match self.ask(attempt).await? {
                    Asked::Has(outcome) => return self.take_up(outcome).await,
                    Asked::Seen(evidence) => return self.shared.verified(&self.step, evidence).await,
                    Asked::HasNot => "it did not take the request".to_owned(),
                    Asked::GaveUp(why) => return self.gave_up(&why).await,
                },
            };
            if pause.waited >= self.patience_to_reach() || self.shared.is_to_stop(&self.step.id).await {
                let finding = report::not_reached(&self.step, &why);
                return self.shared.stopped(&self.step, StopKind::Failed, vec![finding]).await;
            }
            self.say_waiting(&format!("{} is not reached: {why}", self.step.node));
            self.pause_unless_cancelled(pause.next()).await;
            // Time has passed: the gate is judged again.
            if self.settled_elsewise().await? {
                return Ok(());
            }
            if let Some(forbidden) = self.shared.forbidden(&self.step.id) {
                return self.not_allowed_any_more(forbidden).await;
            }
        }
    }

    pub(super) async fn gave_up(&self, why: &str) -> Result<(), RunError> {
        let finding = report::stuck(
            &self.step,
            &format!("cancelled while {} did not answer: {why}", self.step.node),
        );
        self.shared.stopped(&self.step, StopKind::Stuck, vec![finding]).await
    }

    /// The agent has not got it: unless the gate still holds, it is not sent again, and the step ends here.
    async fn settled_elsewise(&self) -> Result<bool, RunError> {
        match self.settle(|sight| matches!(sight, Sight::Clean(_))).await {
            Sight::Clean(_) => Ok(false),
            Sight::Reached(evidence) => self.shared.verified(&self.step, evidence).await.map(|()| true),
            Sight::Mixed { wanted: why, .. } | Sight::Unseen(why) => {
                let finding = report::stuck(&self.step, &format!("the agent does not have the operation, and {why}"));
                self.shared
                    .stopped(&self.step, StopKind::Stuck, vec![finding])
                    .await
                    .map(|()| true)
            }
        }
    }

    /// Asks the agent's ledger until it answers: as long as the agent may be running it, there is no other way to go on.
    pub(super) async fn ask(&self, attempt: &Attempt) -> Result<Asked, RunError> {
        let mut pause = self.backoff();
        let mut said = Said::default();
        loop {
            let why = match self
                .shared
                .ports
                .agents
                .ledger(&self.step.node, &attempt.operation)
                .await
            {
                Ok(Some(entry)) => return Ok(Asked::Has(entry.outcome)),
                Ok(None) | Err(AgentError::NotKnown) => return Ok(Asked::HasNot),
                Err(AgentError::Refused(finding)) => not_superseded(*finding)?.message,
                Err(AgentError::NotReached(why) | AgentError::NoAnswer(why)) => why,
            };
            if let Some(evidence) = self.seen_off().await {
                return Ok(Asked::Seen(evidence));
            }
            if self.gives_up(&pause).await {
                return Ok(Asked::GaveUp(why));
            }
            if said.is_news(&why) {
                self.say_waiting(&format!(
                    "whether {} has begun it can't be asked: {why}",
                    self.step.node
                ));
            }
            self.shared.ports.clock.sleep(pause.next()).await;
        }
    }

    /// Patience with an agent that may be running it has no end of its own; but an operator who cancels a rollout whose server
    /// is gone must not have to wait for the server.
    async fn gives_up(&self, pause: &Backoff) -> bool {
        pause.waited >= self.patience_to_reach() && self.shared.wants_to_stop().await
    }

    /// The ledger has it: from now on it is followed, or it is over already.
    pub(super) async fn take_up(&self, outcome: Option<Outcome>) -> Result<(), RunError> {
        self.shared.accepted(&self.step).await?;
        match outcome {
            Some(outcome) => self.shared.ended(&self.step, outcome).await,
            None => Ok(()),
        }
    }

    /// Follows an operation that is known to have been accepted.
    pub(super) async fn follow_on(&self, attempt: &Attempt) -> Result<(), RunError> {
        self.follow(attempt, None, true).await.map(drop)
    }

    async fn follow(
        &self,
        attempt: &Attempt,
        mut events: Option<Events>,
        mut accepted: bool,
    ) -> Result<Followed, RunError> {
        let agents = &self.shared.ports.agents;
        let (mut next, mut missed) = (0, None);
        let mut pause = self.backoff();
        let mut said = Said::default();
        loop {
            if let Some(mut stream) = events.take() {
                let (before, mut gap) = (next, false);
                while let Some(event) = stream.recv().await {
                    if event.sequence < next {
                        continue;
                    }
                    // One that is missing is asked for once more; what the agent then leaves out, it no longer has.
                    if event.sequence > next && missed != Some(next) {
                        (missed, gap) = (Some(next), true);
                        break;
                    }
                    next = event.sequence + 1;
                    if !accepted {
                        self.shared.accepted(&self.step).await?;
                        accepted = true;
                    }
                    self.shared.tell(Progress::Agent {
                        step: self.step.id.clone(),
                        at: self.shared.ports.clock.now(),
                        event: event.kind.clone(),
                    });
                    if let OperationEventKind::Ended(outcome) = event.kind {
                        return self.end(outcome).await;
                    }
                }
                if !accepted {
                    return Ok(Followed::NeverBegan);
                }
                if next > before || gap {
                    pause = self.backoff();
                } else if let Ok(Some(entry)) = agents.ledger(&self.step.node, &attempt.operation).await
                    && let Some(outcome) = entry.outcome
                {
                    // It is over, and its events are gone.
                    return self.end(outcome).await;
                } else {
                    self.shared.ports.clock.sleep(pause.next()).await;
                }
            }
            let why = match agents.attach(&self.step.node, &attempt.operation, next).await {
                Ok(stream) => {
                    events = Some(stream);
                    continue;
                }
                Err(AgentError::NotKnown) => {
                    let reason = format!("the agent on {} no longer knows the operation", self.step.node);
                    return self.end(Outcome::Unknown { reason }).await;
                }
                Err(AgentError::Refused(finding)) => not_superseded(*finding)?.message,
                Err(AgentError::NotReached(why) | AgentError::NoAnswer(why)) => why,
            };
            if let Some(evidence) = self.seen_off().await {
                let reason = format!("the agent went silent, as it does when its server goes off: {evidence}");
                return self.end(Outcome::Unknown { reason }).await;
            }
            if self.gives_up(&pause).await {
                let reason = format!("cancelled while {} did not answer: {why}", self.step.node);
                return self.end(Outcome::Unknown { reason }).await;
            }
            if said.is_news(&why) {
                self.say_waiting(&format!(
                    "{} may still be running it, but does not answer: {why}",
                    self.step.node
                ));
            }
            self.shared.ports.clock.sleep(pause.next()).await;
        }
    }

    async fn end(&self, outcome: Outcome) -> Result<Followed, RunError> {
        self.shared.ended(&self.step, outcome).await?;
        Ok(Followed::ToTheEnd)
    }

    fn backoff(&self) -> Backoff {
        let patience = &self.shared.ports.patience;
        Backoff {
            next: patience.reconnect,
            most: patience.reconnect_at_most,
            waited: Duration::ZERO,
        }
    }
}

/// A superseded coordinator stops at once, and leaves the step as it is.
fn not_superseded(finding: Finding) -> Result<Finding, RunError> {
    if finding.code == Code::DriverSuperseded {
        Err(RunError::Superseded(Box::new(finding)))
    } else {
        Ok(finding)
    }
}

/// Pauses that double up to a limit.
struct Backoff {
    next: Duration,
    most: Duration,
    /// All pauses so far.
    waited: Duration,
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = now.saturating_mul(2).min(self.most);
        self.waited += now;
        now
    }
}
