//! Pools as they are to be made.

use quorate_model::compression::Compression;
use quorate_model::disk_marks::Mark;
use quorate_model::pool_layout::{DiskIdentity, DisksBeside, PoolLayout};
use quorate_model::raid::Raid;

use super::{ConvertError, Wire, field};
use crate::v1;

message!(
    PoolLayout = v1::PoolLayout {
        name,
        raid,
        disks,
        beside,
        ashift,
        compression,
        autotrim,
        accepted,
        data_vdevs
    }
);
message!(Mark = v1::DiskMark { part, kind, name, uuid });
message!(DisksBeside = v1::DisksBeside { class, disks });
message!(
    DiskIdentity = v1::DiskIdentity {
        link,
        serial,
        wwn,
        model,
        size
    }
);
choice!(
    Raid = v1::pool_layout::Raid {
        Single,
        Mirror,
        Raid10,
        Raidz,
        Raidz2,
        Raidz3,
        Draid,
        Draid2,
        Draid3,
    }
);
choice!(
    Compression = v1::pool_layout::Compression {
        On,
        Off,
        Lz4,
        Zstd,
        Gzip,
        Zle,
        Lzjb,
    }
);
