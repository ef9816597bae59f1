//! A coordinator outside, and an enrolled agent on every node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_lab::binaries;
use quorate_lab::process::{Daemon, Output, Program};
use quorate_reality_corosync::cables::{OUTSIDE, address};
use quorate_reality_corosync::cluster::{Cluster, Node};
use quorate_reality_corosync::conf::CLUSTER;
use quorate_reality_corosync::until;
use serde_json::Value;

use crate::seen::Seen;

const API: u16 = 7440;
const ENROLMENT: u16 = 7441;

/// A coordinator and its agents, around a cluster.
pub(crate) struct Fleet {
    agents: Vec<Daemon>,
    coordinator: Option<Daemon>,
    quorate: PathBuf,
    agent: PathBuf,
    pub(crate) cluster: Cluster,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.agents
            .iter_mut()
            .chain(&mut self.coordinator)
            .for_each(Daemon::kill);
    }
}

impl Fleet {
    /// Enrols every node of the cluster.
    pub(crate) async fn around(cluster: Cluster) -> Self {
        let built = binaries::ensure_built().unwrap();
        // Another build may put others in their place while the test runs.
        let own = |path: &Path, name: &str| {
            let own = cluster.dir().join(name);
            std::fs::copy(path, &own).unwrap();
            own
        };
        let (quorate, agent) = (own(&built.quorate, "quorate"), own(&built.agent, "quorate-agent"));
        let mut fleet = Self {
            agents: Vec::new(),
            coordinator: None,
            quorate,
            agent,
            cluster,
        };
        fleet.start().await;
        for number in 1.. {
            let Some(node) = fleet.cluster.nodes().nth(number - 1) else {
                break;
            };
            let daemon = fleet.enrolled(node).await;
            fleet.agents.push(daemon);
        }
        until("all agents to be connected", async || {
            let list = fleet.json(&["node", "list"]).await;
            list.as_array()
                .unwrap()
                .iter()
                .all(|node| node["connection"] == "connected")
        })
        .await;
        fleet
    }

    /// Where something of the fleet's lies: `state` is the coordinator's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.cluster.dir().join(name)
    }

    async fn start(&mut self) {
        let outside = address(OUTSIDE, 254);
        let config = format!(
            "state_dir = {:?}\nsocket = {:?}\napi_listen = \"{outside}:{API}\"\nenrol_listen = \"{outside}:{ENROLMENT}\"\n",
            self.path("state"),
            self.path("quorate.sock"),
        );
        std::fs::write(self.path("coordinator.toml"), config).unwrap();
        std::fs::write(self.path("passphrase"), "a passphrase for tests\n").unwrap();
        let passphrase = self.path("passphrase").to_string_lossy().into_owned();
        let init = [
            "init",
            "--fleet",
            "reality",
            "--advertise",
            &outside,
            "--passphrase-file",
            &passphrase,
        ];
        let made = self.quorate(&init).await;
        assert!(made.success(), "{made:#?}");
        let serve = self.program(&["serve"]).spawn(&self.path("coordinator.log"), false);
        self.coordinator = Some(serve.unwrap());
        until("the coordinator to answer", async || {
            self.quorate(&["node", "list"]).await.success()
        })
        .await;
    }

    async fn enrolled(&self, node: &Node) -> Daemon {
        let name = node.name();
        let (full, at) = (format!("{CLUSTER}/{name}"), address(OUTSIDE, node.number()));
        let invited = self.json(&["node", "invite", &full, "--address", &at]).await;
        let state = self.path(&format!("{name}.agent"));
        std::fs::create_dir(&state).unwrap();
        std::fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let config = self.path(&format!("{name}.toml"));
        let policy = "[policy]\nallow_faults = true\n";
        std::fs::write(&config, format!("state_dir = {state:?}\n{policy}")).unwrap();
        let (agent, config) = (self.agent.to_string_lossy(), config.to_string_lossy());
        let place = format!("{}:{ENROLMENT}", address(OUTSIDE, 254));
        let token = invited["token"].as_str().unwrap().to_owned() + "\n";
        let enroll = node
            .space()
            .program(&[&agent, "--config", &config, "enroll", &place])
            .stdin(token);
        let enrolled = enroll.deadline(Duration::from_secs(60)).run().await.unwrap();
        assert!(enrolled.success(), "{enrolled:#?}");
        let run = node.space().program(&[&agent, "--config", &config, "run"]);
        run.spawn(&self.path(&format!("{name}.agent.log")), false).unwrap()
    }

    /// `quorate` in the machine of the switches, which is on all networks.
    fn program(&self, args: &[&str]) -> Program {
        let quorate = self.quorate.to_string_lossy();
        let argv: Vec<&str> = std::iter::once(&*quorate).chain(args.iter().copied()).collect();
        self.cluster
            .hub()
            .space()
            .program(&argv)
            .env("HOME", self.cluster.dir())
            .env("QUORATE_CONFIG", self.path("coordinator.toml"))
    }

    pub(crate) async fn quorate(&self, args: &[&str]) -> Output {
        self.program(args).run().await.unwrap()
    }

    /// Runs `quorate -o json`.
    pub(crate) async fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        let output = self.quorate(&args).await;
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("quorate {args:?}: {error}: {output:#?}"))
    }

    /// What the health streams brought of a node; nothing that was asked for.
    pub(crate) async fn status(&self, node: &str) -> Seen {
        let status = self.json(&["status"]).await;
        let nodes = status["nodes"].as_array().unwrap();
        let of = nodes.iter().find(|seen| seen["node"] == node).unwrap();
        Seen::of(&of["observation"]["Ok"])
    }

    /// Codes of what is told, with whom they are about.
    pub(crate) async fn findings(&self) -> Vec<(String, String)> {
        let status = self.json(&["status", "--fresh"]).await;
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let findings = status["findings"].as_array().unwrap().iter();
        findings.map(|f| (word(&f["code"]), word(&f["subject"]))).collect()
    }
}
