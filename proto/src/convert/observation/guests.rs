//! Guests: the list, what each is configured to be, and how those of a node run.

use quorate_model::observation::backups::{BackupEnd, GuestBackup};
use quorate_model::observation::guest_config::{
    Backing, ConfiguredGuest, GuestConfig, GuestDisk, GuestNic, GuestSnapshot,
};
use quorate_model::observation::guest_status::{GuestRun, GuestStatus};
use quorate_model::observation::guests::{Guest, GuestKind};
use quorate_model::observation::strays::Stray;

use super::{ConvertError, Wire, field};
use crate::v1;

facet!(Vec<Guest> = v1::GuestsFacet: v1::guests_facet::State);
list!(Guest = v1::Guests { guests });
choice!(GuestKind = v1::guest::Kind { Vm, Container });
message!(Guest = v1::Guest { vmid, node, kind });

facet!(Vec<ConfiguredGuest> = v1::ConfiguredGuestsFacet: v1::configured_guests_facet::State);
list!(ConfiguredGuest = v1::ConfiguredGuests { guests });
message!(ConfiguredGuest = v1::ConfiguredGuest { guest, config });
facet!(GuestConfig = v1::GuestConfigFacet: v1::guest_config_facet::State);
message!(
    GuestConfig = v1::GuestConfig {
        name,
        memory,
        cpus,
        cpu_type,
        tags,
        template,
        lock,
        starts_at_boot,
        agent,
        disks,
        nics,
        bound_by,
        created,
        discs,
        snapshots
    }
);
message!(
    GuestDisk = v1::GuestDisk {
        key,
        backing,
        size,
        replicate,
        shared
    }
);
message!(GuestSnapshot = v1::GuestSnapshot { name, disks, discs });
oneof!(Backing = v1::Backing [backing: v1::backing::Backing] {
    volume: Volume { storage, volume } = v1::backing::Volume,
} holding { device: Device, folder: Folder });
message!(GuestNic = v1::GuestNic { key, bridge, vlan, mac });

facet!(Vec<GuestStatus> = v1::RunningFacet: v1::running_facet::State);
list!(GuestStatus = v1::Running { guests });
message!(
    GuestStatus = v1::GuestStatus {
        vmid,
        kind,
        run,
        uptime_seconds,
        memory_used,
        memory,
        lock
    }
);
oneof!(GuestRun = v1::GuestRun [run: v1::guest_run::Run] {
    running: Running {} = v1::guest_run::Running,
    stopped: Stopped {} = v1::guest_run::Stopped,
} holding { held: Held });

facet!(Vec<Stray> = v1::StraysFacet: v1::strays_facet::State);
list!(Stray = v1::Strays { guests });
message!(Stray = v1::Stray { vmid, kind, pid, owner });

facet!(Vec<GuestBackup> = v1::BackupsFacet: v1::backups_facet::State);
list!(GuestBackup = v1::Backups { backups });
message!(GuestBackup = v1::GuestBackup { vmid, kind, at, end });
oneof!(BackupEnd = v1::BackupEnd [end: v1::backup_end::End] {
    finished: Finished {} = v1::backup_end::Finished,
    open: Open {} = v1::backup_end::Open,
} holding { failed: Failed });
