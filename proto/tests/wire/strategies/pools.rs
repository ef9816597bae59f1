//! ZFS pools.

use proptest::prelude::*;
use quorate_model::observation::pools::{
    Leaf, Pool, Scan, ScanKind, ScanState, Vdev, VdevClass, VdevErrors, VdevHealth, VdevState,
};

use super::types::{facet, size, time};
use super::{maybe, one_of, some, text};

prop_compose! {
    pub(super) fn pool()(
        name in text(),
        state in state(),
        complaint in maybe(text()),
        data_errors: Option<u64>,
        scan in maybe(scan()),
        vdevs in some(vdev()),
        (size, allocated) in (size(), size()),
        (fragmentation, ashift, autotrim) in any::<(Option<u32>, Option<u32>, Option<bool>)>(),
        (compression, scrub_scheduled, import_enabled) in (maybe(text()), any::<Option<bool>>(), any::<Option<bool>>()),
        created in maybe(time()),
        volumes in facet(some(text())),
    ) -> Pool {
        Pool { name, state, complaint, data_errors, scan, vdevs, size, allocated, fragmentation, ashift, autotrim, compression, scrub_scheduled, import_enabled, created, volumes }
    }
}

fn state() -> impl Strategy<Value = VdevState> {
    one_of([&VdevState::KNOWN[..], &[VdevState::Other]].concat())
}

prop_compose! {
    fn scan()(
        kind in one_of([ScanKind::Scrub, ScanKind::Resilver]),
        state in one_of([ScanState::Running, ScanState::Paused, ScanState::Cancelled, ScanState::Finished]),
        at in maybe(time()),
        percent in maybe(prop::num::f64::NORMAL),
        errors: Option<u64>,
    ) -> Scan {
        Scan { kind, state, at, percent, errors }
    }
}

prop_compose! {
    fn vdev()(class in one_of(VdevClass::ALL), name in text(), health in health(), leaves in some(leaf())) -> Vdev {
        Vdev { class, name, health, leaves }
    }
}

prop_compose! {
    fn leaf()(name in text(), health in health(), group in maybe(text())) -> Leaf {
        Leaf { name, health, group }
    }
}

prop_compose! {
    fn health()(
        state in state(),
        errors in maybe(any::<(u64, u64, u64)>().prop_map(|(read, write, checksum)| VdevErrors { read, write, checksum })),
        note in maybe(text()),
    ) -> VdevHealth {
        VdevHealth { state, errors, note }
    }
}
