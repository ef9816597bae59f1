//! What only a coordinator asks of an agent: under its certificate, and from a process of its own in the machine that is on all networks.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use quorate_clock::Clock;
use quorate_identity::{ClientTls, CoordinatorStore, Material, RevocationList, Role, TimeSource};
use quorate_lab::process::{Daemon, Program};
use quorate_model::Generation;
use quorate_model::drill::Event;
use quorate_model::ids::Driver;
use quorate_model::observation::{FacetName, Observation};
use quorate_model::operation::{Action, Operation, OperationEvent, OperationEventKind, Outcome};
use quorate_proto::v1::agent_client::AgentClient;
use quorate_proto::{Wire as _, v1};
use quorate_reality_corosync::cables::{OUTSIDE, address};
use quorate_reality_corosync::conf::CLUSTER;
use quorate_reality_corosync::until;
use tonic::transport::{Channel, Endpoint};

use crate::fleet::Fleet;

/// Whoever calls is told so by these, in a process of its own; else its test does nothing.
const STATE: &str = "QUORATE_TEST_STATE";
const NODE: &str = "QUORATE_TEST_NODE";
const WATCH_INTO: &str = "QUORATE_TEST_WATCH_INTO";
const INJECT: &str = "QUORATE_TEST_INJECT";

/// Nobody waits for it when all goes well.
const AMPLE: Duration = Duration::from_secs(60);

/// So long a watch lasts: longer than its test.
const WATCHED: u32 = 600;

fn caller(fleet: &Fleet, node: u8) -> Program {
    let own = std::env::current_exe().unwrap();
    let test = "calls::somebody_who_watches_or_breaks_something";
    let argv = [own.to_str().unwrap(), "--ignored", "--exact", test, "--nocapture"];
    let program = fleet.cluster.hub().space().program(&argv);
    program
        .env(STATE, fleet.path("state"))
        .env(NODE, node.to_string())
        .deadline(AMPLE)
}

/// A watch of an agent's for a drill. Dropped, nobody listens to it any more.
pub(crate) struct Watching {
    into: PathBuf,
    daemon: Daemon,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.daemon.kill();
    }
}

impl Watching {
    /// It has begun when this returns.
    pub(crate) async fn of(fleet: &Fleet, node: u8) -> Self {
        let into = fleet.path(&format!("prox{node}.events"));
        let program = caller(fleet, node).env(WATCH_INTO, &into);
        let daemon = program.spawn(&fleet.path(&format!("prox{node}.watch.log")), false);
        let watching = Self {
            into,
            daemon: daemon.unwrap(),
        };
        until("the watch to begin", async || watching.into.exists()).await;
        watching
    }

    /// What the agent has told so far.
    pub(crate) fn told(&self) -> Vec<Event> {
        let text = fs::read_to_string(&self.into).unwrap();
        // The last line may not be whole yet.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Has an agent break something. It holds when this returns.
pub(crate) async fn inject(fleet: &Fleet, node: u8, id: &str, fault: &str, seconds: u32) {
    let program = caller(fleet, node).env(INJECT, format!("{id} {fault} {seconds}"));
    let done = program.run().await.unwrap();
    assert!(done.success(), "{}\n{}", done.stdout, done.stderr);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is a part of other tests"]
async fn somebody_who_watches_or_breaks_something() {
    let Ok(state) = std::env::var(STATE) else {
        return;
    };
    let node = std::env::var(NODE).unwrap().parse().unwrap();
    let mut client = client(Path::new(&state), node);
    if let Ok(into) = std::env::var(WATCH_INTO) {
        watch(&mut client, Path::new(&into)).await;
    }
    if let Ok(asked) = std::env::var(INJECT) {
        let [id, fault, seconds] = asked.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{asked}")
        };
        execute(&mut client, id, fault, seconds.parse().unwrap()).await;
    }
}

fn client(state: &Path, node: u8) -> AgentClient<Channel> {
    let store = CoordinatorStore::new(state);
    let material = Material {
        roots: store.roots().unwrap(),
        identity: Some(store.coordinator().unwrap()),
        revocations: RevocationList::default(),
    };
    let clock = Clock::system();
    let time = TimeSource::new(move || u64::try_from(clock.unix_micros() / 1_000_000).unwrap());
    let tls = ClientTls::new(material, time).unwrap();
    let agent: SocketAddr = format!("{}:7443", address(OUTSIDE, node)).parse().unwrap();
    let role = Role::Node {
        cluster: CLUSTER.parse().unwrap(),
        node: format!("prox{node}").parse().unwrap(),
    };
    let connector = tower::service_fn(move |_: http::Uri| {
        let (tls, role) = (tls.clone(), role.clone());
        async move {
            let connected = tls.connect(agent, &role, AMPLE).await;
            connected.map(|(stream, _)| TokioIo::new(stream))
        }
    });
    let endpoint = Endpoint::from_static("http://agent.quorate.internal");
    AgentClient::new(endpoint.connect_with_connector_lazy(connector))
}

/// Higher than any that the coordinator had.
fn driver() -> v1::Driver {
    let driver = Driver {
        generation: Generation(1000),
        instance: "00000000-0000-0000-0000-000000000001".parse().unwrap(),
    };
    driver.into_wire()
}

async fn watch(client: &mut AgentClient<Channel>, into: &Path) {
    let request = v1::WatchEventsRequest {
        tally: None,
        driver: Some(driver()),
        watch: "drill-1".to_owned(),
        guests: vec![],
        seconds: WATCHED,
        from: 0,
    };
    let mut stream = client.watch_events(request).await.unwrap().into_inner();
    let mut file = fs::File::create_new(into).unwrap();
    while let Some(told) = stream.message().await.unwrap() {
        for event in told.events {
            let event = Event::try_from(event).unwrap();
            let line = serde_json::to_string(&event).unwrap() + "\n";
            file.write_all(line.as_bytes()).unwrap();
        }
    }
}

async fn execute(client: &mut AgentClient<Channel>, id: &str, fault: &str, seconds: u32) {
    let seen = client.observe(v1::ObserveRequest {
        facets: vec![FacetName::System.into_wire()],
        ..v1::ObserveRequest::default()
    });
    let seen = Observation::try_from(seen.await.unwrap().into_inner().observation.unwrap()).unwrap();
    let operation = Operation {
        id: id.parse().unwrap(),
        action: Action::InjectFault {
            cluster: CLUSTER.parse().unwrap(),
            fault: fault.parse().unwrap(),
            seconds,
            boot: seen.system.get().unwrap().boot_id.clone(),
        },
    };
    let request = v1::ExecuteRequest {
        driver: Some(driver()),
        operation: Some(operation.into_wire()),
        secret: None,
        restores: false,
        anchor: None,
    };
    let mut stream = client.execute(request).await.unwrap().into_inner();
    let mut events = Vec::new();
    while let Some(event) = stream.message().await.unwrap() {
        events.push(OperationEvent::try_from(event).unwrap());
    }
    let done = matches!(
        events.last().map(|event| &event.kind),
        Some(OperationEventKind::Ended(Outcome::Done { .. }))
    );
    assert!(done, "{events:#?}");
}
