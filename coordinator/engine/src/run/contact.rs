//! Talking with the agent about one operation: sent once, asked about, and followed for as long as it may run.

use std::time::Duration;

use quorate_model::finding::{Code, Finding};
use quorate_model::operation::{OnDeadline, Operation, OperationEventKind, Outcome, rules};
use quorate_model::rollout::{Progress, StopKind};

use super::RunError;
use super::observe::Said;
use super::report;
use super::step::Driver;
use crate::log::Attempt;
use crate::ports::{AgentError, Agents, Clock, Events, Journal, Recorded};
use crate::recovery::{Sight, passes};

/// So often the agent must have called an operation overdue before a cancel lets go of it: at its deadline and at twice that. By then
/// every part of a join that has a limit of its own has come to it, and only the wait for quorum, which has none, is left.
const OVERDUE_AND_CANCELLED: u32 = 2;

/// So often, and it is let go of without a cancel. The agent says so at ever longer intervals; this is half an hour of a join: it will
/// not come right by itself, and HA may be disarmed for it.
const OVERDUE_FOR_GOOD: u32 = 5;

/// What the agent's ledger says.
pub(super) enum Asked {
    /// It has the operation, and perhaps its end.
    Has(Option<Outcome>),
    /// It has never seen it.
    HasNot,
    /// It does not answer, and is not waited for any longer; why.
    GaveUp(String),
}

/// How one request went.
enum Tried {
    /// The step has gone on: it was taken, or it is over.
    Settled,
    /// Certainly nobody has taken it.
    NotTaken(NotTaken),
}

/// Why a request was not taken.
struct NotTaken {
    /// In short.
    why: String,
    /// What the step ends with, if this lasts.
    finding: Finding,
}

/// What is known on the way to the agent.
struct Way {
    /// A request may have left, and no answer came.
    left: bool,
    /// The gate held when it was looked at last.
    clear: bool,
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
        let mut pause = self.backoff();
        let mut way = Way {
            left: false,
            clear: true,
        };
        let mut last = None;
        loop {
            let not_taken = match self.try_once(recorded, attempt, &mut way, last.take()).await? {
                Tried::Settled => return Ok(()),
                Tried::NotTaken(not_taken) => not_taken,
            };
            if pause.waited >= self.patience_to_reach() || self.shared.is_to_stop(&self.step.id).await {
                let findings = vec![not_taken.finding];
                return self.shared.stopped(&self.step, StopKind::Failed, findings).await;
            }
            self.say_waiting(&format!("{} has not taken it: {}", self.step.node, not_taken.why));
            last = Some(not_taken);
            self.pause_unless_cancelled(pause.next()).await;
            // Time has passed: the gate is judged again.
            if self.settled_elsewise(&mut way, &mut last).await? {
                return Ok(());
            }
            if let Some(forbidden) = self.shared.forbidden(&self.step.id) {
                return self.not_allowed_any_more(forbidden).await;
            }
        }
    }

    /// One request, if the way to it is clear. What `last` said still holds where none is made.
    async fn try_once(
        &self,
        recorded: &Recorded,
        attempt: &Attempt,
        way: &mut Way,
        last: Option<NotTaken>,
    ) -> Result<Tried, RunError> {
        if let (false, Some(last)) = (way.clear, last) {
            return Ok(Tried::NotTaken(last));
        }
        let operation = Operation {
            id: attempt.operation.clone(),
            action: self.step.action.clone(),
        };
        match self.shared.ports.agents.start(recorded, &self.step, &operation).await {
            Ok(events) => match self.follow(attempt, Some(events), false).await? {
                Followed::ToTheEnd => return Ok(Tried::Settled),
                Followed::NeverBegan => {}
            },
            Err(AgentError::Refused(finding)) => {
                let finding = not_superseded(*finding)?;
                if !passes(finding.code) {
                    self.shared.stopped(&self.step, StopKind::Failed, vec![finding]).await?;
                    return Ok(Tried::Settled);
                }
                let why = finding.message.clone();
                return Ok(Tried::NotTaken(NotTaken { why, finding }));
            }
            Err(AgentError::NotReached(why)) => return Ok(Tried::NotTaken(self.not_reached(why))),
            Err(AgentError::NoAnswer(_) | AgentError::NotKnown) => {}
        }
        way.left = true;
        match self.ask(attempt).await? {
            Asked::Has(outcome) => self.take_up(outcome).await?,
            Asked::HasNot => {
                return Ok(Tried::NotTaken(
                    self.not_reached("it did not take the request".to_owned()),
                ));
            }
            Asked::GaveUp(why) => self.gave_up(&why).await?,
        }
        Ok(Tried::Settled)
    }

    fn not_reached(&self, why: String) -> NotTaken {
        let finding = report::not_reached(&self.step, &why);
        NotTaken { why, finding }
    }

    pub(super) async fn gave_up(&self, why: &str) -> Result<(), RunError> {
        let finding = report::stuck(&self.step, why);
        self.shared.stopped(&self.step, StopKind::Stuck, vec![finding]).await
    }

    /// The agent has not got it: unless the gate still holds, it is not sent again. If a request may have left, the step ends here
    /// then; if certainly none has, there is nothing that could not be told, and it is waited on.
    async fn settled_elsewise(&self, way: &mut Way, last: &mut Option<NotTaken>) -> Result<bool, RunError> {
        let sight = if way.left {
            self.settle_or_clean().await
        } else {
            self.look().await
        };
        way.clear = matches!(sight, Sight::Clean(_));
        match sight {
            Sight::Clean(_) => Ok(false),
            Sight::Reached(evidence) => self.shared.verified(&self.step, evidence).await.map(|()| true),
            Sight::Mixed { wanted: why, .. } | Sight::Unseen(why) if way.left => {
                let finding = report::stuck(&self.step, &format!("the agent does not have the operation, and {why}"));
                self.shared
                    .stopped(&self.step, StopKind::Stuck, vec![finding])
                    .await
                    .map(|()| true)
            }
            Sight::Mixed { gate: why, .. } => {
                let finding = report::failed(&self.step, &format!("nothing was changed, and now {why}"));
                *last = Some(NotTaken { why, finding });
                Ok(false)
            }
            Sight::Unseen(_) => Ok(false),
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
            if self.gives_up(&pause).await {
                return Ok(Asked::GaveUp(format!(
                    "cancelled while {} did not answer: {why}",
                    self.step.node
                )));
            }
            // Its silence may be what was wanted, or a cut cable: without the agent's word that it has begun, nobody can tell.
            if self.ends_in_silence() && pause.waited >= self.patience_to_settle() {
                let node = &self.step.node;
                return Ok(Asked::GaveUp(format!(
                    "{node} does not answer, and was not heard to have begun: it may be off, or only cut off ({why})"
                )));
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
        let mut overdue = 0;
        loop {
            if let Some(mut stream) = events.take() {
                let (before, mut gap) = (next, false);
                loop {
                    let event = tokio::select! {
                        biased;
                        event = stream.recv() => event,
                        why = self.lets_go(overdue) => return self.end_unknown(why).await,
                    };
                    let Some(event) = event else { break };
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
                    overdue += u32::from(matches!(event.kind, OperationEventKind::Overdue { .. }));
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
                    return self.end_unknown(reason).await;
                }
                Err(AgentError::Refused(finding)) => not_superseded(*finding)?.message,
                Err(AgentError::NotReached(why) | AgentError::NoAnswer(why)) => why,
            };
            if let Some(evidence) = self.seen_off().await {
                let evidence = format!("the agent fell silent, as it does when its server goes off: {evidence}");
                return self.end(Outcome::Done { evidence }).await;
            }
            if self.ends_in_silence() && pause.waited >= self.patience_to_settle() {
                let reason = format!(
                    "{} does not answer, and did not say that it goes off: it may be off, or only cut off ({why})",
                    self.step.node
                );
                return self.end_unknown(reason).await;
            }
            // It goes away by itself. What is seen when it answers again decides; until then there is nobody to ask.
            if self.comes_back() && pause.waited >= self.shared.ports.patience.settle {
                let reason = format!("{} has gone away to start anew ({why})", self.step.node);
                return self.end_unknown(reason).await;
            }
            if self.gives_up(&pause).await {
                let reason = format!("cancelled while {} did not answer: {why}", self.step.node);
                return self.end_unknown(reason).await;
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

    /// It may still run, and is not followed any longer.
    async fn end_unknown(&self, reason: String) -> Result<Followed, RunError> {
        self.end(Outcome::Unknown { reason, over: false }).await
    }

    /// Returns when an operation that the agent called overdue so many times is to be let go of, with why; never of one whose rules do
    /// not say so.
    async fn lets_go(&self, overdue: u32) -> String {
        let may = rules(self.step.action.kind()).on_cancel == OnDeadline::LetGo;
        if !may || overdue < OVERDUE_AND_CANCELLED {
            return std::future::pending().await;
        }
        let node = &self.step.node;
        if overdue >= OVERDUE_FOR_GOOD {
            return format!("it takes far too long, and may still run on {node}: it is not waited for any longer");
        }
        if !self.shared.wants_to_stop().await {
            self.shared.somebody_cancels().await;
        }
        format!("cancelled while it took too long; it may still run on {node}")
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
