//! What `datacenter.cfg` says of HA, and what servers have and guests use.

use std::collections::BTreeMap;

use quorate_lab_ha::load::{GuestLoad, Load, NodeLoad, Scheduler};
use quorate_lab_ha::model::{Balancing, Datacenter, Sid};

use super::State;
use crate::roots::proc::{CORES, MEMORY};
use crate::world::pmxcfs::Replica;
use crate::world::server::Server;

/// A worker does one thing to one guest.
const MAX_WORKERS: usize = 4;

/// `datacenter.cfg` as somebody wrote it; PVE's own says nothing of HA.
pub(super) fn text(replica: &Replica) -> &str {
    replica.files.get("datacenter.cfg").map_or("", String::as_str)
}

/// The parts of a property: `ha: shutdown_policy=migrate`.
fn property<'a>(text: &'a str, name: &str) -> BTreeMap<&'a str, &'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let value = lines.find_map(|(key, value)| (key.trim() == name).then_some(value.trim()));
    let parts = value.into_iter().flat_map(|value| value.split(','));
    parts.filter_map(|part| part.trim().split_once('=')).collect()
}

pub(super) fn max_workers(text: &str) -> usize {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let value = lines.find_map(|(key, value)| (key.trim() == "max_workers").then(|| value.trim().parse().ok()));
    value.flatten().unwrap_or(MAX_WORKERS)
}

pub(super) fn datacenter(text: &str) -> Datacenter {
    let ha = property(text, "ha");
    let crs = property(text, "crs");
    let is = |key: &str| crs.get(key) == Some(&"1");
    let number = |key: &str| crs.get(key).and_then(|value| value.parse().ok());
    let usual = Balancing::default();
    Datacenter {
        shutdown_policy: ha.get("shutdown_policy").map(|&policy| policy.to_owned()),
        scheduler: crs.get("ha").map(|&scheduler| scheduler.to_owned()),
        rebalance_on_start: is("ha-rebalance-on-start"),
        balance: is("ha-auto-rebalance").then(|| Balancing {
            threshold: number("ha-auto-rebalance-threshold").unwrap_or(usual.threshold),
            margin: number("ha-auto-rebalance-margin").unwrap_or(usual.margin),
            ..usual
        }),
    }
}

/// What each server has, and what the guests use. In this world a guest that runs uses what it may.
#[expect(clippy::cast_precision_loss, reason = "bytes and processors of a simulated server")]
pub(super) fn load(state: &State, index: usize, scheduler: &str) -> Load {
    let mut nodes: BTreeMap<String, NodeLoad> = BTreeMap::new();
    for server in state.servers.iter().filter(|server| server.spec.is_pve()) {
        let load = NodeLoad {
            maxcpu: f64::from(CORES),
            maxmem: MEMORY as f64,
            ..NodeLoad::default()
        };
        nodes.insert(server.name().to_owned(), load);
    }
    let mut guests = BTreeMap::new();
    let all = state.get(index).map(|server: &Server| &server.pmxcfs.replica.guests);
    for (vmid, guest) in all.into_iter().flatten() {
        let (cpu, mem) = (guest.cpus() as f64, (guest.memory() << 20) as f64);
        if let Ok(sid) = Sid::parse(&format!("{}:{vmid}", guest.kind.sid_type())) {
            let load = GuestLoad {
                cpu,
                maxcpu: cpu,
                mem,
                maxmem: mem,
            };
            guests.insert(sid, load);
        }
    }
    let which = match scheduler {
        "dynamic" => Scheduler::Dynamic,
        _ => Scheduler::Static,
    };
    Load::new(which, nodes, guests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_administrator_writes_of_ha_counts() {
        let text =
            "keyboard: en-us\nha: shutdown_policy=migrate\ncrs: ha=static,ha-rebalance-on-start=1\nmax_workers: 2\n";
        let settings = datacenter(text);
        assert_eq!(settings.shutdown_policy.as_deref(), Some("migrate"));
        assert_eq!(settings.scheduler.as_deref(), Some("static"));
        assert!(settings.rebalance_on_start && settings.balance.is_none());
        assert_eq!(max_workers(text), 2);
        assert_eq!(max_workers(""), MAX_WORKERS);
        assert_eq!(datacenter(""), Datacenter::default());
    }
}
