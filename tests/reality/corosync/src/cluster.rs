//! The daemons of a cluster, each in a machine of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_lab::process::{Daemon, Program};
use tempfile::TempDir;

use crate::cables::{Hub, OUTSIDE};
use crate::conf::Shape;
use crate::said::Log;
use crate::space::{Space, sweep};
use crate::{PATIENCE, until};

/// A cluster of real corosync daemons.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: machines before the switches.
    nodes: Vec<Node>,
    hub: Hub,
    shape: Shape,
    dir: TempDir,
}

/// A machine with a corosync.
#[derive(Debug)]
pub struct Node {
    space: Space,
    number: u8,
    corosync: Option<Daemon>,
    log: PathBuf,
    starts: usize,
}

impl Cluster {
    /// Starts it, and waits until all see all.
    pub async fn started(shape: Shape) -> Self {
        let mut cluster = Self::prepared(shape).await;
        for number in 1..=shape.nodes {
            cluster.node_mut(number).start();
        }
        cluster.complete().await;
        cluster
    }

    /// The machines with cables, configuration and key, in which nothing runs yet.
    pub async fn prepared(shape: Shape) -> Self {
        sweep();
        let dir = tempfile::Builder::new()
            .prefix("quorate-cs-")
            .tempdir()
            .expect("a folder");
        let hub = Hub::new(&dir.path().join("hub.log")).await;
        let key = dir.path().join("authkey");
        let keygen = Program::new("/usr/sbin/corosync-keygen").args(["-l", "-k", &key.to_string_lossy()]);
        let made = keygen.run().await.expect("corosync is installed");
        assert!(made.success(), "{made:?}");
        let mut cluster = Self {
            nodes: Vec::new(),
            hub,
            shape,
            dir,
        };
        for number in 1..=shape.nodes {
            let node = cluster.machine(number).await;
            std::fs::write(node.space.path("/etc/corosync/corosync.conf"), shape.conf()).expect("written");
            std::fs::copy(&key, node.space.path("/etc/corosync/authkey")).expect("copied");
            cluster.nodes.push(node);
        }
        cluster
    }

    async fn machine(&self, number: u8) -> Node {
        let name = format!("prox{number}");
        let space = Space::named(&name, &self.dir.path().join(format!("{name}.log"))).await;
        let mut networks = self.shape.links();
        networks.push(OUTSIDE);
        self.hub.connect(&space, number, &networks).await;
        Node {
            space,
            number,
            corosync: None,
            log: self.dir.path().join(format!("{name}.corosync.log")),
            starts: 0,
        }
    }

    /// Waits until every corosync that runs has every other in its membership, over every link.
    pub async fn complete(&self) {
        let running: Vec<&Node> = self.nodes.iter().filter(|node| node.corosync.is_some()).collect();
        let links = (running.len() - 1) * usize::from(self.shape.links);
        until("all to see all", async || {
            for node in &running {
                let members = node.space.run(&["corosync-quorumtool", "-s"]).await.stdout;
                let nodes = members
                    .lines()
                    .find(|line| line.starts_with("Nodes:"))
                    .unwrap_or_default();
                let seen = node.space.run(&["corosync-cfgtool", "-n"]).await.stdout;
                let whole =
                    nodes.ends_with(&format!(" {}", running.len())) && seen.matches(" connected ").count() == links;
                if !whole {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// The nodes in their order.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// `prox1` is 1.
    #[must_use]
    pub fn node(&self, number: u8) -> &Node {
        &self.nodes[usize::from(number) - 1]
    }

    /// The same, to start and to stop its corosync.
    pub fn node_mut(&mut self, number: u8) -> &mut Node {
        &mut self.nodes[usize::from(number) - 1]
    }

    /// The switches.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Pulls all of a node's cables that corosync has.
    pub async fn cut(&self, number: u8) {
        self.hub.cut(number, &self.shape.links()).await;
    }

    /// Puts them in again.
    pub async fn restore(&self, number: u8) {
        self.hub.restore(number, &self.shape.links()).await;
    }

    /// A folder that goes with the cluster.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Node {
    /// The machine.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("prox{}", self.number)
    }

    /// Its corosync id and host number.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// What its corosync says, since it was started last.
    #[must_use]
    pub fn log(&self) -> Log {
        Log::at(self.log.clone())
    }

    /// Starts corosync.
    pub fn start(&mut self) {
        assert!(self.corosync.is_none(), "{} runs", self.name());
        self.starts += 1;
        self.log.set_extension(format!("{}.log", self.starts));
        let program = self.space.program(&["corosync", "-f"]).env("TZ", "UTC");
        self.corosync = Some(program.spawn(&self.log, false).expect("corosync starts"));
    }

    /// Has it take its leave.
    pub async fn stop(&mut self) {
        if let Some(mut corosync) = self.corosync.take() {
            corosync
                .stop(PATIENCE)
                .await
                .expect("corosync ends when it is asked to");
        }
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        if let Some(mut corosync) = self.corosync.take() {
            corosync.kill();
        }
    }

    /// What the agent's own command sees of the cluster, as JSON, without an agent that runs.
    pub async fn observed(&self, agent: &Path) -> serde_json::Value {
        let agent = agent.to_string_lossy();
        let program = self.space.program(&[&agent, "observe", "cluster", "--json"]);
        let output = program
            .deadline(Duration::from_secs(60))
            .run()
            .await
            .expect("the agent runs");
        let seen = serde_json::from_str(&output.stdout);
        seen.unwrap_or_else(|error| panic!("{error}: {output:#?}"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
