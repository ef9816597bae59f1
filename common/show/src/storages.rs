//! The storages of the clusters: where each should be, where it is, how full, and in what it differs from the cluster file.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::observation::storages::{DefinedStorage, StorageState, StorageStatus};
use serde::Serialize;

use crate::observation::{storage_content, storage_nodes};
use crate::table::table;

/// A storage of a cluster.
#[derive(Debug, Clone, Serialize)]
pub struct StorageRow {
    /// The cluster.
    pub cluster: String,
    /// Its definition; `None`: the cluster file asks for it, and it is not there.
    pub defined: Option<DefinedStorage>,
    /// Its id.
    pub id: String,
    /// Nodes on which it should be, of those that are enrolled.
    pub should: Vec<String>,
    /// How it is on each node that could be asked.
    pub on: BTreeMap<String, StorageStatus>,
    /// Nodes of which that is not known, with the reason.
    pub unknown: BTreeMap<String, String>,
    /// In what it differs from the cluster file that was applied last; `None`: that file does not name it.
    pub drift: Option<Vec<String>>,
}

impl StorageRow {
    /// Is it usable wherever it should be, and known to be?
    #[must_use]
    pub fn is_fine(&self) -> bool {
        let active = |node: &String| self.on.get(node).is_some_and(|row| row.state == StorageState::Active);
        self.should.iter().all(active) && self.drift.as_ref().is_none_or(Vec::is_empty)
    }
}

/// One table, and below it what is wrong.
#[must_use]
pub fn storages(rows: &[StorageRow]) -> String {
    if rows.is_empty() {
        return "no storage is defined\n".to_owned();
    }
    let cells = |row: &StorageRow| {
        let active = row.on.iter().filter(|(_, status)| status.state == StorageState::Active);
        let names: Vec<&str> = active.clone().map(|(node, _)| node.as_str()).collect();
        let fullest = active
            .filter_map(|(_, status)| Some((status.fill()?, status)))
            .max_by_key(|(fill, _)| *fill);
        vec![
            row.cluster.clone(),
            row.id.clone(),
            row.defined
                .as_ref()
                .map_or_else(|| "-".to_owned(), |defined| defined.kind.clone()),
            storage_content(row.defined.as_ref()),
            row.defined
                .as_ref()
                .map_or_else(|| "-".to_owned(), |defined| storage_nodes(Some(defined))),
            if names.is_empty() {
                "nowhere".to_owned()
            } else {
                names.join(", ")
            },
            fullest.map_or_else(
                || "-".to_owned(),
                |(fill, status)| {
                    let total = status.total.unwrap_or_default().binary();
                    format!("{fill} % of {total}")
                },
            ),
            match &row.drift {
                None => "not in it".to_owned(),
                Some(differs) if differs.is_empty() => "as in it".to_owned(),
                Some(_) => "DIFFERS".to_owned(),
            },
        ]
    };
    let rows_of_cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let headers = [
        "CLUSTER",
        "STORAGE",
        "TYPE",
        "CONTENT",
        "NODES",
        "ACTIVE ON",
        "FULLEST",
        "CLUSTER FILE",
    ];
    let below: String = rows.iter().map(troubles).collect::<String>() + &unseen(rows);
    let gap = if below.is_empty() { "" } else { "\n" };
    table(&headers, &rows_of_cells) + gap + &below
}

/// Nodes whose storages could not be seen, and why.
fn unseen(rows: &[StorageRow]) -> String {
    let of_row = |row: &StorageRow| {
        let of_node =
            |(node, why): (&String, &String)| format!("{}/{node}: its storages are not known: {why}\n", row.cluster);
        row.unknown.iter().map(of_node).collect::<Vec<_>>()
    };
    rows.iter()
        .flat_map(of_row)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

fn troubles(row: &StorageRow) -> String {
    let mut text = String::new();
    let mut say = |what: String| text.push_str(&format!("{}/{}: {what}\n", row.cluster, row.id));
    for node in &row.should {
        match row.on.get(node) {
            Some(status) if status.state == StorageState::Active => {}
            Some(status) => {
                let why = status
                    .complaint
                    .as_ref()
                    .map_or_else(String::new, |why| format!(": {why}"));
                say(format!("{} on {node}{why}", status.state.as_str()));
            }
            // Said once for all of a node's.
            None if row.unknown.contains_key(node) => {}
            None => say(format!("not known on {node}: it does not list it")),
        }
    }
    for differs in row.drift.iter().flatten() {
        say(differs.clone());
    }
    text
}
