//! corosync.conf, as PVE writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// The content of corosync.conf that PVE manages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Conf {
    pub(crate) cluster_name: String,
    pub(crate) version: u64,
    pub(crate) nodes: Vec<ConfNode>,
    /// Link numbers with an `interface` section.
    pub(crate) links: Vec<u8>,
    /// The third vote, `quorum.device`.
    pub(crate) device: Option<Device>,
    /// Written by PVE 9.1 and later.
    pub(crate) token_coefficient: Option<u64>,
    /// Milliseconds, if somebody wrote `token` into it.
    pub(crate) token: Option<u64>,
    /// `knet_link_priority`, by link.
    pub(crate) priorities: BTreeMap<u8, u32>,
    /// The text as it was written by hand. PVE's own writing loses it: it counts only while it says the same as the rest.
    pub(crate) raw: Option<String>,
    /// Where the text breaks off.
    pub(crate) fault: Option<Fault>,
}

/// Why the text can't be read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    /// As corosync says it.
    pub(crate) corosync: &'static str,
    /// As PVE's own parser says it.
    pub(crate) pve: &'static str,
}

/// `quorum.device` with the model `net`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) host: String,
    /// `ffsplit`, or `lms` for an odd number of nodes.
    pub(crate) algorithm: String,
    /// Left out with `lms`: then as many as all nodes but one.
    pub(crate) votes: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfNode {
    pub(crate) name: String,
    pub(crate) id: u32,
    pub(crate) votes: u32,
    pub(crate) rings: BTreeMap<u8, String>,
}

impl ConfNode {
    /// `r(0) ip(10.10.10.1) r(1) ip(…) `, as `runtime.members` shows it.
    pub(crate) fn addresses(&self) -> String {
        self.rings
            .iter()
            .map(|(ring, address)| format!("r({ring}) ip({address}) "))
            .collect()
    }
}

impl Conf {
    /// A cluster of one, as PVE writes it.
    pub(crate) fn first(cluster_name: &str, node: ConfNode, major: u32) -> Self {
        Self {
            cluster_name: cluster_name.to_owned(),
            version: 1,
            links: node.rings.keys().copied().collect(),
            nodes: vec![node],
            token_coefficient: (major >= 9).then_some(125),
            ..Self::default()
        }
    }

    pub(crate) fn node(&self, id: u32) -> Option<&ConfNode> {
        self.nodes.iter().find(|node| node.id == id)
    }

    pub(crate) fn named(&self, name: &str) -> Option<&ConfNode> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The nodes' votes and the device's.
    pub(crate) fn total_votes(&self) -> u32 {
        self.node_votes() + self.device_votes()
    }

    pub(crate) fn node_votes(&self) -> u32 {
        self.nodes.iter().map(|node| node.votes).sum()
    }

    /// What the device's vote counts; nothing without one.
    pub(crate) fn device_votes(&self) -> u32 {
        let default = || self.node_votes().saturating_sub(1);
        self.device
            .as_ref()
            .map_or(0, |device| device.votes.unwrap_or_else(default))
    }

    pub(crate) fn lowest_free_id(&self) -> u32 {
        (1..).find(|id| self.node(*id).is_none()).unwrap_or(1)
    }

    /// The node id that stands twice, which corosync refuses.
    pub(crate) fn duplicate_id(&self) -> Option<u32> {
        let mut ids: Vec<u32> = self.nodes.iter().map(|node| node.id).collect();
        ids.sort_unstable();
        ids.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(*a),
            _ => None,
        })
    }

    /// knet prefers the link with the highest one.
    pub(crate) fn priority(&self, link: u8) -> u32 {
        self.priorities.get(&link).copied().unwrap_or(1)
    }

    /// 3000 ms or what stands there, and the coefficient for each node above two.
    pub(crate) fn token(&self) -> Duration {
        let above = u64::try_from(self.nodes.len()).unwrap_or(0).saturating_sub(2);
        Duration::from_millis(self.token.unwrap_or(3000) + above * self.token_coefficient.unwrap_or(650))
    }

    /// 1.2 times the token.
    pub(crate) fn consensus(&self) -> Duration {
        self.token() * 12 / 10
    }

    /// The file's text.
    pub(crate) fn render(&self) -> String {
        match &self.raw {
            Some(raw) if Self::parse(raw) == *self => raw.clone(),
            _ => self.canonical(),
        }
    }

    /// As PVE writes it: sections and keys sorted, two blanks of indent.
    pub(super) fn canonical(&self) -> String {
        let mut text = String::from("logging {\n  debug: off\n  to_syslog: yes\n}\n\nnodelist {\n");
        let mut nodes: Vec<&ConfNode> = self.nodes.iter().collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        for node in nodes {
            write!(
                text,
                "  node {{\n    name: {}\n    nodeid: {}\n    quorum_votes: {}\n",
                node.name, node.id, node.votes
            )
            .ok();
            for (ring, address) in &node.rings {
                writeln!(text, "    ring{ring}_addr: {address}").ok();
            }
            text.push_str("  }\n");
        }
        text.push_str("}\n\nquorum {\n");
        if let Some(device) = &self.device {
            write!(
                text,
                "  device {{\n    model: net\n    net {{\n      algorithm: {}\n      host: {}\n      tls: on\n    }}\n",
                device.algorithm, device.host
            )
            .ok();
            if let Some(votes) = device.votes {
                writeln!(text, "    votes: {votes}").ok();
            }
            text.push_str("  }\n");
        }
        text.push_str("  provider: corosync_votequorum\n}\n\ntotem {\n");
        write!(
            text,
            "  cluster_name: {}\n  config_version: {}\n",
            self.cluster_name, self.version
        )
        .ok();
        for link in &self.links {
            text.push_str("  interface {\n");
            if let Some(priority) = self.priorities.get(link) {
                writeln!(text, "    knet_link_priority: {priority}").ok();
            }
            write!(text, "    linknumber: {link}\n  }}\n").ok();
        }
        text.push_str("  ip_version: ipv4-6\n  link_mode: passive\n  secauth: on\n");
        if let Some(token) = self.token {
            writeln!(text, "  token: {token}").ok();
        }
        if let Some(coefficient) = self.token_coefficient {
            writeln!(text, "  token_coefficient: {coefficient}").ok();
        }
        text.push_str("  version: 2\n}\n\n");
        text
    }
}
