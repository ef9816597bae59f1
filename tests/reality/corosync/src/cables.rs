//! Three networks, and the cables of the machines to them.

use std::path::Path;

use crate::space::{Space, ip};

/// Networks: link 0 and link 1 of corosync, and one on which the coordinator and the third vote are, which is never cut.
pub const NETWORKS: u8 = 3;

/// The network on which the coordinator and the third vote are.
pub const OUTSIDE: u8 = 2;

/// The machine in which the switches stand. Whoever runs in it is on all networks, with host number 254.
#[derive(Debug)]
pub struct Hub {
    space: Space,
}

/// A host's address in a network.
#[must_use]
pub fn address(network: u8, host: u8) -> String {
    format!("10.{}.0.{host}", 77 + network)
}

impl Hub {
    /// Switches without cables.
    pub async fn new(log: &Path) -> Self {
        let space = Space::named("hub", log).await;
        for network in 0..NETWORKS {
            let switch = switch(network);
            space
                .does(&["ip", "link", "add", "name", &switch, "type", "bridge"])
                .await;
            let own = format!("{}/24", address(network, 254));
            space.does(&["ip", "address", "add", &own, "dev", &switch]).await;
            space.does(&["ip", "link", "set", "dev", &switch, "up"]).await;
        }
        Self { space }
    }

    /// The machine itself.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Lays cables from a machine, by its host number, to these networks.
    pub async fn connect(&self, space: &Space, host: u8, networks: &[u8]) {
        for network in networks {
            let (port, own) = (port(host, *network), format!("link{network}"));
            let ends = [
                "link",
                "add",
                "name",
                &own,
                "netns",
                space.netns(),
                "type",
                "veth",
                "peer",
            ];
            let other = ["name", &port, "netns", self.space.netns()];
            ip(&[&ends[..], &other[..]].concat()).await;
            let switch = switch(*network);
            self.space
                .does(&["ip", "link", "set", "dev", &port, "master", &switch, "up"])
                .await;
            let address = format!("{}/24", address(*network, host));
            space.does(&["ip", "address", "add", &address, "dev", &own]).await;
            space.does(&["ip", "link", "set", "dev", &own, "up"]).await;
        }
    }

    /// Pulls a machine's cables to these networks; all at once, as nearly as can be.
    pub async fn cut(&self, host: u8, networks: &[u8]) {
        self.set(host, networks, "down").await;
    }

    /// Puts them in again.
    pub async fn restore(&self, host: u8, networks: &[u8]) {
        self.set(host, networks, "up").await;
    }

    async fn set(&self, host: u8, networks: &[u8], state: &str) {
        for network in networks {
            let port = port(host, *network);
            self.space.does(&["ip", "link", "set", "dev", &port, state]).await;
        }
    }
}

fn switch(network: u8) -> String {
    format!("net{network}")
}

fn port(host: u8, network: u8) -> String {
    format!("host{host}net{network}")
}
