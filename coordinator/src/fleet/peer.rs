//! One enrolled node: the channel to its agent, and what is known of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use quorate_clock::Clock;
use quorate_identity::{ClientTls, RevocationList, Role};
use quorate_model::ids::Driver;
use quorate_model::observation::FacetName;
use quorate_model::operation::Package;
use quorate_model::{Hold, NodeName, NodeRef, Observation, Timestamp};
use quorate_proto::v1;
use quorate_proto::v1::agent_client::AgentClient;
use quorate_proto::{ConnectionState, Wire, field, limits};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::call::{CallError, within};
use super::health::{Health, clock_offset};
use crate::pace::Pace;
use crate::{authority, trust};

/// An enrolled node.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: NodeRef,
    dialling: Dialling,
    clock: Clock,
    pub(super) pace: Pace,
    channel: Mutex<Channel>,
    health: watch::Sender<Health>,
    /// What holds its cluster up, as it was told last by this process.
    told: Mutex<Option<Hold>>,
}

/// How a node is dialled.
#[derive(Debug, Clone)]
pub(super) struct Dialling {
    pub(super) role: Role,
    pub(super) address: SocketAddr,
    pub(super) tls: ClientTls,
    /// From the first packet to a finished handshake.
    pub(super) within: Duration,
}

impl Peer {
    pub(super) fn new(name: NodeRef, dialling: Dialling, clock: Clock, pace: Pace) -> Self {
        let health = watch::Sender::new(Health::new(trust::now(&clock)));
        let channel = Mutex::new(dialling.channel());
        Self {
            name,
            dialling,
            clock,
            pace,
            channel,
            health,
            told: Mutex::default(),
        }
    }

    /// What is known of it now.
    pub(crate) fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Health, Timestamp)) {
        self.health
            .send_modify(|health| change(health, trust::now(&self.clock)));
    }

    /// Calls to its agent. A call dials by itself if there is no connection.
    pub(super) fn client(&self) -> AgentClient<Channel> {
        Self::client_over(self.channel().clone())
    }

    fn client_over(channel: Channel) -> AgentClient<Channel> {
        AgentClient::new(channel)
            .max_decoding_message_size(limits::MAX_MESSAGE)
            .max_encoding_message_size(limits::MAX_MESSAGE)
    }

    /// Leaves the present connection to whoever uses it, and dials anew from the next call on.
    pub(super) fn dial_anew(&self) {
        *self.channel() = self.dialling.channel();
        // Whoever answers there next may be another agent.
        *self.told() = None;
    }

    /// Looks now; with the network, also at what these names resolve to there; with readiness, also whether these packages can be
    /// fetched. What comes back is also kept.
    pub(super) async fn observe(
        &self,
        facets: &[FacetName],
        names: &[NodeName],
        fetch: &BTreeSet<Package>,
    ) -> Result<Observation, CallError> {
        let linked = self.health.borrow().connection.state == ConnectionState::Connected;
        let client = if linked {
            self.client()
        } else {
            // Calls that share a channel dial one after another: behind the link's own try, and others', a server that is off
            // would not be found to be so before the deadline.
            Self::client_over(self.dialling.channel())
        };
        self.observe_by(client, facets, names, fetch).await
    }

    /// As [`Peer::observe`], over this connection.
    pub(super) async fn observe_by(
        &self,
        mut client: AgentClient<Channel>,
        facets: &[FacetName],
        names: &[NodeName],
        fetch: &BTreeSet<Package>,
    ) -> Result<Observation, CallError> {
        let request = v1::ObserveRequest {
            facets: facets.iter().map(|facet| facet.into_wire()).collect(),
            resolve: names
                .iter()
                .take(limits::MAX_RESOLVED)
                .map(ToString::to_string)
                .collect(),
            fetch: fetch.clone().into_wire(),
            within_ms: u64::try_from(limits::FACET_TIMEOUT.as_millis()).ok(),
        };
        let sent = trust::now(&self.clock);
        // The tools that the agent waits for have their deadlines in real time, in a lab too.
        let deadline = self.dialling.within + limits::OBSERVE_TIMEOUT;
        let reply = within(deadline, &self.name, client.observe(request)).await?;
        let answered = trust::now(&self.clock);
        let observation: Option<Observation> =
            field("observation", reply.observation).map_err(|error| CallError::garbled(&error))?;
        let mut observation =
            observation.ok_or_else(|| CallError::NoAnswer("the answer holds no observation".to_owned()))?;
        observation.told_by_older(facets);
        let offset = match (reply.received_at, reply.sent_at) {
            (Some(received), Some(replied)) => Some(clock_offset(
                sent,
                Timestamp(received.unix_micros),
                Timestamp(replied.unix_micros),
                answered,
            )),
            _ => None,
        };
        self.update(|health, now| {
            health.see(observation.clone(), now);
            health.clock_offset = offset.or(health.clock_offset);
        });
        Ok(observation)
    }

    /// Tells it which certificates no longer count.
    pub(super) async fn push_revocations(&self, list: &RevocationList) -> Result<(), CallError> {
        let request = v1::RevokeRequest {
            generation: list.generation(),
            fingerprints: list.entries().map(|entry| entry.fingerprint.to_string()).collect(),
        };
        within(self.quick(), &self.name, self.client().revoke(request))
            .await
            .map(drop)
    }

    /// Tells it what holds its cluster up, if it does not know.
    pub(super) async fn tell_hold(&self, driver: &Driver, hold: &Hold) -> Result<(), CallError> {
        if self.told().as_ref() == Some(hold) {
            return Ok(());
        }
        let request = v1::HoldRequest {
            driver: Some(driver.clone().into_wire()),
            hold: Some(hold.clone().into_wire()),
        };
        // Without an answer nobody knows what it knows.
        *self.told() = None;
        within(self.quick(), &self.name, self.client().hold(request)).await?;
        *self.told() = Some(hold.clone());
        Ok(())
    }

    fn told(&self) -> MutexGuard<'_, Option<Hold>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The deadline of a call that only asks for what is at hand. Dialling has its own time in it: of a server that is off it must
    /// come out that it can't be reached, and not that it gave no answer.
    pub(super) fn quick(&self) -> Duration {
        self.dialling.within + self.pace.deadline(limits::QUICK_CALL_TIMEOUT)
    }

    fn channel(&self) -> MutexGuard<'_, Channel> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dialling {
    fn channel(&self) -> Channel {
        let dialling = Arc::new(self.clone());
        let connector = service_fn(move |_: http::Uri| {
            let dialling = Arc::clone(&dialling);
            async move {
                let connected = dialling
                    .tls
                    .connect(dialling.address, &dialling.role, dialling.within)
                    .await;
                connected.map(|(stream, _)| TokioIo::new(stream))
            }
        });
        Endpoint::from_static(authority::AGENT)
            .http2_keep_alive_interval(limits::KEEPALIVE_INTERVAL)
            .keep_alive_timeout(limits::KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .http2_max_header_list_size(limits::MAX_HEADERS)
            .connect_with_connector_lazy(connector)
    }
}
