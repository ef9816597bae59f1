//! HA as one node sees it.

use proptest::prelude::*;
use quorate_model::observation::ha::{Disarm, Ha, HaPlace, HaPlacement, HaResource, LrmStatus, ManagerStatus};

use super::readiness::service;
use super::types::{facet, time};
use super::{by_text, maybe, some, text};

prop_compose! {
    pub(super) fn ha()(
        version in facet(text()),
        watchdog_armed: bool,
        (lrm, crm) in (facet(service()), facet(service())),
        lrm_status in facet(maybe(lrm_status())),
        manager in facet(maybe(manager())),
        (resources, placements) in (facet(by_text(resource())), facet(some(placement()))),
    ) -> Ha {
        Ha { version, watchdog_armed, lrm, crm, lrm_status, manager, resources, placements }
    }
}

prop_compose! {
    fn placement()(
        (name, kind) in (text(), text()),
        services in some(text()),
        nodes in by_text(maybe(any::<u32>())),
        (strict, no_failback, disabled, apart) in any::<(bool, bool, bool, bool)>(),
    ) -> HaPlacement {
        HaPlacement { name, kind, services, nodes, strict, no_failback, disabled, apart }
    }
}

prop_compose! {
    fn lrm_status()((state, mode) in (text(), text()), at in time()) -> LrmStatus {
        LrmStatus { state, mode, at }
    }
}

prop_compose! {
    fn manager()(
        master in text(),
        at in time(),
        nodes in by_text(text()),
        services in by_text(place()),
        disarm in maybe((text(), text()).prop_map(|(mode, state)| Disarm { mode, state })),
        maintenance in prop::collection::btree_set(text(), 0..3),
    ) -> ManagerStatus {
        ManagerStatus { master, at, nodes, services, disarm, maintenance }
    }
}

prop_compose! {
    fn place()((node, state) in (text(), text()), (target, command, uid) in (maybe(text()), maybe(text()), maybe(text()))) -> HaPlace {
        HaPlace { node, state, target, command, uid }
    }
}

prop_compose! {
    fn resource()(
        (state, group) in (text(), maybe(text())),
        (max_restart, max_relocate, failback) in (maybe(any::<u32>()), maybe(any::<u32>()), maybe(any::<bool>())),
    ) -> HaResource {
        HaResource { state, group, max_restart, max_relocate, failback }
    }
}
