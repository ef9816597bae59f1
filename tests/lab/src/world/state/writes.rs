//! Writes to `/etc/pve`: who shares them, and how a changed corosync.conf takes effect.

use std::collections::BTreeMap;

use super::{State, WriteRefused};
use crate::world::corosync::conf::{Conf, ConfNode};
use crate::world::oplog::What;
use crate::world::pmxcfs::Replica;
use crate::world::server::Server;

impl State {
    /// By server: those whose pmxcfs share one state with this one's, itself included.
    pub(super) fn groups(&self) -> Vec<Vec<usize>> {
        let ring = |server: &Server| server.corosync.as_ref().map(|c| (c.key, c.ring, c.members.clone()));
        let mut sharing: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, server) in self.servers.iter().enumerate() {
            if server.pmxcfs.running
                && server.pmxcfs.view.is_some()
                && let Some(ring) = ring(server)
            {
                sharing.entry(ring).or_default().push(index);
            }
        }
        let group = |(index, server): (usize, &Server)| {
            let ring = ring(server).filter(|_| server.pmxcfs.clustered);
            let mut group = ring.and_then(|ring| sharing.get(&ring).cloned()).unwrap_or_default();
            if !group.contains(&index) {
                group.push(index);
                group.sort_unstable();
            }
            group
        };
        self.servers.iter().enumerate().map(group).collect()
    }

    /// Changes the cluster's files, on all servers that share them.
    pub(crate) fn write(&mut self, index: usize, change: impl Fn(&mut Replica)) -> Result<(), WriteRefused> {
        self.commit(index, change).map(|_| ())
    }

    /// Changes the cluster's files, on all servers that share them. Tells whether corosync.conf changed, and with it the
    /// copy from which corosync on this server started.
    pub(super) fn commit(&mut self, index: usize, change: impl Fn(&mut Replica)) -> Result<bool, WriteRefused> {
        if !self.get(index).is_some_and(|server| server.pmxcfs.writable()) {
            return Err(WriteRefused::ReadOnly);
        }
        let mut to_reload = false;
        let group = self.groups().into_iter().nth(index).unwrap_or_default();
        for member in group {
            let Some(server) = self.servers.get_mut(member) else {
                continue;
            };
            let had_copy = server.etc_conf.is_some();
            let replica = &mut server.pmxcfs.replica;
            let before = replica.conf.clone();
            change(replica);
            replica.sequence += 1;
            if replica.conf != before {
                let copied = self.copy_conf_to_etc(member);
                to_reload |= member == index && copied && had_copy;
            }
        }
        Ok(to_reload)
    }

    /// pmxcfs copies corosync.conf to `/etc/corosync`, unless what lies there is newer. Did it?
    pub(super) fn copy_conf_to_etc(&mut self, index: usize) -> bool {
        let Some(server) = self.servers.get_mut(index) else {
            return false;
        };
        let Some(conf) = server.pmxcfs.replica.conf.clone() else {
            return false;
        };
        let pid = server.pmxcfs.pid;
        if conf.version == 0 {
            server.log("pmxcfs", pid, "[dcdb] crit: unable to parse cluster config_version");
            return false;
        }
        match &server.etc_conf {
            Some(present) if present.render() == conf.render() => false,
            Some(present) if present.version > conf.version => {
                server.log("pmxcfs", pid, "[dcdb] crit: local corosync.conf is newer");
                false
            }
            _ => {
                let text = format!(
                    "[dcdb] notice: wrote new corosync config '/etc/corosync/corosync.conf' (version = {})",
                    conf.version
                );
                server.log("pmxcfs", pid, text);
                server.etc_conf = Some(conf);
                true
            }
        }
    }

    /// `corosync-cfgtool -R` on a server: every corosync of its membership takes over its file, or says why not.
    pub(crate) fn reload(&mut self, index: usize) -> Result<(), String> {
        let Some(corosync) = self.get(index).and_then(|server| server.corosync.as_ref()) else {
            self.log_failed_reload(index);
            return Err("corosync is not running".to_owned());
        };
        let (key, members, node_id) = (corosync.key, corosync.members.clone(), corosync.node_id);
        let mut refused = None;
        for member in 0..self.servers.len() {
            let Some(server) = self.servers.get_mut(member) else {
                continue;
            };
            let Some(conf) = server.etc_conf.clone() else { continue };
            let Some(corosync) = &mut server.corosync else { continue };
            if corosync.key != key || !members.contains(&corosync.node_id) || corosync.conf == conf {
                continue;
            }
            let pid = corosync.pid;
            let refusal = conf.refuses_reload(&corosync.conf);
            let version = conf.version;
            let mut lines = vec![format!("  [CFG   ] Config reload requested by node {node_id}")];
            if refusal.is_empty() {
                lines.extend(configured(&conf, corosync.node_id));
                corosync.expected_votes = conf.total_votes();
                corosync.conf = conf;
            } else if member == index {
                refused = refusal.first().cloned();
            }
            let taken = refusal.is_empty();
            for line in lines.into_iter().chain(refusal) {
                server.log("corosync", pid, line);
            }
            if taken {
                self.note(Some(member), What::ConfigReloaded, format!("version {version}"));
            }
        }
        self.recount();
        match refused {
            Some(line) => {
                self.log_failed_reload(index);
                self.note(Some(index), What::ReloadFailed, line.trim().to_owned());
                Err(line)
            }
            None => Ok(()),
        }
    }

    fn log_failed_reload(&mut self, index: usize) {
        if let Some(server) = self.servers.get_mut(index) {
            let pid = server.pmxcfs.pid;
            let text = "[dcdb] crit: corosync-cfgtool -R failed with exit code 7#010";
            server.log("pmxcfs", pid, text);
        }
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
        let conf = Conf::first(name, node, server.spec.major());
        server.authkey = Some(key);
        server.pmxcfs.replica.conf = Some(conf.clone());
        server.pmxcfs.replica.sequence += 1;
        server.etc_conf = Some(conf);
        self.start_corosync(index)?;
        self.stop_pmxcfs(index);
        self.start_pmxcfs(index)
    }
}

/// What corosync logs of its own links when it takes over a configuration.
fn configured(conf: &Conf, own: u32) -> Vec<String> {
    let mut lines = Vec::new();
    for link in &conf.links {
        lines.push(format!("  [TOTEM ] Configuring link {link}"));
        if let Some(address) = conf.node(own).and_then(|node| node.rings.get(link)) {
            lines.push(format!(
                "  [TOTEM ] Configured link number {link}: local addr: {address}, port={}",
                5405 + u16::from(*link)
            ));
        }
    }
    lines.push("  [KNET  ] pmtud: MTU manually set to: 0".to_owned());
    lines
}
