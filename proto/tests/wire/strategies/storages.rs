//! Storages.

use proptest::prelude::*;
use quorate_model::observation::storages::{DefinedStorage, StorageState, StorageStatus, Storages};
use quorate_model::storage::{Content, Property, StorageDefinition, StorageKind};

use super::types::{facet, node, size};
use super::{by_text, maybe, one_of, some, text};

prop_compose! {
    pub(super) fn storages()(defined in some(defined()), status in facet(some(status()))) -> Storages {
        Storages { defined, status }
    }
}

prop_compose! {
    fn defined()(id in text(), kind in text(), properties in by_text(text())) -> DefinedStorage {
        DefinedStorage { id, kind, properties }
    }
}

prop_compose! {
    fn status()(
        (id, kind) in (text(), text()),
        state in one_of([StorageState::Active, StorageState::Inactive, StorageState::Disabled]),
        (total, used) in (maybe(size()), maybe(size())),
        complaint in maybe(text()),
    ) -> StorageStatus {
        StorageStatus { id, kind, state, total, used, complaint }
    }
}

prop_compose! {
    pub(super) fn definition()(
        name in "[a-z][a-z0-9]{2,8}".prop_filter_map("a name", |name| name.parse().ok()),
        kind in one_of(StorageKind::ALL),
        properties in prop::collection::btree_map(one_of(Property::ALL), text(), 0..4),
        content in prop::collection::btree_set(one_of(Content::ALL), 0..3),
        nodes in maybe(prop::collection::btree_set(node(), 0..3)),
    ) -> StorageDefinition {
        StorageDefinition { name, kind, properties, content, nodes }
    }
}
