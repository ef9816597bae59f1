//! Storages: what is defined, and how it is on a node.

use quorate_model::observation::storages::{DefinedStorage, StorageState, StorageStatus, Storages};

use super::{ConvertError, Wire, field};
use crate::v1;

facet!(Storages = v1::StorageViewFacet: v1::storage_view_facet::State);
message!(Storages = v1::StorageView { defined, status });
message!(DefinedStorage = v1::DefinedStorage { id, kind, properties });
facet!(Vec<StorageStatus> = v1::StorageStatusesFacet: v1::storage_statuses_facet::State);
list!(StorageStatus = v1::StorageStatuses { storages });
choice!(
    StorageState = v1::storage_status::State {
        Active,
        Inactive,
        Disabled
    }
);
message!(
    StorageStatus = v1::StorageStatus {
        id,
        kind,
        state,
        total,
        used,
        complaint
    }
);
