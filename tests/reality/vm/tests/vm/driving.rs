//! The agent is asked as the coordinator asks it, with the coordinator's own certificate.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use quorate_clock::Clock;
use quorate_identity::{ClientTls, CoordinatorStore, Material, RevocationList, Role, TimeSource};
use quorate_model::Generation;
use quorate_model::facet::UnknownKind;
use quorate_model::fault::MetFault;
use quorate_model::ids::Driver;
use quorate_model::observation::{FacetName, Observation};
use quorate_model::operation::{Action, Operation, OperationEvent, OperationEventKind, Outcome, Package};
use quorate_proto::v1::agent_client::AgentClient;
use quorate_proto::{Wire as _, v1};
use quorate_reality::{note, until};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::fleet::{CLUSTER, NODE};

/// Nobody waits for it when all goes well.
const AMPLE: Duration = Duration::from_secs(60);

pub(crate) struct Driving {
    tls: ClientTls,
    agent: SocketAddr,
    driver: Driver,
}

impl Driving {
    pub(crate) fn of(state: &Path, agent: SocketAddr) -> Self {
        let store = CoordinatorStore::new(state);
        let material = Material {
            roots: store.roots().unwrap(),
            identity: Some(store.coordinator().unwrap()),
            revocations: RevocationList::default(),
        };
        let clock = Clock::system();
        let time = TimeSource::new(move || u64::try_from(clock.unix_micros() / 1_000_000).unwrap());
        Self {
            tls: ClientTls::new(material, time).unwrap(),
            agent,
            // Higher than any that the coordinator had.
            driver: Driver {
                generation: Generation(1000),
                instance: "00000000-0000-0000-0000-000000000001".parse().unwrap(),
            },
        }
    }

    fn client(&self) -> AgentClient<Channel> {
        let (tls, address) = (self.tls.clone(), self.agent);
        let role = Role::Node {
            cluster: CLUSTER.parse().unwrap(),
            node: NODE.parse().unwrap(),
        };
        let connector = tower::service_fn(move |_: http::Uri| {
            let (tls, role) = (tls.clone(), role.clone());
            async move {
                let connected = tls.connect(address, &role, AMPLE).await;
                connected.map(|(stream, _)| TokioIo::new(stream))
            }
        });
        let endpoint = Endpoint::from_static("http://agent.quorate.internal");
        AgentClient::new(endpoint.connect_with_connector_lazy(connector))
    }

    /// What the agent sees of these facets once all of them are known: an emulated machine may be too slow for the deadlines that are
    /// meant for servers, and the agent then rightly says that it does not know.
    pub(crate) async fn known(&self, facets: &[FacetName]) -> Observation {
        let mut seen = None;
        until("all is known", async || {
            let look = self.look(facets).await;
            let unknown = [
                look.disks.get().err().filter(|_| facets.contains(&FacetName::Disks)),
                look.pools.get().err().filter(|_| facets.contains(&FacetName::Pools)),
            ];
            let unknown: Vec<_> = unknown.into_iter().flatten().cloned().collect();
            for unknown in &unknown {
                assert_eq!(unknown.kind, UnknownKind::TimedOut, "{unknown:?}");
                note(&format!("not known yet: {}", unknown.reason));
            }
            seen = Some(look);
            unknown.is_empty()
        })
        .await;
        seen.unwrap()
    }

    /// What the agent sees now. On a machine so busy that pings go unanswered for ten seconds the connection is given up, by either end,
    /// and whoever asked asks again.
    pub(crate) async fn look(&self, facets: &[FacetName]) -> Observation {
        self.look_and_fetch(facets, &[]).await
    }

    /// The same, and the machine is asked whether these packages can be fetched.
    pub(crate) async fn look_and_fetch(&self, facets: &[FacetName], packages: &[Package]) -> Observation {
        let mut seen = None;
        until("the agent answers", async || {
            let request = v1::ObserveRequest {
                facets: facets.iter().map(|facet| facet.into_wire()).collect(),
                fetch: packages.iter().map(|package| package.into_wire()).collect(),
                ..v1::ObserveRequest::default()
            };
            match self.client().observe(request).await {
                Ok(reply) => seen = reply.into_inner().observation,
                Err(status) => {
                    let broken = matches!(status.code(), Code::Unknown | Code::Unavailable);
                    assert!(broken, "{status:?}");
                    note(&format!("asked again: {}", status.message()));
                }
            }
            seen.is_some()
        })
        .await;
        Observation::try_from(seen.unwrap()).unwrap()
    }

    fn request(&self, id: &str, action: &Action) -> v1::ExecuteRequest {
        let operation = Operation {
            id: id.parse().unwrap(),
            action: action.clone(),
        };
        v1::ExecuteRequest {
            driver: Some(self.driver.clone().into_wire()),
            operation: Some(operation.into_wire()),
            secret: None,
            restores: false,
            anchor: None,
        }
    }

    /// Asks for an operation, and follows it to its end; or the agent's refusal.
    pub(crate) async fn execute(&self, id: &str, action: &Action) -> Result<Vec<OperationEvent>, Status> {
        let mut stream = self.client().execute(self.request(id, action)).await?.into_inner();
        let mut events = Vec::new();
        while let Some(event) = stream.message().await? {
            events.push(OperationEvent::try_from(event).unwrap());
        }
        Ok(events)
    }

    /// Asks for an operation that must not come about: what the agent says against it, at once, or in the instant before it would have begun.
    pub(crate) async fn refused(&self, id: &str, action: &Action) -> String {
        let events = match self.execute(id, action).await {
            Err(status) => return told(&status),
            Ok(events) => events,
        };
        match events.last().map(|event| &event.kind) {
            Some(OperationEventKind::Ended(Outcome::Failed {
                findings,
                unchanged: true,
            })) => format!("{findings:?}"),
            _ => panic!("{events:#?}"),
        }
    }

    /// Asks for an operation, and does not follow it: it is accepted when this returns.
    pub(crate) async fn begin(&self, id: &str, action: &Action) {
        let mut stream = self
            .client()
            .execute(self.request(id, action))
            .await
            .unwrap()
            .into_inner();
        assert!(stream.message().await.unwrap().is_some(), "{id} was not accepted");
    }

    /// How an operation that was begun ends, whatever becomes of the connection meanwhile.
    pub(crate) async fn ended(&self, id: &str, action: &Action) -> Outcome {
        let mut outcome = None;
        until(&format!("{id} ends"), async || {
            match self.execute(id, action).await {
                Ok(events) => {
                    if let Some(OperationEventKind::Ended(how)) = events.last().map(|event| &event.kind) {
                        outcome = Some(how.clone());
                    }
                }
                Err(status) => note(&format!("followed again: {}", status.message())),
            }
            outcome.is_some()
        })
        .await;
        outcome.unwrap()
    }

    /// Has the agent end what is rehearsed there: one fault by its operation, or, without a name, all.
    pub(crate) async fn heal(&self, fault: &str) -> Vec<MetFault> {
        let request = v1::HealRequest {
            fault: fault.to_owned(),
            only_look: false,
        };
        let reply = self.client().heal(request).await.unwrap().into_inner();
        reply.met.into_iter().map(|met| met.try_into().unwrap()).collect()
    }

    /// Which start of the machine's kernel this is.
    pub(crate) async fn boot(&self) -> String {
        let mut boot = None;
        until("the system is known", async || {
            let seen = self.look(&[FacetName::System]).await;
            boot = seen.system.get().ok().map(|system| system.boot_id.clone());
            boot.is_some()
        })
        .await;
        boot.unwrap()
    }

    /// Asks for an operation that must come about.
    pub(crate) async fn done(&self, id: &str, action: &Action) {
        let events = self.execute(id, action).await.unwrap();
        let ended = matches!(
            events.last().map(|event| &event.kind),
            Some(OperationEventKind::Ended(Outcome::Done { .. }))
        );
        assert!(ended, "{events:#?}");
    }
}

/// What a refusal says.
fn told(status: &Status) -> String {
    assert_ne!(status.code(), Code::Unavailable, "{status:?}");
    format!("{:?}", quorate_proto::status::to_failure(status))
}
