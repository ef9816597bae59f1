//! Writes to `/etc/pve`: who shares them, and how a changed corosync.conf takes effect.

use std::collections::BTreeMap;

use super::{State, WriteRefused};
use crate::world::corosync::conf::{Conf, ConfNode};
use crate::world::oplog::What;
use crate::world::pmxcfs::Replica;

impl State {
    /// The servers whose pmxcfs share one state with this one's, itself included.
    pub(super) fn group(&self, index: usize) -> Vec<usize> {
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
    pub(super) fn copy_conf_to_etc(&mut self, index: usize) {
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
}
