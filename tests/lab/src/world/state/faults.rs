//! What becomes of rehearsed failures by itself: the kernel forgets, timers fire, a switch of the kernel's was thrown.

use std::fs;

use super::State;
use crate::tools::systemd_run;
use crate::world::oplog::What;
use crate::world::server::Network;

impl State {
    pub(super) fn follow_faults(&mut self) {
        for index in 0..self.servers.len() {
            let before = self.ports_cut(index);
            self.follow_tables(index);
            self.fire_timers(index);
            // Whoever was first, the kernel or a timer.
            let after = self.ports_cut(index);
            for ((network, before), after) in Network::ALL.into_iter().zip(before).zip(after) {
                if before && !after {
                    self.note(Some(index), What::Healed, network.port());
                }
            }
            self.follow_sysrq(index);
        }
    }

    fn ports_cut(&self, index: usize) -> [bool; Network::ALL.len()] {
        let on = self.get(index).filter(|server| !server.power.off);
        Network::ALL.map(|network| on.is_some_and(|server| server.nft.shuts_for_guests(network.port())))
    }

    fn follow_tables(&mut self, index: usize) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        if server.power.off {
            // Nothing of either outlives the power.
            server.nft.tables.clear();
            server.timers.clear();
        } else {
            server.nft.expire(now);
        }
    }

    fn fire_timers(&mut self, index: usize) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let (due, later) = std::mem::take(&mut server.timers)
            .into_iter()
            .partition(|timer| timer.at <= now);
        server.timers = later;
        let due: Vec<crate::world::nft::Timer> = due;
        for timer in due {
            systemd_run::fire(self, index, &timer.argv);
        }
    }

    fn follow_sysrq(&mut self, index: usize) {
        let Some(server) = self.get(index).filter(|server| !server.power.off) else {
            return;
        };
        let switch = server.root.join("proc/sysrq-trigger");
        if !fs::metadata(&switch).is_ok_and(|meta| meta.len() > 0) {
            return;
        }
        let letter = fs::read_to_string(&switch).unwrap_or_default();
        fs::write(&switch, "").ok();
        match letter.as_str() {
            "b" => self.cut_power(index, true),
            "o" => self.cut_power(index, false),
            _ => {}
        }
    }
}
