//! `[zfs.NAME]` and `[storage.NAME]` of a draft.

use std::collections::{BTreeMap, BTreeSet};

use super::{list, quoted};
use crate::compression::Compression;
use crate::ids::{NodeName, PoolName, StorageName};
use crate::observation::pools::VdevClass;
use crate::raid::Raid;
use crate::spec::disks::DiskName;
use crate::spec::pools::BESIDE;
use crate::storage::{Content, Property, StorageKind, Value};

/// Disks by name, on each node.
pub type DraftDisks = BTreeMap<NodeName, Vec<DiskName>>;

/// A pool of a draft. What is `None` or empty is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftPool {
    /// `raid`
    pub raid: Raid,
    /// `vdevs`: written unless it is 1.
    pub vdevs: u8,
    /// `disks`
    pub disks: DraftDisks,
    /// `spares`, `log`, `cache`, `special`
    pub beside: BTreeMap<VdevClass, DraftDisks>,
    /// `ashift`
    pub ashift: Option<u8>,
    /// `compression`
    pub compression: Option<Compression>,
    /// `autotrim`
    pub autotrim: Option<bool>,
    /// `storage`: written if it is not.
    pub storage: bool,
    /// `content`
    pub content: BTreeSet<Content>,
    /// `thin`
    pub thin: Option<bool>,
}

/// A storage of a draft. What is `None` or empty is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftStorage {
    /// `type`
    pub kind: StorageKind,
    /// What else its kind has, as PVE has it.
    pub properties: BTreeMap<Property, String>,
    /// `content`
    pub content: BTreeSet<Content>,
    /// `nodes`
    pub nodes: BTreeSet<NodeName>,
}

pub(super) fn pool(name: &PoolName, pool: &DraftPool) -> String {
    let mut text = format!("\n[zfs.{}]\nraid = {}\n", key(name.as_str()), quoted(&pool.raid));
    if pool.vdevs != 1 {
        text.push_str(&format!("vdevs = {}\n", pool.vdevs));
    }
    if let Some(ashift) = pool.ashift {
        text.push_str(&format!("ashift = {ashift}\n"));
    }
    if let Some(compression) = pool.compression {
        text.push_str(&format!("compression = {}\n", quoted(&compression)));
    }
    if let Some(autotrim) = pool.autotrim {
        text.push_str(&format!("autotrim = {autotrim}\n"));
    }
    if !pool.storage {
        text.push_str("storage = false\n");
    }
    text.push_str(&content(&pool.content));
    if let Some(thin) = pool.thin {
        text.push_str(&format!("thin = {thin}\n"));
    }
    text.push_str(&disks(name, "disks", &pool.disks));
    for (key, class) in BESIDE {
        if let Some(beside) = pool.beside.get(&class) {
            text.push_str(&disks(name, key, beside));
        }
    }
    text
}

/// A table of its own, a line for each node: names of disks are long.
fn disks(pool: &PoolName, what: &str, disks: &DraftDisks) -> String {
    let line = |(node, names): (&NodeName, &Vec<DiskName>)| {
        let names: Vec<String> = names.iter().map(|name| string(&name.to_string())).collect();
        format!("{node} = [{}]\n", names.join(", "))
    };
    let lines: String = disks.iter().map(line).collect();
    format!("\n[zfs.{}.{what}]\n{lines}", key(pool.as_str()))
}

pub(super) fn storage(name: &StorageName, storage: &DraftStorage) -> String {
    let mut text = format!("\n[storage.{}]\ntype = {}\n", key(name.as_str()), quoted(&storage.kind));
    for (property, value) in &storage.properties {
        let value = match property.value() {
            Value::Switch => property.same(value, "1").to_string(),
            Value::Port => value.clone(),
            _ => string(value),
        };
        text.push_str(&format!("{property} = {value}\n"));
    }
    text.push_str(&content(&storage.content));
    if !storage.nodes.is_empty() {
        let nodes: Vec<&NodeName> = storage.nodes.iter().collect();
        text.push_str(&format!("nodes = {}\n", list(&nodes)));
    }
    text
}

fn content(content: &BTreeSet<Content>) -> String {
    if content.is_empty() {
        return String::new();
    }
    let content: Vec<&Content> = content.iter().collect();
    format!("content = {}\n", list(&content))
}

/// Names of pools and storages may have dots.
fn key(name: &str) -> String {
    toml_edit::Key::new(name).to_string()
}

fn string(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}
