//! The agents of the world: a ledger each, operations that go on when nobody listens, and connections that break.

use std::future::Future;
use std::time::Duration;

use quorate_model::View;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{NodeName, OperationId};
use quorate_model::operation::{LedgerEntry, Operation, OperationEvent, OperationEventKind, Outcome};
use quorate_model::plan::{Needs, Step};
use quorate_model::rollout::Record;
use tokio::sync::mpsc;

use super::trouble::{Conduct, Reply};
use super::world::{Noted, World};
use super::{NOW, locked};
use crate::ports::{AgentError, Agents, Events, Recorded};

/// How long a tool of this world takes for each half of its work.
const HALF: Duration = Duration::from_secs(7);

impl Agents for World {
    fn view(&self, needs: &Needs) -> impl Future<Output = View> + Send {
        std::future::ready(self.seen(needs))
    }

    async fn start(&self, recorded: &Recorded, step: &Step, operation: &Operation) -> Result<Events, AgentError> {
        let node = &step.node;
        tokio::task::yield_now().await;
        let reply = self.change(|inner| {
            if inner.servers.get(node).is_none_or(|s| s.cut || s.off) {
                return None;
            }
            let next = inner.next_trouble(node, &operation.action, |t| t.replies.pop_front());
            inner.server(node).cut |= next == Some(Reply::GoesDark);
            Some(next.unwrap_or(Reply::Taken))
        });
        match reply {
            None | Some(Reply::NotReached | Reply::GoesDark) => {
                return Err(AgentError::NotReached("connection refused".to_owned()));
            }
            Some(Reply::Lost) => return Err(AgentError::NoAnswer("timed out".to_owned())),
            Some(Reply::Refuses(code)) => return Err(refused(node, code, "no")),
            Some(Reply::Taken | Reply::TakenUnanswered | Reply::TakenSilently | Reply::TakenMute) => {}
        }
        self.take(recorded, node, operation)?;
        if locked(&self.inner).doubled {
            self.take(recorded, node, operation)?;
        }
        match reply {
            Some(Reply::TakenUnanswered) => Err(AgentError::NoAnswer("timed out".to_owned())),
            Some(Reply::TakenSilently) => Ok(mpsc::channel(1).1),
            Some(Reply::TakenMute) => Ok(mute()),
            _ => Ok(self.stream(node, &operation.id, 0)),
        }
    }

    async fn attach(&self, node: &NodeName, operation: &OperationId, from: u64) -> Result<Events, AgentError> {
        tokio::task::yield_now().await;
        let (cut, known) = self.on(node.as_str(), |s| (s.cut || s.off, s.ledger.contains_key(operation)));
        match (cut, known) {
            (true, _) => Err(AgentError::NotReached("no route to host".to_owned())),
            (false, false) => Err(AgentError::NotKnown),
            (false, true) => Ok(self.stream(node, operation, from)),
        }
    }

    async fn ledger(&self, node: &NodeName, operation: &OperationId) -> Result<Option<LedgerEntry>, AgentError> {
        tokio::task::yield_now().await;
        self.on(node.as_str(), |s| {
            if s.cut || s.off {
                Err(AgentError::NoAnswer("timed out".to_owned()))
            } else {
                Ok(s.ledger.get(operation).map(|noted| noted.entry.clone()))
            }
        })
    }
}

impl World {
    /// Notes an operation and begins it, unless it is known already.
    fn take(&self, recorded: &Recorded, node: &NodeName, operation: &Operation) -> Result<(), AgentError> {
        let Record::Intended {
            generation,
            operation: intended,
            ..
        } = &recorded.entry.record
        else {
            return Err(refused(node, Code::StepFailed, "no intent is recorded"));
        };
        let conduct = self.change(|inner| {
            if *intended != operation.id {
                inner.violation(format!("{} was sent with the intent of {intended}", operation.id));
            }
            let Some(server) = inner.servers.get_mut(node) else {
                return Err(refused(node, Code::NodeUnreachable, "no such server"));
            };
            if *generation < server.generation {
                return Err(refused(node, Code::DriverSuperseded, "another coordinator drives"));
            }
            server.generation = *generation;
            if server.ledger.contains_key(&operation.id) {
                return Ok(None);
            }
            if server.ledger.values().any(|noted| noted.entry.outcome.is_none()) {
                inner.violation(format!(
                    "{} was begun while another operation runs on {node}",
                    operation.id
                ));
                return Err(refused(node, Code::StepFailed, "busy"));
            }
            let entry = LedgerEntry {
                operation: operation.clone(),
                accepted_at: NOW,
                outcome: None,
                ended_at: None,
            };
            server
                .ledger
                .insert(operation.id.clone(), Noted { entry, events: vec![] });
            let action = &operation.action;
            let conduct = inner.next_trouble(node, action, |t| t.conduct.pop_front());
            let cut_for = inner.next_trouble(node, action, |t| t.cut_for.take());
            inner.server(node).cut |= cut_for.is_some();
            inner.began(&operation.id, node, action.kind());
            inner.check(node, action);
            Ok(Some((conduct.unwrap_or(Conduct::Works), cut_for)))
        })?;
        if let Some((conduct, cut_for)) = conduct {
            let (world, node, operation) = (self.clone(), node.clone(), operation.clone());
            world.say(&node, &operation.id, OperationEventKind::Accepted);
            if let Some(cut_for) = cut_for {
                let (world, node) = (self.clone(), node.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(cut_for).await;
                    world.heal(node.as_str());
                });
            }
            tokio::spawn(async move { world.execute(&node, &operation, conduct).await });
        }
        Ok(())
    }

    async fn execute(&self, node: &NodeName, operation: &Operation, conduct: Conduct) {
        let command = operation.action.kind().as_str().to_owned();
        self.say(
            node,
            &operation.id,
            OperationEventKind::ToolStarted { command, pid: 4711 },
        );
        tokio::time::sleep(HALF).await;
        let half = !matches!(
            conduct,
            Conduct::FailsClean(_) | Conduct::VanishesUnseen | Conduct::SaysDone | Conduct::LosesSight
        );
        let whole = matches!(
            conduct,
            Conduct::Works | Conduct::WorksUnseen | Conduct::WorksButSaysFailed
        );
        if half {
            self.change(|inner| inner.half_way(node, &operation.action));
        }
        self.say(
            node,
            &operation.id,
            OperationEventKind::Line {
                stderr: false,
                text: "half-way".to_owned(),
            },
        );
        tokio::time::sleep(HALF).await;
        if conduct == Conduct::Hangs {
            return self.hang(node, &operation.id).await;
        }
        let off = self.change(|inner| {
            if whole {
                inner.all_the_way(node, &operation.action);
                inner.note(&operation.id, node, operation.action.kind(), true);
            }
            let off = inner.server(node).off;
            if off {
                // The agent goes with its server, and nobody hears how it ended.
                inner.running.remove(&operation.id);
            }
            off
        });
        if off {
            return;
        }
        self.say(
            node,
            &operation.id,
            OperationEventKind::ToolEnded {
                exit: "exit code 0".to_owned(),
                milliseconds: 14_000,
            },
        );
        let failed = |code, unchanged| Outcome::Failed {
            findings: vec![Finding::new(code, node.as_str(), "the tool said so", "read its output")],
            unchanged,
        };
        let outcome = match conduct {
            Conduct::Works | Conduct::SaysDone => Outcome::Done {
                evidence: "seen on the node".to_owned(),
            },
            Conduct::FailsClean(code) => failed(code, true),
            Conduct::FailsHalfWay | Conduct::WorksButSaysFailed => failed(Code::StepFailed, false),
            Conduct::WorksUnseen
            | Conduct::VanishesUnseen
            | Conduct::HalfWayUnseen
            | Conduct::LosesSight
            | Conduct::Hangs => Outcome::Unknown {
                reason: "the tool's end was not seen".to_owned(),
                over: conduct != Conduct::LosesSight,
            },
        };
        self.change(|inner| {
            inner.running.remove(&operation.id);
            if let Some(noted) = inner
                .servers
                .get_mut(node)
                .and_then(|s| s.ledger.get_mut(&operation.id))
            {
                noted.entry.outcome = Some(outcome.clone());
            }
        });
        self.say(node, &operation.id, OperationEventKind::Ended(outcome));
    }

    /// At its deadline, and then ever more rarely.
    async fn hang(&self, node: &NodeName, operation: &OperationId) {
        let mut gap = Duration::from_secs(120);
        loop {
            tokio::time::sleep(gap).await;
            let diagnosis = vec!["the tool waits".to_owned()];
            self.say(node, operation, OperationEventKind::Overdue { diagnosis });
            gap = gap.saturating_mul(2).min(Duration::from_secs(3600));
        }
    }

    fn say(&self, node: &NodeName, operation: &OperationId, kind: OperationEventKind) {
        self.on(node.as_str(), |server| {
            if let Some(noted) = server.ledger.get_mut(operation) {
                let sequence = u64::try_from(noted.events.len()).unwrap_or(u64::MAX);
                noted.events.push(OperationEvent {
                    sequence,
                    at: NOW,
                    kind,
                });
            }
        });
    }

    /// Events from a number on, as they come, until the end or until the connection breaks.
    fn stream(&self, node: &NodeName, operation: &OperationId, from: u64) -> Events {
        let (sender, events) = mpsc::channel(16);
        let (world, node, operation) = (self.clone(), node.clone(), operation.clone());
        tokio::spawn(async move {
            let mut changes = world.changes.subscribe();
            // As an agent may: the last event that was had comes once more.
            let mut next = from.saturating_sub(1);
            loop {
                let Some(mut ready) = world.events(&node, &operation, next) else {
                    return;
                };
                if ready.len() > 1 && world.shuffles(&operation, next) {
                    // The later one, the earlier one, and the later one again.
                    ready.swap(0, 1);
                    ready.truncate(2);
                    ready.extend(ready.first().cloned());
                }
                for event in ready {
                    if world.breaks_before(&node, &operation, event.sequence) {
                        return;
                    }
                    let last = matches!(event.kind, OperationEventKind::Ended(_));
                    next = next.max(event.sequence + 1);
                    if sender.send(event).await.is_err() || last {
                        return;
                    }
                }
                let more = world
                    .events(&node, &operation, next)
                    .is_some_and(|more| !more.is_empty());
                if !more && changes.changed().await.is_err() {
                    return;
                }
            }
        });
        events
    }

    /// Once at each place: when it is asked for again, all is in order.
    fn shuffles(&self, operation: &OperationId, next: u64) -> bool {
        let mut inner = locked(&self.inner);
        inner.shuffled && inner.shuffled_at.insert((operation.clone(), next))
    }

    /// The events of an operation from a number on; `None`: the connection is broken, or the operation forgotten.
    fn events(&self, node: &NodeName, operation: &OperationId, from: u64) -> Option<Vec<OperationEvent>> {
        let inner = locked(&self.inner);
        let server = inner.servers.get(node).filter(|s| !s.cut && !s.off)?;
        let all = &server.ledger.get(operation)?.events;
        Some(all.get(usize::try_from(from).ok()?..).unwrap_or_default().to_vec())
    }

    fn breaks_before(&self, node: &NodeName, operation: &OperationId, event: u64) -> bool {
        let mut inner = locked(&self.inner);
        let action = inner.servers.get(node).and_then(|s| s.ledger.get(operation));
        let Some(action) = action.map(|noted| noted.entry.operation.action.clone()) else {
            return true;
        };
        inner
            .next_trouble(node, &action, |t| t.breaks.remove(&event).then_some(()))
            .is_some()
    }
}

/// A stream that says nothing until its connection is found to be dead.
fn mute() -> Events {
    let (sender, events) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        drop(sender);
    });
    events
}

fn refused(node: &NodeName, code: Code, why: &str) -> AgentError {
    AgentError::Refused(Box::new(Finding::new(code, node.as_str(), why, "")))
}
