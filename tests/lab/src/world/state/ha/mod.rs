//! Lets the HA daemons of every server have their turns, and the watchdogs behind them.

mod at;
mod guests;
mod settings;

use quorate_lab_ha::crm::Crm;
use quorate_lab_ha::env::Next;
use quorate_lab_ha::lrm::Lrm;

use self::at::At;
use super::State;
use crate::world::clock::SimTime;
use crate::world::ha::{HaFiles, HaNode, Process, WATCHDOG_AFTER_MUX};
use crate::world::journal;
use crate::world::oplog::What;
use crate::world::units::{self, Active};

/// The unit that decides, and the unit that obeys.
pub(super) const CRM: &str = "pve-ha-crm";
pub(super) const LRM: &str = "pve-ha-lrm";

impl State {
    pub(super) fn run_ha(&mut self) {
        for index in 0..self.servers.len() {
            let Some(server) = self.servers.get_mut(index) else {
                continue;
            };
            if server.power.off || !server.spec.is_pve() {
                self.ha_went_off(index);
                continue;
            }
            if !server.ha.up {
                server.ha.up = true;
                for unit in [CRM, LRM] {
                    if self
                        .get(index)
                        .is_some_and(|server| units::active(server, unit) == Active::Running)
                    {
                        self.start_ha(index, unit);
                    }
                }
            }
            let before = self.is_armed(index);
            self.turn((index, CRM), |ha| &mut ha.crm, |crm, at| crm.step(at));
            self.turn((index, LRM), |ha| &mut ha.lrm, |lrm, at| lrm.step(at));
            self.note_watchdog(index, before);
            self.feed_watchdog(index);
        }
    }

    /// Without power there are neither processes nor a watchdog, and what was done to guests just stops.
    fn ha_went_off(&mut self, index: usize) {
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        if !server.ha.up {
            return;
        }
        server.ha.up = false;
        server.ha.crm = None;
        server.ha.lrm = None;
        server.ha.resets_at = None;
        server.ha.watchdog_warned = false;
        for work in std::mem::take(&mut server.ha.work).into_values() {
            server.tasks.vanish(&work.upid);
        }
        let name = server.spec.name.clone();
        self.watchdogs.forget(&name);
    }

    /// A daemon's turn, if it is due.
    fn turn<D>(
        &mut self,
        (index, unit): (usize, &'static str),
        place: fn(&mut HaNode) -> &mut Option<Process<D>>,
        step: fn(&mut D, &mut At<'_>) -> Next,
    ) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let Some(mut process) = place(&mut server.ha).take_if(|process| process.next <= now) else {
            return;
        };
        let Process {
            daemon, owner, held, ..
        } = &mut process;
        let next = step(daemon, &mut At::new(self, index, unit, owner, held));
        let later = later(now, next);
        if later.is_none() {
            self.ha_log(index, unit, "server stopped");
            self.note(Some(index), What::HaEnded, unit);
        }
        if let (Some(server), Some(next)) = (self.servers.get_mut(index), later) {
            *place(&mut server.ha) = Some(Process { next, ..process });
        }
    }

    fn start_ha(&mut self, index: usize, unit: &str) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let runs = match unit {
            CRM => server.ha.crm.is_some(),
            _ => server.ha.lrm.is_some(),
        };
        if runs {
            return;
        }
        server.ha.started += 1;
        self.note(Some(index), What::HaStarted, unit);
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let owner = format!("{}#{}", server.spec.name, server.ha.started);
        let mut held = std::collections::BTreeSet::new();
        if unit == CRM {
            self.ha_log(index, CRM, "starting server");
            let daemon = Crm::new(&mut At::new(self, index, CRM, &owner, &mut held));
            if let Some(server) = self.servers.get_mut(index) {
                server.ha.crm = Some(Process {
                    daemon,
                    next: now,
                    owner,
                    held,
                });
            }
        } else {
            self.ha_log(index, LRM, "starting server");
            let daemon = Lrm::new(&mut At::new(self, index, LRM, &owner, &mut held));
            if let Some(server) = self.servers.get_mut(index) {
                server.ha.lrm = Some(Process {
                    daemon,
                    next: now,
                    owner,
                    held,
                });
            }
        }
    }

    /// `systemctl stop pve-ha-lrm`, or the server shuts down: asks; the daemon ends in one of its rounds.
    pub(crate) fn stop_lrm(&mut self, index: usize) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let Some(mut process) = server.ha.lrm.take() else {
            return;
        };
        self.ha_log(index, LRM, "received signal TERM");
        let Process {
            daemon, owner, held, ..
        } = &mut process;
        daemon.request_shutdown(&mut At::new(self, index, LRM, owner, held));
        if let Some(server) = self.servers.get_mut(index) {
            process.next = process.next.min(now);
            server.ha.lrm = Some(process);
        }
    }

    /// `systemctl stop pve-ha-crm`: a master gives its lock back and closes its watchdog.
    pub(crate) fn stop_crm(&mut self, index: usize) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let Some(mut process) = server.ha.crm.take() else {
            return;
        };
        let Process {
            daemon, owner, held, ..
        } = &mut process;
        daemon.request_shutdown(&mut At::new(self, index, CRM, owner, held));
        if let Some(server) = self.servers.get_mut(index) {
            process.next = process.next.min(now);
            server.ha.crm = Some(process);
        }
    }

    /// Is anybody connected to watchdog-mux on a server?
    pub(crate) fn is_armed(&self, index: usize) -> bool {
        self.get(index)
            .is_some_and(|server| server.ha.resets_at.is_some() || self.watchdogs.armed(server.name()))
    }

    fn note_watchdog(&mut self, index: usize, before: bool) {
        match (before, self.is_armed(index)) {
            (false, true) => self.note(Some(index), What::WatchdogArmed, ""),
            (true, false) => self.note(Some(index), What::WatchdogClosed, ""),
            _ => {}
        }
    }

    /// Who did not report for too long is given up by watchdog-mux; a moment later the server is reset, and boots again.
    fn feed_watchdog(&mut self, index: usize) {
        let now = self.now;
        let Some(server) = self.get(index) else { return };
        if server.ha.resets_at.is_some_and(|at| at <= now) {
            if server.hardware.watchdog_dead {
                // Whoever believes in it believes in nothing: the mark of an armed one stays, and nothing happens.
                return;
            }
            self.note(Some(index), What::WatchdogReset, "not fed for 60 s");
            self.cut_power(index, true);
            return;
        }
        self.warn_of_watchdog(index);
        let Some(server) = self.get(index) else { return };
        let newer = server.spec.major() >= 9;
        let name = server.spec.name.clone();
        if server.ha.resets_at.is_none() && self.watchdogs.ran_out(&name, now.as_secs()) {
            let text = match newer {
                true => "client (PID 830) watchdog expired - disable watchdog updates",
                false => "client watchdog expired - disable watchdog updates",
            };
            self.ha_log(index, "watchdog-mux", text);
            if let Some(server) = self.servers.get_mut(index) {
                server.ha.resets_at = Some(now + WATCHDOG_AFTER_MUX);
            }
        }
    }

    /// PVE 9's watchdog-mux tells of a client that is late, and has the journal written to the disk then. Source: watchdog-mux.c.
    fn warn_of_watchdog(&mut self, index: usize) {
        let Some(server) = self.get(index).filter(|server| server.spec.major() >= 9) else {
            return;
        };
        let (name, warned) = (server.spec.name.clone(), server.ha.watchdog_warned);
        let late = server.ha.resets_at.is_some() || self.watchdogs.late(&name, self.now.as_secs());
        let text = match (warned, late) {
            (false, true) => "client (PID 830) watchdog is about to expire",
            (true, false) => "client (PID 830) watchdog was updated before expiring",
            _ => return,
        };
        self.ha_log(index, "watchdog-mux", text);
        if let Some(server) = self.servers.get_mut(index) {
            server.ha.watchdog_warned = late;
            if late {
                server.journal.sync();
            }
        }
    }

    /// What this node reads of HA's files, if pmxcfs runs.
    fn ha_files(&self, index: usize) -> Option<&HaFiles> {
        let server = self.get(index)?;
        server.pmxcfs.running.then_some(&server.pmxcfs.replica.ha)
    }

    fn ha_log(&mut self, index: usize, unit: &'static str, text: impl Into<String>) {
        self.ha_log_at(journal::INFO, index, unit, text);
    }

    fn ha_log_at(&mut self, priority: u8, index: usize, unit: &'static str, text: impl Into<String>) {
        if let Some(server) = self.servers.get_mut(index) {
            let pid = match unit {
                CRM => 820,
                LRM => 830,
                _ => 510,
            };
            server.log_at(priority, unit, pid, text);
        }
    }

    /// A lock is refreshed through pmxcfs, which needs every member that it believes in.
    fn can_lock(&self, index: usize) -> bool {
        self.get(index).is_some_and(|server| server.pmxcfs.writable()) && !self.is_undecided(index)
    }

    /// A unit that has a life of its own here was started or stopped.
    pub(crate) fn follow_unit(&mut self, index: usize, unit: &str, runs: bool) -> Result<(), ()> {
        match (unit, runs) {
            (CRM | LRM, true) => self.start_ha(index, unit),
            (LRM, false) => self.stop_lrm(index),
            (CRM, false) => self.stop_crm(index),
            ("corosync-qdevice", true) => return self.start_qdevice(index),
            _ => {
                if unit == "corosync-qdevice" {
                    self.end_qdevice(index);
                } else if unit == "corosync-qnetd"
                    && let Some(server) = self.servers.get_mut(index)
                {
                    server.qnetd_running = runs && server.packages.has(unit);
                }
            }
        }
        Ok(())
    }
}

fn later(now: SimTime, next: Next) -> Option<SimTime> {
    match next {
        Next::Within(rest) | Next::Round(rest) => Some(now + SimTime::from_secs(rest)),
        Next::Exit => None,
    }
}
