//! Storages as they are after they were defined.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::ByteSize;
use quorate_model::facet::Facet;
use quorate_model::ids::NodeName;
use quorate_model::observation::storages::{DefinedStorage, StorageState, StorageStatus};
use quorate_model::storage::StorageDefinition;
use quorate_model::view::View;

/// The storage is defined so for all, and active on these nodes.
pub fn ready(view: &mut View, storage: &StorageDefinition, nodes: &BTreeSet<NodeName>) {
    for (node, seen) in &mut view.nodes {
        let Ok(Facet::Known { value, .. }) = seen.observation.as_mut().map(|seen| &mut seen.storages) else {
            continue;
        };
        let place = value.defined.iter().position(|there| there.id == storage.name.as_str());
        let mut there = match place {
            Some(place) => value.defined.remove(place),
            None => DefinedStorage {
                id: storage.name.to_string(),
                kind: storage.kind.to_string(),
                properties: BTreeMap::new(),
            },
        };
        write(storage, &mut there.properties);
        value.defined.push(there);
        if let Facet::Known { value: status, .. } = &mut value.status {
            status.retain(|row| row.id != storage.name.as_str());
            if nodes.contains(node) {
                status.push(StorageStatus {
                    id: storage.name.to_string(),
                    kind: storage.kind.to_string(),
                    state: StorageState::Active,
                    total: Some(ByteSize(1 << 40)),
                    used: Some(ByteSize(0)),
                    complaint: None,
                });
            }
        }
    }
}

fn write(storage: &StorageDefinition, properties: &mut BTreeMap<String, String>) {
    for (property, value) in &storage.properties {
        properties.insert(property.of_pve().to_owned(), value.clone());
    }
    if !storage.content.is_empty() {
        let words: Vec<&str> = storage.content.iter().map(|content| content.as_str()).collect();
        properties.insert("content".to_owned(), words.join(","));
    }
    properties.remove("nodes");
    if let Some(nodes) = &storage.nodes {
        let names: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
        properties.insert("nodes".to_owned(), names.join(","));
    }
}
