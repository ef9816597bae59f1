//! Memberships and votes.

use std::collections::BTreeSet;

use super::State;
use super::qdevice::Wait;
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
        let mut formed = BTreeSet::new();
        for component in &components {
            if self.form_membership(component) {
                formed.extend(component.iter().copied());
            }
        }
        // Who is in the new partitions decides whose device votes: no partition counts a vote that it no longer has.
        self.vote_anew();
        let changed = self.recount();
        for index in formed {
            if !changed.contains(&index) {
                self.log_members(index);
            }
            let text = "  [MAIN  ] Completed service synchronization, ready to provide service.";
            self.corosync_log(index, [text.to_owned()]);
        }
    }

    /// Did these form another membership?
    fn form_membership(&mut self, component: &BTreeSet<usize>) -> bool {
        let corosyncs = || {
            component
                .iter()
                .filter_map(|i| self.get(*i).and_then(|s| s.corosync.as_ref()).map(|c| (*i, c)))
        };
        let members: BTreeSet<u32> = corosyncs().map(|(_, c)| c.node_id).collect();
        let still: BTreeSet<u32> = members.union(&self.missed(component)).copied().collect();
        if corosyncs().all(|(_, c)| c.members == members || c.members == still) {
            return false;
        }
        let wait = self.waits_for_device(component);
        match wait {
            Wait::Begins => {
                self.announce(component, &members);
                for index in component {
                    self.note(Some(*index), What::DevicePolled, "");
                }
                return false;
            }
            Wait::GoesOn => return false,
            Wait::Never | Wait::Over => {}
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
            return false;
        }
        if wait == Wait::Never {
            self.announce(component, &members);
        }
        let ring = self.next_ring(component);
        let list = members.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        for index in component.iter().copied() {
            let Some(server) = self.servers.get_mut(index) else {
                continue;
            };
            let Some(corosync) = &mut server.corosync else { continue };
            for id in members.difference(&corosync.members) {
                *corosync.join_counts.entry(*id).or_insert(0) += 1;
            }
            corosync.members.clone_from(&members);
            corosync.ring = ring;
            self.note(Some(index), What::MembershipChanged, list.clone());
        }
        true
    }

    fn next_ring(&self, component: &BTreeSet<usize>) -> u64 {
        let corosyncs = component.iter().filter_map(|index| self.get(*index)?.corosync.as_ref());
        corosyncs.map(|corosync| corosync.ring).max().unwrap_or(1) + 4
    }

    /// What each member says as soon as it knows who is in with it: services come after.
    fn announce(&mut self, component: &BTreeSet<usize>, members: &BTreeSet<u32>) {
        let representative = members.first().copied().unwrap_or_default();
        let id = format!("{representative}.{:x}", self.next_ring(component));
        let polls = self.asks_device(component);
        for index in component {
            let Some(corosync) = self.get(*index).and_then(|server| server.corosync.as_ref()) else {
                continue;
            };
            let joined: Vec<u32> = members.difference(&corosync.members).copied().collect();
            let left: Vec<u32> = corosync.members.difference(members).copied().collect();
            let failed: Vec<u32> = left
                .iter()
                .copied()
                .filter(|id| self.fell_silent(&corosync.name_of(*id)))
                .collect();
            let mut lines = vec![sync("members", &members.iter().copied().collect::<Vec<_>>())];
            let mut changes = String::new();
            for (word, ids) in [("joined", &joined), ("left", &left)] {
                if !ids.is_empty() {
                    lines.push(sync(word, ids));
                    changes.push_str(&format!(" {word}: {}", words(ids)));
                }
            }
            if polls {
                let text = "  [VOTEQ ] waiting for quorum device Qdevice poll (but maximum for 30000 ms)";
                lines.push(text.to_owned());
            }
            lines.push(format!(
                "  [TOTEM ] A new membership ({id}) was formed. Members{changes}"
            ));
            if !failed.is_empty() {
                lines.push(format!(
                    "  [TOTEM ] Failed to receive the leave message. failed: {}",
                    words(&failed)
                ));
            }
            self.corosync_log(*index, lines);
        }
    }

    /// It did not say that it goes: its corosync runs on somewhere, or vanished.
    fn fell_silent(&self, name: &str) -> bool {
        self.find(name)
            .and_then(|index| self.get(index))
            .is_some_and(|server| server.corosync.is_some() || server.power.vanished)
    }

    pub(super) fn log_members(&mut self, index: usize) {
        let Some(corosync) = self.get(index).and_then(|server| server.corosync.as_ref()) else {
            return;
        };
        let ids: Vec<u32> = corosync.members.iter().copied().collect();
        self.corosync_log(index, [format!("  [QUORUM] Members[{}]: {}", ids.len(), words(&ids))]);
    }

    pub(super) fn corosync_log(&mut self, index: usize, lines: impl IntoIterator<Item = String>) {
        if let Some(server) = self.servers.get_mut(index)
            && let Some(pid) = server.corosync.as_ref().map(|corosync| corosync.pid)
        {
            for line in lines {
                server.log("corosync", pid, line);
            }
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

    /// Counts votes anew on every running corosync; tells where that won or lost quorum.
    pub(super) fn recount(&mut self) -> BTreeSet<usize> {
        let mut changed = BTreeSet::new();
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
            self.log_members(index);
            self.note(Some(index), what, detail);
            changed.insert(index);
        }
        changed
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

pub(super) fn sync(word: &str, ids: &[u32]) -> String {
    format!("  [QUORUM] Sync {word}[{}]: {}", ids.len(), words(ids))
}

fn words(ids: &[u32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
