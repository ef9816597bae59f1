//! What a drill asks agents for: a fault, its end, and what happens meanwhile.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use quorate_engine::ports::{AgentError, Events};
use quorate_model::drill::Event;
use quorate_model::fault::MetFault;
use quorate_model::operation::Operation;
use quorate_model::{NodeName, NodeRef, OperationId};
use quorate_proto::{Wire, v1};
use tokio::sync::mpsc;
use tonic::Streaming;

use super::{CallError, ClusterAgents, forward, within};

/// Healing waits for tools of the server, each of which has a deadline of its own.
const HEALS_WITHIN: Duration = Duration::from_secs(60);

/// Batches of events that may wait to be written down.
const BATCHES: usize = 16;

/// Which watch is meant.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    /// Its name, the same on all nodes.
    pub(crate) id: OperationId,
    /// Guests whose start and copies are told of.
    pub(crate) guests: Vec<u32>,
    /// The guest whose numbered writer the agent asks, and where that answers.
    pub(crate) tally: Option<(u32, SocketAddr)>,
    /// When a new one ends, in seconds; 0: only what a known one has told.
    pub(crate) seconds: u32,
}

impl ClusterAgents {
    /// Has an operation of a drill begin on a node: a fault, or what is done before it. The same operation again attaches to it. Its intent is on the
    /// coordinator's disk.
    pub(crate) async fn inject(&self, node: &NodeName, operation: &Operation) -> Result<Events, AgentError> {
        let driver = self.seat.check().map_err(AgentError::Refused)?;
        self.claim_for(&driver, node).await?;
        let peer = self.peer(node)?;
        self.tell_hold(&driver, &peer).await?;
        let request = v1::ExecuteRequest {
            driver: Some(driver.into_wire()),
            operation: Some(operation.clone().into_wire()),
            secret: None,
            restores: false,
            anchor: self.journal.newest().into_wire(),
        };
        match within(peer.quick(), &peer.name, peer.client().execute(request)).await {
            Ok(stream) => Ok(forward(stream, peer.name.clone())),
            Err(error) => Err(self.failed(&peer, error).await),
        }
    }

    /// Takes a fault back, or all where none is named; or only looks what there is of them. Whoever drives.
    pub(crate) async fn heal(
        &self,
        node: &NodeName,
        fault: Option<&OperationId>,
        only_look: bool,
    ) -> Result<Vec<MetFault>, AgentError> {
        let peer = self.peer(node)?;
        let request = v1::HealRequest {
            fault: fault.map(ToString::to_string).unwrap_or_default(),
            only_look,
        };
        let deadline = peer.quick().saturating_add(HEALS_WITHIN);
        let reply = match within(deadline, &peer.name, peer.client().heal(request)).await {
            Ok(reply) => reply,
            Err(error) => return Err(error.into_agent_error(&peer.name)),
        };
        Wire::from_wire(reply.met).map_err(|error| AgentError::NoAnswer(format!("what it met can't be read: {error}")))
    }

    /// What happens on a node, from a number of events on. The channel ends with the watch, or with the connection.
    pub(crate) async fn watch_events(
        &self,
        node: &NodeName,
        watch: &Watch,
        from: u64,
    ) -> Result<mpsc::Receiver<Vec<Event>>, AgentError> {
        let driver = self.seat.check().map_err(AgentError::Refused)?;
        let only = BTreeSet::from([node.clone()]);
        if let Some(error) = self.claim_of(&driver, &only).await.remove(node) {
            return Err(error);
        }
        let peer = self.peer(node)?;
        let request = v1::WatchEventsRequest {
            driver: Some(driver.into_wire()),
            watch: watch.id.to_string(),
            guests: watch.guests.clone(),
            seconds: watch.seconds,
            from,
            tally: watch.tally.map(|(guest, at)| v1::TallyPlace {
                guest,
                address: at.ip().to_string(),
                port: at.port().into(),
            }),
        };
        match within(peer.quick(), &peer.name, peer.client().watch_events(request)).await {
            Ok(stream) => Ok(hand_on(stream, peer.name.clone())),
            Err(error) => Err(self.failed(&peer, error).await),
        }
    }
}

/// Hands events over until the stream ends.
fn hand_on(mut stream: Streaming<v1::DrillEvents>, node: NodeRef) -> mpsc::Receiver<Vec<Event>> {
    let (sender, receiver) = mpsc::channel(BATCHES);
    tokio::spawn(async move {
        loop {
            let batch = match stream.message().await {
                Ok(Some(batch)) => batch,
                Ok(None) => return,
                Err(status) => {
                    tracing::info!(%node, reason = %CallError::of(&node, &status), "what happens there is not heard for now");
                    return;
                }
            };
            let events: Result<Vec<Event>, _> = Wire::from_wire(batch.events);
            match events {
                Ok(events) => {
                    if sender.send(events).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%node, %error, "what happens there can't be understood");
                    return;
                }
            }
        }
    });
    receiver
}
