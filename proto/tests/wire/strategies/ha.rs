//! HA as one node sees it.

use proptest::prelude::*;
use quorate_model::observation::ha::{Disarm, Ha, HaPlace, HaResource, LrmStatus, ManagerStatus};

use super::readiness::service;
use super::types::{facet, time};
use super::{by_text, maybe, text};

prop_compose! {
    pub(super) fn ha()(
        version in facet(text()),
        watchdog_armed: bool,
        (lrm, crm) in (facet(service()), facet(service())),
        lrm_status in facet(maybe(lrm_status())),
        manager in facet(maybe(manager())),
        resources in facet(by_text(resource())),
    ) -> Ha {
        Ha { version, watchdog_armed, lrm, crm, lrm_status, manager, resources }
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
    fn place()((node, state) in (text(), text()), target in maybe(text()), command in maybe(text())) -> HaPlace {
        HaPlace { node, state, target, command }
    }
}

prop_compose! {
    fn resource()(state in text(), group in maybe(text())) -> HaResource {
        HaResource { state, group }
    }
}
