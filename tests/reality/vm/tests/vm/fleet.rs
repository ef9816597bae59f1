//! The machine with the agent, and the coordinator on this side.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use quorate_lab::binaries;
use quorate_lab::process::{Daemon, Output, Program};
use quorate_reality::disk::Disk;
use quorate_reality::guest::Guest;
use quorate_reality::machine::{HOST, Machine};
use quorate_reality::{note, until};
use serde_json::Value;
use tempfile::TempDir;

use crate::driving::Driving;
use crate::packages::{Packages, VERSION, there};

/// The machine's name, and that of its node.
pub(crate) const NODE: &str = "prox1";
pub(crate) const CLUSTER: &str = "hk1";

/// An enrolled machine and its coordinator.
pub(crate) struct Fleet {
    pub(crate) machine: Machine,
    coordinator: Coordinator,
}

struct Coordinator {
    dir: TempDir,
    quorate: PathBuf,
    enrolment: u16,
    daemon: Option<Daemon>,
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.kill();
        }
    }
}

impl Fleet {
    /// A machine with these disks, which are made use of before the agent comes.
    pub(crate) async fn enrolled(disks: Vec<Disk>, used: impl AsyncFnOnce(&Guest)) -> Self {
        let built = binaries::ensure_built().unwrap();
        let coordinator = Coordinator::started(&built.quorate).await;
        let packages = Packages::built().await.files();
        let packages: Vec<&Path> = packages.iter().map(PathBuf::as_path).collect();
        let mut machine = Machine::with(disks, &packages).await;
        machine.start().await;
        used(machine.guest()).await;
        let fleet = Self { machine, coordinator };
        fleet.enrol().await;
        fleet
    }

    async fn enrol(&self) {
        let (name, address) = (format!("{CLUSTER}/{NODE}"), self.machine.agent().to_string());
        let invited = self.json(&["node", "invite", &name, "--address", &address]).await;
        let token = invited["token"].as_str().unwrap().to_owned() + "\n";
        let place = format!("{HOST}:{}", self.coordinator.enrolment);
        let guest = self.machine.guest();
        guest.ok(&["dpkg", "--install", &there("quorate-agent", VERSION)]).await;
        // What an administrator writes: disks may be taken, and failures rehearsed.
        let policy = "[policy]\nallow_destroy = true\nallow_faults = true\n";
        let config = guest.run_with(&["tee", "/etc/quorate/agent.toml"], policy);
        assert_eq!(config.await.code, Some(0));
        // An emulated machine may be too slow for the handshake's deadline; then one types it again.
        until("the machine is enrolled", async || {
            let enrolled = guest.run_with(&["quorate-agent", "enroll", &place], &token).await;
            let late = enrolled.stderr.contains("no connection to the coordinator") || enrolled.code == Some(5);
            assert!(enrolled.code == Some(0) || late, "{enrolled:#?}");
            if late {
                let why = enrolled.stderr.lines().collect::<Vec<_>>().join(" / ");
                note(&format!(
                    "not enrolled yet, at {}: {why}",
                    guest.does("date -u +%T").await.trim()
                ));
            }
            enrolled.code == Some(0)
        })
        .await;
        guest.does("systemctl start quorate-agent.service").await;
        self.connected().await;
        note("the machine is enrolled");
    }

    /// Waits until the coordinator is connected with the agent.
    pub(crate) async fn connected(&self) {
        until("the agent is connected", async || {
            let list = self.json(&["node", "list"]).await;
            list[0]["connection"] == "connected"
        })
        .await;
    }

    pub(crate) fn guest(&self) -> &Guest {
        self.machine.guest()
    }

    /// Switches the machine off and on again.
    pub(crate) async fn restart(&mut self) {
        self.machine.shut_down().await;
        self.machine.start().await;
        self.connected().await;
    }

    /// Asks the agent in the coordinator's place.
    pub(crate) fn driving(&self) -> Driving {
        Driving::of(&self.coordinator.dir.path().join("state"), self.machine.agent())
    }

    /// Runs `quorate`.
    pub(crate) async fn quorate(&self, args: &[&str]) -> Output {
        self.coordinator.run(args).await
    }

    /// Runs `quorate -o json`.
    pub(crate) async fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        let output = self.quorate(&args).await;
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("quorate {args:?}: {error}: {output:#?}"))
    }
}

impl Coordinator {
    async fn started(built: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("quorate-vm-").tempdir().unwrap();
        let enrolment = free_port();
        let path = |name: &str| dir.path().join(name);
        // The test takes minutes, in which another build may put another one in its place.
        let own = path("quorate");
        std::fs::copy(built, &own).unwrap();
        let config = format!(
            "state_dir = {:?}\nsocket = {:?}\napi_listen = \"127.0.0.1:{}\"\nenrol_listen = \"127.0.0.1:{enrolment}\"\n",
            path("state"),
            path("quorate.sock"),
            free_port(),
        );
        std::fs::write(path("coordinator.toml"), config).unwrap();
        std::fs::write(path("passphrase"), "a passphrase for tests\n").unwrap();
        let mut coordinator = Self {
            dir,
            quorate: own,
            enrolment,
            daemon: None,
        };
        let passphrase = coordinator.path("passphrase").to_string_lossy().into_owned();
        let init = [
            "init",
            "--fleet",
            "reality",
            "--advertise",
            "10.0.2.2",
            "--passphrase-file",
            &passphrase,
        ];
        let made = coordinator.run(&init).await;
        assert!(made.success(), "{made:#?}");
        let log = coordinator.path("coordinator.log");
        coordinator.daemon = Some(coordinator.program().args(["serve"]).spawn(&log, false).unwrap());
        until("the coordinator answers", async || {
            coordinator.run(&["node", "list"]).await.success()
        })
        .await;
        coordinator
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn program(&self) -> Program {
        let home: &Path = self.dir.path();
        Program::new(&self.quorate)
            .env("HOME", home)
            .env("QUORATE_CONFIG", self.path("coordinator.toml"))
    }

    async fn run(&self, args: &[&str]) -> Output {
        self.program().args(args).run().await.unwrap()
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    listener.local_addr().unwrap().port()
}
