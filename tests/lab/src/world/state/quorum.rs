//! Memberships and votes.

use std::collections::BTreeSet;

use super::State;
use crate::world::corosync::conf::ConfNode;
use crate::world::oplog::What;

impl State {
    pub(super) fn form_memberships(&mut self) {
        let mut running: BTreeSet<usize> = (0..self.servers.len())
            .filter(|i| self.get(*i).is_some_and(|s| s.corosync.is_some()))
            .collect();
        let mut components = Vec::new();
        while let Some(first) = running.first().copied() {
            let component = self.pairs.component(first, &running);
            running = running.difference(&component).copied().collect();
            components.push(component);
        }
        self.forget_waits(&components);
        for component in &components {
            self.form_membership(component);
        }
        // Who is in the new partitions decides whose device votes: no partition counts a vote that it no longer has.
        self.vote_anew();
        self.recount();
    }

    pub(super) fn form_membership(&mut self, component: &BTreeSet<usize>) {
        let corosyncs = || {
            component
                .iter()
                .filter_map(|i| self.get(*i).and_then(|s| s.corosync.as_ref()).map(|c| (*i, c)))
        };
        let members: BTreeSet<u32> = corosyncs().map(|(_, c)| c.node_id).collect();
        let still: BTreeSet<u32> = members.union(&self.missed(component)).copied().collect();
        if corosyncs().all(|(_, c)| c.members == members || c.members == still) {
            return;
        }
        if self.waits_for_device(component) {
            return;
        }
        let corosyncs = || {
            component
                .iter()
                .filter_map(|i| self.get(*i).and_then(|s| s.corosync.as_ref()).map(|c| (*i, c)))
        };
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

    /// Node ids whose corosync has ended, while some of these still count them in.
    fn missed(&self, component: &BTreeSet<usize>) -> BTreeSet<u32> {
        let ended = |index: &usize| self.get(*index).is_some_and(|server| server.corosync.is_none());
        let mut ids = BTreeSet::new();
        for other in (0..self.servers.len()).filter(ended) {
            let Some(name) = self.get(other).map(|server| server.name()) else {
                continue;
            };
            for index in component.iter().filter(|index| self.pairs.together(**index, other)) {
                let corosync = self.get(*index).and_then(|server| server.corosync.as_ref());
                ids.extend(corosync.and_then(|c| c.conf.named(name)).map(|node| node.id));
            }
        }
        ids
    }

    /// Counts votes anew on every running corosync.
    pub(super) fn recount(&mut self) {
        for index in 0..self.servers.len() {
            let Some(server) = self.servers.get_mut(index) else {
                continue;
            };
            let Some(corosync) = &mut server.corosync else { continue };
            let total = corosync.total_votes();
            corosync.expected_votes = corosync.expected_votes.max(total);
            // A node that starts alone counts its device's vote once it met another.
            if corosync.conf.device.is_some() && corosync.members.len() > 1 {
                corosync.expected_votes = corosync.expected_votes.max(corosync.conf.total_votes());
            }
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

    /// Lets every corosync know what version each of its members runs with, and where it was when it joined.
    pub(super) fn share_versions(&mut self) {
        let running: Vec<(u64, u32, u64)> = self
            .servers
            .iter()
            .filter_map(|server| server.corosync.as_ref())
            .map(|corosync| (corosync.key, corosync.node_id, corosync.conf.version))
            .collect();
        for corosync in self.servers.iter_mut().filter_map(|server| server.corosync.as_mut()) {
            for (key, id, version) in &running {
                if *key == corosync.key && corosync.members.contains(id) {
                    corosync.versions.insert(*id, *version);
                }
            }
            for (id, count) in &corosync.join_counts {
                let known = corosync.addresses.get(id).map(|(at, _)| *at);
                if known != Some(*count) {
                    let text = corosync.conf.node(*id).map(ConfNode::addresses).unwrap_or_default();
                    corosync.addresses.insert(*id, (*count, text));
                }
            }
        }
    }
}
