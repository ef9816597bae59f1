//! The fault itself: asked for once, under an id that is on the disk before; looked at; taken back.

use std::time::Duration;

use quorate_engine::ports::{AgentError, Agents as _};
use quorate_model::Timestamp;
use quorate_model::drill::What;
use quorate_model::fault::{FaultEnd, HealPhase, MetFault};
use quorate_model::operation::{Action, Operation, OperationEventKind, Outcome};

use super::course::Course;
use super::preview;
use super::stage::{Ended, broken_meanwhile};
use super::state::FaultSeen;

/// A server that was cut off says nothing more: then it is taken for broken.
const SAYS_WITHIN: Duration = Duration::from_secs(20);
/// Between two tries to heal.
const HEAL_EVERY: Duration = Duration::from_secs(2);
/// A fault is gone within its time and this.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// So much longer a server that does not answer is asked, when its fault must be over.
const ASKED_LONGER: Duration = Duration::from_secs(600);

/// What a look at the fault came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    /// It holds.
    Holds,
    /// There is nothing of it.
    Gone,
    /// Nobody can tell.
    Unknown,
}

impl Course {
    pub(super) async fn break_it(&mut self) -> Ended {
        let node = self.running.order.node.clone();
        let id = self.running.operation.clone();
        if self.resumed && self.running.fault.asked.is_some() {
            let known = self.agents.ledger(&node, &id).await.ok().map(|entry| entry.is_some());
            let ended = broken_meanwhile(known);
            if ended == Ended::Failed {
                return self.ends_early("the coordinator was stopped before the fault had begun; it is not begun now");
            }
            self.running.fault.made.get_or_insert(self.looker.now());
            return ended;
        }
        let Some(boot) = self.boot.clone() else {
            return self.ends_early("the coordinator was stopped before the fault had begun; it is not begun now");
        };
        let fault = preview::fault(&self.running.order.fault, &self.running.order.accepted);
        let action = Action::InjectFault {
            cluster: self.running.cluster.clone(),
            fault,
            seconds: preview::seconds(&self.running.order),
            boot,
        };
        self.running.fault.asked = Some(self.now());
        self.durable().await;
        self.say(format!(
            "making the fault: {}",
            self.running.order.what(self.running.cluster.as_str())
        ));
        // Nearer to it than the wait for the disk.
        self.running.fault.asked = Some(self.now());
        let ended = self.ask(&Operation { id, action }).await;
        self.running.fault.made = Some(self.now());
        match ended {
            Ended::Done => self.say("the fault is made"),
            Ended::Unsure => self.say("the server has said nothing more: the fault is taken for made"),
            Ended::Failed | Ended::Aborted => {}
        }
        ended
    }

    async fn ask(&mut self, operation: &Operation) -> Ended {
        let node = self.running.order.node.clone();
        let mut events = match self.agents.inject(&node, operation).await {
            Ok(events) => events,
            Err(AgentError::Refused(finding)) => return self.refused(&format!("{node} refuses"), vec![*finding]),
            Err(AgentError::NotReached(why)) => return self.ends_early(&format!("{node} was not reached: {why}")),
            Err(AgentError::NoAnswer(_) | AgentError::NotKnown) => return Ended::Unsure,
        };
        loop {
            let event = match tokio::time::timeout(self.looker.fleet.pace.deadline(SAYS_WITHIN), events.recv()).await {
                Ok(Some(event)) => event,
                // The connection broke, or is as silent as a cut one.
                Ok(None) | Err(_) => return Ended::Unsure,
            };
            match event.kind {
                OperationEventKind::Ended(Outcome::Done { .. }) => return Ended::Done,
                OperationEventKind::Ended(Outcome::Failed { findings, unchanged }) => {
                    let ended = self.refused("it did not come about", findings);
                    return if unchanged { ended } else { Ended::Aborted };
                }
                OperationEventKind::Ended(Outcome::Unknown { .. }) => return Ended::Unsure,
                _ => {}
            }
        }
    }

    /// Looks at the fault, and notes what it came to.
    pub(super) async fn look_at_fault(&mut self, by: &str) -> Looked {
        if self.running.fault.gone.is_some() {
            return Looked::Gone;
        }
        let (node, id) = (self.running.order.node.clone(), self.running.operation.clone());
        let began = self.now();
        let looked = match self.agents.heal(&node, Some(&id), true).await {
            Ok(met) => looked(&met),
            Err(_) => Looked::Unknown,
        };
        match looked {
            Looked::Holds => self.running.fault.held = Some(began),
            Looked::Gone => self.is_gone(by),
            Looked::Unknown => {}
        }
        looked
    }

    /// It was seen to be gone: since when, is known as far as it was looked at.
    fn is_gone(&mut self, by: &str) {
        let now = self.now();
        let within = unseen(&self.running.fault, now);
        self.running.fault.gone = Some(now);
        self.saw(What::FaultGone { by: by.to_owned() }, within);
        self.say("the fault is gone");
        self.keep();
    }

    /// Takes the fault back, again and again, until it is seen to be gone. A server that can't be reached heals itself.
    pub(super) async fn heal(&mut self) -> Ended {
        let (node, id) = (self.running.order.node.clone(), self.running.operation.clone());
        let lasts = self.running.order.lasts.duration().saturating_add(GONE_WITHIN);
        let mut waited = Duration::ZERO;
        let mut said = String::new();
        let mut gone_before = false;
        loop {
            let now = match self.agents.heal(&node, Some(&id), false).await {
                Ok(met) => {
                    for line in met.iter().flat_map(|met| &met.said).filter(|line| **line != said) {
                        self.say(format!("{node}: {line}"));
                    }
                    said = met
                        .iter()
                        .filter_map(|met| met.said.last())
                        .next_back()
                        .cloned()
                        .unwrap_or_default();
                    let over = !met
                        .iter()
                        .any(|met| matches!(met.phase, HealPhase::Holds | HealPhase::Failed));
                    // Twice: what was asked for a moment ago may still be on its way.
                    if over && gone_before {
                        let person = met.iter().any(|met| met.phase == HealPhase::Person);
                        if self.running.fault.gone.is_none() && !person {
                            self.is_gone("abort");
                        }
                        return Ended::Done;
                    }
                    gone_before = over;
                    String::new()
                }
                Err(error) => error.to_string(),
            };
            if !now.is_empty() && now != said {
                let ends = match self.running.order.fault.ending() {
                    FaultEnd::Timer => "the fault ends by its own time",
                    FaultEnd::Reboot | FaultEnd::Person => "its next start ends the fault",
                };
                self.say(format!(
                    "{node} can't be asked ({now}): {ends}; on its console, as root: quorate-agent heal"
                ));
                said = now;
            }
            if waited >= lasts.saturating_add(ASKED_LONGER) {
                return Ended::Unsure;
            }
            self.wait(HEAL_EVERY).await;
            waited = waited.saturating_add(HEAL_EVERY);
        }
    }
}

/// For how long a fault that is gone now may have been so: since the last look that met it began; and where none ever did, since it was asked for.
/// When it was answered says nothing of that: the answer of a server that is cut off comes when its fault is over.
fn unseen(fault: &FaultSeen, now: Timestamp) -> Duration {
    let since = fault.held.or(fault.asked).unwrap_or(now);
    since.age(now)
}

/// What was met, in a word.
fn looked(met: &[MetFault]) -> Looked {
    if met.is_empty() {
        return Looked::Unknown;
    }
    let there = |met: &MetFault| match met.phase {
        HealPhase::Holds | HealPhase::Failed => Looked::Holds,
        HealPhase::NothingThere | HealPhase::Undone | HealPhase::MayReset | HealPhase::ResetComing => Looked::Gone,
        HealPhase::Person => Looked::Unknown,
    };
    let all: Vec<Looked> = met.iter().map(there).collect();
    match all.as_slice() {
        all if all.contains(&Looked::Holds) => Looked::Holds,
        all if all.contains(&Looked::Unknown) => Looked::Unknown,
        _ => Looked::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_is_gone_may_be_so_since_it_was_last_met_or_else_since_it_was_asked_for() {
        let at = Timestamp::from_seconds;
        // A blip cuts the server off for 18 s: that the fault is made is heard when it is over.
        let blip = FaultSeen {
            asked: Some(at(100)),
            made: Some(at(118)),
            ..FaultSeen::default()
        };
        assert_eq!(unseen(&blip, at(120)), Duration::from_secs(20));
        let met = FaultSeen {
            held: Some(at(115)),
            ..blip
        };
        assert_eq!(unseen(&met, at(120)), Duration::from_secs(5));
        assert_eq!(unseen(&FaultSeen::default(), at(120)), Duration::ZERO);
    }

    #[test]
    fn a_fault_is_gone_only_when_nothing_of_it_is_met() {
        let met = |phase: HealPhase| MetFault {
            id: None,
            fault: None,
            begun_at: None,
            ends_at: None,
            phase,
            said: vec![],
        };
        assert_eq!(looked(&[]), Looked::Unknown, "an empty answer proves nothing");
        for phase in HealPhase::ALL {
            let expected = match phase {
                HealPhase::Holds | HealPhase::Failed => Looked::Holds,
                HealPhase::Person => Looked::Unknown,
                _ => Looked::Gone,
            };
            assert_eq!(looked(&[met(phase)]), expected, "{phase:?}");
        }
        assert_eq!(looked(&[met(HealPhase::Undone), met(HealPhase::Holds)]), Looked::Holds);
    }
}
