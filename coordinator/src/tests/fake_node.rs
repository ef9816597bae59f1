//! A node without a server: speaks the agent's protocol with a real certificate, on a world in memory.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use quorate_identity::{
    ClientTls, Identity, Material, PrivateKey, RevocationList, Role, Roots, ServerTls, TimeSource, Token, fetch_root,
    make_key_and_csr,
};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::Driver;
use quorate_model::observation::FacetName;
use quorate_model::operation::{Action, LedgerEntry, Operation, OperationEvent, OperationEventKind, Outcome};
use quorate_model::{Code, Finding, NodeName, Observation, Timestamp};
use quorate_planner::testkit::Servers;
use quorate_proto::v1::agent_server::{Agent, AgentServer};
use quorate_proto::v1::enrolment_client::EnrolmentClient;
use quorate_proto::{Wire, field, refuse, to_failure, to_status, v1};
use quorate_reception::{Limits, Reception};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

use super::daemon::now;
use crate::incoming::Who;

const DEADLINE: Duration = Duration::from_secs(20);

/// All servers, as they really are.
pub(super) type World = Arc<Mutex<Servers>>;

/// A node's agent, and what a test may know and do.
pub(super) struct FakeNode {
    pub(super) name: NodeName,
    pub(super) address: SocketAddr,
    listener: Option<TcpListener>,
    tls: Option<ServerTls>,
    /// Its own: when it is shut down, every connection of the node breaks, as when a process dies.
    runtime: Option<Runtime>,
    pub(super) state: Arc<State>,
}

pub(super) struct State {
    name: NodeName,
    pub(super) world: World,
    /// The texts that it was to keep in /etc/pve.
    pub(super) kept: Mutex<Vec<String>>,
    pub(super) driver: Mutex<Option<Driver>>,
    pub(super) anchor: Mutex<Option<v1::JournalAnchor>>,
    pub(super) hold: Mutex<Option<v1::Hold>>,
    pub(super) ledger: Mutex<BTreeMap<String, LedgerEntry>>,
    pub(super) executed: Mutex<Vec<String>>,
    pub(super) revoked: Mutex<Vec<String>>,
    pub(super) installed: Mutex<Vec<Vec<u8>>>,
    /// The passwords that came with operations.
    pub(super) passwords: Mutex<Vec<String>>,
    /// While false, operations do not end.
    pub(super) go: watch::Sender<bool>,
}

impl FakeNode {
    pub(super) async fn new(name: &str, world: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name: NodeName = name.parse().unwrap();
        let state = State {
            name: name.clone(),
            world: Arc::clone(world),
            kept: Mutex::default(),
            driver: Mutex::default(),
            anchor: Mutex::default(),
            hold: Mutex::default(),
            ledger: Mutex::default(),
            executed: Mutex::default(),
            revoked: Mutex::default(),
            installed: Mutex::default(),
            passwords: Mutex::default(),
            go: watch::Sender::new(true),
        };
        Self {
            name,
            address: listener.local_addr().unwrap(),
            listener: Some(listener),
            tls: None,
            runtime: None,
            state: Arc::new(state),
        }
    }

    /// Comes to the coordinator with a token, under a name; answers from then on if it was let in.
    pub(super) async fn enrol(&mut self, at: &str, token: &str, hostname: &str) -> Result<v1::EnrolReply, Failure> {
        let (reply, roots, key) = enrol(at, token, hostname).await?;
        if self.tls.is_none() {
            let chain = reply
                .chain_der
                .iter()
                .map(|der| quorate_identity::Certificate::from_der(der).unwrap())
                .collect();
            let identity = Identity::new(chain, key).unwrap();
            let material = Material {
                roots,
                identity: Some(identity),
                revocations: RevocationList::default(),
            };
            self.tls = Some(ServerTls::new(material, time()).unwrap());
            self.rise().await;
        }
        Ok(reply)
    }

    /// Answers (again).
    pub(super) async fn rise(&mut self) {
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => TcpListener::bind(self.address).await.unwrap(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (listener, tls, state) = (
            listener.into_std().unwrap(),
            self.tls.clone().unwrap(),
            Arc::clone(&self.state),
        );
        runtime.spawn(async move { answer(TcpListener::from_std(listener).unwrap(), tls, state).await });
        self.runtime = Some(runtime);
    }

    /// Dies, with all its connections.
    pub(super) fn fall(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.fall();
    }
}

fn time() -> TimeSource {
    TimeSource::new(now)
}

/// What `quorate-agent enroll` does.
pub(super) async fn enrol(
    at: &str,
    token: &str,
    hostname: &str,
) -> Result<(v1::EnrolReply, Roots, PrivateKey), Failure> {
    let address: SocketAddr = at.parse().unwrap();
    let parsed: Token = token.parse().unwrap();
    let roots = fetch_root(address, &parsed, DEADLINE).await.unwrap();
    let material = Material {
        roots: roots.clone(),
        identity: None,
        revocations: RevocationList::default(),
    };
    let tls = ClientTls::new(material, time()).unwrap();
    let (stream, _) = tls.connect(address, &Role::Coordinator, DEADLINE).await.unwrap();
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: http::Uri| {
        let stream = stream.take();
        async move { stream.ok_or_else(|| std::io::Error::other("one connection only")) }
    });
    let channel = Endpoint::from_static("http://enrolment")
        .connect_with_connector(connector)
        .await
        .unwrap();
    let (key, csr_der) = make_key_and_csr().unwrap();
    let request = v1::EnrolRequest {
        secret: token.to_owned(),
        csr_der,
        hostname: hostname.to_owned(),
        agent_version: "0.1.0".to_owned(),
    };
    let reply = EnrolmentClient::new(channel)
        .enrol(request)
        .await
        .map_err(|status| to_failure(&status))?;
    Ok((reply.into_inner(), roots, key))
}

async fn answer(listener: TcpListener, tls: ServerTls, state: Arc<State>) {
    let (admitted, connections) = mpsc::channel(8);
    let reception = Reception::new(Limits::usual(DEADLINE));
    let server = Server::builder()
        .add_service(AgentServer::new(Shared(state)))
        .serve_with_incoming(ReceiverStream::new(connections).map(Ok::<_, std::io::Error>));
    let accepting = async {
        while let Ok((stream, from)) = listener.accept().await {
            if let Ok((stream, peer)) = tls.accept(stream, DEADLINE).await {
                let connection = reception.seat(stream, Who::of(&peer, from), &from.to_string()).unwrap();
                drop(admitted.send(connection).await);
            }
        }
    };
    tokio::select! {
        served = server => served.unwrap(),
        () = accepting => {}
    }
}

impl State {
    fn observation(&self) -> Observation {
        let world = self.world.lock().unwrap();
        let mut observation = world.view.nodes[&self.name].observation.clone().unwrap();
        observation.observed_at = clock();
        observation
    }

    fn admit(&self, driver: Option<v1::Driver>) -> Result<(), Status> {
        let asking: Option<Driver> = field("driver", driver)?;
        let asking = asking.unwrap();
        let mut present = self.driver.lock().unwrap();
        match &*present {
            Some(driver)
                if asking.generation < driver.generation
                    || (asking.generation == driver.generation && asking.instance != driver.instance) =>
            {
                let message = format!(
                    "generation {} asks, but generation {} drives",
                    asking.generation, driver.generation
                );
                Err(refuse(Finding::new(
                    Code::DriverSuperseded,
                    self.name.as_str(),
                    message,
                    "",
                )))
            }
            _ => {
                *present = Some(asking);
                Ok(())
            }
        }
    }

    fn note(&self, anchor: Option<v1::JournalAnchor>) {
        if anchor.is_some() {
            *self.anchor.lock().unwrap() = anchor;
        }
    }

    /// What the tool would do.
    fn perform(&self, action: &Action) {
        let mut world = self.world.lock().unwrap();
        if let Action::ArmHa { .. } = action {
            let awake = world.clone().with_each(|seen| {
                if let Some(manager) = quorate_planner::testkit::known(&mut seen.ha)
                    .manager
                    .get()
                    .ok()
                    .cloned()
                    .flatten()
                {
                    let manager = quorate_model::observation::ha::ManagerStatus {
                        disarm: None,
                        ..manager
                    };
                    quorate_planner::testkit::known(&mut seen.ha).manager =
                        quorate_model::Facet::known(Some(manager), clock());
                }
            });
            *world = awake;
            return;
        }
        if let Action::AddStorage { storage, .. } = action {
            let all = world.view.nodes.keys().cloned().collect();
            quorate_planner::testkit::storage_ready(&mut world.view, storage, &all);
            return;
        }
        let cluster = match action {
            Action::CreateCluster { cluster, .. } | Action::JoinCluster { cluster, .. } => cluster.to_string(),
            other => panic!("{other:?} was asked of a node that only creates and joins"),
        };
        let mut members: Vec<String> = world
            .view
            .nodes
            .iter()
            .filter(|(_, view)| {
                view.observation
                    .as_ref()
                    .unwrap()
                    .cluster
                    .get()
                    .unwrap()
                    .member()
                    .is_some()
            })
            .map(|(name, _)| name.to_string())
            .collect();
        members.push(self.name.to_string());
        members.sort();
        let names: Vec<&str> = members.iter().map(String::as_str).collect();
        *world = (*world).clone().members(&cluster, &names, &[]);
    }

    /// The events of an operation, from the first; they end when it does.
    fn events(self: &Arc<Self>, operation: Operation) -> EventStream {
        let (tell, events) = mpsc::channel(16);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let event = |sequence, kind| {
                OperationEvent {
                    sequence,
                    at: clock(),
                    kind,
                }
                .into_wire()
            };
            drop(tell.send(Ok(event(0, OperationEventKind::Accepted))).await);
            this.go.subscribe().wait_for(|go| *go).await.unwrap();
            let mut ledger = this.ledger.lock().unwrap().get(operation.id.as_str()).cloned().unwrap();
            if ledger.outcome.is_none() {
                this.perform(&operation.action);
                ledger.outcome = Some(Outcome::Done {
                    evidence: "seen".to_owned(),
                });
                ledger.ended_at = Some(clock());
                this.ledger.lock().unwrap().insert(operation.id.to_string(), ledger);
            }
            let outcome = Outcome::Done {
                evidence: "seen".to_owned(),
            };
            drop(tell.send(Ok(event(1, OperationEventKind::Ended(outcome)))).await);
        });
        Box::pin(ReceiverStream::new(events))
    }
}

fn clock() -> Timestamp {
    crate::trust::now(&quorate_clock::Clock::system())
}

fn wire_clock() -> Option<v1::Time> {
    Some(clock()).into_wire()
}

/// The service: tonic wants to own it.
struct Shared(Arc<State>);

impl std::ops::Deref for Shared {
    type Target = Arc<State>;

    fn deref(&self) -> &Arc<State> {
        &self.0
    }
}

type EventStream = Pin<Box<dyn Stream<Item = Result<v1::OperationEvent, Status>> + Send>>;

#[tonic::async_trait]
impl Agent for Shared {
    type WatchHealthStream = Pin<Box<dyn Stream<Item = Result<v1::Observation, Status>> + Send>>;
    type ExecuteStream = EventStream;
    type AttachStream = EventStream;
    type WatchEventsStream = Pin<Box<dyn Stream<Item = Result<v1::DrillEvents, Status>> + Send>>;
    type ProbeStream = Pin<Box<dyn Stream<Item = Result<v1::ProbeCalls, Status>> + Send>>;

    async fn snapshot(&self, _: Request<v1::SnapshotRequest>) -> Result<Response<v1::SnapshotReply>, Status> {
        let file = v1::SnapshotFile {
            path: "/etc/pve/storage.cfg".to_owned(),
            content: Some(v1::snapshot_file::Content::Text("dir: local\n".to_owned())),
        };
        Ok(Response::new(v1::SnapshotReply { files: vec![file] }))
    }

    async fn hold(&self, request: Request<v1::HoldRequest>) -> Result<Response<v1::HoldReply>, Status> {
        let request = request.into_inner();
        self.admit(request.driver)?;
        *self.hold.lock().unwrap() = request.hold;
        Ok(Response::new(v1::HoldReply {}))
    }

    async fn keep_spec(&self, request: Request<v1::KeepSpecRequest>) -> Result<Response<v1::KeepSpecReply>, Status> {
        let text = request.into_inner().spec.unwrap_or_default().text;
        self.kept.lock().unwrap().push(text);
        Ok(Response::new(v1::KeepSpecReply {}))
    }

    async fn observe(&self, request: Request<v1::ObserveRequest>) -> Result<Response<v1::ObserveReply>, Status> {
        let received_at = wire_clock();
        let asked: Vec<FacetName> = Wire::from_wire(request.into_inner().facets)?;
        let mut observation = self.observation();
        observation.leave_out(&asked);
        Ok(Response::new(v1::ObserveReply {
            observation: Some(observation.into_wire()),
            received_at,
            sent_at: wire_clock(),
        }))
    }

    async fn watch_health(
        &self,
        _: Request<v1::WatchHealthRequest>,
    ) -> Result<Response<Self::WatchHealthStream>, Status> {
        let (tell, told) = mpsc::channel(1);
        let (world, name) = (Arc::clone(&self.world), self.name.clone());
        tokio::spawn(async move {
            loop {
                let observation = world.lock().unwrap().view.nodes[&name].observation.clone().unwrap();
                if tell.send(Ok(observation.into_wire())).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }

    async fn drive(&self, request: Request<v1::DriveRequest>) -> Result<Response<v1::DriveReply>, Status> {
        let request = request.into_inner();
        self.admit(request.driver)?;
        self.note(request.anchor);
        Ok(Response::new(v1::DriveReply {
            hostname: self.name.to_string(),
            boot_id: "b".to_owned(),
            version: String::new(),
        }))
    }

    async fn execute(&self, request: Request<v1::ExecuteRequest>) -> Result<Response<EventStream>, Status> {
        let request = request.into_inner();
        self.admit(request.driver)?;
        self.note(request.anchor);
        let operation: Option<Operation> = field("operation", request.operation)?;
        let operation = operation.unwrap();
        let secret = request.secret.and_then(|secret| secret.secret);
        match (&operation.action, secret) {
            (Action::JoinCluster { .. }, Some(v1::secret::Secret::Join(_))) => {}
            (Action::AddStorage { .. }, Some(v1::secret::Secret::Storage(secret))) => {
                self.passwords.lock().unwrap().push(secret.password);
            }
            (Action::JoinCluster { .. }, _) | (_, Some(_)) => panic!("a join needs its ticket, nothing else gets one"),
            (_, None) => {}
        }
        let id = operation.id.to_string();
        let known = self.ledger.lock().unwrap().contains_key(&id);
        if !known {
            self.executed.lock().unwrap().push(id.clone());
            let entry = LedgerEntry {
                operation: operation.clone(),
                accepted_at: clock(),
                outcome: None,
                ended_at: None,
            };
            self.ledger.lock().unwrap().insert(id, entry);
        }
        Ok(Response::new(self.events(operation)))
    }

    async fn attach(&self, request: Request<v1::AttachRequest>) -> Result<Response<EventStream>, Status> {
        let request = request.into_inner();
        let entry = self.ledger.lock().unwrap().get(&request.operation).cloned();
        let Some(entry) = entry else {
            return Err(to_status(Failure::new(ExitCode::NotFound, "no such operation")));
        };
        let from = request.from;
        let events = self.events(entry.operation);
        let later = events.filter(move |event| event.as_ref().is_ok_and(|event| event.sequence >= from));
        Ok(Response::new(Box::pin(later)))
    }

    async fn ledger(&self, request: Request<v1::LedgerRequest>) -> Result<Response<v1::LedgerReply>, Status> {
        let wanted = request.into_inner().operation;
        let ledger = self.ledger.lock().unwrap();
        let entries = ledger.iter().filter(|(id, _)| wanted.is_empty() || **id == wanted);
        Ok(Response::new(v1::LedgerReply {
            driver: self.driver.lock().unwrap().clone().into_wire(),
            entries: entries.map(|(_, entry)| entry.clone().into_wire()).collect(),
            anchor: self.anchor.lock().unwrap().clone(),
            hold: self.hold.lock().unwrap().clone(),
        }))
    }

    async fn join_ticket(
        &self,
        request: Request<v1::JoinTicketRequest>,
    ) -> Result<Response<v1::JoinTicketReply>, Status> {
        self.admit(request.into_inner().driver)?;
        let number: u8 = self.name.as_str().trim_start_matches("prox").parse().unwrap();
        Ok(Response::new(v1::JoinTicketReply {
            secret: Some(v1::JoinSecret {
                password: "PVE:root@pam:x".to_owned(),
                fingerprint: "AA:BB".to_owned(),
            }),
            member_address: format!("192.168.1.{}", 10 + number),
            links: vec![0],
            cluster: "hk1".to_owned(),
        }))
    }

    async fn renewal_request(
        &self,
        _: Request<v1::RenewalRequestRequest>,
    ) -> Result<Response<v1::RenewalRequestReply>, Status> {
        Ok(Response::new(v1::RenewalRequestReply {
            csr_der: make_key_and_csr().unwrap().1,
        }))
    }

    async fn install_certificate(
        &self,
        request: Request<v1::InstallCertificateRequest>,
    ) -> Result<Response<v1::InstallCertificateReply>, Status> {
        *self.installed.lock().unwrap() = request.into_inner().chain_der;
        Ok(Response::new(v1::InstallCertificateReply {
            not_after: wire_clock(),
        }))
    }

    async fn open_echo(&self, _: Request<v1::OpenEchoRequest>) -> Result<Response<v1::OpenEchoReply>, Status> {
        Err(Status::unimplemented("an agent that measures nothing"))
    }

    async fn measure(&self, _: Request<v1::MeasureRequest>) -> Result<Response<v1::MeasureReply>, Status> {
        Err(Status::unimplemented("an agent that measures nothing"))
    }

    async fn close_echo(&self, _: Request<v1::CloseEchoRequest>) -> Result<Response<v1::CloseEchoReply>, Status> {
        Err(Status::unimplemented("an agent that measures nothing"))
    }

    async fn revoke(&self, request: Request<v1::RevokeRequest>) -> Result<Response<v1::RevokeReply>, Status> {
        *self.revoked.lock().unwrap() = request.into_inner().fingerprints;
        Ok(Response::new(v1::RevokeReply {}))
    }

    async fn watch_events(
        &self,
        _: Request<v1::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        Ok(Response::new(Box::pin(tokio_stream::empty())))
    }

    async fn probe(&self, _: Request<v1::ProbeRequest>) -> Result<Response<Self::ProbeStream>, Status> {
        Ok(Response::new(Box::pin(tokio_stream::empty())))
    }

    async fn look_for_lost(
        &self,
        _: Request<v1::LookForLostRequest>,
    ) -> Result<Response<v1::LookForLostReply>, Status> {
        Err(Status::unimplemented("it looks for nobody"))
    }

    async fn heal(&self, _: Request<v1::HealRequest>) -> Result<Response<v1::HealReply>, Status> {
        Ok(Response::new(v1::HealReply { met: vec![] }))
    }

    async fn stage_package(
        &self,
        _: Request<tonic::Streaming<v1::PackagePart>>,
    ) -> Result<Response<v1::StagePackageReply>, Status> {
        Ok(Response::new(v1::StagePackageReply {}))
    }
}
