//! The storages that a cluster file asks for, its pools' own among them.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::finding::Place;
use quorate_model::ids::{NodeName, StorageName};
use quorate_model::observation::storages::DefinedStorage;
use quorate_model::spec::ClusterFile;
use quorate_model::storage::{Content, Property, StorageDefinition, StorageKind};

/// A storage that the file asks for.
#[derive(Debug)]
pub(crate) struct Wanted<'f> {
    pub(crate) name: StorageName,
    pub(crate) place: &'f Place,
    pub(crate) kind: StorageKind,
    /// Only what is written.
    pub(crate) properties: BTreeMap<Property, String>,
    pub(crate) content: BTreeSet<Content>,
    /// `None`: not written.
    pub(crate) nodes: Option<&'f BTreeSet<NodeName>>,
    pub(crate) password_file: Option<&'f str>,
}

/// All of them, by name.
pub(crate) fn all(file: &ClusterFile) -> Vec<Wanted<'_>> {
    let of_pools = file.pools.iter().filter(|(_, pool)| pool.storage);
    let of_pools = of_pools.filter_map(|(name, pool)| {
        let mut properties = BTreeMap::from([(Property::Pool, name.to_string())]);
        if let Some(thin) = &pool.thin {
            properties.insert(Property::Thin, switch(thin.value));
        }
        Some(Wanted {
            name: StorageName::new(name.as_str()).ok()?,
            place: &pool.place,
            kind: StorageKind::Zfspool,
            properties,
            content: pool
                .content
                .as_ref()
                .map(|content| content.value.clone())
                .unwrap_or_default(),
            nodes: None,
            password_file: None,
        })
    });
    let own = file.storages.iter().map(|(name, storage)| Wanted {
        name: name.clone(),
        place: &storage.place,
        kind: storage.kind.value,
        properties: storage.properties.clone(),
        content: storage
            .content
            .as_ref()
            .map(|content| content.value.clone())
            .unwrap_or_default(),
        nodes: storage.nodes.as_ref().map(|nodes| &nodes.value),
        password_file: storage.password_file.as_ref().map(|file| file.value.as_str()),
    });
    let mut all: Vec<Wanted<'_>> = of_pools.chain(own).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn switch(on: bool) -> String {
    if on { "1" } else { "0" }.to_owned()
}

impl Wanted<'_> {
    /// The ZFS pool that it lies on, without the dataset.
    pub(crate) fn pool(&self) -> Option<&str> {
        let pool = self.properties.get(&Property::Pool)?;
        (self.kind == StorageKind::Zfspool).then(|| pool.split('/').next().unwrap_or(pool))
    }

    /// As it is made where there is none. `on`: the nodes that have its pool, if it lies on one.
    pub(crate) fn anew(&self, on: Option<&BTreeSet<NodeName>>) -> StorageDefinition {
        let mut definition = self.definition(on);
        if self.kind == StorageKind::Zfspool {
            definition
                .properties
                .entry(Property::Thin)
                .or_insert_with(|| switch(true));
            if definition.content.is_empty() {
                definition.content = [Content::Images, Content::Rootdir].into();
            }
        }
        definition
    }

    /// What a storage that is there is held against: only what is written, and that it is on the nodes that have its pool. Where the file
    /// says nothing about nodes it may be on any others as well: PVE's file may name servers that this one does not.
    pub(crate) fn against(&self, there: &DefinedStorage, on: Option<&BTreeSet<NodeName>>) -> StorageDefinition {
        let mut definition = self.definition(on);
        if self.nodes.is_none() {
            let named: BTreeSet<NodeName> = there
                .nodes()
                .into_iter()
                .filter_map(|node| NodeName::new(node).ok())
                .collect();
            definition.nodes =
                (!named.is_empty()).then(|| named.into_iter().chain(on.cloned().unwrap_or_default()).collect());
        }
        definition
    }

    fn definition(&self, on: Option<&BTreeSet<NodeName>>) -> StorageDefinition {
        StorageDefinition {
            name: self.name.clone(),
            kind: self.kind,
            properties: self.properties.clone(),
            content: self.content.clone(),
            nodes: self.nodes.or(on).cloned(),
        }
    }
}
