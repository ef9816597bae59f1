//! corosync.conf, as PVE writes it: key for key, in its order. Only where the messages go is another: into a file, with milliseconds.

use crate::cables::address;

/// The cluster's name.
pub const CLUSTER: &str = "hk1";

/// What the cluster is like.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many nodes: `prox1`, `prox2`, …
    pub nodes: u8,
    /// How many links: 1 or 2.
    pub links: u8,
    /// A QDevice beside them, whose qnetd answers at this address.
    pub qdevice: Option<&'static str>,
}

impl Shape {
    /// The numbers of the links.
    #[must_use]
    pub fn links(self) -> Vec<u8> {
        (0..self.links).collect()
    }

    /// The text of the file.
    #[must_use]
    pub fn conf(self) -> String {
        let mut text =
            "logging {\n  debug: off\n  timestamp: hires\n  to_stderr: yes\n  to_syslog: no\n}\n\nnodelist {\n"
                .to_owned();
        for node in 1..=self.nodes {
            text += &format!("  node {{\n    name: prox{node}\n    nodeid: {node}\n    quorum_votes: 1\n");
            for link in self.links() {
                text += &format!("    ring{link}_addr: {}\n", address(link, node));
            }
            text += "  }\n";
        }
        text += "}\n\nquorum {\n";
        if let Some(host) = self.qdevice {
            text += "  device {\n    model: net\n    net {\n      algorithm: ffsplit\n";
            text += &format!("      host: {host}\n      tls: on\n    }}\n    votes: 1\n  }}\n");
        }
        text += "  provider: corosync_votequorum\n}\n\ntotem {\n";
        text += &format!("  cluster_name: {CLUSTER}\n  config_version: {}\n", self.nodes);
        for link in self.links() {
            text += &format!("  interface {{\n    linknumber: {link}\n  }}\n");
        }
        text += "  ip_version: ipv4-6\n  link_mode: passive\n  secauth: on\n  version: 2\n}\n\n";
        text
    }
}
