//! HA manager, watchdog.

use std::collections::BTreeMap;

use quorate_model::observation::ha::{Disarm, Ha, HaPlace, HaPlacement, HaResource, LrmStatus, ManagerStatus};

use super::{ConvertError, Wire, field};
use crate::v1;

facet!(Ha = v1::HaFacet: v1::ha_facet::State);
message!(
    Ha = v1::Ha {
        version,
        watchdog_armed,
        lrm,
        crm,
        lrm_status,
        manager,
        resources,
        placements
    }
);
facet!(Option<LrmStatus> = v1::LrmStatusFacet: v1::lrm_status_facet::State);
wrapped!(Option<LrmStatus> = v1::MaybeLrmStatus { value });
message!(LrmStatus = v1::LrmStatus { state, mode, at });
facet!(Option<ManagerStatus> = v1::ManagerStatusFacet: v1::manager_status_facet::State);
wrapped!(Option<ManagerStatus> = v1::MaybeManagerStatus { value });
message!(
    ManagerStatus = v1::ManagerStatus {
        master,
        at,
        nodes,
        services,
        disarm,
        maintenance
    }
);
message!(
    HaPlace = v1::HaPlace {
        node,
        state,
        target,
        command,
        uid
    }
);
message!(Disarm = v1::Disarm { mode, state });
facet!(BTreeMap<String, HaResource> = v1::HaResourcesFacet: v1::ha_resources_facet::State);
wrapped!(BTreeMap<String, HaResource> = v1::HaResources { resources });
message!(
    HaResource = v1::HaResource {
        state,
        group,
        max_restart,
        max_relocate,
        failback
    }
);
facet!(Vec<HaPlacement> = v1::HaPlacementsInFullFacet: v1::ha_placements_in_full_facet::State);
list!(HaPlacement = v1::HaPlacementsInFull { placements });
message!(
    HaPlacement = v1::HaPlacement {
        name,
        kind,
        services,
        nodes,
        strict,
        no_failback,
        disabled,
        apart
    }
);
wrapped!(Option<u32> = v1::HaPriority { value });
