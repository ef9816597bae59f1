//! Guests: what they are configured to be, and how they run.

use proptest::prelude::*;
use quorate_model::observation::backups::{BackupEnd, GuestBackup};
use quorate_model::observation::guest_config::{
    Backing, ConfiguredGuest, GuestConfig, GuestDisk, GuestNic, GuestSnapshot,
};
use quorate_model::observation::guest_status::{GuestRun, GuestStatus};
use quorate_model::observation::guests::{Guest, GuestKind};
use quorate_model::observation::strays::Stray;

use super::types::{facet, size, time};
use super::{maybe, one_of, some, text};

fn kind() -> impl Strategy<Value = GuestKind> {
    one_of([GuestKind::Vm, GuestKind::Container])
}

prop_compose! {
    pub(super) fn guest()(vmid: u32, node in text(), kind in kind()) -> Guest {
        Guest { vmid, node, kind }
    }
}

prop_compose! {
    pub(super) fn configured()(guest in guest(), config in facet(config())) -> ConfiguredGuest {
        ConfiguredGuest { guest, config }
    }
}

prop_compose! {
    fn config()(
        (name, cpu_type, lock) in (maybe(text()), maybe(text()), maybe(text())),
        memory in size(),
        cpus in maybe(any::<u32>()),
        (tags, bound_by) in (some(text()), some(text())),
        (template, starts_at_boot, agent) in any::<(bool, bool, bool)>(),
        (disks, discs) in (some(disk()), some(disk())),
        (nics, snapshots) in (some(nic()), some(snapshot())),
        created in maybe(time()),
    ) -> GuestConfig {
        GuestConfig { name, memory, cpus, cpu_type, tags, template, lock, starts_at_boot, agent, disks, discs, snapshots, nics, bound_by, created }
    }
}

prop_compose! {
    fn disk()(key in text(), backing in backing(), size in maybe(size()), (replicate, shared) in any::<(bool, bool)>()) -> GuestDisk {
        GuestDisk { key, backing, size, replicate, shared }
    }
}

prop_compose! {
    fn snapshot()(name in text(), disks in some(disk()), discs in some(disk())) -> GuestSnapshot {
        GuestSnapshot { name, disks, discs }
    }
}

fn backing() -> impl Strategy<Value = Backing> {
    prop_oneof![
        (text(), text()).prop_map(|(storage, volume)| Backing::Volume { storage, volume }),
        text().prop_map(Backing::Device),
        text().prop_map(Backing::Folder),
    ]
}

prop_compose! {
    fn nic()(key in text(), bridge in maybe(text()), vlan in maybe(any::<u16>()), mac in maybe(text())) -> GuestNic {
        GuestNic { key, bridge, vlan, mac }
    }
}

prop_compose! {
    pub(super) fn status()(
        vmid: u32,
        kind in kind(),
        run in prop_oneof![Just(GuestRun::Running), Just(GuestRun::Stopped), text().prop_map(GuestRun::Held)],
        uptime_seconds in maybe(any::<u64>()),
        (memory_used, memory) in (maybe(size()), size()),
        lock in maybe(text()),
    ) -> GuestStatus {
        GuestStatus { vmid, kind, run, uptime_seconds, memory_used, memory, lock }
    }
}

prop_compose! {
    pub(super) fn stray()(vmid: u32, kind in kind(), pid in maybe(any::<u32>()), owner in maybe(text())) -> Stray {
        Stray { vmid, kind, pid, owner }
    }
}

prop_compose! {
    pub(super) fn backup()(
        vmid: u32,
        kind in kind(),
        at in time(),
        end in prop_oneof![Just(BackupEnd::Finished), Just(BackupEnd::Open), text().prop_map(BackupEnd::Failed)],
    ) -> GuestBackup {
        GuestBackup { vmid, kind, at, end }
    }
}
