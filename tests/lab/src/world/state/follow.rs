//! How pmxcfs follows corosync.

use std::collections::{BTreeMap, BTreeSet};

use super::State;
use crate::world::corosync::conf::ConfNode;
use crate::world::oplog::What;
use crate::world::pmxcfs::{RETRY, View, ViewNode};
use crate::world::server::Server;

impl State {
    pub(super) fn follow_corosync(&mut self) {
        for index in 0..self.servers.len() {
            self.connect_pmxcfs(index);
        }
        let groups = self.groups();
        for (index, group) in groups.iter().enumerate() {
            let before = self.get(index).is_some_and(|server| server.pmxcfs.writable());
            self.update_view(index, group);
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
        for group in groups.into_iter().collect::<BTreeSet<_>>() {
            self.synchronise(&group);
        }
    }

    /// pmxcfs looks for corosync when it starts, and every six seconds after a failure.
    pub(super) fn connect_pmxcfs(&mut self, index: usize) {
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

    fn update_view(&mut self, index: usize, group: &[usize]) {
        let Some(server) = self.get(index) else { return };
        let (Some(corosync), Some(view)) = (&server.corosync, &server.pmxcfs.view) else {
            return;
        };
        // After corosync's end it connects anew at its next attempt.
        if !server.pmxcfs.running || (!view.nodes.is_empty() && self.now < server.pmxcfs.next_attempt) {
            return;
        }
        let online: BTreeSet<&str> = group
            .iter()
            .filter_map(|other| self.get(*other))
            .map(Server::name)
            .collect();
        // Whoever went without power said goodbye to nobody: until totem has formed another membership, every source says that it is there
        // (seen live). Only a pmxcfs that ends while its corosync goes on leaves the group at once.
        let missed = |node: &ConfNode| {
            let ended = |other: usize| self.get(other).is_some_and(|server| server.corosync.is_none());
            corosync.members.contains(&node.id) && self.find(&node.name).is_some_and(ended)
        };
        let was_online = |name: &str| view.nodes.iter().any(|node| node.name == name && node.online);
        let nodes = corosync
            .conf
            .nodes
            .iter()
            .map(|node| ViewNode {
                name: node.name.clone(),
                id: node.id,
                online: online.contains(node.name.as_str()) || (missed(node) && was_online(&node.name)),
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
    fn synchronise(&mut self, group: &[usize]) {
        let looking = |index: &usize| {
            self.get(*index)
                .filter(|server| server.pmxcfs.clustered && server.pmxcfs.view.is_some())
        };
        let Some(first) = group.iter().copied().find(|index| looking(index).is_some()) else {
            return;
        };
        let quorate = group.iter().filter_map(looking).any(|server| server.pmxcfs.writable());
        let mut ips = BTreeMap::new();
        for member in group {
            if let Some(server) = self.get(*member) {
                ips.extend(server.pmxcfs.replica.ips.iter().map(|(name, ip)| (name.clone(), *ip)));
            }
        }
        for member in group {
            if let Some(server) = self.get(*member)
                && let Some(ip) = server.pmxcfs.ip
            {
                ips.insert(server.spec.name.clone(), ip);
            }
        }
        let sequence = |member: &usize| self.get(*member).map_or(0, |server| server.pmxcfs.replica.sequence);
        let newest = group.iter().copied().max_by_key(sequence).unwrap_or(first);
        let behind = group.iter().any(|member| sequence(member) < sequence(&newest));
        let newest = self
            .get(newest)
            .filter(|_| quorate && behind)
            .map(|server| server.pmxcfs.replica.clone());
        for member in group.iter().copied() {
            let Some(server) = self.servers.get_mut(member) else {
                continue;
            };
            let replica = &mut server.pmxcfs.replica;
            let newest = newest.as_ref().filter(|newest| replica.sequence < newest.sequence);
            if let Some(newest) = newest {
                *replica = newest.clone();
            }
            if replica.ips != ips {
                replica.ips.clone_from(&ips);
            }
            if newest.is_some() {
                self.copy_conf_to_etc(member);
            }
        }
    }

    pub(super) fn expire_locks(&mut self) {
        let now = self.now;
        for server in &mut self.servers {
            server.pmxcfs.replica.locks.retain(|_, until| *until > now);
        }
    }
}
