//! A running agent, and what one says to it.

use std::fs::{self, File};
use std::net::SocketAddr;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quorate_exec::{CommandLine, Exit, Sink, Stdin, Supervised, supervise};
use quorate_model::Generation;
use quorate_model::ids::Driver;
use quorate_model::operation::{Action, Operation, OperationEvent, OperationEventKind, Outcome};
use quorate_proto::v1;
use quorate_proto::v1::agent_client::AgentClient;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::fleet::{AMPLE, Fleet};
use crate::server::{FINGERPRINT, TestServer, until};

pub(crate) const SECRET: &str = "PVE:root@pam:6A21C0DE::c2VjcmV0LW5vYm9keS1tYXktc2Vl";

pub(crate) struct RunningAgent {
    process: Supervised,
    pub(crate) address: SocketAddr,
}

pub(crate) fn program() -> &'static str {
    env!("CARGO_BIN_EXE_quorate-agent")
}

/// Starts the program and leaves it running; its stderr is in the server's folder.
pub(crate) fn spawn(server: &TestServer, args: &[&str]) -> (Supervised, std::path::PathBuf) {
    let log = server.path(&format!("stderr.{}", fs::read_dir(server.dir.path()).unwrap().count()));
    let config = server.config().display().to_string();
    let args = ["--config", &config].into_iter().chain(args.iter().copied());
    let command = CommandLine::new(program(), args).unwrap();
    let stderr = Sink::File(File::create(&log).unwrap());
    (supervise(&command, Stdin::Null, Sink::Null, stderr).unwrap(), log)
}

impl RunningAgent {
    pub(crate) async fn start(server: &TestServer) -> Self {
        let (process, log) = spawn(server, &["run"]);
        let ready = || {
            let text = fs::read_to_string(&log).unwrap();
            assert!(process.identity().is_alive().unwrap(), "the agent ended: {text}");
            let line = text.lines().find(|line| line.contains("ready"))?;
            line.split_whitespace()
                .find_map(|word| word.strip_prefix("address=")?.parse().ok())
        };
        let address = until("the agent is ready", ready).await;
        Self { process, address }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.identity().pid
    }

    pub(crate) async fn kill(mut self) {
        kill(Pid::from_raw(self.pid()), Signal::SIGKILL).unwrap();
        assert_eq!(self.process.wait().await.unwrap(), Exit::Signal(9));
    }

    pub(crate) async fn terminate(mut self) -> Exit {
        self.process.terminate().unwrap();
        tokio::time::timeout(AMPLE, self.process.wait())
            .await
            .expect("it stops")
            .unwrap()
    }

    pub(crate) async fn dial(&self, fleet: &Fleet, server: &TestServer) -> Client {
        let identity = Some(fleet.coordinator.clone());
        Client(fleet.dial(identity, self.address, server.node).await.unwrap())
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        if self.process.identity().is_alive().unwrap_or(false) {
            kill(Pid::from_raw(self.pid()), Signal::SIGKILL).unwrap_or_else(|error| eprintln!("left behind: {error}"));
        }
    }
}

pub(crate) fn driver(generation: u64, instance: &str) -> Driver {
    Driver {
        generation: Generation(generation),
        instance: instance.parse().unwrap(),
    }
}

pub(crate) fn create(id: &str) -> Operation {
    let links = [(0, "10.77.0.1".parse().unwrap())].into();
    Operation {
        id: id.parse().unwrap(),
        action: Action::CreateCluster {
            cluster: "lab1".parse().unwrap(),
            links,
            priorities: std::collections::BTreeMap::new(),
        },
    }
}

/// prox3 joins through prox1.
pub(crate) fn join(id: &str) -> Operation {
    let action = Action::JoinCluster {
        cluster: "lab1".parse().unwrap(),
        member: "prox1".parse().unwrap(),
        member_address: "10.77.0.1".parse().unwrap(),
        links: [(0, "10.77.0.3".parse().unwrap())].into(),
    };
    Operation {
        id: id.parse().unwrap(),
        action,
    }
}

pub(crate) fn join_secret() -> v1::Secret {
    let join = v1::JoinSecret {
        password: SECRET.to_owned(),
        fingerprint: FINGERPRINT.to_owned(),
    };
    v1::Secret {
        secret: Some(v1::secret::Secret::Join(join)),
    }
}

/// A coordinator of generation 1.
pub(crate) struct Client(pub(crate) AgentClient<Channel>);

impl Client {
    pub(crate) async fn execute(&mut self, operation: &Operation) -> Result<Events, Status> {
        self.execute_as(driver(1, "a"), operation).await
    }

    pub(crate) async fn execute_as(&mut self, driver: Driver, operation: &Operation) -> Result<Events, Status> {
        let secret = matches!(operation.action, Action::JoinCluster { .. }).then(join_secret);
        let request = v1::ExecuteRequest {
            driver: Some(driver.into()),
            operation: Some(operation.clone().into()),
            secret,
            restores: false,
            anchor: None,
        };
        Ok(Events(self.0.execute(request).await?.into_inner()))
    }

    pub(crate) async fn attach(&mut self, id: &str, from: u64) -> Result<Events, Status> {
        let request = v1::AttachRequest {
            operation: id.to_owned(),
            from,
        };
        Ok(Events(self.0.attach(request).await?.into_inner()))
    }
}

pub(crate) struct Events(Streaming<v1::OperationEvent>);

impl Events {
    pub(crate) async fn next(&mut self) -> Result<Option<OperationEvent>, Status> {
        let message = tokio::time::timeout(AMPLE, self.0.message())
            .await
            .expect("an event comes")?;
        Ok(message.map(|event| event.try_into().unwrap()))
    }

    pub(crate) async fn until(&mut self, like: impl Fn(&OperationEventKind) -> bool) -> OperationEvent {
        loop {
            let event = self.next().await.unwrap().expect("the stream goes on");
            if like(&event.kind) {
                return event;
            }
        }
    }

    pub(crate) async fn all(mut self) -> Vec<OperationEvent> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await.unwrap() {
            all.push(event);
        }
        all
    }

    pub(crate) async fn outcome(self) -> Outcome {
        outcome(&self.all().await)
    }
}

pub(crate) fn outcome(events: &[OperationEvent]) -> Outcome {
    match events.last().map(|event| &event.kind) {
        Some(OperationEventKind::Ended(outcome)) => outcome.clone(),
        other => panic!("the last event is {other:?}"),
    }
}

pub(crate) fn lines(events: &[OperationEvent]) -> Vec<String> {
    let line = |event: &OperationEvent| match &event.kind {
        OperationEventKind::Line { text, .. } => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(line).collect()
}
