//! Servers, views and cluster files in few words, for tests. Servers are `prox1`, `prox2` … with the addresses `192.168.1.(10+N)`
//! and `10.10.10.(10+N)`, the second on a 10 Gbit/s port.

#![expect(clippy::expect_used, reason = "what tests write down is valid, or the test is wrong")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::ids::NodeName;
use quorate_model::observation::cluster::{Cluster, ConfiguredNode, Link, Member, MemberNode, Pmxcfs, Votes};
use quorate_model::observation::network::{Interface, InterfaceAddress, InterfaceKind, NameResolution};
use quorate_model::observation::system::{AgentState, ClockState, ClockSync, Cpu, Memory, PveVersion};
use quorate_model::observation::{Guest, GuestKind, Membership, Network, System};
use quorate_model::plan::{Condition, Step};
use quorate_model::spec::ClusterFile;
use quorate_model::view::{ClockOffset, NodeView};
use quorate_model::{ByteSize, Observation, Timestamp, Unknown, View};

/// When everything in a test is seen.
pub const NOW: Timestamp = Timestamp(1_795_345_772_000_000);

/// The cluster file of `hk1` with `prox1` to `proxN` and these link networks (none: by the servers' own addresses).
#[must_use]
pub fn file(servers: usize, links: &[&str]) -> ClusterFile {
    let mut text = "[cluster]\nname = \"hk1\"\n".to_owned();
    if !links.is_empty() {
        let quoted: Vec<String> = links.iter().map(|l| format!("\"{l}\"")).collect();
        writeln!(text, "links = [{}]", quoted.join(", ")).expect("a string takes it");
    }
    for n in 1..=servers {
        write!(text, "[nodes.prox{n}]\naddress = \"192.168.1.{}\"\n", 10 + n).expect("a string takes it");
    }
    parse(&text)
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
        for n in 1..=count {
            servers.add(n);
        }
        servers
    }

    /// Adds the bare server `proxN`.
    pub fn add(&mut self, n: usize) {
        let node = name(&format!("prox{n}"));
        let view = NodeView {
            observation: Ok(bare(&node, n)),
            clock_offset: Some(ClockOffset {
                micros: 0,
                error_micros: 500,
            }),
        };
        self.view.nodes.insert(node, view);
    }

    /// Puts these servers into a cluster, all online and quorate, with links over the networks that [`file`] would name.
    #[must_use]
    pub fn members(mut self, cluster: &str, nodes: &[&str], links: &[&str]) -> Self {
        form(&mut self.view, cluster, &nodes.iter().map(|n| name(n)).collect(), links);
        self
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

    /// Makes a server unreachable.
    #[must_use]
    pub fn unreachable(mut self, node: &str) -> Self {
        let unknown = Unknown::new(UnknownKind::Unreachable, "connection refused");
        self.view.nodes.insert(
            name(node),
            NodeView {
                observation: Err(unknown),
                clock_offset: None,
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

fn known<T>(facet: &mut Facet<T>) -> &mut T {
    match facet {
        Facet::Known { value, .. } => value,
        Facet::Unknown(unknown) => unreachable!("known in this test, not {unknown}"),
    }
}

/// What the step would leave behind if it went well.
pub fn apply(view: &mut View, step: &Step, links: &[&str]) {
    if let Condition::Members { cluster, nodes } = &step.done_when {
        form(view, cluster.as_str(), nodes, links);
    }
}

fn form(view: &mut View, cluster: &str, nodes: &BTreeSet<NodeName>, links: &[&str]) {
    let running: Vec<MemberNode> = (1..)
        .zip(nodes)
        .map(|(id, n)| MemberNode {
            name: n.to_string(),
            id,
            online: true,
            address: Some(addresses(n).0),
        })
        .collect();
    let configured: Vec<ConfiguredNode> = (1..)
        .zip(nodes)
        .map(|(id, n)| ConfiguredNode {
            name: n.to_string(),
            id,
            votes: 1,
            addresses: link_addresses(n, links),
        })
        .collect();
    let votes = u32::try_from(nodes.len()).expect("few");
    for node in nodes {
        let Some(Ok(observation)) = view.nodes.get_mut(node).map(|v| v.observation.as_mut()) else {
            continue;
        };
        let own = link_addresses(node, links);
        let peers = configured.iter().filter(|n| n.name != node.as_str());
        let links = peers.flat_map(|n| {
            n.addresses.iter().map(|(number, remote)| Link {
                peer: n.id,
                number: *number,
                local: own.get(number).cloned().unwrap_or_default(),
                remote: remote.clone(),
                enabled: true,
                connected: true,
                mtu: Some(1397),
            })
        });
        let member = Member {
            cluster: cluster.to_owned(),
            running_version: u64::from(votes),
            file_version: u64::from(votes),
            quorate: true,
            nodes: running.clone(),
            configured: configured.clone(),
            qdevice: false,
            votes: Facet::known(
                Votes {
                    expected: votes,
                    highest_expected: votes,
                    total: votes,
                    quorum: votes / 2 + 1,
                    quorate: true,
                    flags: vec!["Quorate".to_owned()],
                },
                NOW,
            ),
            links: Facet::known(links.collect(), NOW),
        };
        observation.cluster = Facet::known(
            Cluster {
                membership: Membership::Member(Box::new(member)),
                pmxcfs: Pmxcfs::Writable,
                authkey_present: true,
                local_config_present: true,
            },
            NOW,
        );
        observation.guests = Facet::known(vec![], NOW);
    }
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

fn bare(node: &NodeName, n: usize) -> Observation {
    let (own, fast) = addresses(node);
    let mut observation = Observation::empty(node.as_str(), NOW);
    observation.system = Facet::known(
        System {
            pve: Facet::known(
                Some(PveVersion {
                    manager: "8.4.21".into(),
                    repoid: "2606ac85".into(),
                    running_kernel: "6.8.12-4-pve".into(),
                }),
                NOW,
            ),
            os: "Debian GNU/Linux 12 (bookworm)".into(),
            kernel: "6.8.12-4-pve".into(),
            boot_id: format!("boot-{n}"),
            uptime_seconds: 4000,
            cpu: Cpu {
                model: "EPYC".into(),
                threads: 32,
                load: [0.1, 0.1, 0.1],
            },
            memory: Memory {
                total: ByteSize(64 << 30),
                available: ByteSize(60 << 30),
                swap_total: ByteSize(0),
                swap_free: ByteSize(0),
            },
            clock: ClockState {
                now: NOW,
                synchronised: Facet::known(
                    ClockSync {
                        synchronised: true,
                        source: "chrony".into(),
                        offset_seconds: None,
                    },
                    NOW,
                ),
            },
            reboot_needed: None,
            agent: AgentState {
                version: "0.1.0".into(),
                memory: ByteSize(8 << 20),
                uptime_seconds: 4000,
            },
        },
        NOW,
    );
    observation.network = Facet::known(
        Network {
            interfaces: vec![
                interface("eno1", InterfaceKind::Physical, Some(1000), Some("vmbr0"), &[]),
                interface("ens1", InterfaceKind::Physical, Some(10_000), None, &[fast]),
                interface("vmbr0", InterfaceKind::Bridge, None, None, &[own]),
            ],
            own_name: Facet::known(
                NameResolution {
                    name: node.to_string(),
                    addresses: vec![own],
                },
                NOW,
            ),
        },
        NOW,
    );
    observation.cluster = Facet::known(
        Cluster {
            membership: Membership::Standalone,
            pmxcfs: Pmxcfs::Writable,
            authkey_present: false,
            local_config_present: false,
        },
        NOW,
    );
    observation.guests = Facet::known(vec![], NOW);
    observation
}

/// An interface that is up, with these addresses (each with the prefix of its kind).
#[must_use]
pub fn interface(
    name: &str,
    kind: InterfaceKind,
    speed_mbps: Option<u32>,
    master: Option<&str>,
    addresses: &[IpAddr],
) -> Interface {
    let prefix = |a: &IpAddr| if a.is_ipv4() { 24 } else { 64 };
    Interface {
        name: name.to_owned(),
        kind,
        mac: "52:54:00:00:00:01".to_owned(),
        mtu: 1500,
        up: true,
        carrier: Some(true),
        speed_mbps,
        duplex: speed_mbps.map(|_| "full".to_owned()),
        master: master.map(str::to_owned),
        addresses: addresses
            .iter()
            .map(|a| InterfaceAddress {
                address: *a,
                prefix: prefix(a),
            })
            .collect(),
    }
}
