//! The rounds of the HA daemons, and the watchdog behind them.

mod crm;
mod lrm;

use super::State;
use crate::world::clock::SimTime;
use crate::world::ha::{HaFiles, RESETS, Service};
use crate::world::oplog::What;
use crate::world::server::Server;

/// States that need a running LRM; the others leave it idle.
fn is_active(service: &Service) -> bool {
    !["stopped", "freeze", "error", "request_start"].contains(&service.state)
}

impl State {
    pub(super) fn run_ha(&mut self) {
        for index in 0..self.servers.len() {
            let now = self.now;
            let Some(server) = self.servers.get_mut(index) else {
                continue;
            };
            if server.power.off {
                // Both daemons start anew with the server.
                server.ha.boot(now);
            }
            if server.power.off || !server.spec.is_pve() {
                continue;
            }
            let before = self.get(index).is_some_and(|server| server.ha.armed());
            self.crm_round(index);
            self.lrm_round(index);
            self.note_watchdog(index, before);
            self.feed_watchdog(index);
        }
    }

    fn note_watchdog(&mut self, index: usize, before: bool) {
        match (before, self.get(index).is_some_and(|server| server.ha.armed())) {
            (false, true) => self.note(Some(index), What::WatchdogArmed, ""),
            (true, false) => self.note(Some(index), What::WatchdogClosed, ""),
            _ => {}
        }
    }

    /// Nobody fed it for too long: the server is reset, and boots again.
    fn feed_watchdog(&mut self, index: usize) {
        let now = self.now;
        let Some(server) = self.get(index) else { return };
        let starved = |fed: Option<SimTime>| fed.is_some_and(|fed| now.saturating_sub(fed) >= RESETS);
        if starved(server.ha.lrm.watchdog) || starved(server.ha.crm.watchdog) {
            self.note(Some(index), What::WatchdogReset, "not fed for 60 s");
            self.cut_power(index, true);
        }
    }

    /// What this node reads of HA's files, if pmxcfs runs.
    fn ha_files(&self, index: usize) -> Option<&HaFiles> {
        let server = self.get(index)?;
        server.pmxcfs.running.then_some(&server.pmxcfs.replica.ha)
    }

    fn ha_log(&mut self, index: usize, unit: &'static str, text: String) {
        if let Some(server) = self.servers.get_mut(index) {
            let pid = if unit == "pve-ha-crm" { 820 } else { 830 };
            server.log(unit, pid, text);
        }
    }

    /// A lock is refreshed through pmxcfs, which needs every member that it believes in.
    fn can_lock(&self, index: usize) -> bool {
        self.get(index).is_some_and(|server| server.pmxcfs.writable()) && !self.is_undecided(index)
    }

    /// A unit that has a life of its own here was started or stopped.
    pub(crate) fn follow_unit(&mut self, index: usize, unit: &str, runs: bool) -> Result<(), ()> {
        match (unit, runs) {
            ("pve-ha-lrm", true) => self.start_lrm(index),
            ("pve-ha-lrm", false) => self.stop_lrm(index),
            ("pve-ha-crm", true) => self.start_crm(index),
            ("pve-ha-crm", false) => self.stop_crm(index),
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

impl Server {
    /// Is pve-ha-manager one that can disarm the whole cluster (5.1.3 and later)?
    pub(crate) fn can_disarm(&self) -> bool {
        let version = self.packages.version("pve-ha-manager").unwrap_or_default();
        let mut numbers = version
            .split(|c: char| !c.is_ascii_digit())
            .map(|part| part.parse::<u32>().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        (next(), next(), next()) >= (5, 1, 3)
    }
}
