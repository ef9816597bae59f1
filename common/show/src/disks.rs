//! The disk table: what each disk is, what holds it, and for what it may be used, with every reason against it.

use quorate_model::Facet;
use quorate_model::observation::disks::{Disk, Disks, Holder, HolderKind};
use quorate_model::observation::eligibility::Verdict;

use crate::table::{count, indent, or_dash, table};

/// The disks of one node, or why they aren't known.
#[derive(Debug)]
pub struct DiskRow<'a> {
    /// The node's name as shown; empty for a table of one node.
    pub node: String,
    /// Its disks.
    pub disks: &'a Facet<Disks>,
}

/// One table for all nodes, then every reason why a disk is not usable, then what is not known.
#[must_use]
pub fn disks(nodes: &[DiskRow<'_>]) -> String {
    let with_node = nodes.iter().any(|n| !n.node.is_empty());
    let mut rows = Vec::new();
    let mut reasons = String::new();
    let mut unknown = String::new();
    let mut none = String::new();
    for node in nodes {
        match node.disks.get() {
            Err(why) => unknown.push_str(&format!("{}disks {why}\n", prefix(&node.node))),
            Ok(known) if known.disks.is_empty() => none.push_str(&format!("{}none\n", prefix(&node.node))),
            Ok(known) => {
                for disk in &known.disks {
                    let mut row = disk_row(disk);
                    if with_node {
                        row.insert(0, node.node.clone());
                    }
                    rows.push(row);
                    reasons.push_str(&reasons_of(&prefix(&node.node), disk));
                }
            }
        }
    }
    let mut headers = vec![
        "PATH",
        "NAME",
        "MODEL",
        "SERIAL",
        "SIZE",
        "KIND",
        "TRANSPORT",
        "CONTROLLER",
        "HEALTH",
        "HELD BY",
        "USABLE FOR",
    ];
    if with_node {
        headers.insert(0, "NODE");
    }
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str(&table(&headers, &rows));
    }
    if !reasons.is_empty() {
        text.push_str("\nNot usable, and why\n");
        text.push_str(&indent(&reasons, 2));
    }
    if !none.is_empty() {
        text.push_str("\nNo such disks\n");
        text.push_str(&indent(&none, 2));
    }
    if !unknown.is_empty() {
        text.push_str("\nNot known\n");
        text.push_str(&indent(&unknown, 2));
    }
    text
}

fn prefix(node: &str) -> String {
    if node.is_empty() {
        String::new()
    } else {
        format!("{node} ")
    }
}

fn disk_row(disk: &Disk) -> Vec<String> {
    let controller = disk.controller.as_ref().and_then(|c| c.driver.as_deref());
    vec![
        disk.path.clone(),
        or_dash(disk.stable_name()),
        or_dash(disk.model.as_deref()),
        or_dash(disk.serial.as_deref()),
        disk.size.to_string(),
        disk.kind().as_str().to_owned(),
        or_dash(disk.transport.as_deref()),
        or_dash(controller),
        health(disk),
        held_by(&disk.holders),
        usable(&disk.verdicts),
    ]
}

fn health(disk: &Disk) -> String {
    let Ok(smart) = disk.smart.get() else {
        return "unknown".to_owned();
    };
    let verdict = match smart.passed {
        Some(true) => "ok",
        Some(false) => "FAILING",
        None => "no verdict",
    };
    let wear = smart.wear_percent.map(|w| format!(", {w}% worn")).unwrap_or_default();
    let hot = smart
        .temperature
        .filter(|t| *t >= 60)
        .map(|t| format!(", {t} °C"))
        .unwrap_or_default();
    let bad = smart
        .bad_sectors
        .filter(|b| *b > 0)
        .map(|b| format!(", {b} bad sectors"))
        .unwrap_or_default();
    format!("{verdict}{wear}{bad}{hot}")
}

/// Shortest telling list: a partition table goes without saying where something lies on its partitions.
fn held_by(holders: &[Holder]) -> String {
    let mut said: Vec<String> = Vec::new();
    let more_than_table = holders.iter().any(|h| h.kind != HolderKind::PartitionTable);
    for holder in holders {
        let text = match holder.kind {
            HolderKind::PartitionTable if more_than_table => continue,
            HolderKind::PartitionTable => format!("{} table", holder.name),
            HolderKind::Mounted => holder.name.clone(),
            HolderKind::FileSystem | HolderKind::OtherSignature => holder.name.clone(),
            kind => format!("{} {}", kind.as_str(), holder.name).trim_end().to_owned(),
        };
        if !said.contains(&text) {
            said.push(text);
        }
    }
    if said.is_empty() {
        "-".to_owned()
    } else {
        said.join(", ")
    }
}

fn usable(verdicts: &[Verdict]) -> String {
    let roles: Vec<_> = verdicts
        .iter()
        .filter(|v| v.eligible())
        .map(|v| v.role.as_str().to_uppercase())
        .collect();
    if roles.is_empty() {
        "no".to_owned()
    } else {
        roles.join(", ")
    }
}

/// Reasons that are the same for every role are told once.
fn reasons_of(node: &str, disk: &Disk) -> String {
    let Some(first) = disk.verdicts.first() else {
        return String::new();
    };
    let name = format!("{node}{}", disk.path);
    let same = disk.verdicts.iter().all(|v| v.against == first.against);
    let told: Vec<(String, &Verdict)> = if same {
        vec![(name, first)]
    } else {
        disk.verdicts
            .iter()
            .map(|v| (format!("{name} for {}", v.role.as_str().to_uppercase()), v))
            .collect()
    };
    told.into_iter()
        .filter(|(_, verdict)| !verdict.eligible())
        .map(|(name, verdict)| {
            let texts: Vec<_> = verdict.against.iter().map(|r| r.text.as_str()).collect();
            format!("{name}: {}\n", texts.join("; "))
        })
        .collect()
}

/// `5 disks, 2 usable for ZFS, 2 for OSD`: for overviews.
pub(crate) fn summary(known: &Disks) -> String {
    let usable = |index: usize| {
        known
            .disks
            .iter()
            .filter(|d| d.verdicts.get(index).is_some_and(Verdict::eligible))
            .count()
    };
    format!(
        "{}, {} usable for ZFS, {} for OSD",
        count(known.disks.len(), "disk"),
        usable(0),
        usable(1)
    )
}
