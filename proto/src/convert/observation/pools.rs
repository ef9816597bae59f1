//! ZFS pools that are imported.

use quorate_model::observation::pools::{
    Leaf, Pool, Scan, ScanKind, ScanState, Vdev, VdevClass, VdevErrors, VdevHealth, VdevState,
};

use super::{ConvertError, Wire, field};
use crate::v1;

facet!(Vec<Pool> = v1::PoolsFacet: v1::pools_facet::State);
list!(Pool = v1::Pools { pools });
message!(
    Pool = v1::Pool {
        name,
        state,
        complaint,
        data_errors,
        scan,
        vdevs,
        size,
        allocated,
        fragmentation,
        ashift,
        autotrim,
        compression,
        scrub_scheduled,
        import_enabled,
        created,
        volumes
    }
);
choice!(
    VdevState = v1::VdevState {
        Online,
        Degraded,
        Faulted,
        Offline,
        Unavail,
        Removed,
        Suspended,
        Available,
        InUse,
        Other,
    }
);
choice!(ScanKind = v1::scan::Kind { Scrub, Resilver });
choice!(
    ScanState = v1::scan::State {
        Running,
        Paused,
        Cancelled,
        Finished
    }
);
message!(
    Scan = v1::Scan {
        kind,
        state,
        at,
        percent,
        errors
    }
);
choice!(
    VdevClass = v1::vdev::Class {
        Data,
        Log,
        Cache,
        Spare,
        Special,
        Dedup
    }
);
message!(
    Vdev = v1::Vdev {
        class,
        name,
        health,
        leaves
    }
);
message!(Leaf = v1::Leaf { name, health, group });
message!(VdevHealth = v1::VdevHealth { state, errors, note });
message!(VdevErrors = v1::VdevErrors { read, write, checksum });
