//! The agents of the world: a ledger each, operations that go on when nobody listens, and connections that break.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{NodeName, OperationId};
use quorate_model::operation::{Action, LedgerEntry, Operation, OperationEvent, OperationEventKind, Outcome};
use quorate_model::rollout::Record;
use quorate_model::{Timestamp, View};
use tokio::sync::mpsc;

use super::locked;
use super::world::{Noted, World};
use crate::ports::{AgentError, Agents, Events, Recorded};

/// How an operation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// Well.
    Works,
    /// It fails without a trace, for this reason.
    FailsClean(Code),
    /// It fails half-way, and leaves something behind.
    FailsHalfWay,
    /// It comes about, and the agent says that it failed.
    WorksButSaysFailed,
    /// It comes about, and the agent can't tell.
    WorksUnseen,
    /// Nothing comes about, and the agent can't tell.
    VanishesUnseen,
    /// It gets half-way, and the agent can't tell.
    HalfWayUnseen,
    /// Nothing comes about, and the agent says done.
    SaysDone,
}

/// How an agent answers a request to begin something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It takes it.
    Taken,
    /// It is not reached.
    NotReached,
    /// It takes it, and the answer is lost.
    TakenUnanswered,
    /// The request is lost, and nobody can tell.
    Lost,
    /// It takes it, and the stream ends at once.
    TakenSilently,
    /// It says no, for this reason.
    Refuses(Code),
}

/// How long a tool of this world takes for each half of its work.
const HALF: Duration = Duration::from_secs(7);

impl Agents for World {
    fn view(&self, nodes: &BTreeSet<NodeName>) -> impl Future<Output = View> + Send {
        std::future::ready(self.seen(nodes))
    }

    async fn start(&self, recorded: &Recorded, node: &NodeName, operation: &Operation) -> Result<Events, AgentError> {
        tokio::task::yield_now().await;
        let reply = self.on(node.as_str(), |s| {
            if s.cut {
                None
            } else {
                Some(s.replies.pop_front().unwrap_or(Reply::Taken))
            }
        });
        match reply {
            None | Some(Reply::NotReached) => return Err(AgentError::NotReached("connection refused".to_owned())),
            Some(Reply::Lost) => return Err(AgentError::NoAnswer("timed out".to_owned())),
            Some(Reply::Refuses(code)) => {
                return Err(AgentError::Refused(Box::new(Finding::new(
                    code,
                    node.as_str(),
                    "no",
                    "do something",
                ))));
            }
            Some(Reply::Taken | Reply::TakenUnanswered | Reply::TakenSilently) => {}
        }
        self.take(recorded, node, operation)?;
        if locked(&self.inner).doubled {
            self.take(recorded, node, operation)?;
        }
        match reply {
            Some(Reply::TakenUnanswered) => Err(AgentError::NoAnswer("timed out".to_owned())),
            Some(Reply::TakenSilently) => Ok(mpsc::channel(1).1),
            _ => Ok(self.stream(node, &operation.id, 0)),
        }
    }

    async fn attach(&self, node: &NodeName, operation: &OperationId, from: u64) -> Result<Events, AgentError> {
        tokio::task::yield_now().await;
        let (cut, known) = self.on(node.as_str(), |s| (s.cut, s.ledger.contains_key(operation)));
        match (cut, known) {
            (true, _) => Err(AgentError::NotReached("no route to host".to_owned())),
            (false, false) => Err(AgentError::NotKnown),
            (false, true) => Ok(self.stream(node, operation, from)),
        }
    }

    async fn ledger(&self, node: &NodeName, operation: &OperationId) -> Result<Option<LedgerEntry>, AgentError> {
        tokio::task::yield_now().await;
        self.on(node.as_str(), |s| {
            if s.cut {
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
            let accepted_at = Timestamp::from_seconds(1_795_345_772);
            let entry = LedgerEntry {
                operation: operation.clone(),
                accepted_at,
                outcome: None,
                ended_at: None,
            };
            server
                .ledger
                .insert(operation.id.clone(), Noted { entry, events: vec![] });
            let conduct = server.conduct.pop_front().unwrap_or(Conduct::Works);
            inner.began();
            Ok(Some(conduct))
        })?;
        if let Some(conduct) = conduct {
            let (world, node, operation) = (self.clone(), node.clone(), operation.clone());
            world.say(&node, &operation.id, OperationEventKind::Accepted);
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
            Conduct::FailsClean(_) | Conduct::VanishesUnseen | Conduct::SaysDone
        );
        let whole = matches!(
            conduct,
            Conduct::Works | Conduct::WorksUnseen | Conduct::WorksButSaysFailed
        );
        if half {
            self.half_way(node, &operation.action);
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
        if whole {
            self.all_the_way(node, &operation.action);
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
            Conduct::WorksUnseen | Conduct::VanishesUnseen | Conduct::HalfWayUnseen => Outcome::Unknown {
                reason: "the tool's end was not seen".to_owned(),
            },
        };
        self.change(|inner| {
            inner.running -= 1;
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

    /// The point of no return: the cluster counts the node, which is not in yet.
    fn half_way(&self, node: &NodeName, action: &Action) {
        self.change(|inner| {
            let alone = inner.servers.get(node).is_some_and(|s| s.cluster.is_none());
            if !alone {
                inner.violation(format!("{} on {node}, which is in a cluster", action.kind().as_str()));
            }
            match action {
                Action::CreateCluster { cluster, .. } => {
                    if inner.rosters.contains_key(cluster) {
                        inner.violation(format!("{cluster} was created a second time"));
                    }
                }
                Action::JoinCluster { cluster, .. } => {
                    if !inner.quorate(cluster) {
                        inner.violation(format!("{node} joins {cluster} without quorum, or beside another"));
                    }
                    inner.rosters.entry(cluster.clone()).or_default().insert(node.clone());
                }
            }
        });
    }

    fn all_the_way(&self, node: &NodeName, action: &Action) {
        self.change(|inner| {
            let (Action::CreateCluster { cluster, .. } | Action::JoinCluster { cluster, .. }) = action;
            inner.rosters.entry(cluster.clone()).or_default().insert(node.clone());
            if let Some(server) = inner.servers.get_mut(node) {
                server.cluster = Some(cluster.clone());
            }
            inner.effect(node, action.kind());
        });
    }

    fn say(&self, node: &NodeName, operation: &OperationId, kind: OperationEventKind) {
        self.on(node.as_str(), |server| {
            if let Some(noted) = server.ledger.get_mut(operation) {
                let sequence = u64::try_from(noted.events.len()).unwrap_or(u64::MAX);
                noted.events.push(OperationEvent {
                    sequence,
                    at: Timestamp::from_seconds(1_795_345_772),
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
                let event = world.on_quietly(&node, |server| {
                    let event = server
                        .ledger
                        .get(&operation)?
                        .events
                        .get(usize::try_from(next).ok()?)?
                        .clone();
                    let broken = server.cut || server.breaks.remove(&next);
                    Some((event, broken))
                });
                match event {
                    Some((_, true)) => return,
                    Some((event, false)) => {
                        let last = matches!(event.kind, OperationEventKind::Ended(_));
                        if sender.send(event).await.is_err() || last {
                            return;
                        }
                        next += 1;
                    }
                    None if world.on_quietly(&node, |s| s.cut || !s.ledger.contains_key(&operation)) => return,
                    None => {
                        if changes.changed().await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        events
    }

    /// Looks at a server without waking those who wait for changes.
    fn on_quietly<T: Default>(&self, node: &NodeName, look: impl FnOnce(&mut super::world::Server) -> T) -> T {
        locked(&self.inner).servers.get_mut(node).map(look).unwrap_or_default()
    }
}

fn refused(node: &NodeName, code: Code, why: &str) -> AgentError {
    AgentError::Refused(Box::new(Finding::new(code, node.as_str(), why, "")))
}
