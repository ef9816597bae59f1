//! Guests with their configuration and state, and what moving them leaves behind.

use std::collections::BTreeSet;

use quorate_model::facet::Facet;
use quorate_model::ids::NodeName;
use quorate_model::moves::service_id;
use quorate_model::observation::guest_config::{Backing, GuestDisk, GuestNic};
use quorate_model::observation::storages::{DefinedStorage, StorageState, StorageStatus, Storages};
use quorate_model::observation::{ConfiguredGuest, Guest, GuestConfig, GuestKind, GuestRun, GuestStatus};
use quorate_model::plan::Condition;
use quorate_model::view::View;
use quorate_model::{ByteSize, Timestamp};

use super::{NOW, Servers, known};

const GIB: u64 = 1 << 30;

/// A guest, to be changed at will before it is put somewhere.
#[derive(Debug, Clone)]
pub struct Vm {
    /// Whose and what it is.
    pub guest: Guest,
    /// What its file says.
    pub config: GuestConfig,
    /// Whether it runs.
    pub run: GuestRun,
}

impl Vm {
    /// A machine of 2 GiB with a disk on the ZFS storage `data_zfs`, which runs.
    #[must_use]
    pub fn running(vmid: u32, node: &str) -> Self {
        Self {
            guest: Guest {
                vmid,
                node: node.to_owned(),
                kind: GuestKind::Vm,
            },
            config: GuestConfig {
                name: Some(format!("g{vmid}")),
                memory: ByteSize(2 * GIB),
                cpus: Some(2),
                cpu_type: None,
                tags: vec![],
                template: false,
                lock: None,
                starts_at_boot: true,
                agent: false,
                disks: vec![GuestDisk {
                    key: "scsi0".to_owned(),
                    backing: Backing::Volume {
                        storage: "data_zfs".to_owned(),
                        volume: format!("vm-{vmid}-disk-0"),
                    },
                    size: Some(ByteSize(10 * GIB)),
                    replicate: true,
                    shared: false,
                }],
                nics: vec![GuestNic {
                    key: "net0".to_owned(),
                    bridge: Some("vmbr0".to_owned()),
                    vlan: None,
                    mac: None,
                }],
                discs: vec![],
                snapshots: vec![],
                bound_by: vec![],
                created: None,
            },
            run: GuestRun::Running,
        }
    }

    /// The same as a container.
    #[must_use]
    pub fn container(vmid: u32, node: &str) -> Self {
        let mut all = Self::running(vmid, node);
        all.guest.kind = GuestKind::Container;
        all
    }

    /// It does not run.
    #[must_use]
    pub fn stopped(mut self) -> Self {
        self.run = GuestRun::Stopped;
        self
    }
}

impl Servers {
    /// All servers see these guests, which their own servers say run or not; each has the storage `data_zfs`, and memory for more.
    #[must_use]
    pub fn housing(mut self, guests: &[Vm]) -> Self {
        for (node, seen) in &mut self.view.nodes {
            let Ok(seen) = &mut seen.observation else { continue };
            seen.guests = Facet::known(guests.iter().map(|vm| vm.guest.clone()).collect(), NOW);
            let configured = |vm: &Vm| ConfiguredGuest {
                guest: vm.guest.clone(),
                config: Facet::known(vm.config.clone(), NOW),
            };
            known(&mut seen.config).guests = Facet::known(guests.iter().map(configured).collect(), NOW);
            let own = guests.iter().filter(|vm| vm.guest.node == node.as_str());
            seen.running = Facet::known(own.map(status).collect(), NOW);
            seen.replication = Facet::known(vec![], NOW);
            known(&mut seen.system).memory.available = ByteSize(64 * GIB);
            let storage = DefinedStorage {
                id: "data_zfs".to_owned(),
                kind: "zfspool".to_owned(),
                properties: [].into(),
            };
            let state = StorageStatus {
                id: "data_zfs".to_owned(),
                kind: "zfspool".to_owned(),
                state: StorageState::Active,
                total: None,
                used: None,
                complaint: None,
            };
            let storages = Storages {
                defined: vec![storage],
                status: Facet::known(vec![state], NOW),
            };
            seen.storages = Facet::known(storages, NOW);
        }
        self
    }

    /// HA looks after these, with this master.
    #[must_use]
    pub fn managed(mut self, guests: &[&Vm], master: &str) -> Self {
        for vm in guests {
            self = self.under_ha(&service_id(vm.guest.kind, vm.guest.vmid), &vm.guest.node, "5.2.0");
        }
        let names: Vec<String> = self.view.nodes.keys().map(ToString::to_string).collect();
        self.with_each(|seen| {
            if let Some(manager) = known(&mut known(&mut seen.ha).manager) {
                manager.master = master.to_owned();
                manager.at = Timestamp(NOW.0 - 5_000_000);
                manager.nodes = names.iter().map(|name| (name.clone(), "online".to_owned())).collect();
                let place = |vm: &&Vm| {
                    let place = quorate_model::observation::ha::HaPlace {
                        node: vm.guest.node.clone(),
                        state: "started".to_owned(),
                        target: None,
                        command: None,
                        uid: None,
                    };
                    (service_id(vm.guest.kind, vm.guest.vmid), place)
                };
                manager.services = guests.iter().map(place).collect();
            }
        })
    }
}

fn status(vm: &Vm) -> GuestStatus {
    GuestStatus {
        vmid: vm.guest.vmid,
        kind: vm.guest.kind,
        run: vm.run.clone(),
        uptime_seconds: None,
        memory_used: None,
        memory: vm.config.memory,
        lock: vm.config.lock.clone(),
    }
}

/// What a condition about moves asks for comes about.
pub(super) fn applied(view: &mut View, condition: &Condition) {
    match condition {
        Condition::GuestAt {
            guest,
            node,
            running,
            kind,
            ..
        } => {
            let sid = service_id(*kind, *guest);
            go(view, &BTreeSet::from([*guest]), node.as_str(), *running);
            shows_up(view, (*guest, *kind), node, *running);
            each(view, |seen| {
                if let Facet::Known {
                    value: Some(manager), ..
                } = &mut known(&mut seen.ha).manager
                    && let Some(place) = manager.services.get_mut(&sid)
                {
                    place.node = node.to_string();
                }
            });
        }
        Condition::Maintenance { node, on, .. } => {
            let mut leave = BTreeSet::new();
            each(view, |seen| {
                let Facet::Known {
                    value: Some(manager), ..
                } = &mut known(&mut seen.ha).manager
                else {
                    return;
                };
                if *on {
                    manager.maintenance.insert(node.to_string());
                    manager.nodes.insert(node.to_string(), "maintenance".to_owned());
                    let other = manager
                        .nodes
                        .iter()
                        .find(|(_, state)| *state == "online")
                        .map(|(name, _)| name.clone());
                    for (sid, place) in &mut manager.services {
                        if place.node == node.as_str()
                            && let (Some(other), Some((_, id))) = (&other, sid.split_once(':'))
                        {
                            place.node.clone_from(other);
                            leave.extend(id.parse::<u32>().ok().map(|id| (id, other.clone())));
                        }
                    }
                } else {
                    manager.maintenance.remove(node.as_str());
                    manager.nodes.insert(node.to_string(), "online".to_owned());
                }
            });
            for (id, other) in leave {
                go(view, &BTreeSet::from([id]), &other, true);
            }
        }
        Condition::Rebooted { node, .. } => {
            if let Some(Ok(seen)) = view.nodes.get_mut(node).map(|v| v.observation.as_mut()) {
                known(&mut seen.system).boot_id.push_str("-anew");
            }
        }
        Condition::Canary {
            guest,
            node,
            there,
            kind,
            ..
        } => {
            let mut vm = Vm::running(*guest, node.as_str());
            vm.guest.kind = *kind;
            vm.config.tags = vec![quorate_model::canary::TAG.to_owned()];
            each(view, |seen| {
                known(&mut seen.guests).retain(|one| one.vmid != *guest);
                known(&mut seen.running).retain(|one| one.vmid != *guest);
                let config = known(&mut seen.config);
                known(&mut config.guests).retain(|one| one.guest.vmid != *guest);
                if *there {
                    known(&mut seen.guests).push(vm.guest.clone());
                    known(&mut known(&mut seen.config).guests).push(ConfiguredGuest {
                        guest: vm.guest.clone(),
                        config: Facet::known(vm.config.clone(), NOW),
                    });
                }
            });
            if let (true, Some(Ok(seen))) = (*there, view.nodes.get_mut(node).map(|v| v.observation.as_mut())) {
                known(&mut seen.running).push(status(&vm));
            }
        }
        _ => {}
    }
}

fn each(view: &mut View, mut change: impl FnMut(&mut quorate_model::Observation)) {
    for seen in view.nodes.values_mut() {
        if let Ok(seen) = &mut seen.observation {
            change(seen);
        }
    }
}

/// A guest whose former server can't be seen: its new one tells of it as of any other.
fn shows_up(view: &mut View, (vmid, kind): (u32, GuestKind), on: &NodeName, running: bool) {
    let Some(Ok(seen)) = view.nodes.get_mut(on).map(|v| v.observation.as_mut()) else {
        return;
    };
    let all = known(&mut seen.running);
    if all.iter().all(|status| status.vmid != vmid) {
        let mut vm = Vm::running(vmid, on.as_str());
        vm.guest.kind = kind;
        if !running {
            vm = vm.stopped();
        }
        all.push(status(&vm));
    }
}

fn go(view: &mut View, ids: &BTreeSet<u32>, to: &str, running: bool) {
    let mut moved: Vec<GuestStatus> = Vec::new();
    each(view, |seen| {
        for guest in known(&mut seen.guests)
            .iter_mut()
            .filter(|guest| ids.contains(&guest.vmid))
        {
            to.clone_into(&mut guest.node);
        }
        let config = known(&mut seen.config);
        for configured in known(&mut config.guests)
            .iter_mut()
            .filter(|c| ids.contains(&c.guest.vmid))
        {
            to.clone_into(&mut configured.guest.node);
        }
        let all = known(&mut seen.running);
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(all)
            .into_iter()
            .partition(|status| ids.contains(&status.vmid));
        *all = kept;
        moved.extend(gone);
    });
    let target = NodeName::new(to).expect("a valid name");
    if let Some(Ok(seen)) = view.nodes.get_mut(&target).map(|v| v.observation.as_mut()) {
        for status in &mut moved {
            status.run = if running { GuestRun::Running } else { GuestRun::Stopped };
            status.lock = None;
        }
        known(&mut seen.running).extend(moved);
    }
}
