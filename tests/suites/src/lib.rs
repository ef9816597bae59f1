//! What the suites share: a lab with a coordinator and enrolled agents, and the questions that tests ask of them.
//!
//! Everything goes through the programs as an administrator would use them, and is judged by what they print, how they
//! end, and by the lab's own log of what really happened.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that can't be set up has failed"
)]

pub mod drills;
pub mod ends;
pub mod guide;
pub mod hand;
pub mod leaks;
pub mod life;

use std::path::PathBuf;
use std::time::Duration;

use quorate_lab::{Builder, Entry, Lab, Output, What};
use serde_json::Value;

/// Long enough for a slow machine; nobody waits for it when all goes well.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A lab with a coordinator.
#[derive(Debug)]
pub struct Fleet {
    /// The lab.
    pub lab: Lab,
    /// The cluster that everything here is about.
    pub cluster: &'static str,
}

/// After every test, whatever it was about.
impl Drop for Fleet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let found = leaks::leaks(self.lab.layout().dir());
        assert!(found.is_empty(), "secrets were left behind: {found:#?}");
    }
}

impl Fleet {
    /// Starts the lab, makes a fleet, starts the coordinator; no node is enrolled. Plans don't measure the network first: what a busy
    /// machine makes of it would be this machine's doing.
    pub async fn bare(builder: Builder) -> Self {
        Self::new(builder, false).await
    }

    /// Starts the lab alone: no fleet is made yet. A passphrase lies in its file.
    pub async fn unmade(builder: Builder) -> Self {
        let fleet = Self {
            lab: builder.start().await.expect("the lab starts"),
            cluster: "hk1",
        };
        std::fs::write(fleet.passphrase_file(), "a passphrase for tests\n").expect("the file can be written");
        fleet
    }

    async fn new(builder: Builder, measures: bool) -> Self {
        let fleet = Self::unmade(builder).await;
        if !measures {
            fleet.takes_the_network_as_given();
        }
        let passphrase = fleet.passphrase_file();
        let advertise = fleet.lab.coordinator_address().to_string();
        let passphrase = passphrase.to_string_lossy().into_owned();
        fleet
            .ok(&[
                "init",
                "--fleet",
                "test",
                "--advertise",
                &advertise,
                "--passphrase-file",
                &passphrase,
            ])
            .await;
        fleet.start_coordinator(&[]).await;
        fleet
    }

    /// `[lab]` is the last table of the coordinator's configuration.
    fn takes_the_network_as_given(&self) {
        let path = self.lab.layout().coordinator_config();
        let mut text = std::fs::read_to_string(&path).expect("the configuration can be read");
        text.push_str("network_as_given = true\n");
        std::fs::write(&path, text).expect("the configuration can be written");
    }

    /// What the coordinator's configuration says under this key.
    ///
    /// # Panics
    /// When it says nothing.
    #[must_use]
    pub fn configured(&self, key: &str) -> String {
        let text =
            std::fs::read_to_string(self.lab.layout().coordinator_config()).expect("the configuration can be read");
        let line = text.lines().find(|line| line.starts_with(key));
        let value = line.and_then(|line| line.split('"').nth(1));
        value.unwrap_or_else(|| panic!("no {key} in {text}")).to_owned()
    }

    /// The coordinator's state directory.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.configured("state_dir").into()
    }

    /// The same, with every node enrolled, its agent running and connected.
    pub async fn enrolled(builder: Builder) -> Self {
        Self::bare(builder).await.with_all_enrolled().await
    }

    /// The same, with plans that measure the network first, as they do everywhere but in a lab.
    pub async fn measured(builder: Builder) -> Self {
        Self::new(builder, true).await.with_all_enrolled().await
    }

    async fn with_all_enrolled(self) -> Self {
        let fleet = self;
        for node in fleet.lab.names() {
            fleet.enrol(&node).await;
            fleet.lab.start_agent(&node).expect("the agent starts");
        }
        fleet.connected(&fleet.lab.names()).await;
        fleet
    }

    /// Where the root key's passphrase lies.
    #[must_use]
    pub fn passphrase_file(&self) -> PathBuf {
        self.lab.layout().coordinator().join("passphrase")
    }

    /// Starts the coordinator and waits until it answers.
    pub async fn start_coordinator(&self, args: &[&str]) {
        self.lab.start_coordinator(args).expect("the coordinator starts");
        self.until("the coordinator answers", async || {
            self.run(&["node", "list"]).await.code() == Some(0)
        })
        .await;
    }

    /// Runs `quorate`.
    pub async fn run(&self, args: &[&str]) -> Output {
        self.lab.quorate(args).await.expect("quorate can be run")
    }

    /// Runs `quorate`, which must end well.
    pub async fn ok(&self, args: &[&str]) -> Output {
        let output = self.run(args).await;
        assert!(output.success(), "quorate {args:?}\n{}", told(&output));
        output
    }

    /// The same, for what may take longer than usual.
    pub async fn ok_within(&self, args: &[&str], deadline: Duration) -> Output {
        let output = self
            .lab
            .quorate_within(args, deadline)
            .await
            .expect("quorate can be run");
        assert!(output.success(), "quorate {args:?}\n{}", told(&output));
        output
    }

    /// Runs `quorate`, which must end with this code.
    pub async fn ends(&self, args: &[&str], code: i32) -> Output {
        let output = self.run(args).await;
        assert_eq!(output.code(), Some(code), "quorate {args:?}\n{}", told(&output));
        output
    }

    /// Runs `quorate -o json` and reads the answer, however it ends.
    pub async fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        let output = self.run(&args).await;
        serde_json::from_str(&output.stdout)
            .unwrap_or_else(|e| panic!("quorate {args:?} printed no JSON ({e})\n{}", told(&output)))
    }

    /// Invites a node and gives back the token.
    pub async fn invite(&self, node: &str) -> String {
        let address = self.lab.node(node).expect("the node exists").address.to_string();
        let name = format!("{}/{node}", self.cluster);
        let invited = self.json(&["node", "invite", &name, "--address", &address]).await;
        invited["token"].as_str().expect("an invitation has a token").to_owned()
    }

    /// Gives a token to a node's `quorate-agent enroll`.
    pub async fn claim(&self, node: &str, token: &str) -> Output {
        let host = self.lab.enrolment(node).expect("the node exists").to_string();
        self.lab
            .agent_cli(node, &["enroll", &host], Some(format!("{token}\n").as_bytes()))
            .await
            .expect("the agent can be run")
    }

    /// Invites and enrols a node.
    pub async fn enrol(&self, node: &str) {
        let token = self.invite(node).await;
        let output = self.claim(node, &token).await;
        assert!(output.success(), "enrolling {node}\n{}", told(&output));
    }

    /// Waits until the coordinator is connected with these nodes.
    pub async fn connected(&self, nodes: &[String]) {
        self.until("all nodes are connected", async || {
            let list = self.json(&["node", "list"]).await;
            let connected: Vec<_> = list
                .as_array()
                .into_iter()
                .flatten()
                .filter(|n| n["connection"] == "connected")
                .filter_map(|n| n["node"].as_str())
                .collect();
            nodes
                .iter()
                .all(|n| connected.contains(&format!("{}/{n}", self.cluster).as_str()))
        })
        .await;
    }

    /// Writes the cluster file for these nodes, with one link over the cluster network.
    #[must_use]
    pub fn cluster_file(&self, nodes: &[String]) -> String {
        let mut text = format!("[cluster]\nname = \"{}\"\nlinks = [\"10.10.10.0/24\"]\n", self.cluster);
        for node in nodes {
            let address = self.lab.node(node).expect("the node exists").public_address;
            text.push_str(&format!("\n[nodes.{node}]\naddress = \"{address}\"\n"));
        }
        self.write_file("hk1.toml", &text)
    }

    /// Writes a file beside the coordinator.
    #[must_use]
    pub fn write_file(&self, name: &str, text: &str) -> String {
        let path = self.lab.layout().coordinator().join(name);
        std::fs::write(&path, text).expect("the file can be written");
        path.to_string_lossy().into_owned()
    }

    /// The plan for all nodes, as JSON.
    pub async fn plan(&self) -> Value {
        let file = self.cluster_file(&self.lab.names());
        self.json(&["plan", &file]).await
    }

    /// Waits for something.
    pub async fn until(&self, what: &str, condition: impl AsyncFnMut() -> bool) {
        until(what, PATIENCE, condition).await;
    }

    /// The world's log.
    #[must_use]
    pub fn world(&self) -> Vec<Entry> {
        self.lab.operations().expect("the operation log can be read")
    }

    /// How often something really happened.
    #[must_use]
    pub fn happened(&self, what: What) -> usize {
        self.world().iter().filter(|e| e.what == what).count()
    }

    /// The calls of a tool whose arguments hold a word.
    #[must_use]
    pub fn calls(&self, tool: &str, word: &str) -> Vec<Entry> {
        self.world()
            .into_iter()
            .filter(|e| {
                e.what == What::ToolCalled
                    && e.argv.first().is_some_and(|t| t == tool)
                    && e.argv.iter().any(|a| a == word)
            })
            .collect()
    }

    /// Every server must be in one quorate cluster of these nodes, by the world's own word; nothing was done twice,
    /// and no tool was called in a way that the world does not know.
    pub async fn is_one_quorate_cluster(&self, nodes: &[String]) {
        for server in self.lab.status().await.expect("the world answers") {
            if nodes.contains(&server.name) {
                assert!(server.quorate && server.writable, "{server:?}");
                assert_eq!(server.members.len(), nodes.len(), "{server:?}");
            }
        }
        assert_eq!(self.happened(What::ClusterCreated), 1);
        assert_eq!(
            self.happened(What::AddnodeCommitted),
            nodes.len() - 1,
            "each node is added once"
        );
        let unknown: Vec<_> = self
            .world()
            .into_iter()
            .filter(|e| e.what == What::UnknownInvocation)
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}

/// Waits for something, by asking again and again.
pub async fn until(what: &str, patience: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < patience, "{what}: not within {patience:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What a program printed, for a failed assertion.
#[must_use]
pub fn told(output: &Output) -> String {
    format!(
        "ended: {:?}\n--- stdout\n{}\n--- stderr\n{}",
        output.status, output.stdout, output.stderr
    )
}

/// The codes of findings in a JSON list, as texts.
#[must_use]
pub fn codes(findings: &Value) -> Vec<String> {
    findings
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|f| f["code"].as_str())
        .map(str::to_owned)
        .collect()
}
