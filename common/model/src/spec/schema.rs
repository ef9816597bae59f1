//! The cluster file as a JSON Schema (2020-12), for editors. It allows whatever the reader allows; what only the reader can tell
//! (networks that overlap, addresses that two nodes have) it can't forbid.

use serde_json::{Map, Value, json};

use super::NodeRole;
use super::keys::{FILE, Key, KeyTable, Kind};
use crate::compression::Compression;
use crate::drill::DrillKind;
use crate::fault::FORMS;
use crate::observation::disks::DiskKind;
use crate::raid::Raid;
use crate::spec::replication::ReturningNode;
use crate::storage::{Content, StorageKind};

const NAME: &str = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";
const ADDRESS: &str = "[0-9A-Fa-f:.]+";

/// The schema, as a JSON document.
#[must_use]
pub fn schema() -> Value {
    let mut schema = table(&FILE);
    if let Value::Object(schema) = &mut schema {
        schema.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        schema.insert("title".to_owned(), json!("Quorate's cluster file"));
    }
    schema
}

fn table(table: &KeyTable) -> Value {
    let properties: Map<String, Value> = table
        .keys
        .iter()
        .map(|key| (key.name.to_owned(), described(key)))
        .collect();
    let required: Vec<&str> = table.keys.iter().filter(|key| key.needed).map(|key| key.name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn described(key: &Key) -> Value {
    let mut value = kind(key.kind);
    if let Value::Object(schema) = &mut value {
        let default = if key.default.is_empty() {
            String::new()
        } else {
            format!(" Without it: {}.", key.default)
        };
        schema.insert("description".to_owned(), json!(format!("{}{default}", key.meaning)));
    }
    value
}

fn kind(of: Kind) -> Value {
    match of {
        Kind::ClusterName => json!({ "type": "string", "pattern": NAME, "maxLength": 15 }),
        Kind::NodeName => json!({ "type": "string", "pattern": NAME, "maxLength": 63 }),
        Kind::Address => json!({ "type": "string", "pattern": format!("^{ADDRESS}$") }),
        Kind::Network => json!({ "type": "string", "pattern": format!("^{ADDRESS}/[0-9]{{1,3}}$") }),
        Kind::Byte => json!({ "type": "integer", "minimum": 0, "maximum": 255 }),
        Kind::Role => json!({ "enum": NodeRole::ALL.map(NodeRole::as_str) }),
        Kind::Window => {
            let moment = "([A-Za-z]{3} )?[0-2][0-9]:[0-5][0-9]";
            json!({ "type": "string", "pattern": format!("^{moment}-{moment}$") })
        }
        Kind::List(item, most) => {
            let mut list = json!({ "type": "array", "items": kind(*item), "minItems": 1 });
            if let (Value::Object(list), Some(most)) = (&mut list, most) {
                list.insert("maxItems".to_owned(), json!(most));
            }
            list
        }
        Kind::NetworkOr(keys) => json!({ "anyOf": [kind(Kind::Network), table(keys)] }),
        Kind::Table(keys) => table(keys),
        Kind::ByNode(keys) => json!({
            "type": "object",
            "propertyNames": kind(Kind::NodeName),
            "additionalProperties": table(keys),
            "minProperties": 1,
        }),
        Kind::ByPool(keys) => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]$" },
            "additionalProperties": table(keys),
        }),
        Kind::ByStorage(keys) => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]$" },
            "additionalProperties": table(keys),
        }),
        Kind::StorageKind => json!({ "enum": StorageKind::ALL.map(StorageKind::as_str) }),
        Kind::Content => json!({ "enum": Content::ALL.map(Content::as_str) }),
        Kind::Port => json!({ "type": "integer", "minimum": 1, "maximum": 65535 }),
        Kind::Raid => json!({ "enum": Raid::ALL.map(Raid::as_str) }),
        Kind::DiskKind => json!({ "enum": DiskKind::ALL.map(DiskKind::as_str) }),
        Kind::Size => json!({ "type": "string", "pattern": "^[0-9.]+ *[A-Za-z]+$" }),
        Kind::Guests => {
            let one = json!({ "anyOf": [
                { "type": "integer", "minimum": 100, "maximum": 999_999_999 },
                { "type": "string", "pattern": "^(all|tag:[^\\s,;]+|pool:[^\\s,;]+)$" },
            ] });
            json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
        }
        Kind::Number => json!({ "type": "integer", "minimum": 1 }),
        Kind::Returning => json!({ "enum": ReturningNode::ALL.map(ReturningNode::as_str) }),
        Kind::Tables(keys) => json!({ "type": "array", "items": table(keys), "minItems": 1 }),
        Kind::ByDrill(keys) => json!({
            "type": "object",
            "propertyNames": kind(Kind::NodeName),
            "additionalProperties": table(keys),
        }),
        Kind::Fault => fault(),
        Kind::DrillKind => json!({ "enum": DrillKind::ALL.map(DrillKind::as_str) }),
        Kind::Guest => json!({ "type": "integer", "minimum": 100, "maximum": 999_999_999 }),
        Kind::Probes => {
            let one = json!({ "type": "string", "pattern": "^(tcp:|tally:|icmp:|https?://|postgres:)[^\\s]+$" });
            json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
        }
        Kind::Lasting => json!({ "type": "string", "pattern": "^[0-9]+[smhd]$" }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Compression => json!({ "enum": Compression::ALL.map(Compression::as_str) }),
        Kind::Disks(keys) => json!({ "anyOf": [table(keys), {
            "type": "object",
            "propertyNames": kind(Kind::NodeName),
            "additionalProperties": {
                "anyOf": [table(keys), { "type": "array", "items": { "type": "string" }, "minItems": 1 }],
            },
            "minProperties": 1,
        }] }),
    }
}

/// Words, and those that say more behind a colon.
fn fault() -> Value {
    let is_plain = |form: &&str| !form.contains(':') || form.starts_with("power:");
    let plain: Vec<&str> = FORMS.into_iter().filter(is_plain).collect();
    json!({ "anyOf": [
        { "enum": plain },
        { "type": "string", "pattern": "^(power|link:[0-9]+|osd:[0-9]+|disk:[A-Za-z0-9._:+-]+/[A-Za-z0-9._:+-]+)$" },
    ] })
}
