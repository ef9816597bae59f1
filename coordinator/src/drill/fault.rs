//! The fault itself: asked for once, under an id that is on the disk before; looked at; taken back.

use std::time::Duration;

use quorate_engine::ports::{AgentError, Agents as _};
use quorate_model::Timestamp;
use quorate_model::drill::What;
use quorate_model::fault::{FaultEnd, HealPhase, MetFault};
use quorate_model::operation::{Action, Operation, OperationEventKind, Outcome};
use quorate_model::view::ClockOffset;

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

/// What an agent does to make a fault takes no longer than this, slow tools and all: later one that is not there is over.
const BEGINS_WITHIN: Duration = Duration::from_secs(60);

/// Whether a fault of which nothing is there was ever made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// It was.
    Yes,
    /// It may still be under way.
    Perhaps,
    /// The server's agent never got it.
    Never,
}

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
        let met = self.agents.heal(&node, Some(&id), true).await.ok();
        let mut looked = met.as_deref().map_or(Looked::Unknown, looked);
        if looked == Looked::Gone {
            match self.begun().await {
                Begun::Perhaps => looked = Looked::Unknown,
                Begun::Never => return self.never_began(),
                Begun::Yes => {}
            }
        }
        match looked {
            Looked::Holds => {
                let clock = self.running.clocks.get(&node).copied();
                let held = held_at(began, met.as_deref().unwrap_or_default(), clock);
                self.running.fault.held = held.or(self.running.fault.held);
            }
            Looked::Gone => self.is_gone(by),
            Looked::Unknown => {}
        }
        looked
    }

    /// What is not there is over, is being made still, or never was: a connection that broke says nothing of that, the victim's ledger does.
    async fn begun(&self) -> Begun {
        let (node, id) = (&self.running.order.node, &self.running.operation);
        let waits = self.looker.fleet.pace.deadline(BEGINS_WITHIN);
        let asked = self.running.fault.asked;
        let young = asked.is_some_and(|asked| asked.age(self.now()) < waits);
        let entry = self.agents.ledger(node, id).await;
        begun(&entry.map(|entry| entry.map(|entry| entry.ended_at.is_some())), young)
    }

    /// The server's agent does not know of it: nothing was broken, and nothing is told to have been.
    fn never_began(&mut self) -> Looked {
        self.running.fault.made = None;
        self.running.fault.gone = Some(self.now());
        let node = self.running.order.node.clone();
        self.ends_early(&format!("{node} does not know of the fault: it was never made"));
        self.keep();
        Looked::Gone
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

/// What the victim's ledger says of the operation that makes the fault. `over`: whether it is, if it is known there. `young`: it may take so long.
fn begun(over: &Result<Option<bool>, AgentError>, young: bool) -> Begun {
    match over {
        Ok(None) => Begun::Never,
        Ok(Some(false)) | Err(_) if young => Begun::Perhaps,
        _ => Begun::Yes,
    }
}

/// Until when it was surely there, if a look that began at `began` met it. What can't be told was not seen to hold. And what is met when its time is over
/// may be a table through which all passes: the kernel forgets what it is to hold up, and somebody clears away later. `clock`: the node's.
fn held_at(began: Timestamp, met: &[MetFault], clock: Option<ClockOffset>) -> Option<Timestamp> {
    let there = met.iter().filter(|met| met.phase == HealPhase::Holds);
    let until = |met: &MetFault| {
        let Some(ends) = met.ends_at else { return Some(began) };
        let clock = clock?;
        let error = i64::try_from(clock.error_micros).unwrap_or(i64::MAX);
        let ends = ends.0.saturating_sub(clock.micros).saturating_sub(error);
        Some(began.min(Timestamp(ends)))
    };
    there.filter_map(until).max()
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
    fn what_is_not_there_was_never_made_or_is_being_made_still() {
        let silent = || Err(AgentError::NoAnswer("no answer".to_owned()));
        assert_eq!(begun(&Ok(None), true), Begun::Never);
        assert_eq!(begun(&Ok(None), false), Begun::Never);
        assert_eq!(begun(&Ok(Some(false)), true), Begun::Perhaps);
        assert_eq!(begun(&silent(), true), Begun::Perhaps, "no answer proves nothing");
        assert_eq!(begun(&Ok(Some(true)), true), Begun::Yes);
        // What was made long ago and is not there is over, whatever else can't be told.
        assert_eq!(begun(&Ok(Some(false)), false), Begun::Yes);
        assert_eq!(begun(&silent(), false), Begun::Yes);
    }

    #[test]
    fn what_is_met_after_its_time_was_there_until_its_time_was_over() {
        let at = Timestamp::from_seconds;
        let met = |phase: HealPhase, ends_at: Option<i64>| MetFault {
            id: None,
            fault: None,
            begun_at: None,
            ends_at: ends_at.map(Timestamp::from_seconds),
            phase,
            said: vec![],
        };
        // The node's clock is a minute ahead.
        let clock = Some(ClockOffset {
            micros: 60_000_000,
            error_micros: 500_000,
        });
        let holds = |ends_at| vec![met(HealPhase::Holds, ends_at)];
        assert_eq!(held_at(at(110), &holds(Some(178)), clock), Some(at(110)));
        assert_eq!(held_at(at(119), &holds(Some(178)), clock), Some(Timestamp(117_500_000)));
        assert_eq!(held_at(at(119), &holds(None), None), Some(at(119)), "no timer ends it");
        assert_eq!(
            held_at(at(119), &holds(Some(178)), None),
            None,
            "when that is can't be told"
        );
        let failed = vec![met(HealPhase::Failed, None)];
        assert_eq!(
            held_at(at(119), &failed, clock),
            None,
            "what can't be told was not seen"
        );
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
