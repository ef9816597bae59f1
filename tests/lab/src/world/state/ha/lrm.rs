//! The rounds of pve-ha-lrm, which runs a node's services, and feeds the watchdog while it may.

use super::{State, is_active};
use crate::world::ha::{GIVES_UP, IDLE_ROUND, LRM_IDLE, LrmState, LrmStatus, ROUND, Service};

fn agent_lock(node: &str) -> String {
    format!("ha_agent_{node}_lock")
}

impl State {
    pub(super) fn lrm_round(&mut self, index: usize) {
        let now = self.now;
        let writable = self.can_lock(index);
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        if !server.ha.lrm.running || now < server.ha.lrm.next {
            return;
        }
        let name = server.spec.name.clone();
        match server.ha.lrm.state {
            LrmState::Waits => {
                server.ha.lrm.next = now + IDLE_ROUND;
                if server.ha.lrm.stopping.is_some() {
                    return self.lrm_ends(index);
                }
                if writable {
                    self.lrm_waits(index, &name);
                }
            }
            LrmState::Active | LrmState::LostLock if writable => {
                server.ha.lrm.next = now + ROUND;
                server.ha.lrm.watchdog = Some(now);
                if server.ha.lrm.state == LrmState::LostLock {
                    server.ha.lrm.state = LrmState::Active;
                    self.ha_log(
                        index,
                        "pve-ha-lrm",
                        "status change lost_agent_lock => active".to_owned(),
                    );
                }
                self.lrm_works(index, &name);
            }
            LrmState::Active => {
                server.ha.lrm.state = LrmState::LostLock;
                server.ha.lrm.next = now + IDLE_ROUND;
                let text = format!(
                    "lost lock '{} - cfs lock update failed - Device or resource busy",
                    agent_lock(&name)
                );
                self.ha_log(index, "pve-ha-lrm", text);
                self.ha_log(
                    index,
                    "pve-ha-lrm",
                    "status change active => lost_agent_lock".to_owned(),
                );
            }
            LrmState::LostLock => {
                server.ha.lrm.next = now + IDLE_ROUND;
                let told = server.ha.lrm.stopping;
                if told.is_some_and(|told| now.saturating_sub(told) > GIVES_UP) {
                    let text = "lost agent lock and restart request for over 90 seconds - giving up!";
                    self.ha_log(index, "pve-ha-lrm", text.to_owned());
                    self.lrm_ends(index);
                }
            }
        }
    }

    fn lrm_ends(&mut self, index: usize) {
        if let Some(server) = self.servers.get_mut(index) {
            server.ha.lrm.running = false;
            server.ha.lrm.stopping = None;
            server.ha.lrm.state = LrmState::Waits;
            server.ha.lrm.watchdog = None;
        }
        self.ha_log(index, "pve-ha-lrm", "server stopped".to_owned());
    }

    fn lrm_waits(&mut self, index: usize, name: &str) {
        let now = self.now;
        let Some(files) = self.ha_files(index) else { return };
        let manager = files.manager.as_ref();
        let disarmed = manager.is_some_and(|manager| manager.disarm.is_some());
        let wanted = !disarmed
            && manager.is_some_and(|manager| {
                manager
                    .services
                    .values()
                    .any(|service| service.node == name && is_active(service))
            })
            && files.free(&agent_lock(name), name, now);
        let used = files.used();
        if let Some(server) = self.servers.get_mut(index) {
            server.ha.lrm.mode = if disarmed { "disarm" } else { "active" };
            if wanted {
                server.ha.lrm.state = LrmState::Active;
                server.ha.lrm.watchdog = Some(now);
                server.ha.lrm.idle = 0;
                server.ha.lrm.next = now + ROUND;
            }
        }
        if wanted {
            let text = format!("successfully acquired lock '{}'", agent_lock(name));
            self.ha_log(index, "pve-ha-lrm", text);
            self.ha_log(index, "pve-ha-lrm", "watchdog active".to_owned());
            self.ha_log(
                index,
                "pve-ha-lrm",
                "status change wait_for_agent_lock => active".to_owned(),
            );
        }
        // As long as nothing is under HA, nobody needs to know; a real LRM says so every five seconds all the same.
        if used {
            self.publish_lrm(index, name, wanted);
        }
    }

    fn lrm_works(&mut self, index: usize, name: &str) {
        let Some(files) = self.ha_files(index) else { return };
        let manager = files.manager.clone().unwrap_or_default();
        let own: Vec<&Service> = manager
            .services
            .values()
            .filter(|service| service.node == name)
            .collect();
        let frozen = own.iter().all(|service| !is_active(service));
        let none = own.is_empty();
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let lrm = &mut server.ha.lrm;
        lrm.mode = if lrm.stopping.is_some() {
            "restart"
        } else if manager.disarm.is_some() {
            "disarm"
        } else {
            "active"
        };
        lrm.idle = if none { lrm.idle + 1 } else { 0 };
        let stops = lrm.stopping.is_some() && frozen;
        let rests = lrm.idle >= LRM_IDLE || (manager.disarm.is_some() && frozen);
        if !stops && !rests {
            return self.publish_lrm(index, name, true);
        }
        lrm.state = LrmState::Waits;
        lrm.watchdog = None;
        lrm.idle = 0;
        lrm.next = self.now + IDLE_ROUND;
        self.ha_log(index, "pve-ha-lrm", "watchdog closed (disabled)".to_owned());
        self.publish_lrm(index, name, false);
        if stops {
            self.lrm_ends(index);
        }
    }

    /// Writes `lrm_status`, and keeps or gives back the lock.
    fn publish_lrm(&mut self, index: usize, name: &str, holds: bool) {
        let now = self.now;
        let Some(server) = self.get(index) else { return };
        let started = server
            .pmxcfs
            .replica
            .ha
            .manager
            .iter()
            .flat_map(|manager| &manager.services)
            .filter(|(_, service)| holds && service.node == name && service.state == "started")
            .map(|(sid, _)| sid.clone())
            .collect();
        let status = LrmStatus {
            state: server.ha.lrm.state.word(),
            mode: server.ha.lrm.mode,
            timestamp: server.now().as_second(),
            started,
        };
        let (lock, name) = (agent_lock(name), name.to_owned());
        self.write(index, |replica| {
            replica.ha.lrm.insert(name.clone(), status.clone());
            if holds {
                replica.ha.locks.insert(lock.clone(), (name.clone(), now));
            } else if replica.ha.locks.get(&lock).is_some_and(|(holder, _)| *holder == name) {
                replica.ha.locks.remove(&lock);
            }
        })
        .ok();
    }

    /// `systemctl stop pve-ha-lrm`: asks; the daemon ends in one of its rounds.
    pub(crate) fn stop_lrm(&mut self, index: usize) {
        let now = self.now;
        if let Some(server) = self.servers.get_mut(index)
            && server.ha.lrm.running
            && server.ha.lrm.stopping.is_none()
        {
            server.ha.lrm.stopping = Some(now);
            server.ha.lrm.next = now;
            server.log("pve-ha-lrm", 830, "received signal TERM");
            server.log("pve-ha-lrm", 830, "restart LRM, freeze all services");
        }
    }

    pub(crate) fn start_lrm(&mut self, index: usize) {
        let now = self.now;
        if let Some(server) = self.servers.get_mut(index) {
            server.ha.lrm.stopping = None;
            if !server.ha.lrm.running {
                server.ha.lrm.running = true;
                server.ha.lrm.mode = "active";
                server.ha.lrm.next = now;
                server.log("pve-ha-lrm", 830, "starting server");
            }
        }
    }
}
