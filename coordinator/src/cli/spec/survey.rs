//! What the enrolled servers have that a cluster file is made of: addresses, networks, free disks; and what could not be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use quorate_model::facet::Unknown;
use quorate_model::observation::disks::{Disk, DiskKind};
use quorate_model::observation::eligibility::Role;
use quorate_model::observation::network::{Interface, Network};
use quorate_model::observation::{Cluster, Disks, System};
use quorate_model::{Facet, NodeName, Observation};

/// A server as far as it was seen.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) name: NodeName,
    /// To which its own name leads; else the one it is enrolled with.
    pub(super) address: Option<IpAddr>,
    pub(super) pve: Pve,
    /// The cluster that it is in by its own word, if that was seen and it is in one.
    pub(super) cluster: Option<String>,
    /// Its ends of networks, if its network was seen.
    pub(super) ends: Vec<End>,
    /// Free disks; `None`: not seen.
    pub(super) free: Option<Vec<FreeDisk>>,
    /// What could not be seen, with the reason.
    pub(super) unseen: Vec<String>,
}

/// Is it a PVE server?
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pve {
    Version(String),
    Not,
    Unseen,
}

/// An address that could be the end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) address: IpAddr,
    pub(super) network: IpNet,
    pub(super) interface: String,
    /// Megabits per second, of its slowest port.
    pub(super) speed: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FreeDisk {
    pub(super) name: String,
    pub(super) kind: DiskKind,
    pub(super) what: String,
    /// Never empty.
    pub(super) roles: Vec<Role>,
}

impl FreeDisk {
    pub(super) fn usable_for(&self) -> String {
        let roles: Vec<String> = self.roles.iter().map(|role| role.as_str().to_uppercase()).collect();
        roles.join(", ")
    }
}

impl Server {
    /// Puts together what was seen of a server. `enrolled` is the address it is enrolled with, if that is one.
    pub(super) fn new(name: NodeName, seen: &Result<Observation, Unknown>, enrolled: Option<IpAddr>) -> Self {
        let mut server = Self {
            name,
            address: enrolled.filter(|address| !address.is_loopback()),
            pve: Pve::Unseen,
            cluster: None,
            ends: Vec::new(),
            free: None,
            unseen: Vec::new(),
        };
        match seen {
            Err(unknown) => server
                .unseen
                .push(format!("nothing of it is known: {}", unknown.reason)),
            Ok(observation) => {
                server.see_system(&observation.system);
                server.see_cluster(&observation.cluster);
                server.see_network(&observation.network);
                server.see_disks(&observation.disks);
            }
        }
        server
    }

    fn see_system(&mut self, system: &Facet<System>) {
        match system.get().and_then(|system| system.pve.get()) {
            Ok(Some(version)) => self.pve = Pve::Version(version.manager.clone()),
            Ok(None) => self.pve = Pve::Not,
            Err(unknown) => self
                .unseen
                .push(format!("whether it is a PVE server: {}", unknown.reason)),
        }
    }

    /// A host that is no PVE server is in none.
    fn see_cluster(&mut self, cluster: &Facet<Cluster>) {
        match cluster.get() {
            Ok(cluster) => self.cluster = cluster.member().map(|member| member.cluster.clone()),
            Err(unknown) if self.pve != Pve::Not => {
                self.unseen
                    .push(format!("whether it is in a cluster: {}", unknown.reason));
            }
            Err(_) => {}
        }
    }

    fn see_network(&mut self, network: &Facet<Network>) {
        let network = match network.get() {
            Ok(network) => network,
            Err(unknown) => return self.unseen.push(format!("its networks: {}", unknown.reason)),
        };
        match network.own_name.get() {
            Ok(resolved) => match resolved.usable() {
                Some(address) => self.address = Some(address),
                None => self.unseen.push(format!(
                    "its address: on the server itself, {} leads to none that others could reach",
                    resolved.name
                )),
            },
            Err(unknown) => self
                .unseen
                .push(format!("to which address its name leads: {}", unknown.reason)),
        }
        self.ends = network
            .addresses()
            .filter(|(interface, _)| interface.up && interface.carrier != Some(false))
            .filter(|(_, address)| reachable(address.address))
            .filter_map(|(interface, address)| {
                let within = IpNet::new(address.address, address.prefix).ok()?;
                (within.prefix_len() < within.max_prefix_len()).then(|| End {
                    address: address.address,
                    network: within.trunc(),
                    interface: interface.name.clone(),
                    speed: speed(network, interface, 3),
                })
            })
            .collect();
    }

    fn see_disks(&mut self, disks: &Facet<Disks>) {
        match disks.get() {
            Ok(known) => self.free = Some(known.disks.iter().filter_map(free).collect()),
            Err(unknown) => self.unseen.push(format!("its disks: {}", unknown.reason)),
        }
    }

    /// Its addresses in a network.
    pub(super) fn within(&self, network: &IpNet) -> Vec<&End> {
        self.ends.iter().filter(|end| network.contains(&end.address)).collect()
    }
}

/// Could a server elsewhere send to it, as corosync would?
fn reachable(address: IpAddr) -> bool {
    let link_local = matches!(address, IpAddr::V6(six) if six.is_unicast_link_local());
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || link_local)
}

/// Of an interface, or of the slowest port below it; `depth`: a bridge over a bond over ports.
fn speed(network: &Network, interface: &Interface, depth: u8) -> Option<u32> {
    if interface.speed_mbps.is_some() || depth == 0 {
        return interface.speed_mbps;
    }
    let ports = network
        .interfaces
        .iter()
        .filter(|port| port.master.as_deref() == Some(interface.name.as_str()) && port.carrier != Some(false));
    ports.filter_map(|port| speed(network, port, depth - 1)).min()
}

fn free(disk: &Disk) -> Option<FreeDisk> {
    let eligible = disk.verdicts.iter().filter(|verdict| verdict.eligible());
    let roles: Vec<Role> = eligible.map(|verdict| verdict.role).collect();
    (!roles.is_empty()).then(|| FreeDisk {
        name: disk.stable_name().unwrap_or(&disk.path).to_owned(),
        kind: disk.kind(),
        what: format!("{} {}", disk.size, disk.kind().as_str()),
        roles,
    })
}

/// A network that servers have addresses in.
#[derive(Debug)]
pub(super) struct Shared<'s> {
    pub(super) network: IpNet,
    /// Whose, and which.
    pub(super) ends: BTreeMap<&'s NodeName, Vec<&'s End>>,
}

/// All networks that these servers have addresses in, the best for a link first: those that more of them share, then those that don't
/// carry the management addresses, then the faster ones.
pub(super) fn networks<'s>(servers: &[&'s Server]) -> Vec<Shared<'s>> {
    let names: BTreeSet<IpNet> = servers
        .iter()
        .flat_map(|s| s.ends.iter().map(|end| end.network))
        .collect();
    let mut found: Vec<Shared<'_>> = names
        .into_iter()
        .map(|network| {
            let ends = servers.iter().map(|s| {
                (
                    &s.name,
                    s.ends.iter().filter(|e| e.network == network).collect::<Vec<_>>(),
                )
            });
            Shared {
                network,
                ends: ends.filter(|(_, ends)| !ends.is_empty()).collect(),
            }
        })
        .collect();
    let management: BTreeSet<IpAddr> = servers.iter().filter_map(|s| s.address).collect();
    found.sort_by_key(|shared| {
        let carries = shared.all().any(|end| management.contains(&end.address));
        (
            usize::MAX - shared.ends.len(),
            carries,
            u32::MAX - shared.slowest().unwrap_or(0),
            shared.network,
        )
    });
    found
}

impl Shared<'_> {
    fn all(&self) -> impl Iterator<Item = &&End> {
        self.ends.values().flatten()
    }

    /// Those of these servers.
    fn of<'e>(&'e self, servers: &'e [&Server]) -> impl Iterator<Item = &'e End> {
        let theirs = servers.iter().filter_map(|server| self.ends.get(&server.name));
        theirs.flatten().copied()
    }

    /// Megabits per second, where any is known.
    fn slowest(&self) -> Option<u32> {
        self.all().filter_map(|end| end.speed).min()
    }

    /// An address that two of these servers have, as containers' and bridges' own networks often have.
    pub(super) fn clash(&self, servers: &[&Server]) -> Option<IpAddr> {
        let mut seen = BTreeSet::new();
        self.of(servers)
            .map(|end| end.address)
            .find(|address| !seen.insert(*address))
    }

    /// Can it be a link of these servers: has each an address in it, and none the same as another?
    pub(super) fn joins(&self, servers: &[&Server]) -> bool {
        self.clash(servers).is_none() && servers.iter().all(|server| self.ends.contains_key(&server.name))
    }

    /// Over which interfaces of these servers it goes, and how fast.
    pub(super) fn describe(&self, servers: &[&Server]) -> String {
        let interfaces: BTreeSet<&str> = self.of(servers).map(|end| end.interface.as_str()).collect();
        let interfaces = interfaces.into_iter().collect::<Vec<_>>().join(", ");
        format!(
            "{interfaces}: {}",
            speed_text(self.of(servers).filter_map(|end| end.speed).min())
        )
    }
}

/// `10 Gbit/s`, `100 Mbit/s`.
fn speed_text(mbps: Option<u32>) -> String {
    match mbps {
        None => "speed not known".to_owned(),
        Some(mbps) if mbps % 1000 == 0 => format!("{} Gbit/s", mbps / 1000),
        Some(mbps) if mbps > 1000 => format!("{:.1} Gbit/s", f64::from(mbps) / 1000.0),
        Some(mbps) => format!("{mbps} Mbit/s"),
    }
}

/// Servers, networks and free disks, as shown before anything is asked. Networks carry the numbers by which they can be chosen.
pub(super) fn show(servers: &[Server], networks: &[Shared<'_>]) -> String {
    let rows: Vec<Vec<String>> = servers
        .iter()
        .map(|server| {
            let pve = match &server.pve {
                Pve::Version(version) => version.clone(),
                Pve::Not => "no PVE server".to_owned(),
                Pve::Unseen => "not seen".to_owned(),
            };
            let address = server.address.map_or_else(|| "not seen".to_owned(), |a| a.to_string());
            vec![server.name.to_string(), address, pve]
        })
        .collect();
    let mut text = format!("Enrolled servers\n{}", indented(&["NODE", "ADDRESS", "PVE"], &rows));
    let rows: Vec<Vec<String>> = networks
        .iter()
        .enumerate()
        .map(|(index, shared)| {
            let ends = shared.ends.iter().flat_map(|(name, ends)| {
                ends.iter()
                    .map(move |end| format!("{name} {} ({})", end.address, end.interface))
            });
            vec![
                (index + 1).to_string(),
                shared.network.to_string(),
                speed_text(shared.slowest()),
                ends.collect::<Vec<_>>().join(", "),
            ]
        })
        .collect();
    if !rows.is_empty() {
        text.push_str(&format!(
            "\nNetworks\n{}",
            indented(&["NR", "NETWORK", "SPEED", "ADDRESSES"], &rows)
        ));
    }
    let disks = servers.iter().flat_map(|server| {
        server.free.iter().flatten().map(|disk| {
            vec![
                server.name.to_string(),
                disk.name.clone(),
                disk.what.clone(),
                disk.usable_for(),
            ]
        })
    });
    let rows: Vec<Vec<String>> = disks.collect();
    if rows.is_empty() {
        text.push_str("\nNo free disks were seen.\n");
    } else {
        text.push_str(&format!(
            "\nFree disks\n{}",
            indented(&["NODE", "DISK", "SIZE", "USABLE FOR"], &rows)
        ));
    }
    let unseen: String = servers
        .iter()
        .flat_map(|server| {
            server
                .unseen
                .iter()
                .map(move |what| format!("  {}: {what}\n", server.name))
        })
        .collect();
    if !unseen.is_empty() {
        text.push_str(&format!("\nNot seen\n{unseen}"));
    }
    text
}

fn indented(headers: &[&str], rows: &[Vec<String>]) -> String {
    quorate_show::table(headers, rows)
        .lines()
        .map(|line| format!("  {line}\n"))
        .collect()
}
