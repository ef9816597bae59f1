//! What the virtual servers have, and what the guests use of it.

use std::collections::BTreeMap;

use super::World;
use crate::load::{GuestLoad, Load, NodeLoad, Scheduler};
use crate::model::Sid;

/// What a server has, where no file says so: 24 processors, 128 GiB.
const USUAL_SERVER: NodeLoad = NodeLoad {
    cpu: 0.0,
    maxcpu: 24.0,
    mem: 0.0,
    maxmem: 128.0 * 1024.0 * 1024.0 * 1024.0,
};

impl World {
    /// What guests may use, of servers whose size is known.
    pub(super) fn static_load(&self) -> Load {
        let mut nodes = BTreeMap::new();
        for (node, server) in &self.servers {
            if let (Some(maxcpu), Some(maxmem)) = (server.maxcpu, server.maxmem) {
                let load = NodeLoad {
                    maxcpu,
                    maxmem,
                    ..NodeLoad::default()
                };
                nodes.insert(node.clone(), load);
            }
        }
        // What a guest may use is taken for what it does use.
        let guests = self.stats.iter().filter_map(|(sid, stats)| {
            let (maxcpu, maxmem) = (stats.maxcpu?, stats.maxmem?);
            let load = GuestLoad {
                cpu: maxcpu,
                maxcpu,
                mem: maxmem,
                maxmem,
            };
            Some((sid.clone(), load))
        });
        Load::new(Scheduler::Static, nodes, guests.collect())
    }

    /// What guests use: on each server, what those use that run there.
    pub(super) fn dynamic_load(&self) -> Load {
        let guests: BTreeMap<Sid, GuestLoad> = self
            .stats
            .iter()
            .map(|(sid, stats)| {
                let load = GuestLoad {
                    cpu: stats.cpu.unwrap_or(0.0),
                    maxcpu: stats.maxcpu.unwrap_or(0.0),
                    mem: stats.mem.unwrap_or(0.0),
                    maxmem: stats.maxmem.unwrap_or(0.0),
                };
                (sid.clone(), load)
            })
            .collect();
        let nodes = self.servers.iter().map(|(node, server)| {
            let mut load = NodeLoad {
                maxcpu: server.maxcpu.unwrap_or(USUAL_SERVER.maxcpu),
                maxmem: server.maxmem.unwrap_or(USUAL_SERVER.maxmem),
                ..USUAL_SERVER
            };
            for (sid, service) in self.services.iter().filter(|(_, service)| service.node == *node) {
                let runs = self
                    .running
                    .get(&service.node)
                    .is_some_and(|running| running.contains(sid));
                if let Some(guest) = guests.get(sid).filter(|_| runs) {
                    load.cpu += guest.cpu;
                    load.mem += guest.mem;
                }
            }
            (node.clone(), load)
        });
        let nodes = nodes.collect();
        Load::new(Scheduler::Dynamic, nodes, guests)
    }
}
