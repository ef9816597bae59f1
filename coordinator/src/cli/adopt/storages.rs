//! The storages of a cluster that others made: `[storage.NAME]`, and those of the pools that the draft has.

use std::collections::BTreeSet;

use quorate_model::failure::Failure;
use quorate_model::ids::{NodeName, StorageName};
use quorate_model::observation::storages::DefinedStorage;
use quorate_model::spec::{Draft, DraftDisks, DraftStorage};
use quorate_model::storage::{Content, Property, StorageKind};

use super::derive::{Server, unseen};

/// What PVE always has, and nobody can add.
const BUILT_IN: &str = "local";

/// Puts the cluster's storages into the draft, and those that it can't say into its comments. Its pools are there already.
pub(super) fn storages(draft: &mut Draft, servers: &[Server<'_>]) -> Result<(), Failure> {
    let mut members = servers.iter().filter(|server| draft.nodes.contains_key(&server.name));
    // They are the cluster's: each member sees the same ones.
    let Some(server) = members.find(|server| !server.is_no_pve()) else {
        return Ok(());
    };
    let seen = server.observation.storages.get();
    let seen = seen.map_err(|unknown| unseen(server, "its storages", "storages", unknown))?;
    let mut left: Vec<String> = Vec::new();
    for storage in seen.defined.iter().filter(|storage| storage.id != BUILT_IN) {
        match one(storage, draft) {
            Ok((name, found)) if is_pool_s_own(&name, &found, draft) => {
                let pool = draft.pools.iter_mut().find(|(pool, _)| pool.as_str() == name.as_str());
                if let Some((_, pool)) = pool {
                    pool.storage = true;
                    pool.thin = found
                        .properties
                        .get(&Property::Thin)
                        .map(|value| Property::Thin.same(value, "1"));
                    pool.content = found.content;
                }
            }
            Ok((name, found)) => {
                draft.storages.insert(name, found);
            }
            Err(why) => left.push(format!("{} ({why})", storage.id)),
        }
    }
    if !left.is_empty() {
        draft.comments.push(format!(
            "Storages that are left as they are, and not looked after: {}.",
            left.join(", ")
        ));
    }
    Ok(())
}

/// The nodes that have disks there.
fn has(disks: &DraftDisks) -> impl Iterator<Item = &NodeName> {
    let some = disks.iter().filter(|(_, disks)| !disks.is_empty());
    some.map(|(node, _)| node)
}

/// Can the pool's own table say it?
fn is_pool_s_own(name: &StorageName, storage: &DraftStorage, draft: &Draft) -> bool {
    let of_pool = storage.properties.get(&Property::Pool).map(String::as_str) == Some(name.as_str());
    // PVE writes down by itself where the pool is mounted.
    let only = |property: &Property| matches!(property, Property::Pool | Property::Thin | Property::Mountpoint);
    let pool = draft.pools.iter().find(|(pool, _)| pool.as_str() == name.as_str());
    // Without a word about nodes, it is on those that have the pool.
    let on_its_nodes = |nodes: &BTreeSet<NodeName>| {
        nodes.is_empty() || pool.is_some_and(|(_, pool)| nodes.iter().eq(has(&pool.disks)))
    };
    storage.kind == StorageKind::Zfspool
        && of_pool
        && pool.is_some()
        && on_its_nodes(&storage.nodes)
        && storage.properties.keys().all(only)
}

/// A storage as a file says it.
///
/// # Errors
/// Why it can't.
fn one(storage: &DefinedStorage, draft: &Draft) -> Result<(StorageName, DraftStorage), String> {
    let name = StorageName::new(&storage.id).map_err(|error| error.to_string())?;
    let kind: StorageKind = storage.kind.parse().map_err(|_| storage.kind.clone())?;
    if storage.is_disabled() {
        return Err("switched off".to_owned());
    }
    let mut found = DraftStorage {
        kind,
        properties: Default::default(),
        content: BTreeSet::new(),
        nodes: BTreeSet::new(),
    };
    for property in kind.required().iter().chain(kind.optional()) {
        let Some(value) = storage.properties.get(property.of_pve()) else {
            continue;
        };
        // A word alone means yes.
        let value = if value.is_empty() { "1" } else { value };
        property
            .check(value)
            .map_err(|why| format!("its {} {why}", property.of_pve()))?;
        found.properties.insert(*property, value.to_owned());
    }
    if let Some(needed) = kind
        .required()
        .iter()
        .find(|needed| !found.properties.contains_key(needed))
    {
        return Err(format!("it has no {}", needed.of_pve()));
    }
    for word in storage.content() {
        match word.parse::<Content>() {
            Ok(content) if kind.takes().contains(&content) => {
                found.content.insert(content);
            }
            _ => return Err(format!("it keeps {word}")),
        }
    }
    for node in storage.nodes() {
        let node = NodeName::new(node).ok().filter(|node| draft.nodes.contains_key(node));
        match node {
            Some(node) => found.nodes.insert(node),
            None => return Err("it is for nodes that are no members".to_owned()),
        };
    }
    Ok((name, found))
}
