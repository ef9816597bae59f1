//! What an agent says of the cluster, as its JSON has it.

use std::path::{Path, PathBuf};

use quorate_lab::binaries;
use quorate_reality_corosync::cluster::Node;
use serde_json::Value;

/// The agent's program, built.
pub(crate) fn agent() -> PathBuf {
    binaries::ensure_built().unwrap().agent
}

/// The cluster facet of an observation.
#[derive(Debug, Clone)]
pub(crate) struct Seen(Value);

/// A link as a member sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) peer: u64,
    pub(crate) number: u64,
    pub(crate) connected: bool,
}

impl Seen {
    /// Has the agent look.
    pub(crate) async fn by(agent: &Path, node: &Node) -> Self {
        Self::of(&node.observed(agent).await)
    }

    /// Of an observation.
    pub(crate) fn of(observation: &Value) -> Self {
        Self(observation["cluster"].clone())
    }

    /// It is known, and the node is a member.
    pub(crate) fn is_member(&self) -> bool {
        self.0["value"]["membership"]["is"] == "member"
    }

    /// Why it isn't known.
    pub(crate) fn reason(&self) -> &str {
        self.0["reason"].as_str().unwrap_or_default()
    }

    /// The member's view.
    pub(crate) fn member(&self) -> &Value {
        assert!(self.is_member(), "no member: {:#}", self.0);
        &self.0["value"]["membership"]
    }

    /// Who is in the membership.
    pub(crate) fn online(&self) -> Vec<&str> {
        let nodes = self.member()["nodes"].as_array().unwrap().iter();
        nodes
            .filter(|node| node["online"] == true)
            .map(|node| node["name"].as_str().unwrap())
            .collect()
    }

    /// The node has quorum.
    pub(crate) fn quorate(&self) -> bool {
        self.member()["quorate"] == true
    }

    /// A part of the member's view that must be known.
    pub(crate) fn known(&self, facet: &str) -> &Value {
        let facet = &self.member()[facet];
        assert_eq!(facet["state"], "known", "{facet:#}");
        &facet["value"]
    }

    /// Votes that are there, that are expected, and that the device gives.
    pub(crate) fn votes(&self) -> (u64, u64, Option<u64>) {
        let votes = self.known("votes");
        (
            votes["total"].as_u64().unwrap(),
            votes["expected"].as_u64().unwrap(),
            votes["device"].as_u64(),
        )
    }

    /// Every link to a peer that can be reached by any.
    pub(crate) fn links(&self) -> Vec<Link> {
        let link = |link: &Value| Link {
            peer: link["peer"].as_u64().unwrap(),
            number: link["number"].as_u64().unwrap(),
            connected: link["connected"] == true && link["enabled"] == true,
        };
        self.known("links").as_array().unwrap().iter().map(link).collect()
    }

    /// Whether a link to a peer is connected; one to a peer that can't be reached at all is not.
    pub(crate) fn connected(&self, peer: u64, number: u64) -> bool {
        self.links().contains(&Link {
            peer,
            number,
            connected: true,
        })
    }

    /// What corosync measured on a link, in microseconds: the average, the shortest and the longest, and how often.
    pub(crate) fn latency(&self, peer: u64, number: u64) -> Option<[u64; 4]> {
        let all = self.known("latencies").as_array().unwrap();
        let of = all.iter().find(|l| l["peer"] == peer && l["number"] == number)?;
        Some(["average", "shortest", "longest", "samples"].map(|key| of[key].as_u64().unwrap()))
    }

    /// How the membership changed while the agent looked: who joined, who left, and what became of the quorum, with the node's time in
    /// microseconds.
    pub(crate) fn changes(&self) -> Vec<(i64, String)> {
        let names = |value: &Value| {
            let names = value.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
            names.collect::<Vec<_>>().join(" ")
        };
        let told = |change: &Value| {
            let quorum = change["quorum"].as_str().unwrap_or("same");
            let words = format!("+[{}] -[{}] {quorum}", names(&change["joined"]), names(&change["left"]));
            (change["at"].as_i64().unwrap(), words)
        };
        let changes = self.0["value"]["changes"].as_array();
        changes.into_iter().flatten().map(told).collect()
    }
}
