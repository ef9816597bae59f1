//! Disks, what holds them, and what they may be used for.

use quorate_model::observation::disks::{Controller, Disk, Disks, Edges, Holder, HolderKind, Partition, Smart};
use quorate_model::observation::eligibility::{Reason, ReasonKind, Role, Verdict};

use super::{ConvertError, Wire, field};
use crate::v1;

facet!(Disks = v1::DisksFacet: v1::disks_facet::State);
message!(Disks = v1::Disks { disks });
message!(
    Disk = v1::Disk {
        path,
        by_id,
        wwn,
        serial,
        model,
        vendor,
        size,
        rotational,
        transport,
        hctl,
        read_only,
        removable,
        partition_table,
        fstype,
        controller,
        raid_level,
        partitions,
        holders,
        smart,
        verdicts,
        edges,
    }
);
message!(
    Controller = v1::Controller {
        pci_address,
        driver,
        class
    }
);
message!(
    Partition = v1::Partition {
        path,
        size,
        parttype,
        fstype,
        mountpoints,
        by_id
    }
);

choice!(
    HolderKind = v1::holder::Kind {
        PartitionTable,
        FileSystem,
        Mounted,
        Lvm,
        Md,
        Zfs,
        CephOsd,
        Swap,
        Luks,
        Multipath,
        Bcache,
        DeviceMapper,
        OtherSignature,
        ZfsLabel,
        Drbd,
        Ldm,
        Boot,
    }
);
message!(
    Holder = v1::Holder {
        device,
        kind,
        name,
        uuid
    }
);

facet!(Smart = v1::SmartFacet: v1::smart_facet::State);
message!(
    Smart = v1::Smart {
        passed,
        wear_percent,
        temperature,
        power_on_hours,
        bad_sectors
    }
);

facet!(Edges = v1::EdgesFacet: v1::edges_facet::State);
message!(Edges = v1::Edges { first, last, claimed });

choice!(Role = v1::role_verdict::Role { Zfs, Osd });
choice!(
    ReasonKind = v1::reason::Kind {
        InUse,
        Leftover,
        RaidVolume,
        MaybeRaid,
        Removable,
        ReadOnly,
        TooSmall,
        Failing,
        NoIdentity,
        SignaturesUnseen,
        SharedLun,
        GivenToGuest,
        GuestsUnseen,
        NeverTouch,
        NotEmpty,
        EdgesUnseen,
        Virtual,
        MaybeShared,
    }
);
message!(Reason = v1::Reason { kind, text });
message!(Verdict = v1::RoleVerdict { role, against, notes });
