//! `[nodes.NAME]`

use std::net::IpAddr;

use super::keys;
use super::links::{self, ReadAddresses};
use super::read::bad_name;
use super::reader::{Reader, Table, Value, closest};
use super::{Located, NodeRole};
use crate::finding::{Code, Place};
use crate::ids::NodeName;

/// A node as far as it could be read.
pub(super) struct ReadNode<'v> {
    /// Its name as written.
    pub(super) key: &'v str,
    /// Its name, if it is one.
    pub(super) name: Option<NodeName>,
    pub(super) place: Place,
    pub(super) address: Option<Located<IpAddr>>,
    /// `None`: written, but no role.
    pub(super) role: Option<NodeRole>,
    pub(super) links: Option<ReadAddresses>,
}

impl ReadNode<'_> {
    /// May it be in the cluster, as far as its role can be told?
    pub(super) fn votes(&self) -> bool {
        self.role.is_none_or(NodeRole::votes)
    }
}

pub(super) fn read<'t, 'v>(reader: &mut Reader<'t>, table: &Table<'t, 'v>) -> Vec<ReadNode<'v>> {
    let mut found = Vec::new();
    for (key, span, value) in table.entries() {
        let place = reader.place(span);
        let name = match NodeName::new(key) {
            Ok(name) => Some(name),
            Err(error) => {
                let (message, next) = bad_name(error);
                reader.problem(Code::SpecBadName, place.clone(), message, next);
                None
            }
        };
        let Some(mut table) = reader.table(&format!("[nodes.{key}]"), value, &keys::NODE) else {
            continue;
        };
        table.place.clone_from(&place);
        let address = reader
            .required(&table, "address")
            .and_then(|value| links::address(reader, "`address`", value));
        let role = match table.get("role") {
            None => Some(NodeRole::default()),
            Some(value) => role(reader, value),
        };
        let links = table.get("links").and_then(|value| links::of_node(reader, value));
        found.push(ReadNode {
            key,
            name,
            place,
            address,
            role,
            links,
        });
    }
    // As they stand in the file, so that of two that clash the later one is told.
    found.sort_by_key(|node| node.place.offset);
    if found.is_empty() && !reader.has_problems() {
        let next = "add one table for each server: [nodes.prox1]";
        reader.problem(Code::SpecMissingKey, table.place.clone(), "no node is named", next);
    }
    found
}

fn role<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<NodeRole> {
    let words = NodeRole::ALL.map(NodeRole::as_str);
    let word = value.get_ref().as_str().unwrap_or_default();
    let next = closest(word, words).map_or_else(
        || format!("write one of: {}", words.join(", ")),
        |meant| format!("did you mean \"{meant}\"?"),
    );
    reader
        .parsed::<NodeRole>("`role`", value, Code::SpecBadValue, |error| (error.to_string(), next))
        .map(|role| role.value)
}
