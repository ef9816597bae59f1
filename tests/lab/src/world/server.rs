//! One simulated server: what it is, what runs on it, what was done to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use jiff::Timestamp;

use super::clock;
use super::corosync::Corosync;
use super::corosync::conf::Conf;
use super::guests::Process;
use super::ha::HaNode;
use super::hardware::Hardware;
use super::identity::Certificate;
use super::journal::{Journal, Line};
use super::mount::Mount;
use super::nft::{Nft, Timer};
use super::packages::Packages;
use super::pmxcfs::Pmxcfs;
use super::power::Power;
use super::qdevice::Qdevice;
use super::replication::Replication;
use super::script::Misbehaviour;
use super::tasks::Tasks;
use super::zfs::boot::AtBoot;
use super::zfs::{Dormant, Pool};
use crate::description::{DiskSpec, GuestKind, ServerSpec};

/// The lab's two networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Network {
    /// 192.168.1.0/24: `vmbr0` on `eno1`; management, PVE's API, our agents.
    Public,
    /// 10.10.10.0/24: `eno2`, 10 Gbit/s.
    Cluster,
}

impl Network {
    pub(crate) const ALL: [Self; 2] = [Self::Public, Self::Cluster];

    /// The lab's numbering for `cut --link N`: 0 is the cluster network, as in the demo's cluster file.
    pub(crate) fn from_link(link: u8) -> Option<Self> {
        match link {
            0 => Some(Self::Cluster),
            1 => Some(Self::Public),
            _ => None,
        }
    }

    /// Its number for `cut --link N`.
    pub(crate) fn link(self) -> u8 {
        match self {
            Self::Cluster => 0,
            Self::Public => 1,
        }
    }

    /// The address of server number `index` (from 0) in it.
    pub(crate) fn address_of(self, index: usize) -> Ipv4Addr {
        match self {
            Self::Public => ServerSpec::public_address(index),
            Self::Cluster => ServerSpec::cluster_address(index),
        }
    }

    /// Whose address it is, if that server exists: the reverse of [`Network::address_of`].
    pub(crate) fn index_of(self, address: Ipv4Addr) -> Option<usize> {
        let [_, _, _, first] = self.address_of(0).octets();
        let [_, _, _, own] = address.octets();
        let index = own.checked_sub(first).map(usize::from)?;
        (self.address_of(index) == address).then_some(index)
    }

    pub(crate) fn port(self) -> &'static str {
        match self {
            Self::Public => "eno1",
            Self::Cluster => "eno2",
        }
    }

    pub(crate) fn of(address: Ipv4Addr) -> Option<Self> {
        match address.octets() {
            [192, 168, 1, _] => Some(Self::Public),
            [10, 10, 10, _] => Some(Self::Cluster),
            _ => None,
        }
    }
}

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) spec: ServerSpec,
    pub(crate) index: usize,
    pub(crate) root: PathBuf,
    pub(crate) booted: Timestamp,
    pub(crate) clock_offset_ms: i64,
    pub(crate) clock_synchronised: bool,
    pub(crate) disks: Vec<DiskSpec>,
    /// ZFS pools that are imported.
    pub(crate) pools: Vec<Pool>,
    /// Pools on its disks that are not imported.
    pub(crate) dormant: Vec<Dormant>,
    /// What happens to pools at boot.
    pub(crate) zfs_boot: AtBoot,
    /// Disks that were pulled, as they were.
    pub(crate) pulled: Vec<DiskSpec>,
    /// Dropped on the way: the port stays up.
    pub(crate) dropped: BTreeSet<Network>,
    /// The cable is out: no carrier.
    pub(crate) unplugged: BTreeSet<Network>,
    /// Corosync's packets are filtered away, all else passes.
    pub(crate) udp_blocked: bool,
    /// What the coordinator and the agent send one another is dropped, all else passes.
    pub(crate) agent_cut: bool,
    /// Perl finds no locale, and says so.
    pub(crate) locale_missing: bool,
    pub(crate) power: Power,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) pmxcfs: Pmxcfs,
    pub(crate) mount: Mount,
    /// `/etc/corosync/corosync.conf`.
    pub(crate) etc_conf: Option<Conf>,
    /// `/etc/corosync/authkey`, as the cluster's number.
    pub(crate) authkey: Option<u64>,
    pub(crate) corosync: Option<Corosync>,
    pub(crate) tasks: Tasks,
    pub(crate) journal: Journal,
    pub(crate) misbehaviour: Vec<Misbehaviour>,
    pub(crate) next_pid: u32,
    /// A `pvecm create`, `add` or `addnode` runs here.
    pub(crate) pvecm_locked: bool,
    /// Installed and available software.
    pub(crate) packages: Packages,
    /// What is out of the ordinary about ports, free space and services.
    pub(crate) hardware: Hardware,
    /// corosync-qdevice, while it runs.
    pub(crate) qdevice: Option<Qdevice>,
    /// corosync-qnetd runs.
    pub(crate) qnetd_running: bool,
    /// Guests whose process runs here.
    pub(crate) running: BTreeMap<u32, Process>,
    /// Those of them that can be seen in its `/run` and `/proc`: what each is, and its process.
    pub(crate) seen_running: BTreeMap<u32, (GuestKind, u32)>,
    /// The last number of each guest whose disks lie here, and in no pool.
    pub(crate) numbers: BTreeMap<u32, u64>,
    /// Replication of its guests: how it went, and what of it is under way.
    pub(crate) replication: Replication,
    /// The HA daemons and the watchdog.
    pub(crate) ha: HaNode,
    /// Its kernel's nft tables.
    pub(crate) nft: Nft,
    /// systemd's transient timers.
    pub(crate) timers: Vec<Timer>,
    /// What this member answered to the nodes that it took in.
    pub(crate) added: BTreeMap<String, Conf>,
}

impl Server {
    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    pub(crate) fn public(&self) -> Ipv4Addr {
        ServerSpec::public_address(self.index)
    }

    pub(crate) fn cluster(&self) -> Ipv4Addr {
        ServerSpec::cluster_address(self.index)
    }

    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        address == IpAddr::V4(self.public()) || address == IpAddr::V4(self.cluster())
    }

    pub(crate) fn now(&self) -> Timestamp {
        clock::wall(self.clock_offset_ms)
    }

    /// Do packets pass, its own and those of its guests?
    pub(crate) fn carries(&self, network: Network) -> bool {
        self.is_cabled(network) && !self.nft.shuts_for_guests(network.port())
    }

    /// Do corosync's packets pass on a link that is in this network?
    pub(crate) fn carries_link(&self, network: Network, link: u8) -> bool {
        let shut = self.nft.shuts(network.port());
        let address = network.address_of(self.index);
        self.is_cabled(network) && !shut && !self.nft.shuts_address(address, 5405 + u16::from(link))
    }

    fn is_cabled(&self, network: Network) -> bool {
        !self.power.off && !self.dropped.contains(&network) && !self.unplugged.contains(&network)
    }

    pub(crate) fn pid(&mut self) -> u32 {
        self.next_pid += 3;
        self.next_pid
    }

    /// A line for the journal, at what its program gives such lines.
    pub(crate) fn log(&mut self, unit: &'static str, pid: u32, text: impl Into<String>) {
        let line = Line::new(self.now(), self.booted, self.power.boots, unit, pid, text.into());
        self.journal.push(line);
    }

    /// A line for the journal, of this priority.
    pub(crate) fn log_at(&mut self, priority: u8, unit: &'static str, pid: u32, text: impl Into<String>) {
        let mut line = Line::new(self.now(), self.booted, self.power.boots, unit, pid, text.into());
        line.priority = priority;
        self.journal.push(line);
    }

    /// `name → addresses` of `/etc/hosts`, as it lies there now: a test may have changed it.
    pub(crate) fn hosts(&self) -> Vec<(IpAddr, Vec<String>)> {
        let text = std::fs::read_to_string(self.root.join("etc/hosts")).unwrap_or_default();
        text.lines()
            .filter_map(|line| {
                let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
                let address = words.next()?.parse().ok()?;
                Some((address, words.map(str::to_owned).collect()))
            })
            .collect()
    }

    /// All addresses of a name, in the order of `/etc/hosts`.
    pub(crate) fn resolve(&self, name: &str) -> Vec<IpAddr> {
        if let Ok(address) = name.parse() {
            return vec![address];
        }
        self.hosts()
            .into_iter()
            .filter(|(_, names)| names.iter().any(|n| n == name))
            .map(|(ip, _)| ip)
            .collect()
    }

    /// The first address of the own name that is not a loopback one: what PVE takes for the node's address.
    pub(crate) fn own_address(&self) -> Option<Ipv4Addr> {
        self.resolve(self.name()).into_iter().find_map(|ip| match ip {
            IpAddr::V4(ip) if !ip.is_loopback() => Some(ip),
            _ => None,
        })
    }

    /// Carrier, speed in Mbit/s by interface; `lo` is left out.
    pub(crate) fn interfaces(&self) -> BTreeMap<&'static str, (bool, u32)> {
        let public = !self.unplugged.contains(&Network::Public);
        let cluster = !self.unplugged.contains(&Network::Cluster);
        BTreeMap::from([
            ("eno1", (public, 1000)),
            ("eno2", (cluster, 10_000)),
            ("vmbr0", (public, 1000)),
        ])
    }
}
