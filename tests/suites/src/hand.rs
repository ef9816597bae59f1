//! What an administrator does without Quorate: tools and files of the servers.

use std::path::PathBuf;

use quorate_lab::process::Daemon;
use quorate_lab::{Output, What};
use serde_json::Value;

use crate::{Fleet, told};

/// Networks of the lab: the cluster network first.
pub const BOTH_LINKS: &[&str] = &["10.10.10.0/24", "192.168.1.0/24"];
/// Only the cluster network.
pub const ONE_LINK: &[&str] = &["10.10.10.0/24"];

impl Fleet {
    /// Writes the cluster file of these nodes, with these networks as links, and more of `[cluster]`.
    #[must_use]
    pub fn linked_file(&self, name: &str, nodes: &[&str], links: &[&str], more: &str) -> String {
        let links: Vec<String> = links.iter().map(|link| format!("\"{link}\"")).collect();
        let mut text = format!(
            "[cluster]\nname = \"{}\"\nlinks = [{}]\n{more}\n",
            self.cluster,
            links.join(", ")
        );
        for node in nodes {
            let address = self.lab.node(node).expect("the node exists").public_address;
            text.push_str(&format!("\n[nodes.{node}]\naddress = \"{address}\"\n"));
        }
        self.write_file(name, &text)
    }

    /// A path below a server's root.
    #[must_use]
    pub fn rooted(&self, node: &str, path: &str) -> PathBuf {
        self.lab
            .node(node)
            .expect("the node exists")
            .root
            .join(path.trim_start_matches('/'))
    }

    /// A file of a server; empty if it is not there.
    #[must_use]
    pub fn read(&self, node: &str, path: &str) -> String {
        std::fs::read_to_string(self.rooted(node, path)).unwrap_or_default()
    }

    /// Runs a tool on a server.
    pub async fn tool(&self, node: &str, line: &str) -> Output {
        let argv: Vec<&str> = line.split(' ').collect();
        self.lab.tool(node, &argv, None).await.expect("the tool can be run")
    }

    /// The arguments of links by address: `--link0 10.10.10.2 …`.
    fn link_arguments(&self, node: &str, links: &[&str]) -> Vec<String> {
        let index = self
            .lab
            .names()
            .iter()
            .position(|name| name == node)
            .expect("the node exists");
        let address = |network: &str| match network {
            "10.10.10.0/24" => format!("10.10.10.{}", index + 1),
            _ => format!("192.168.1.{}", index + 11),
        };
        let each = links
            .iter()
            .enumerate()
            .map(|(number, link)| [format!("--link{number}"), address(link)]);
        each.flatten().collect()
    }

    /// `pvecm create` on the first of these nodes and `pvecm add` on the others, one after the other.
    pub async fn made_by_hand(&self, nodes: &[&str], links: &[&str]) {
        let (first, others) = nodes.split_first().expect("a node");
        let line = format!(
            "pvecm create {} {}",
            self.cluster,
            self.link_arguments(first, links).join(" ")
        );
        let created = self.tool(first, &line).await;
        assert!(created.success(), "{}", told(&created));
        self.writable(first).await;
        for node in others {
            self.made_by_hand_joins(first, node, links).await;
        }
    }

    /// `pvecm add` of a node through a member, to its end.
    pub async fn made_by_hand_joins(&self, member: &str, node: &str, links: &[&str]) {
        let argv = self.join_line(member, node, links).await;
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let added = self
            .lab
            .tool(node, &argv, Some(b"labpass\n"))
            .await
            .expect("pvecm can be run");
        assert!(added.stdout.contains("successfully added"), "{}", told(&added));
    }

    /// Starts `pvecm add` of a node in the background.
    pub async fn joins_by_hand(&self, member: &str, node: &str, links: &[&str]) -> Daemon {
        let argv = self.join_line(member, node, links).await;
        self.starts(node, &argv)
    }

    /// Starts `pvecm add` of two nodes in the same instant.
    pub async fn two_join_by_hand(&self, member: &str, nodes: [&str; 2], links: &[&str]) -> [Daemon; 2] {
        let [one, two] = nodes;
        let lines = [
            self.join_line(member, one, links).await,
            self.join_line(member, two, links).await,
        ];
        [self.starts(one, &lines[0]), self.starts(two, &lines[1])]
    }

    /// Starts a tool in the background.
    pub fn starts(&self, node: &str, argv: &[String]) -> Daemon {
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let log = self.lab.layout().dir().join(format!("{node}-add.out"));
        self.lab
            .tool_in_background(node, &argv, Some(b"labpass\n"), &log)
            .expect("pvecm starts")
    }

    /// The line of `pvecm add` of a node through a member.
    pub async fn join_line(&self, member: &str, node: &str, links: &[&str]) -> Vec<String> {
        let information = self
            .tool(member, "pvesh get /cluster/config/join --output-format json")
            .await;
        let value: Value = serde_json::from_str(&information.stdout).expect("join information");
        let list = value["nodelist"].as_array().expect("nodes");
        let own = list.iter().find(|entry| entry["name"] == member).expect("the member");
        let fingerprint = own["pve_fp"].as_str().expect("a fingerprint").to_owned();
        let address = self
            .lab
            .node(member)
            .expect("the node exists")
            .public_address
            .to_string();
        let mut argv: Vec<String> = ["pvecm", "add", &address, "--fingerprint", &fingerprint]
            .map(str::to_owned)
            .into();
        argv.extend(self.link_arguments(node, links));
        argv
    }

    /// Waits until a server's /etc/pve may be written.
    pub async fn writable(&self, node: &str) {
        self.until(&format!("/etc/pve of {node} is writable"), async || {
            let servers = self.lab.status().await.expect("the world answers");
            servers.iter().any(|server| server.name == node && server.writable)
        })
        .await;
    }

    /// Each of these servers is quorate and sees exactly these as members.
    pub async fn all_in(&self, nodes: &[&str]) {
        for server in self.lab.status().await.expect("the world answers") {
            if nodes.contains(&server.name.as_str()) {
                let mut members = server.members.clone();
                members.sort();
                assert!(server.quorate && server.writable && members == nodes, "{server:?}");
            }
        }
        self.nothing_unknown();
    }

    /// No tool was called in a way that the world does not know.
    pub fn nothing_unknown(&self) {
        let unknown: Vec<_> = self
            .world()
            .into_iter()
            .filter(|e| e.what == What::UnknownInvocation)
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    /// What really changed anything in the world: looking is left out, and what pmxcfs, HA's daemons and the scheduler of copies do on their own.
    #[must_use]
    pub fn changes(&self) -> Vec<quorate_lab::Entry> {
        const LOOKING: [What; 27] = [
            What::WorldStarted,
            What::ToolCalled,
            What::ToolEnded,
            What::ToolDied,
            What::UnknownInvocation,
            What::Scripted,
            What::PmxcfsReadOnly,
            What::PmxcfsWritable,
            What::WatchdogArmed,
            What::WatchdogClosed,
            What::WatchdogReset,
            What::GuestStarted,
            What::GuestStopped,
            What::GuestMoved,
            What::GuestRecovered,
            What::Replicated,
            What::ReplicationFailed,
            What::WritesDiscarded,
            What::ReplicationReversed,
            What::NumbersTold,
            What::HaStarted,
            What::HaEnded,
            What::HaNodeChanged,
            What::FenceDecided,
            What::LockTaken,
            What::GuestAnswers,
            What::GuestSilent,
        ];
        self.world()
            .into_iter()
            .filter(|e| !LOOKING.contains(&e.what))
            .collect()
    }
}

/// The ids of a plan's steps.
#[must_use]
pub fn steps(plan: &Value) -> Vec<String> {
    let steps = plan["steps"].as_array().unwrap_or_else(|| panic!("no plan: {plan:#}"));
    steps
        .iter()
        .filter_map(|step| step["id"].as_str())
        .map(str::to_owned)
        .collect()
}

/// The findings of this code.
#[must_use]
pub fn findings<'v>(plan: &'v Value, code: &str) -> Vec<&'v Value> {
    plan["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|f| f["code"] == code)
        .collect()
}

/// `config_version` of a corosync.conf.
#[must_use]
pub fn version(conf: &str) -> u64 {
    let line = conf
        .lines()
        .find_map(|line| line.trim().strip_prefix("config_version: "));
    line.and_then(|number| number.parse().ok()).expect("a version")
}

/// With the version raised.
#[must_use]
pub fn raised(conf: &str, by: u64) -> String {
    let before = version(conf);
    conf.replace(
        &format!("config_version: {before}"),
        &format!("config_version: {}", before + by),
    )
}
