//! The rounds of pve-ha-crm, of which one decides for all.

use std::collections::BTreeMap;

use super::State;
use crate::world::ha::{
    CRM_IDLE, Command, CrmState, Disarm, FENCE_DELAY, HaFiles, IDLE_ROUND, LrmState, Manager, ROUND, Service,
};

const MANAGER_LOCK: &str = "ha_manager_lock";

impl State {
    pub(super) fn crm_round(&mut self, index: usize) {
        let now = self.now;
        let writable = self.can_lock(index);
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        if !server.ha.crm.running || now < server.ha.crm.next {
            return;
        }
        let name = server.spec.name.clone();
        let files = server.pmxcfs.running.then_some(&server.pmxcfs.replica.ha);
        let crm = &mut server.ha.crm;
        crm.next = now + IDLE_ROUND;
        match crm.state {
            CrmState::WaitsForQuorum if writable => crm.state = CrmState::Slave,
            CrmState::WaitsForQuorum => {}
            CrmState::Slave if !writable => crm.state = CrmState::WaitsForQuorum,
            CrmState::Slave => {
                let free =
                    files.is_some_and(|files| !files.resources.is_empty() && files.free(MANAGER_LOCK, &name, now));
                if free {
                    crm.state = CrmState::Master;
                    crm.watchdog = Some(now);
                    crm.idle = 0;
                    crm.missing = BTreeMap::new();
                    for text in [
                        format!("successfully acquired lock '{MANAGER_LOCK}'"),
                        "watchdog active".to_owned(),
                        "status change slave => master".to_owned(),
                    ] {
                        self.ha_log(index, "pve-ha-crm", text);
                    }
                    self.master_works(index, &name);
                }
            }
            CrmState::Master if !writable => {
                crm.state = CrmState::WaitsForQuorum;
                // The master alone never fences its node.
                crm.watchdog = None;
                self.ha_log(
                    index,
                    "pve-ha-crm",
                    "status change master => lost_manager_lock".to_owned(),
                );
                self.ha_log(index, "pve-ha-crm", "watchdog closed (disabled)".to_owned());
                self.ha_log(
                    index,
                    "pve-ha-crm",
                    "status change lost_manager_lock => wait_for_quorum".to_owned(),
                );
            }
            CrmState::Master => self.master_works(index, &name),
        }
    }

    fn master_works(&mut self, index: usize, name: &str) {
        let now = self.now;
        let online = self.ha_online(index);
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        server.ha.crm.next = now + ROUND;
        let timestamp = server.now().as_second();
        let files = server.pmxcfs.replica.ha.clone();
        let guests: BTreeMap<u32, String> = server
            .pmxcfs
            .replica
            .guests
            .iter()
            .map(|(vmid, guest)| (*vmid, guest.node.clone()))
            .collect();
        let mut manager = files.manager.clone().unwrap_or_default();
        manager.master = name.to_owned();
        manager.timestamp = timestamp;
        for command in &files.commands {
            manager.disarm = match command {
                Command::Disarm(mode) => Some(Disarm {
                    mode: mode.clone(),
                    done: false,
                }),
                Command::Arm => None,
            };
        }
        let missing = &mut server.ha.crm.missing;
        missing.retain(|node, _| !online.get(node).copied().unwrap_or(false));
        manager.nodes = online
            .iter()
            .map(|(node, online)| {
                let state = match online {
                    true => "online",
                    false if now.saturating_sub(*missing.entry(node.clone()).or_insert(now)) >= FENCE_DELAY => "fence",
                    false => "unknown",
                };
                (node.clone(), state)
            })
            .collect();
        manager.services = files
            .resources
            .iter()
            .filter(|(_, state)| *state != "ignored")
            .map(|(sid, wanted)| {
                let before = manager.services.get(sid);
                let vmid = sid.split(':').nth(1).and_then(|id| id.parse().ok()).unwrap_or(0);
                let node = guests.get(&vmid).cloned().unwrap_or_else(|| name.to_owned());
                (sid.clone(), place(node, wanted, before, &manager, &files))
            })
            .collect();
        // Disarmed is what every LRM that can be heard confirmed; then the master closes its own watchdog.
        let confirmed = manager
            .nodes
            .iter()
            .filter(|(_, state)| **state == "online")
            .all(|(node, _)| {
                files
                    .lrm
                    .get(node)
                    .is_none_or(|lrm| lrm.mode == "disarm" && lrm.state == LrmState::Waits.word())
            });
        if let Some(disarm) = &mut manager.disarm {
            disarm.done |= confirmed;
        }
        let crm = &mut server.ha.crm;
        crm.idle = if files.resources.is_empty() { crm.idle + 1 } else { 0 };
        crm.watchdog = if manager.disarm.as_ref().is_some_and(|disarm| disarm.done) {
            None
        } else {
            Some(now)
        };
        let rests = crm.idle >= CRM_IDLE;
        if rests {
            crm.state = CrmState::Slave;
            crm.watchdog = None;
            crm.idle = 0;
        }
        self.write(index, |replica| {
            replica.ha.manager = Some(manager.clone());
            replica.ha.commands.clear();
            if rests {
                replica.ha.locks.remove(MANAGER_LOCK);
            } else {
                replica.ha.locks.insert(MANAGER_LOCK.to_owned(), (name.to_owned(), now));
            }
        })
        .ok();
    }

    /// Members by name, and whether pmxcfs sees them.
    fn ha_online(&self, index: usize) -> BTreeMap<String, bool> {
        let Some(server) = self.get(index) else {
            return BTreeMap::new();
        };
        match server.pmxcfs.view.as_ref().filter(|_| server.pmxcfs.clustered) {
            Some(view) => view.nodes.iter().map(|node| (node.name.clone(), node.online)).collect(),
            None => BTreeMap::from([(server.spec.name.clone(), true)]),
        }
    }

    /// `systemctl stop pve-ha-crm`: a master gives its lock back and closes its watchdog.
    pub(crate) fn stop_crm(&mut self, index: usize) {
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let was_master = server.ha.crm.running && server.ha.crm.state == CrmState::Master;
        let before = server.ha.armed();
        server.ha.crm.running = false;
        server.ha.crm.state = CrmState::WaitsForQuorum;
        server.ha.crm.watchdog = None;
        server.log("pve-ha-crm", 820, "server received shutdown request");
        server.log("pve-ha-crm", 820, "server stopped");
        if was_master {
            self.write(index, |replica| {
                replica.ha.locks.remove(MANAGER_LOCK);
            })
            .ok();
        }
        self.note_watchdog(index, before);
    }

    pub(crate) fn start_crm(&mut self, index: usize) {
        let now = self.now;
        if let Some(server) = self.servers.get_mut(index)
            && !server.ha.crm.running
        {
            server.ha.crm.running = true;
            server.ha.crm.next = now;
            server.log("pve-ha-crm", 820, "starting server");
        }
    }
}

/// What the master makes of one service in this round.
fn place(node: String, wanted: &str, before: Option<&Service>, manager: &Manager, files: &HaFiles) -> Service {
    let frozen = files.lrm.get(&node).is_some_and(|lrm| lrm.mode == "restart");
    let fenced = manager.nodes.get(&node) == Some(&"fence");
    let was = before.map(|service| service.state);
    let state = match (&manager.disarm, wanted) {
        _ if fenced || was == Some("fence") => "fence",
        (Some(disarm), _) if disarm.mode == "ignore" => "freeze",
        (Some(_), _) => "freeze",
        // A service stays frozen until the LRM that asked for it says that it is active again.
        _ if frozen => "freeze",
        (None, "stopped" | "disabled") => "stopped",
        _ => "started",
    };
    let running = state == "started"
        && files
            .lrm
            .get(&node)
            .is_some_and(|lrm| lrm.state == LrmState::Active.word());
    Service { node, state, running }
}
