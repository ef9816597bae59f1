//! Switches servers off and on.

use std::time::Duration;

use super::State;
use crate::roots;
use crate::world::complain;
use crate::world::oplog::What;
use crate::world::units::{self, Active};

/// From the order to the first services' end, and to the last one's.
const SERVICES_END: Duration = Duration::from_secs(1);
const SHUT_DOWN: Duration = Duration::from_secs(4);
/// What the world has to do about a server's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGTERM, as systemd gives it.
    Terminate(usize),
    /// Nothing runs there any more.
    Kill(usize),
    /// The agent runs again, if it did before.
    Start(usize),
}

impl State {
    /// `systemctl poweroff` or `reboot`: services end in order, the server is off some seconds later.
    pub(crate) fn shut_down(&mut self, index: usize, again: bool) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        if server.power.off || server.power.down_at.is_some() {
            return;
        }
        server.power.again = again;
        server.power.services_end_at = Some(now + SERVICES_END);
        server.power.down_at = Some(now + SHUT_DOWN);
        let pid = server.pid();
        let word = if again { "reboot" } else { "power off" };
        server.log("systemd-logind", pid, format!("The system will {word} now!"));
        self.note(Some(index), What::ShuttingDown, word);
        self.stop_lrm(index);
    }

    /// The plug is pulled, or a watchdog resets the server: nobody says goodbye.
    pub(crate) fn cut_power(&mut self, index: usize, again: bool) {
        // Nobody writes a word any more, and what was not on the disk is gone.
        if let Some(server) = self.servers.get_mut(index) {
            server.journal.lose();
        }
        self.silence_corosync(index, What::CorosyncStopped, "no power");
        self.switch_off(index, again);
        if let Some(server) = self.servers.get_mut(index) {
            server.journal.lose();
        }
    }

    /// The button: a server that is off boots.
    pub(crate) fn power_on(&mut self, index: usize) {
        let now = self.now;
        if let Some(server) = self.servers.get_mut(index)
            && server.power.off
        {
            server.power.up_at.get_or_insert(now + server.spec.boot());
        }
    }

    pub(super) fn follow_power(&mut self) {
        let now = self.now;
        for index in 0..self.servers.len() {
            let Some(server) = self.servers.get_mut(index) else {
                continue;
            };
            if server.power.services_end_at.take_if(|at| *at <= now).is_some() {
                self.orders.push(Order::Terminate(index));
            }
            // The LRM takes the time that its guests need, and systemd gives it: it has no limit there. After it goes the CRM.
            let shuts_down = server.power.down_at.is_some();
            if shuts_down && server.ha.lrm.is_none() && server.ha.crm.is_some() && !server.power.crm_ends {
                server.power.crm_ends = true;
                self.stop_crm(index);
            }
            let Some(server) = self.servers.get_mut(index) else {
                continue;
            };
            let ha_ended = server.ha.lrm.is_none() && server.ha.crm.is_none();
            if server.power.down_at.take_if(|at| *at <= now && ha_ended).is_some() {
                let again = server.power.again;
                self.stop_corosync(index, What::CorosyncStopped, "the server shuts down");
                self.switch_off(index, again);
                if let Some(server) = self.servers.get_mut(index) {
                    server.journal.sync();
                }
            } else if server.power.up_at.take_if(|at| *at <= now).is_some() {
                self.boot(index);
            }
        }
    }

    fn switch_off(&mut self, index: usize, again: bool) {
        self.end_all_guests(index);
        self.stop_pmxcfs(index);
        let now = self.now;
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        server.power.off = true;
        server.power.down_at = None;
        server.power.services_end_at = None;
        server.power.crm_ends = false;
        server.power.losses += 1;
        server.power.up_at = again.then_some(now + server.spec.boot());
        server.pvecm_locked = false;
        server.forget_pools();
        server.tasks.vanish_all();
        self.orders.push(Order::Kill(index));
        self.note(Some(index), What::PoweredOff, "");
    }

    fn boot(&mut self, index: usize) {
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        server.power.off = false;
        server.power.boots += 1;
        server.booted = server.now();
        units::boot(server);
        server.import_at_boot();
        if let Err(error) = roots::proc::write(server) {
            complain(&format!("{}: can't write /proc: {error}", server.name()));
        }
        let wanted = |unit: &str| units::active(server, unit) == Active::Running;
        let (pmxcfs, corosync) = (server.spec.is_pve() && wanted("pve-cluster"), wanted("corosync"));
        self.note(Some(index), What::PoweredOn, "");
        if pmxcfs {
            // What does not start shows as failed.
            self.start_pmxcfs_unit(index).ok();
            if corosync {
                self.start_corosync_unit(index).ok();
            }
            self.booted.insert(index, None);
        }
        self.orders.push(Order::Start(index));
    }

    /// What is to be done about processes since the last time.
    pub(crate) fn take_orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }
}
