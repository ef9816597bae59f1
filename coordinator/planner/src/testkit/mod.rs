//! Servers, views and cluster files in few words, for tests. Servers are `prox1`, `prox2` … with the addresses `192.168.1.(10+N)`
//! and `10.10.10.(10+N)`, the second on a 10 Gbit/s port.

#![expect(clippy::expect_used, reason = "what tests write down is valid, or the test is wrong")]

mod apply;
mod cluster;
mod moves;
mod pools;
mod protection;
mod server;
mod storages;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::ids::NodeName;
use quorate_model::observation::cluster::{Cluster, Member, QdeviceConfig};
use quorate_model::observation::ha::{HaPlace, HaResource, ManagerStatus};
use quorate_model::observation::readiness::Readiness;
use quorate_model::observation::storages::Storages;
use quorate_model::observation::{Disks, Guest, GuestKind, Ha, Membership, Network, PveConfig, System};
use quorate_model::spec::ClusterFile;
use quorate_model::view::{ClockOffset, NodeView};
use quorate_model::{Observation, Timestamp, Unknown, View};

pub use apply::apply;
pub use moves::Vm;
pub use pools::disk;
pub use protection::{copied, guest, job, volume};
pub use server::{interface, root_key, service, ssh_key};
pub use storages::ready as storage_ready;

use cluster::{Node, Shape};

/// When everything in a test is seen.
pub const NOW: Timestamp = Timestamp(1_795_345_772_000_000);

/// Where the third vote is, in tests that have one.
pub const VOTE: &str = "192.168.1.250";

/// The cluster file of `hk1` with `prox1` to `proxN` and these link networks (none: by the servers' own addresses).
#[must_use]
pub fn file(servers: usize, links: &[&str]) -> ClusterFile {
    parse(&text(servers, links))
}

/// Its text, to which more can be added.
///
/// # Panics
/// Never: a string takes whatever is written to it.
#[must_use]
pub fn text(servers: usize, links: &[&str]) -> String {
    let mut text = "[cluster]\nname = \"hk1\"\n".to_owned();
    if !links.is_empty() {
        let quoted: Vec<String> = links.iter().map(|l| format!("\"{l}\"")).collect();
        writeln!(text, "links = [{}]", quoted.join(", ")).expect("a string takes it");
    }
    for n in 1..=servers {
        write!(text, "[nodes.prox{n}]\naddress = \"192.168.1.{}\"\n", 10 + n).expect("a string takes it");
    }
    text
}

/// The same, with the third vote on the host `vote` (`192.168.1.250`).
#[must_use]
pub fn file_with_vote(servers: usize, links: &[&str]) -> ClusterFile {
    parse(&format!(
        "{}[cluster.third_vote]\nqdevice = \"vote\"\n[nodes.vote]\naddress = \"{VOTE}\"\nrole = \"qnetd\"\n",
        text(servers, links)
    ))
}

/// A cluster file from its text.
#[must_use]
pub fn parse(text: &str) -> ClusterFile {
    ClusterFile::parse("hk1.toml", text).expect("a valid cluster file")
}

/// A node name.
#[must_use]
pub fn name(text: &str) -> NodeName {
    NodeName::new(text).expect("a valid name")
}

/// A view under construction.
#[derive(Debug, Clone, Default)]
pub struct Servers {
    /// What it comes to.
    pub view: View,
}

impl Servers {
    /// `prox1` to `proxN`, in no cluster, in the best of health.
    #[must_use]
    pub fn bare(count: usize) -> Self {
        let mut servers = Self::default();
        servers.view.findings = Facet::known(vec![], NOW);
        for n in 1..=count {
            servers.add(n);
        }
        servers
    }

    /// Adds the bare server `proxN`.
    pub fn add(&mut self, n: usize) {
        let node = name(&format!("prox{n}"));
        let view = NodeView {
            observation: Ok(server::bare(&node, n)),
            clock_offset: Some(ClockOffset {
                micros: 0,
                error_micros: 500,
            }),
        };
        self.view.nodes.insert(node, view);
    }

    /// Gives a server these free disks, by serial number, and no pool and no storage.
    #[must_use]
    pub fn with_disks(self, node: &str, serials: &[&str]) -> Self {
        let letters = 'b'..='z';
        let disks = serials.iter().zip(letters);
        let disks = disks
            .map(|(serial, letter)| disk(&format!("/dev/sd{letter}"), serial))
            .collect();
        self.with(node, |seen| {
            seen.disks = Facet::known(Disks { disks }, NOW);
            seen.pools = Facet::known(vec![], NOW);
            let none = Storages {
                defined: vec![],
                status: Facet::known(vec![], NOW),
            };
            seen.storages = Facet::known(none, NOW);
        })
    }

    /// Puts these servers into a cluster, all online and quorate, with links over the networks that [`file`] would name.
    #[must_use]
    pub fn members(mut self, cluster: &str, nodes: &[&str], links: &[&str]) -> Self {
        form(&mut self.view, cluster, &nodes.iter().map(|n| name(n)).collect(), links);
        self
    }

    /// Adds a host that is no PVE server.
    #[must_use]
    pub fn outside(mut self, node: &str, address: &str) -> Self {
        let node = name(node);
        let address = address.parse().expect("a valid address");
        let view = NodeView {
            observation: Ok(server::outside(&node, address)),
            clock_offset: Some(ClockOffset {
                micros: 0,
                error_micros: 500,
            }),
        };
        self.view.nodes.insert(node, view);
        self
    }

    /// Makes a member seen as offline by all others; what its own agent says is another matter.
    #[must_use]
    pub fn offline(mut self, node: &str) -> Self {
        let others: BTreeSet<NodeName> = self.view.nodes.keys().filter(|n| n.as_str() != node).cloned().collect();
        let mut shape = Shape::seen(&self.view, &others);
        shape.nodes.get_mut(&name(node)).expect("a member").online = false;
        shape.spread(&mut self.view);
        self
    }

    /// The cluster counts this bare server, which is not in.
    #[must_use]
    pub fn counted(mut self, node: &str, links: &[&str]) -> Self {
        let others: BTreeSet<NodeName> = self.view.nodes.keys().filter(|n| n.as_str() != node).cloned().collect();
        let mut shape = Shape::seen(&self.view, &others);
        let entry = Node {
            id: shape.next_id(),
            online: false,
            published: None,
            links: link_addresses(&name(node), links),
        };
        shape.nodes.insert(name(node), entry);
        shape.version += 1;
        shape.spread(&mut self.view);
        self
    }

    /// The cluster has a QDevice that votes.
    #[must_use]
    pub fn qdevice(mut self, address: &str) -> Self {
        let mut shape = Shape::seen(&self.view, &self.view.nodes.keys().cloned().collect());
        shape.qdevice = Some(QdeviceConfig {
            host: address.to_owned(),
            algorithm: "ffsplit".to_owned(),
            votes: Some(1),
        });
        shape.spread(&mut self.view);
        self
    }

    /// All members have this guest under HA, started on `node`, with an armed watchdog there.
    #[must_use]
    pub fn under_ha(mut self, sid: &str, node: &str, version: &str) -> Self {
        for (own, seen) in &mut self.view.nodes {
            let Ok(observation) = &mut seen.observation else {
                continue;
            };
            let ha = known(&mut observation.ha);
            ha.version = Facet::known(version.to_owned(), NOW);
            if observation.cluster.get().is_ok_and(|c| c.member().is_none()) {
                continue;
            }
            ha.watchdog_armed = own.as_str() == node;
            let place = HaPlace {
                node: node.to_owned(),
                state: "started".to_owned(),
                target: None,
                command: None,
                uid: None,
            };
            let resource = HaResource::of("started");
            known(&mut ha.resources).insert(sid.to_owned(), resource);
            ha.manager = Facet::known(
                Some(ManagerStatus {
                    master: node.to_owned(),
                    at: NOW,
                    nodes: BTreeMap::new(),
                    services: BTreeMap::from([(sid.to_owned(), place)]),
                    disarm: None,
                    maintenance: BTreeSet::new(),
                }),
                NOW,
            );
        }
        self
    }

    /// Changes what every server saw.
    #[must_use]
    pub fn with_each(mut self, mut change: impl FnMut(&mut Observation)) -> Self {
        for seen in self.view.nodes.values_mut() {
            if let Ok(observation) = &mut seen.observation {
                change(observation);
            }
        }
        self
    }

    /// Changes the HA facet of a server.
    #[must_use]
    pub fn with_ha(self, node: &str, change: impl FnOnce(&mut Ha)) -> Self {
        self.with(node, |o| change(known(&mut o.ha)))
    }

    /// Changes the configuration facet of a server.
    #[must_use]
    pub fn with_config(self, node: &str, change: impl FnOnce(&mut PveConfig)) -> Self {
        self.with(node, |o| change(known(&mut o.config)))
    }

    /// Changes the readiness facet of a server.
    #[must_use]
    pub fn with_readiness(self, node: &str, change: impl FnOnce(&mut Readiness)) -> Self {
        self.with(node, |o| change(known(&mut o.readiness)))
    }

    /// Changes what the agent of a server saw.
    #[must_use]
    pub fn with(mut self, node: &str, change: impl FnOnce(&mut Observation)) -> Self {
        let view = self.view.nodes.get_mut(&name(node)).expect("a server of the view");
        change(view.observation.as_mut().expect("a server that is seen"));
        self
    }

    /// Changes the cluster facet of a server.
    #[must_use]
    pub fn with_cluster(self, node: &str, change: impl FnOnce(&mut Cluster)) -> Self {
        self.with(node, |o| change(known(&mut o.cluster)))
    }

    /// Changes a member's view of its cluster.
    #[must_use]
    pub fn with_member(self, node: &str, change: impl FnOnce(&mut Member)) -> Self {
        self.with_cluster(node, |c| match &mut c.membership {
            Membership::Member(member) => change(member),
            Membership::Standalone => unreachable!("{node} is a member in this test"),
        })
    }

    /// Changes the network facet of a server.
    #[must_use]
    pub fn with_network(self, node: &str, change: impl FnOnce(&mut Network)) -> Self {
        self.with(node, |o| change(known(&mut o.network)))
    }

    /// Changes the system facet of a server.
    #[must_use]
    pub fn with_system(self, node: &str, change: impl FnOnce(&mut System)) -> Self {
        self.with(node, |o| change(known(&mut o.system)))
    }

    /// Gives a server guests.
    #[must_use]
    pub fn guests(self, node: &str, ids: &[u32]) -> Self {
        let guests = ids
            .iter()
            .map(|vmid| Guest {
                vmid: *vmid,
                node: node.to_owned(),
                kind: GuestKind::Vm,
            })
            .collect();
        self.with(node, |o| o.guests = Facet::known(guests, NOW))
    }

    /// Puts a server's clock ahead of the coordinator's, give or take an error, both in microseconds.
    #[must_use]
    pub fn clock(mut self, node: &str, micros: i64, error_micros: u64) -> Self {
        self.view
            .nodes
            .get_mut(&name(node))
            .expect("a server of the view")
            .clock_offset = Some(ClockOffset { micros, error_micros });
        self
    }

    /// Makes a server unreachable. How its clock stood is not forgotten.
    #[must_use]
    pub fn unreachable(mut self, node: &str) -> Self {
        let unknown = Unknown::new(UnknownKind::Unreachable, "connection refused");
        let clock_offset = self.view.nodes.get(&name(node)).and_then(|seen| seen.clock_offset);
        self.view.nodes.insert(
            name(node),
            NodeView {
                observation: Err(unknown),
                clock_offset,
            },
        );
        self
    }
}

/// A facet that could not be read.
#[must_use]
pub fn unseen<T>() -> Facet<T> {
    Facet::unknown(UnknownKind::TimedOut, "no answer within 10 s")
}

/// The value of a facet that is known in this test.
///
/// # Panics
/// It is not.
pub fn known<T>(facet: &mut Facet<T>) -> &mut T {
    match facet {
        Facet::Known { value, .. } => value,
        Facet::Unknown(unknown) => unreachable!("known in this test, not {unknown}"),
    }
}

/// Puts servers into a cluster of their own, whatever they were in before.
fn form(view: &mut View, cluster: &str, nodes: &BTreeSet<NodeName>, links: &[&str]) {
    let entry = |(id, name): (u32, &NodeName)| {
        let node = Node {
            id,
            online: true,
            published: Some(addresses(name).0),
            links: link_addresses(name, links),
        };
        (name.clone(), node)
    };
    let shape = Shape {
        name: cluster.to_owned(),
        nodes: (1..).zip(nodes).map(entry).collect(),
        interfaces: (0u8..).take(links.len().max(1)).map(|number| (number, None)).collect(),
        qdevice: None,
        version: u64::try_from(nodes.len()).expect("few"),
    };
    for node in nodes {
        if let Some(Ok(seen)) = view.nodes.get_mut(node).map(|v| v.observation.as_mut())
            && seen.cluster.get().is_ok_and(|c| c.member().is_none())
        {
            seen.guests = Facet::known(vec![], NOW);
        }
    }
    shape.spread(view);
}

/// Management address and link address of `proxN`.
fn addresses(node: &NodeName) -> (IpAddr, IpAddr) {
    let number: u8 = node
        .as_str()
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .parse()
        .unwrap_or(0);
    (
        IpAddr::from([192, 168, 1, 10 + number]),
        IpAddr::from([10, 10, 10, 10 + number]),
    )
}

fn link_addresses(node: &NodeName, links: &[&str]) -> BTreeMap<u8, String> {
    let (own, fast) = addresses(node);
    if links.is_empty() {
        return BTreeMap::from([(0, own.to_string())]);
    }
    (0u8..)
        .zip(links)
        .map(|(i, net)| (i, if net.starts_with("10.") { fast } else { own }.to_string()))
        .collect()
}
