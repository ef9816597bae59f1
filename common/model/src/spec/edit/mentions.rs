//! Where else than in its own table a node is named: with its disks in pools, and among the nodes of storages and of copies.

use toml_edit::{Array, DocumentMut, Item, TableLike, Value};

use super::{rename_inline, rename_table, replace};
use crate::ids::NodeName;
use crate::spec::keys;
use crate::spec::pools::BESIDE;

/// Takes a node out of all of them.
pub(super) fn remove(document: &mut DocumentMut, name: &NodeName) {
    if can_be_named(name) {
        each_choice(document, &mut |disks| {
            if let Some(disks) = disks.as_table_like_mut() {
                disks.remove(name.as_str());
            }
        });
    }
    each_list(document, &mut |nodes| {
        nodes.retain(|item| item.as_str() != Some(name.as_str()))
    });
}

/// Calls a node otherwise in all of them.
pub(super) fn rename(document: &mut DocumentMut, from: &NodeName, to: &NodeName) {
    if can_be_named(from) {
        each_choice(document, &mut |disks| match disks {
            Item::Table(disks) => rename_table(disks, from, to),
            Item::Value(Value::InlineTable(disks)) => rename_inline(disks, from, to),
            _ => {}
        });
    }
    each_list(document, &mut |nodes| {
        let same = nodes.iter_mut().filter(|item| item.as_str() == Some(from.as_str()));
        same.for_each(|item| replace(item, to.as_str()));
    });
}

/// A node that is called like a key of a selector can't have disks of its own: the key would be meant.
fn can_be_named(name: &NodeName) -> bool {
    keys::SELECTOR.key(name.as_str()).is_none()
}

/// Does something to each choice of disks.
fn each_choice(document: &mut DocumentMut, act: &mut dyn FnMut(&mut Item)) {
    each_of(document, "zfs", &mut |pool| {
        for key in BESIDE.map(|(key, _)| key).into_iter().chain(["disks"]) {
            if let Some(disks) = pool.get_mut(key) {
                act(disks);
            }
        }
    });
}

/// Does something to the nodes of each storage, and to those that copies are on.
fn each_list(document: &mut DocumentMut, act: &mut dyn FnMut(&mut Array)) {
    each_replication(document, act);
    each_of(document, "storage", &mut |storage| {
        if let Some(nodes) = storage.get_mut("nodes").and_then(Item::as_array_mut) {
            act(nodes);
        }
    });
}

/// Does something to the nodes that copies are on: of tables, or of a list of tables.
fn each_replication(document: &mut DocumentMut, act: &mut dyn FnMut(&mut Array)) {
    let mut one = |table: &mut dyn TableLike| {
        if let Some(nodes) = table.get_mut("copies_on").and_then(Item::as_array_mut) {
            act(nodes);
        }
    };
    match document.get_mut("replication") {
        Some(Item::ArrayOfTables(tables)) => tables.iter_mut().for_each(|table| one(table)),
        Some(Item::Value(Value::Array(tables))) => {
            let tables = tables.iter_mut().filter_map(Value::as_inline_table_mut);
            tables.for_each(|table| one(table));
        }
        _ => {}
    }
}

/// Does something to each table below this one.
fn each_of(document: &mut DocumentMut, what: &str, act: &mut dyn FnMut(&mut dyn TableLike)) {
    let Some(tables) = document.get_mut(what).and_then(Item::as_table_like_mut) else {
        return;
    };
    for (_, item) in tables.iter_mut() {
        if let Some(table) = item.as_table_like_mut() {
            act(table);
        }
    }
}
