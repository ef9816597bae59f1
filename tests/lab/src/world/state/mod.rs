//! The whole world's state, and how it moves on with time. No I/O but the servers' files, no waiting.

mod absorb;
mod faults;
mod follow;
pub(crate) mod guests;
mod ha;
mod links;
pub(crate) mod power;
pub(crate) mod qdevice;
mod quorum;
pub(crate) mod replication;
#[cfg(test)]
mod seen;
mod services;
mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;

use quorate_lab_ha::locks::Locks;
use quorate_lab_ha::watchdog::Watchdogs;

use super::clock::{self, SimTime};
use super::corosync::membership::Pairs;
use super::oplog::{Entry, What};
use super::pmxcfs;
use super::server::{Network, Server};
use super::watch::Watcher;

/// Everything there is.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) servers: Vec<Server>,
    /// Ways that are out of the ordinary.
    pub(crate) ways: Vec<crate::ways::Way>,
    pub(crate) now: SimTime,
    /// The last numbered write of guests whose disks every server reaches.
    pub(crate) shared_numbers: BTreeMap<u32, u64>,
    /// Guests from an image or a template into which nobody has put what writes numbers.
    pub(crate) bare: BTreeSet<u32>,
    /// By guest: the last number that its run told somebody outside.
    pub(crate) numbers_told: BTreeMap<u32, u64>,
    /// What was put into such guests: the files by their path, with their digests.
    pub(crate) put_inside: BTreeMap<(u32, String), String>,
    /// Guests' volumes that were made once: when they go, nothing planted makes them again.
    volumes_made: BTreeSet<String>,
    /// What configurations and pools were when planted guests' volumes were last looked for.
    planted_for: Vec<(u64, Vec<u64>)>,
    /// Servers that booted and have not started their guests yet, and since when they are quorate.
    booted: BTreeMap<usize, Option<SimTime>>,
    pairs: Pairs,
    /// Partitions that wait for their quorum device, and since when.
    waiting: Vec<(BTreeSet<usize>, SimTime)>,
    events: Vec<Entry>,
    orders: Vec<power::Order>,
    watcher: Watcher,
    watchdogs: Watchdogs,
    /// HA's locks, by cluster.
    ha_locks: BTreeMap<u64, Locks>,
    /// Servers below whose roots something was written that the model does not know yet.
    touched: BTreeSet<usize>,
}

/// Why a write to `/etc/pve` failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteRefused {
    ReadOnly,
}

impl State {
    pub(crate) fn new(servers: Vec<Server>) -> Self {
        let mut watcher = Watcher::new();
        for server in &servers {
            watcher.folder(&server.root.join("etc/corosync"), (server.index, None));
        }
        Self {
            servers,
            ways: Vec::new(),
            now: SimTime::ZERO,
            shared_numbers: BTreeMap::new(),
            bare: BTreeSet::new(),
            numbers_told: BTreeMap::new(),
            put_inside: BTreeMap::new(),
            volumes_made: BTreeSet::new(),
            planted_for: Vec::new(),
            booted: BTreeMap::new(),
            pairs: Pairs::default(),
            waiting: Vec::new(),
            events: Vec::new(),
            orders: Vec::new(),
            watcher,
            watchdogs: Watchdogs::default(),
            ha_locks: BTreeMap::new(),
            touched: BTreeSet::new(),
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.servers.iter().position(|server| server.name() == name)
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Server> {
        self.servers.get(index)
    }

    /// Whose address this is, and in which network.
    pub(crate) fn locate(&self, address: Ipv4Addr) -> Option<(usize, Network)> {
        let network = Network::of(address)?;
        let index = network.index_of(address)?;
        self.get(index).map(|_| (index, network))
    }

    /// Can `from` send packets to `to` in a network?
    pub(crate) fn connected(&self, from: usize, to: usize, network: Network) -> bool {
        from == to
            || [from, to]
                .iter()
                .all(|index| self.get(*index).is_some_and(|server| server.carries(network)))
    }

    pub(crate) fn note(&mut self, node: Option<usize>, what: What, detail: impl Into<String>) {
        let entry = self.entry(node, what, detail.into());
        self.events.push(entry);
    }

    pub(crate) fn note_tool(&mut self, node: usize, what: What, argv: Vec<String>, code: Option<i32>, detail: &str) {
        let entry = Entry {
            argv,
            code,
            ..self.entry(Some(node), what, detail.to_owned())
        };
        self.events.push(entry);
    }

    fn entry(&self, node: Option<usize>, what: What, detail: String) -> Entry {
        Entry {
            at: format!("{:.6}", clock::wall(0)),
            ms: u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX),
            node: node
                .and_then(|index| self.get(index))
                .map(|server| server.name().to_owned()),
            what,
            detail,
            argv: Vec::new(),
            code: None,
        }
    }

    /// The locks of HA in the cluster that a server belongs to. Whoever takes one must have quorum, so there is one partition that does.
    fn locks_of(&mut self, index: usize) -> &mut Locks {
        let corosync = self.get(index).and_then(|server| server.corosync.as_ref());
        let alone = u64::MAX - u64::try_from(index).unwrap_or(0);
        let cluster = corosync.map_or(alone, |corosync| corosync.key);
        self.ha_locks.entry(cluster).or_default()
    }

    pub(crate) fn take_events(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.events)
    }

    /// Moves the world on to `now`.
    pub(crate) fn advance(&mut self, now: SimTime) {
        self.now = now;
        self.follow_faults();
        self.observe_links();
        self.follow_qnetd();
        self.form_memberships();
        self.share_versions();
        self.follow_corosync();
        self.absorb();
        self.reload_when_due();
        self.expire_locks();
        self.make_planted_volumes();
        self.start_guests_when_quorate();
        self.run_ha();
        self.run_replication();
        self.follow_power();
        for server in self.servers.iter_mut().filter(|server| !server.power.off) {
            server.follow_zfs(now);
            server.journal.sync_when_due(now);
        }
    }

    /// Puts what changed on the disk.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let watcher = &mut self.watcher;
        for server in &mut self.servers {
            let armed = server.ha.resets_at.is_some() || self.watchdogs.armed(server.name());
            let stamp = server.pmxcfs.stamp();
            if server.mount.is_new(&stamp) {
                let name = server.spec.name.clone();
                let tree = stamp
                    .running
                    .then(|| pmxcfs::tree(&server.pmxcfs, &name, server.booted.as_second()));
                server
                    .mount
                    .show(tree.as_ref().map(|tree| (tree, stamp.writable)), &name, watcher)?;
                server.mount.shown(stamp);
            }
            server.show_watchdog(armed)?;
            crate::roots::processes::show(server)?;
            server
                .mount
                .show_corosync(server.etc_conf.as_ref(), server.authkey, &server.spec.name)?;
        }
        Ok(())
    }
}
