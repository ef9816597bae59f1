//! The cluster file's tables and keys. What concerns several of them stands in [`super::rules`].

use ipnet::IpNet;

use super::drills;
use super::ha;
use super::keys;
use super::links::{self, ReadLink};
use super::nodes::{self, ReadNode};
use super::pools;
use super::reader::{Reader, Table, Value};
use super::replication;
use super::storages;
use super::{ClusterFile, Located, ThirdVote, rules};
use crate::finding::{Code, Finding, Place};
use crate::ids::{ClusterName, InvalidName, NodeName};
use crate::maintenance::MaintenanceWindow;

/// `[cluster]` as far as it could be read.
pub(super) struct ReadCluster {
    pub(super) name: Option<Located<ClusterName>>,
    pub(super) links: Option<Vec<ReadLink>>,
    pub(super) migration_network: Option<Located<IpNet>>,
    pub(super) third_vote: Option<ThirdVote>,
    pub(super) maintenance: Vec<Located<MaintenanceWindow>>,
}

/// `[nodes]` as far as it could be read.
pub(super) struct ReadNodes<'v> {
    pub(super) place: Place,
    pub(super) nodes: Vec<ReadNode<'v>>,
}

pub(super) fn cluster_file(file: &str, text: &str, digest: String) -> Result<ClusterFile, Vec<Finding>> {
    let mut reader = Reader::new(file, text);
    let document = reader.document();
    let read = document.as_ref().and_then(|document| {
        let top = reader.top(document, &keys::FILE);
        let cluster = reader
            .required(&top, "cluster")
            .and_then(|value| reader.table("[cluster]", value, &keys::CLUSTER))
            .map(|table| cluster(&mut reader, &table));
        let nodes = reader
            .required(&top, "nodes")
            .and_then(|value| reader.names("[nodes]", value))
            .map(|table| ReadNodes {
                nodes: nodes::read(&mut reader, &table),
                place: table.place,
            });
        let pools = top
            .get("zfs")
            .and_then(|value| reader.names("[zfs]", value))
            .map(|table| pools::read(&mut reader, &table));
        let storages = top
            .get("storage")
            .and_then(|value| reader.names("[storage]", value))
            .map(|table| storages::read(&mut reader, &table));
        let stores = rules::Stores {
            pools: pools.unwrap_or_default(),
            storages: storages.unwrap_or_default(),
        };
        let replication = top.get("replication").map(|value| {
            let tables = reader.tables("replication", value, &keys::REPLICATION);
            replication::read(&mut reader, &tables)
        });
        let ha = top
            .get("ha")
            .and_then(|value| reader.table("[ha]", value, &keys::HA))
            .map(|table| ha::read(&mut reader, &table));
        let drills = top
            .get("drills")
            .and_then(|value| reader.names("[drills]", value))
            .map(|table| drills::read(&mut reader, &table));
        let protection = rules::Protection {
            replication: replication.unwrap_or_default(),
            ha,
            drills: drills.unwrap_or_default(),
        };
        rules::check(&mut reader, cluster, nodes, stores, protection)
    });
    match read {
        Some((cluster, nodes, (pools, storages), (replication, ha, drills))) if !reader.has_problems() => {
            Ok(ClusterFile {
                digest,
                cluster,
                nodes,
                pools,
                storages,
                replication,
                ha,
                drills,
            })
        }
        _ => Err(reader.into_problems()),
    }
}

pub(super) fn bad_name(error: InvalidName) -> (String, String) {
    let next = match error.what {
        "cluster name" => "up to 15 lower-case letters, digits and inner hyphens, such as \"hk1\"",
        _ => "lower-case letters, digits and inner hyphens, as the server calls itself, such as prox1",
    };
    (error.to_string(), next.to_owned())
}

fn cluster<'t>(reader: &mut Reader<'t>, table: &Table<'t, '_>) -> ReadCluster {
    ReadCluster {
        name: reader
            .required(table, "name")
            .and_then(|value| reader.parsed::<ClusterName>("`name`", value, Code::SpecBadName, bad_name)),
        links: table.get("links").and_then(|value| links::of_cluster(reader, value)),
        migration_network: table
            .get("migration_network")
            .and_then(|value| links::network(reader, "`migration_network`", value)),
        third_vote: table.get("third_vote").and_then(|value| third_vote(reader, value)),
        maintenance: table
            .get("maintenance")
            .map(|value| maintenance(reader, value))
            .unwrap_or_default(),
    }
}

fn third_vote<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<ThirdVote> {
    let table = reader.table("[cluster.third_vote]", value, &keys::THIRD_VOTE)?;
    let qdevice = reader
        .required(&table, "qdevice")
        .and_then(|value| reader.parsed::<NodeName>("`qdevice`", value, Code::SpecBadName, bad_name))?;
    let place = table.place;
    Some(ThirdVote { place, qdevice })
}

fn maintenance<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Vec<Located<MaintenanceWindow>> {
    let next = "name at least one window, or leave `maintenance` out: then changes may begin at any time";
    let Some(items) = reader.array("`maintenance`", value, next) else {
        return Vec::new();
    };
    let window = |item| {
        reader.parsed::<MaintenanceWindow>("each window", item, Code::SpecBadValue, |error| {
            let next = "write it as \"22:00-05:00\" (every day) or \"sat 22:00-sun 04:00\" (every week), in UTC";
            (error.to_string(), next.to_owned())
        })
    };
    items.iter().filter_map(window).collect()
}
