//! `[storage.NAME]`

use std::collections::{BTreeMap, BTreeSet};

use super::nodes::ReadNode;
use super::pools::ReadPool;
use super::read::bad_name;
use super::reader::{Reader, Table, Value};
use super::{Located, NodeRole, keys};
use crate::finding::{Code, Place};
use crate::ids::{NodeName, StorageName};
use crate::storage::{self, Content, Property, StorageKind};

/// `[storage.NAME]`: a storage of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageSpec {
    /// Where the table begins.
    pub place: Place,
    /// `type`
    pub kind: Located<StorageKind>,
    /// What else is written, as PVE has it; all that its kind needs is there.
    pub properties: BTreeMap<Property, String>,
    /// `content`, if it is written.
    pub content: Option<Contents>,
    /// `nodes`, if they are written: nodes of the file that vote, at least one.
    pub nodes: Option<Located<BTreeSet<NodeName>>>,
    /// `password_file`: a path from the root, on the coordinator's host.
    pub password_file: Option<Located<String>>,
}

/// What a storage may keep, with its place in the file; at least one thing.
pub(super) type Contents = Located<BTreeSet<Content>>;

/// A storage as far as it could be read.
pub(super) struct ReadStorage {
    pub(super) name: Option<StorageName>,
    pub(super) spec: Option<StorageSpec>,
}

pub(super) fn read<'t>(reader: &mut Reader<'t>, table: &Table<'t, '_>) -> Vec<ReadStorage> {
    let mut found = Vec::new();
    for (key, span, value) in table.entries() {
        let place = reader.place(span);
        let name = match StorageName::new(key) {
            Ok(name) => Some(name),
            Err(error) => {
                let next = "letters, digits and inner -_., beginning with a letter, such as backup";
                reader.problem(Code::SpecBadName, place.clone(), error.to_string(), next);
                None
            }
        };
        let Some(mut table) = reader.table(&format!("[storage.{key}]"), value, &keys::STORAGE) else {
            continue;
        };
        table.place.clone_from(&place);
        found.push(ReadStorage {
            name,
            spec: one(reader, &table, place),
        });
    }
    found
}

fn one<'t>(reader: &mut Reader<'t>, table: &Table<'t, '_>, place: Place) -> Option<StorageSpec> {
    let kind: Located<StorageKind> = reader
        .required(table, "type")
        .and_then(|value| reader.word("`type`", value, StorageKind::ALL.map(StorageKind::as_str)))?;
    let mut properties = BTreeMap::new();
    for property in Property::ALL {
        let Some(value) = table.get(property.as_str()) else {
            continue;
        };
        if !kind.value.has(property) {
            let all = kind.value.required().iter().chain(kind.value.optional());
            let names: Vec<&str> = all.map(|known| known.as_str()).collect();
            let message = format!("a storage of the type {} has no `{property}`", kind.value);
            let next = format!("take it out; what it can have: {}", names.join(", "));
            let at = reader.place(value.span());
            reader.problem(Code::SpecUnknownKey, at, message, next);
            continue;
        }
        if let Some(text) = self::property(reader, property, value) {
            properties.insert(property, text);
        }
    }
    for property in kind.value.required() {
        reader.required(table, property.as_str());
    }
    let content = table
        .get("content")
        .and_then(|value| content(reader, value, kind.value));
    let nodes = table.get("nodes").and_then(|value| nodes(reader, value));
    let password_file = table
        .get("password_file")
        .and_then(|value| password_file(reader, kind.value, value));
    Some(StorageSpec {
        place,
        kind,
        properties,
        content,
        nodes,
        password_file,
    })
}

fn property<'t>(reader: &mut Reader<'t>, property: Property, value: &Value<'t>) -> Option<String> {
    let what = format!("`{property}`");
    let found = match property.value() {
        storage::Value::Switch => {
            let found = reader.switch(&what, value)?;
            let text = if found.value { "1" } else { "0" };
            return Some(text.to_owned());
        }
        storage::Value::Port => {
            let found = reader.number::<u16>(&what, value, "write a port from 1 to 65535")?;
            Located {
                value: found.value.to_string(),
                place: found.place,
            }
        }
        _ => text(reader, &what, value)?,
    };
    if let Err(why) = property.check(&found.value) {
        let message = format!("{what} {why}");
        let example = keys::STORAGE.key(property.as_str()).map_or("", |key| key.example);
        let next = format!("write it as PVE takes it, for example: {example}");
        reader.problem(Code::SpecBadValue, found.place, message, next);
        return None;
    }
    Some(found.value)
}

pub(super) fn text<'t>(reader: &mut Reader<'t>, what: &str, value: &Value<'t>) -> Option<Located<String>> {
    reader.parsed::<String>(what, value, Code::SpecBadValue, |error| match error {})
}

/// `content`, for a storage of this kind.
pub(super) fn content<'t>(reader: &mut Reader<'t>, value: &Value<'t>, kind: StorageKind) -> Option<Contents> {
    let place = reader.place(value.span());
    let next = "name what may be kept there, or leave `content` out";
    let items = reader.array("`content`", value, next)?;
    let mut found = BTreeSet::new();
    for item in items {
        let word = reader.word::<Content, 7>("each content", item, Content::ALL.map(Content::as_str));
        let Some(word) = word else { continue };
        if kind.takes().contains(&word.value) {
            found.insert(word.value);
            continue;
        }
        let takes: Vec<&str> = kind.takes().iter().map(|content| content.as_str()).collect();
        let message = format!("a storage of the type {kind} keeps no {}", word.value);
        let next = format!("take it out, PVE would drop it; what it keeps: {}", takes.join(", "));
        reader.problem(Code::SpecBadValue, word.place, message, next);
    }
    Some(Located { value: found, place })
}

fn nodes<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Located<BTreeSet<NodeName>>> {
    let place = reader.place(value.span());
    let next = "name at least one node, or leave `nodes` out";
    let items = reader.array("`nodes`", value, next)?;
    let node = |item| {
        let read = reader.parsed::<NodeName>("each node", item, Code::SpecBadName, bad_name)?;
        Some(read.value)
    };
    let value = items.iter().filter_map(node).collect();
    Some(Located { value, place })
}

fn password_file<'t>(reader: &mut Reader<'t>, kind: StorageKind, value: &Value<'t>) -> Option<Located<String>> {
    let found = text(reader, "`password_file`", value)?;
    let (message, next) = if kind != StorageKind::Pbs {
        let message = format!("a storage of the type {kind} takes no password here");
        (message, "take `password_file` out".to_owned())
    } else if !found.value.starts_with('/') || found.value.chars().any(char::is_control) {
        let message = format!("`password_file` is `{}`, which is no path from the root", found.value);
        let next = "write where it lies on the coordinator's host, such as \"/etc/quorate/secrets/pbs.password\"";
        (message, next.to_owned())
    } else {
        return Some(found);
    };
    reader.problem(Code::SpecBadValue, found.place, message, next);
    None
}

/// What concerns storages, pools and nodes together.
pub(super) fn rules(reader: &mut Reader<'_>, storages: &[ReadStorage], pools: &[ReadPool], nodes: &[ReadNode<'_>]) {
    let mut of_pools: BTreeMap<&str, String> = BTreeMap::new();
    for pool in pools {
        if let (Some(name), Some(spec)) = (&pool.name, &pool.spec) {
            if spec.storage {
                of_pools.insert(name.as_str(), format!("[zfs.{name}]"));
            } else {
                let content = spec.content.as_ref().map(|content| ("content", &content.place));
                let thin = spec.thin.as_ref().map(|thin| ("thin", &thin.place));
                for (key, place) in content.into_iter().chain(thin) {
                    let message = format!("[zfs.{name}] has `{key}` and registers no storage");
                    let next = format!("take `{key}` or `storage = false` out");
                    reader.problem(Code::SpecBadValue, place.clone(), message, next);
                }
            }
        }
    }
    for storage in storages {
        let (Some(name), Some(spec)) = (&storage.name, &storage.spec) else {
            continue;
        };
        if of_pools.contains_key(name.as_str()) {
            let message = format!("[zfs.{name}] registers a storage of this name itself");
            let next = format!("write `content` and `thin` there; or write `storage = false` in [zfs.{name}]");
            reader.problem(Code::SpecBadValue, spec.place.clone(), message, next);
        } else if let (StorageKind::Zfspool, Some(pool)) = (spec.kind.value, spec.properties.get(&Property::Pool)) {
            let here = format!("[storage.{name}]");
            let before = of_pools.get(pool.as_str());
            if let Some(before) = before {
                let message = format!("{here} registers the pool {pool} again: {before} does it already");
                let next = "two storages over one pool show the same disks; take one of them out, or name a dataset: pool = \"POOL/DATASET\"";
                reader.problem(Code::SpecBadValue, spec.place.clone(), message, next);
            } else {
                of_pools.insert(pool, here);
            }
        }
        for node in spec.nodes.iter().flat_map(|nodes| &nodes.value) {
            let known = nodes.iter().find(|read| read.key == node.as_str());
            let message = match known.map(|node| node.role) {
                Some(None | Some(NodeRole::Member | NodeRole::Witness)) => continue,
                Some(Some(NodeRole::Qnetd)) => format!("{node} has the role qnetd: it is no PVE server"),
                None => format!("{node} is no node of this file"),
            };
            let place = spec.nodes.as_ref().map_or(&spec.place, |nodes| &nodes.place);
            let next = "name nodes of this file; PVE would take any name and never show the storage there";
            reader.problem(Code::SpecBadValue, place.clone(), message, next);
        }
    }
}
