//! The cluster file's tables and keys, and the rules that can be checked without looking at servers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::reader::{Reader, Table};
use super::{ClusterFile, ClusterSpec, Located, MOST_LINKS, NodeSpec};
use crate::finding::{Code, Finding};
use crate::ids::{ClusterName, InvalidName, NodeName};

/// Tables that later versions know; refused by name rather than as misspelt.
const LATER_TABLES: [&str; 7] = ["zfs", "replication", "ha", "storage", "ceph", "drills", "canary"];
const LATER_CLUSTER_KEYS: [&str; 2] = ["migration_network", "third_vote"];
const LATER_NODE_KEYS: [&str; 2] = ["role", "links"];

pub(super) fn cluster_file(file: &str, text: &str, digest: String) -> Result<ClusterFile, Vec<Finding>> {
    let mut reader = Reader::new(file, text);
    let document = reader.document();
    let read = document.as_ref().map(|document| {
        let top = reader.top(document);
        reader.check_keys(&top, &["cluster", "nodes"], &LATER_TABLES);
        let cluster = reader
            .required(&top, "cluster", "[cluster]\\nname = \"hk1\"")
            .and_then(|value| reader.table("[cluster]", value))
            .and_then(|table| cluster(&mut reader, &table));
        let nodes = reader
            .required(&top, "nodes", "[nodes.prox1]\\naddress = \"192.168.1.11\"")
            .and_then(|value| reader.table("[nodes]", value))
            .map(|table| nodes(&mut reader, &table))
            .unwrap_or_default();
        (cluster, nodes)
    });
    match read {
        Some((Some(cluster), nodes)) if !reader.has_problems() => Ok(ClusterFile { digest, cluster, nodes }),
        _ => Err(reader.into_problems()),
    }
}

fn bad_name(error: InvalidName) -> (String, String) {
    let next = match error.what {
        "cluster name" => "up to 15 lower-case letters, digits and inner hyphens, such as \"hk1\"",
        _ => "lower-case letters, digits and inner hyphens, as the server calls itself, such as prox1",
    };
    (error.to_string(), next.to_owned())
}

fn cluster<'t>(reader: &mut Reader<'t>, table: &Table<'t, '_>) -> Option<ClusterSpec> {
    reader.check_keys(table, &["name", "links"], &LATER_CLUSTER_KEYS);
    let name = reader
        .required(table, "name", "name = \"hk1\"")
        .and_then(|value| reader.parsed::<ClusterName>("`name`", value, Code::SpecBadName, bad_name));
    let links = table.get("links").map(|value| links(reader, value)).unwrap_or_default();
    Some(ClusterSpec { name: name?, links })
}

fn links<'t>(reader: &mut Reader<'t>, value: &toml::Spanned<toml::de::DeValue<'t>>) -> Vec<Located<IpNet>> {
    let items = reader.array("`links`", value);
    let place = reader.place(value.span());
    if items.len() > MOST_LINKS {
        let message = format!("{} links, but corosync has at most {MOST_LINKS}", items.len());
        reader.problem(Code::SpecBadValue, place, message, "keep the best of them");
    } else if items.is_empty() {
        reader.problem(
            Code::SpecBadValue,
            place,
            "`links` is empty",
            "name at least one network, or leave `links` out",
        );
    }
    let mut found: Vec<Located<IpNet>> = Vec::new();
    for item in items {
        let network = reader.parsed::<IpNet>("each link", item, Code::SpecBadAddress, |_| {
            (
                "not a network".to_owned(),
                "write it as ADDRESS/PREFIX, such as \"10.10.10.0/24\"".to_owned(),
            )
        });
        let Some(network) = network else { continue };
        if network.value.addr() != network.value.network() {
            let message = format!("{} is an address within a network, not a network", network.value);
            let next = format!("write \"{}\"", network.value.trunc());
            reader.problem(Code::SpecBadAddress, network.place, message, next);
            continue;
        }
        if let Some(other) = found
            .iter()
            .find(|o| o.value.contains(&network.value) || network.value.contains(&o.value))
        {
            let message = format!(
                "{} overlaps {}: two links over one network fail together",
                network.value, other.value
            );
            reader.problem(
                Code::SpecDuplicateAddress,
                network.place,
                message,
                "give each link a network of its own",
            );
            continue;
        }
        found.push(network);
    }
    found
}

fn nodes<'t>(reader: &mut Reader<'t>, table: &Table<'t, '_>) -> BTreeMap<NodeName, NodeSpec> {
    let mut found: BTreeMap<NodeName, NodeSpec> = BTreeMap::new();
    let mut addresses: BTreeMap<IpAddr, NodeName> = BTreeMap::new();
    for (key, span, value) in table.entries() {
        let name = match NodeName::new(key) {
            Ok(name) => Some(name),
            Err(error) => {
                let place = reader.place(span.clone());
                let (message, next) = bad_name(error);
                reader.problem(Code::SpecBadName, place, message, next);
                None
            }
        };
        let Some(mut table) = reader.table(&format!("[nodes.{key}]"), value) else {
            continue;
        };
        let place = reader.place(span);
        table.place.clone_from(&place);
        reader.check_keys(&table, &["address"], &LATER_NODE_KEYS);
        let address = reader
            .required(&table, "address", "address = \"192.168.1.11\"")
            .and_then(|value| {
                reader.parsed::<IpAddr>("`address`", value, Code::SpecBadAddress, |_| {
                    (
                        "not an IP address".to_owned(),
                        "write an address, not a name, such as \"192.168.1.11\"".to_owned(),
                    )
                })
            });
        let (Some(name), Some(address)) = (name, address) else {
            continue;
        };
        if address.value.is_loopback() || address.value.is_unspecified() || address.value.is_multicast() {
            let message = format!("{} is no address that other servers could reach", address.value);
            reader.problem(
                Code::SpecBadAddress,
                address.place.clone(),
                message,
                "write the server's own address",
            );
        }
        if let Some(other) = addresses.get(&address.value) {
            let message = format!("{name} and {other} have the same address {}", address.value);
            reader.problem(
                Code::SpecDuplicateAddress,
                address.place.clone(),
                message,
                "give each node its own",
            );
        }
        addresses.insert(address.value, name.clone());
        found.insert(name, NodeSpec { place, address });
    }
    if found.is_empty() && !reader.has_problems() {
        let next = "add one table for each server: [nodes.prox1]";
        reader.problem(Code::SpecMissingKey, table.place.clone(), "no node is named", next);
    }
    found
}
