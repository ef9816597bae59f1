//! corosync.conf, as PVE writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// The content of corosync.conf that PVE manages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conf {
    pub(crate) cluster_name: String,
    pub(crate) version: u64,
    pub(crate) nodes: Vec<ConfNode>,
    /// Link numbers with an `interface` section.
    pub(crate) links: Vec<u8>,
    /// Written by PVE 9.1 and later.
    pub(crate) token_coefficient: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfNode {
    pub(crate) name: String,
    pub(crate) id: u32,
    pub(crate) votes: u32,
    pub(crate) rings: BTreeMap<u8, String>,
}

impl Conf {
    pub(crate) fn node(&self, id: u32) -> Option<&ConfNode> {
        self.nodes.iter().find(|node| node.id == id)
    }

    pub(crate) fn named(&self, name: &str) -> Option<&ConfNode> {
        self.nodes.iter().find(|node| node.name == name)
    }

    pub(crate) fn total_votes(&self) -> u32 {
        self.nodes.iter().map(|node| node.votes).sum()
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

    /// 3000 ms, and the coefficient for each node above two.
    pub(crate) fn token(&self) -> Duration {
        let above = u64::try_from(self.nodes.len()).unwrap_or(0).saturating_sub(2);
        Duration::from_millis(3000 + above * self.token_coefficient.unwrap_or(650))
    }

    /// 1.2 times the token.
    pub(crate) fn consensus(&self) -> Duration {
        self.token() * 12 / 10
    }

    /// The file's text: sections and keys sorted, two blanks of indent.
    pub(crate) fn render(&self) -> String {
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
        text.push_str("}\n\nquorum {\n  provider: corosync_votequorum\n}\n\ntotem {\n");
        write!(
            text,
            "  cluster_name: {}\n  config_version: {}\n",
            self.cluster_name, self.version
        )
        .ok();
        for link in &self.links {
            write!(text, "  interface {{\n    linknumber: {link}\n  }}\n").ok();
        }
        text.push_str("  ip_version: ipv4-6\n  link_mode: passive\n  secauth: on\n");
        if let Some(coefficient) = self.token_coefficient {
            writeln!(text, "  token_coefficient: {coefficient}").ok();
        }
        text.push_str("  version: 2\n}\n\n");
        text
    }
}
