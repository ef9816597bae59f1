//! The whole world's state, and how it moves on with time. No I/O but the servers' files, no waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;

use super::clock::{self, SimTime};
use super::corosync::conf::{Conf, ConfNode};
use super::corosync::membership::{LINK_UP, Pairs, Reach};
use super::corosync::{Corosync, Link};
use super::oplog::{Entry, What};
use super::pmxcfs::{self, RETRY, Replica, View, ViewNode};
use super::server::{Network, Server};

/// Everything there is.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) servers: Vec<Server>,
    pub(crate) now: SimTime,
    pairs: Pairs,
    events: Vec<Entry>,
}

/// Why a write to `/etc/pve` failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteRefused {
    ReadOnly,
}

impl State {
    pub(crate) fn new(servers: Vec<Server>) -> Self {
        Self {
            servers,
            now: SimTime::ZERO,
            pairs: Pairs::default(),
            events: Vec::new(),
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
        let index = self
            .servers
            .iter()
            .position(|server| server.has_address(address.into()))?;
        Some((index, network))
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
            at: format!("{:.3}", clock::wall(0)),
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

    pub(crate) fn take_events(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.events)
    }

    /// Moves the world on to `now`.
    pub(crate) fn advance(&mut self, now: SimTime) {
        self.now = now;
        self.observe_links();
        self.form_memberships();
        self.follow_corosync();
        self.expire_locks();
    }

    /// Puts what changed on the disk.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        for server in &mut self.servers {
            let name = server.spec.name.clone();
            let tree = server
                .pmxcfs
                .running
                .then(|| pmxcfs::tree(&server.pmxcfs, &name, server.booted.as_second()));
            server
                .mount
                .show(tree.as_ref().map(|tree| (tree, server.pmxcfs.writable())), &name)?;
            let creator = server
                .etc_conf
                .as_ref()
                .and_then(|conf| conf.named(&name))
                .is_some_and(|node| node.id == 1);
            server
                .mount
                .show_corosync(server.etc_conf.as_ref().map(Conf::render), server.authkey, creator)?;
        }
        Ok(())
    }

    // ---- services ----------------------------------------------------------------------------------------------------

    /// Starts pmxcfs; refuses, as the real one does, when the own name does not resolve.
    pub(crate) fn start_pmxcfs(&mut self, index: usize) -> Result<(), String> {
        let now = self.now;
        let Some(server) = self.servers.get_mut(index) else {
            return Err("no such server".to_owned());
        };
        let pid = server.pid();
        let Some(ip) = server.own_address() else {
            let text = format!(
                "[main] crit: Unable to resolve node name '{}' to a non-loopback IP address - missing entry in \
                 '/etc/hosts' or DNS?",
                server.name()
            );
            server.log("pmxcfs", pid, text.clone());
            return Err(text);
        };
        server.log(
            "pmxcfs",
            pid,
            format!(
                "[main] notice: resolved node name '{}' to '{ip}' for default node IP address",
                server.spec.name
            ),
        );
        let pmxcfs = &mut server.pmxcfs;
        // Without a database it takes over what lies in /etc/corosync.
        if pmxcfs.replica.conf.is_none() && pmxcfs.replica.certificates.is_empty() {
            pmxcfs.replica.conf.clone_from(&server.etc_conf);
        }
        pmxcfs.running = true;
        pmxcfs.pid = pid;
        pmxcfs.ip = Some(ip);
        pmxcfs.clustered = pmxcfs.replica.conf.is_some();
        pmxcfs.view = None;
        pmxcfs.clinfo = 0;
        pmxcfs.next_attempt = now;
        let name = server.spec.name.clone();
        server.pmxcfs.replica.ips.insert(name, ip);
        self.copy_conf_to_etc(index);
        self.note(Some(index), What::PmxcfsMounted, "");
        Ok(())
    }

    pub(crate) fn stop_pmxcfs(&mut self, index: usize) {
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        if !server.pmxcfs.running {
            return;
        }
        server.pmxcfs.running = false;
        server.pmxcfs.view = None;
        let pid = server.pmxcfs.pid;
        server.log("pmxcfs", pid, "[main] notice: teardown filesystem");
        server.log(
            "pmxcfs",
            pid,
            "[main] notice: exit proxmox configuration filesystem (0)",
        );
        self.note(Some(index), What::PmxcfsUnmounted, "");
    }

    /// Starts corosync with `/etc/corosync/corosync.conf`.
    pub(crate) fn start_corosync(&mut self, index: usize) -> Result<(), String> {
        let Some(server) = self.servers.get_mut(index) else {
            return Err("no such server".to_owned());
        };
        let (Some(conf), Some(key)) = (server.etc_conf.clone(), server.authkey) else {
            return Err("condition failed: /etc/corosync/corosync.conf does not exist".to_owned());
        };
        let pid = server.pid();
        server.log("corosync", pid, "  [MAIN  ] Corosync Cluster Engine 3.1.7 starting up");
        if let Some(id) = conf.duplicate_id() {
            server.log(
                "corosync",
                pid,
                format!("  [MAIN  ] Nodeid {id} appears twice in corosync.conf"),
            );
            server.log(
                "corosync",
                pid,
                "  [MAIN  ] Corosync Cluster Engine exiting with status 8 at main.c:1445.",
            );
            self.note(Some(index), What::CorosyncExited, format!("node id {id} appears twice"));
            return Err("control process exited with error code".to_owned());
        }
        let Some(node) = conf.named(server.name()) else {
            return Err("control process exited with error code".to_owned());
        };
        let (id, name) = (node.id, conf.cluster_name.clone());
        let corosync = Corosync::new(pid, id, conf, key);
        let quorate = corosync.quorate;
        server.corosync = Some(corosync);
        self.pairs.forget(index);
        self.note(
            Some(index),
            What::CorosyncStarted,
            format!("node id {id} of cluster {name}"),
        );
        if quorate {
            self.note(Some(index), What::QuorumGained, "alone");
        }
        Ok(())
    }

    pub(crate) fn stop_corosync(&mut self, index: usize, what: What, why: &str) {
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let Some(corosync) = server.corosync.take() else { return };
        server.log(
            "corosync",
            corosync.pid,
            "  [MAIN  ] Corosync Cluster Engine exiting normally",
        );
        self.note(Some(index), what, why);
        if corosync.quorate {
            self.note(Some(index), What::QuorumLost, "corosync ended");
        }
    }

    // ---- writes to /etc/pve ------------------------------------------------------------------------------------------

    /// The servers whose pmxcfs share one state with this one's, itself included.
    fn group(&self, index: usize) -> Vec<usize> {
        let Some(server) = self.get(index) else {
            return Vec::new();
        };
        if !server.pmxcfs.clustered {
            return vec![index];
        }
        let Some(corosync) = &server.corosync else {
            return vec![index];
        };
        (0..self.servers.len())
            .filter(|other| {
                *other == index
                    || self.get(*other).is_some_and(|peer| {
                        peer.pmxcfs.running
                            && peer.pmxcfs.view.is_some()
                            && peer.corosync.as_ref().is_some_and(|c| {
                                c.key == corosync.key && c.members == corosync.members && c.ring == corosync.ring
                            })
                    })
            })
            .collect()
    }

    /// Changes the cluster's files, on all servers that share them.
    pub(crate) fn write(&mut self, index: usize, change: impl Fn(&mut Replica)) -> Result<(), WriteRefused> {
        if !self.get(index).is_some_and(|server| server.pmxcfs.writable()) {
            return Err(WriteRefused::ReadOnly);
        }
        for member in self.group(index) {
            if let Some(server) = self.servers.get_mut(member) {
                change(&mut server.pmxcfs.replica);
                server.pmxcfs.replica.sequence += 1;
            }
            self.copy_conf_to_etc(member);
        }
        Ok(())
    }

    /// pmxcfs copies corosync.conf to `/etc/corosync`, unless what lies there is newer.
    fn copy_conf_to_etc(&mut self, index: usize) {
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let Some(conf) = server.pmxcfs.replica.conf.clone() else {
            return;
        };
        let pid = server.pmxcfs.pid;
        match &server.etc_conf {
            Some(present) if *present == conf => {}
            Some(present) if present.version > conf.version => {
                server.log("pmxcfs", pid, "[dcdb] crit: local corosync.conf is newer");
            }
            _ => {
                let text = format!(
                    "[dcdb] notice: wrote new corosync config '/etc/corosync/corosync.conf' (version = {})",
                    conf.version
                );
                server.log("pmxcfs", pid, text);
                server.etc_conf = Some(conf);
            }
        }
    }

    /// `corosync-cfgtool -R` on a server: every corosync of its membership takes over its file, or none does.
    pub(crate) fn reload(&mut self, index: usize) -> Result<(), String> {
        let Some(corosync) = self.get(index).and_then(|server| server.corosync.as_ref()) else {
            return Err("corosync is not running".to_owned());
        };
        let (key, members, node_id) = (corosync.key, corosync.members.clone(), corosync.node_id);
        if let Some(id) = self
            .get(index)
            .and_then(|server| server.etc_conf.as_ref())
            .and_then(Conf::duplicate_id)
        {
            if let Some(server) = self.servers.get_mut(index) {
                let pid = server.pmxcfs.pid;
                server.log(
                    "pmxcfs",
                    pid,
                    "[dcdb] crit: corosync-cfgtool -R failed with exit code 7#010",
                );
            }
            self.note(Some(index), What::ReloadFailed, format!("node id {id} appears twice"));
            return Err(format!("node id {id} appears twice"));
        }
        for member in 0..self.servers.len() {
            let Some(server) = self.servers.get_mut(member) else {
                continue;
            };
            let Some(conf) = server.etc_conf.clone() else { continue };
            let Some(corosync) = &mut server.corosync else { continue };
            if corosync.key != key || !members.contains(&corosync.node_id) || corosync.conf == conf {
                continue;
            }
            corosync.expected_votes = conf.total_votes();
            corosync.conf = conf;
            let (pid, version) = (corosync.pid, corosync.conf.version);
            server.log(
                "corosync",
                pid,
                format!("  [CFG   ] Config reload requested by node {node_id}"),
            );
            self.note(Some(member), What::ConfigReloaded, format!("version {version}"));
        }
        self.recount();
        Ok(())
    }

    /// `pvecm expected`: on every member, as votequorum does it.
    pub(crate) fn set_expected(&mut self, index: usize, votes: u32) -> Result<(), ()> {
        let corosync = self.get(index).and_then(|server| server.corosync.as_ref()).ok_or(())?;
        let total = corosync.total_votes();
        let would_block = corosync.quorate && votes / 2 + 1 > total;
        if votes < total || would_block {
            return Err(());
        }
        let (key, members) = (corosync.key, corosync.members.clone());
        for server in &mut self.servers {
            if let Some(corosync) = &mut server.corosync
                && corosync.key == key
                && members.contains(&corosync.node_id)
            {
                corosync.expected_votes = votes;
            }
        }
        self.note(Some(index), What::ExpectedSet, votes.to_string());
        self.recount();
        Ok(())
    }

    /// A cluster of one: what `pvecm create` leaves behind, and what a server "in another cluster" is.
    pub(crate) fn make_lone_cluster(&mut self, index: usize, name: &str, key: u64) -> Result<(), String> {
        let Some(server) = self.servers.get_mut(index) else {
            return Err("no such server".to_owned());
        };
        let node = ConfNode {
            name: server.spec.name.clone(),
            id: 1,
            votes: 1,
            rings: BTreeMap::from([(0, server.cluster().to_string())]),
        };
        let conf = Conf {
            cluster_name: name.to_owned(),
            version: 1,
            nodes: vec![node],
            links: vec![0],
            token_coefficient: (server.spec.major() >= 9).then_some(125),
        };
        server.authkey = Some(key);
        server.pmxcfs.replica.conf = Some(conf.clone());
        server.pmxcfs.replica.sequence += 1;
        server.etc_conf = Some(conf);
        self.start_corosync(index)?;
        self.stop_pmxcfs(index);
        self.start_pmxcfs(index)
    }

    // ---- what time does ----------------------------------------------------------------------------------------------

    /// Does a cable carry this link from one corosync to another?
    fn link_carries(&self, from: usize, to: usize, link: u8) -> bool {
        let (Some(a), Some(b)) = (self.get(from), self.get(to)) else {
            return false;
        };
        let (Some(ca), Some(cb)) = (&a.corosync, &b.corosync) else {
            return false;
        };
        if a.udp_blocked || b.udp_blocked {
            return false;
        }
        let (Some(own), Some(peer)) = (ca.address_of(ca.node_id, link), ca.address_of(cb.node_id, link)) else {
            return false;
        };
        let (Ok(own), Ok(peer)) = (own.parse(), peer.parse()) else {
            return false;
        };
        match (self.locate(own), self.locate(peer)) {
            (Some((own_server, _)), Some((peer_server, network))) => {
                own_server == from && peer_server == to && self.connected(from, to, network)
            }
            _ => false,
        }
    }

    /// Are these two configured to talk to one another?
    fn acquainted(&self, from: usize, to: usize) -> bool {
        let (Some(a), Some(b)) = (
            self.get(from).and_then(|s| s.corosync.as_ref()),
            self.get(to).and_then(|s| s.corosync.as_ref()),
        ) else {
            return false;
        };
        let knows = |me: &Corosync, other: &Corosync, name: Option<&str>| {
            me.conf
                .node(other.node_id)
                .is_some_and(|node| Some(node.name.as_str()) == name)
        };
        let name = |index: usize| self.get(index).map(Server::name);
        a.key == b.key && knows(a, b, name(to)) && knows(b, a, name(from))
    }

    fn reach(&self, a: usize, b: usize) -> Reach {
        if !self.acquainted(a, b) {
            return Reach::Gone;
        }
        let Some(corosync) = self.get(a).and_then(|server| server.corosync.as_ref()) else {
            return Reach::Gone;
        };
        let carries = corosync
            .conf
            .links
            .iter()
            .any(|link| self.link_carries(a, b, *link) && self.link_carries(b, a, *link));
        if carries {
            Reach::Hears
        } else {
            Reach::Silent {
                patience: corosync.conf.token() + corosync.conf.consensus(),
            }
        }
    }

    fn observe_links(&mut self) {
        let count = self.servers.len();
        for a in 0..count {
            for b in (a + 1)..count {
                let reach = self.reach(a, b);
                self.pairs.observe(a, b, reach, self.now);
            }
        }
        for a in 0..count {
            self.observe_knet(a);
        }
    }

    fn observe_knet(&mut self, index: usize) {
        let now = self.now;
        let Some(corosync) = self.get(index).and_then(|server| server.corosync.as_ref()) else {
            return;
        };
        let timeout = corosync.conf.token() / 2;
        let mut seen = Vec::new();
        for node in corosync.conf.nodes.iter().filter(|node| node.id != corosync.node_id) {
            let peer = self.find(&node.name).filter(|peer| self.acquainted(index, *peer));
            for link in &corosync.conf.links {
                let carries = peer
                    .is_some_and(|peer| self.link_carries(index, peer, *link) && self.link_carries(peer, index, *link));
                seen.push(((node.id, *link), carries));
            }
        }
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let Some(corosync) = &mut server.corosync else { return };
        corosync.links.retain(|key, _| seen.iter().any(|(seen, _)| seen == key));
        let mut lines = Vec::new();
        for ((id, number), carries) in seen {
            let link = corosync.links.entry((id, number)).or_insert_with(Link::new);
            if link.connected == carries {
                link.differs_since = None;
                continue;
            }
            let since = *link.differs_since.get_or_insert(now);
            let delay = if carries { LINK_UP } else { timeout * 9 / 10 };
            if now.saturating_sub(since) < delay {
                continue;
            }
            link.connected = carries;
            link.differs_since = None;
            if carries {
                link.up_count += 1;
                lines.push(format!("  [KNET  ] rx: host: {id} link: {number} is up"));
            } else {
                link.down_count += 1;
                lines.push(format!("  [KNET  ] link: host: {id} link: {number} is down"));
            }
            let best = corosync
                .links
                .iter()
                .find(|((host, _), link)| *host == id && link.connected);
            lines.push(match best {
                Some(((_, best), _)) => format!("  [KNET  ] host: host: {id} (passive) best link: {best} (pri: 1)"),
                None => format!("  [KNET  ] host: host: {id} has no active links"),
            });
        }
        let pid = corosync.pid;
        for line in lines {
            server.log("corosync", pid, line);
        }
    }

    fn form_memberships(&mut self) {
        let mut running: BTreeSet<usize> = (0..self.servers.len())
            .filter(|i| self.get(*i).is_some_and(|s| s.corosync.is_some()))
            .collect();
        while let Some(first) = running.first().copied() {
            let component = self.pairs.component(first, &running);
            running = running.difference(&component).copied().collect();
            self.form_membership(&component);
        }
        self.recount();
    }

    fn form_membership(&mut self, component: &BTreeSet<usize>) {
        let corosyncs = || {
            component
                .iter()
                .filter_map(|i| self.get(*i).and_then(|s| s.corosync.as_ref()).map(|c| (*i, c)))
        };
        let members: BTreeSet<u32> = corosyncs().map(|(_, c)| c.node_id).collect();
        if corosyncs().all(|(_, c)| c.members == members) {
            return;
        }
        let newest = corosyncs().map(|(_, c)| c.conf.version).max().unwrap_or(0);
        let outdated: Vec<(usize, u64)> = corosyncs()
            .filter(|(_, c)| c.conf.version < newest)
            .map(|(i, c)| (i, c.conf.version))
            .collect();
        if !outdated.is_empty() {
            for (index, version) in outdated {
                let text = format!(
                    "Received config version ({newest}) is different than my config version ({version})! Exiting"
                );
                if let Some(server) = self.servers.get_mut(index) {
                    let pid = server.corosync.as_ref().map_or(0, |c| c.pid);
                    server.log("corosync", pid, format!("  [CMAP  ] {text}"));
                }
                self.stop_corosync(index, What::CorosyncExited, &text);
            }
            return;
        }
        let ring = corosyncs().map(|(_, c)| c.ring).max().unwrap_or(1) + 4;
        let list = members.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        for index in component.iter().copied() {
            let Some(server) = self.servers.get_mut(index) else {
                continue;
            };
            let Some(corosync) = &mut server.corosync else { continue };
            let words = |ids: Vec<&u32>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            let joined = words(members.difference(&corosync.members).collect());
            let left = words(corosync.members.difference(&members).collect());
            for id in members.difference(&corosync.members) {
                *corosync.join_counts.entry(*id).or_insert(0) += 1;
            }
            corosync.members.clone_from(&members);
            corosync.ring = ring;
            let (pid, id) = (corosync.pid, corosync.ring_id());
            let changes = [("joined", joined), ("left", left)]
                .into_iter()
                .filter(|(_, ids)| !ids.is_empty())
                .map(|(word, ids)| format!(" {word}: {ids}"))
                .collect::<String>();
            server.log(
                "corosync",
                pid,
                format!("  [TOTEM ] A new membership ({id}) was formed. Members{changes}"),
            );
            server.log(
                "corosync",
                pid,
                format!("  [QUORUM] Members[{}]: {list}", members.len()),
            );
            server.log(
                "corosync",
                pid,
                "  [MAIN  ] Completed service synchronization, ready to provide service.",
            );
            self.note(Some(index), What::MembershipChanged, list.clone());
        }
    }

    /// Counts votes anew on every running corosync.
    fn recount(&mut self) {
        for index in 0..self.servers.len() {
            let Some(server) = self.servers.get_mut(index) else {
                continue;
            };
            let Some(corosync) = &mut server.corosync else { continue };
            let total = corosync.total_votes();
            corosync.expected_votes = corosync.expected_votes.max(total);
            let quorate = total >= corosync.quorum();
            if quorate == corosync.quorate {
                continue;
            }
            corosync.quorate = quorate;
            let detail = format!(
                "{total} of {} votes, {} needed",
                corosync.expected_votes,
                corosync.quorum()
            );
            let pid = corosync.pid;
            let (what, text) = if quorate {
                (
                    What::QuorumGained,
                    "  [QUORUM] This node is within the primary component and will provide service.",
                )
            } else {
                (
                    What::QuorumLost,
                    "  [QUORUM] This node is within the non-primary component and will NOT provide any services.",
                )
            };
            server.log("corosync", pid, text);
            self.note(Some(index), what, detail);
        }
    }

    fn follow_corosync(&mut self) {
        for index in 0..self.servers.len() {
            self.connect_pmxcfs(index);
        }
        for index in 0..self.servers.len() {
            let before = self.get(index).is_some_and(|server| server.pmxcfs.writable());
            self.update_view(index);
            let Some(server) = self.servers.get_mut(index) else {
                continue;
            };
            let (after, running) = (server.pmxcfs.writable(), server.pmxcfs.running);
            if before != after && running {
                let pid = server.pmxcfs.pid;
                let (what, text) = if after {
                    (What::PmxcfsWritable, "[status] notice: node has quorum")
                } else {
                    (What::PmxcfsReadOnly, "[status] notice: node lost quorum")
                };
                server.log("pmxcfs", pid, text);
                self.note(Some(index), what, "");
            }
        }
        for index in 0..self.servers.len() {
            self.synchronise(index);
        }
    }

    /// pmxcfs looks for corosync when it starts, and every six seconds after a failure.
    fn connect_pmxcfs(&mut self, index: usize) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let pmxcfs = &mut server.pmxcfs;
        if !pmxcfs.running || !pmxcfs.clustered {
            return;
        }
        match (&server.corosync, &mut pmxcfs.view) {
            (None, Some(view)) if view.quorate || view.nodes.iter().any(|node| node.online) => {
                view.quorate = false;
                for node in &mut view.nodes {
                    node.online = node.name == server.spec.name;
                }
                pmxcfs.clinfo += 1;
                pmxcfs.next_attempt = now + RETRY;
                server.log("pmxcfs", server.pmxcfs.pid, "[quorum] crit: quorum_dispatch failed: 2");
                self.note(Some(index), What::PmxcfsReadOnly, "corosync ended");
            }
            (None, _) if now >= pmxcfs.next_attempt => {
                pmxcfs.next_attempt += RETRY;
                let pid = pmxcfs.pid;
                for text in [
                    "[quorum] crit: quorum_initialize failed: 2",
                    "[confdb] crit: cmap_initialize failed: 2",
                    "[dcdb] crit: cpg_initialize failed: 2",
                    "[status] crit: cpg_initialize failed: 2",
                ] {
                    server.log("pmxcfs", pid, text);
                }
            }
            (Some(corosync), None) if now >= pmxcfs.next_attempt => {
                pmxcfs.view = Some(View {
                    cluster_name: corosync.conf.cluster_name.clone(),
                    version: corosync.conf.version,
                    quorate: false,
                    nodes: Vec::new(),
                });
            }
            _ => {}
        }
    }

    fn update_view(&mut self, index: usize) {
        let Some(server) = self.get(index) else { return };
        let (Some(corosync), Some(view)) = (&server.corosync, &server.pmxcfs.view) else {
            return;
        };
        // After corosync's end it connects anew at its next attempt.
        if !server.pmxcfs.running || (!view.nodes.is_empty() && self.now < server.pmxcfs.next_attempt) {
            return;
        }
        let group = self.group(index);
        let nodes = corosync
            .conf
            .nodes
            .iter()
            .map(|node| ViewNode {
                name: node.name.clone(),
                id: node.id,
                online: group
                    .iter()
                    .any(|other| self.get(*other).is_some_and(|peer| peer.name() == node.name)),
            })
            .collect();
        let fresh = View {
            cluster_name: corosync.conf.cluster_name.clone(),
            version: corosync.conf.version,
            quorate: corosync.quorate,
            nodes,
        };
        if fresh == *view {
            return;
        }
        let text = format!(
            "[status] notice: update cluster info (cluster name  {}, version = {})",
            fresh.cluster_name, fresh.version
        );
        let newer = view.nodes.is_empty() || view.version != fresh.version;
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let pid = server.pmxcfs.pid;
        if newer {
            server.log("pmxcfs", pid, text);
        }
        server.pmxcfs.clinfo += if server.pmxcfs.clinfo == 0 { 3 } else { 1 };
        server.pmxcfs.view = Some(fresh);
    }

    /// Members of one state share the newest copy, and tell one another their addresses.
    fn synchronise(&mut self, index: usize) {
        if self
            .get(index)
            .is_none_or(|server| !server.pmxcfs.clustered || server.pmxcfs.view.is_none())
        {
            return;
        }
        let group = self.group(index);
        let quorate = self.get(index).is_some_and(|server| server.pmxcfs.writable());
        let mut ips = BTreeMap::new();
        for member in &group {
            if let Some(server) = self.get(*member) {
                ips.extend(server.pmxcfs.replica.ips.iter().map(|(name, ip)| (name.clone(), *ip)));
            }
        }
        for member in &group {
            if let Some(server) = self.get(*member)
                && let Some(ip) = server.pmxcfs.ip
            {
                ips.insert(server.spec.name.clone(), ip);
            }
        }
        let newest = group
            .iter()
            .filter_map(|member| self.get(*member))
            .map(|server| &server.pmxcfs.replica)
            .max_by_key(|replica| replica.sequence)
            .cloned();
        let Some(newest) = newest else { return };
        for member in group {
            let Some(server) = self.servers.get_mut(member) else {
                continue;
            };
            if quorate && server.pmxcfs.replica.sequence < newest.sequence {
                server.pmxcfs.replica = newest.clone();
            }
            server.pmxcfs.replica.ips.clone_from(&ips);
            self.copy_conf_to_etc(member);
        }
    }

    fn expire_locks(&mut self) {
        let now = self.now;
        for server in &mut self.servers {
            let lock = &mut server.pmxcfs.replica.lock_until;
            if lock.is_some_and(|until| until <= now) {
                *lock = None;
            }
        }
    }
}
