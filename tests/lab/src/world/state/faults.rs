//! What becomes of rehearsed failures by itself: the kernel forgets, timers fire, a switch of the kernel's was thrown.

use std::fs;

use super::State;
use crate::tools::systemd_run;
use crate::world::nft::Falls;
use crate::world::oplog::What;
use crate::world::server::Network;

impl State {
    pub(super) fn follow_faults(&mut self) {
        for index in 0..self.servers.len() {
            self.follow_tables(index);
            self.fire_timers(index);
            self.tell_of_packets(index);
            self.follow_sysrq(index);
        }
    }

    /// Notes what falls since the last time, and what passes again, whoever was first: the kernel, a timer, or a person. What a server that is
    /// off would let through nobody knows before it has booted.
    pub(crate) fn tell_of_packets(&mut self, index: usize) {
        let Some(server) = self.servers.get_mut(index).filter(|server| !server.power.off) else {
            return;
        };
        let falls = server.nft.falls(Network::ALL.map(Network::port));
        if falls == server.nft.told {
            return;
        }
        let before = std::mem::replace(&mut server.nft.told, falls.clone());
        for fallen in falls.difference(&before) {
            match fallen {
                Falls::Guests(port) => self.note(Some(index), What::Cut, *port),
                Falls::Corosync(place) => self.note(Some(index), What::CorosyncCut, place.as_str()),
            }
        }
        for passing in before.difference(&falls) {
            match passing {
                Falls::Guests(port) => self.note(Some(index), What::Healed, *port),
                Falls::Corosync(place) => self.note(Some(index), What::CorosyncHealed, place.as_str()),
            }
        }
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
