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

/// How much of each disk is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskDetail {
    /// What fits beside each other: the name that stays is made of model and serial number, which are there.
    Usual,
    /// Everything.
    All,
}

/// Reasons are broken to lines of this length.
const WIDTH: usize = 118;

/// What holds a disk, in the usual table. All of it stands in the reasons below.
const HOLDERS: usize = 2;

/// One table for all nodes, then every reason why a disk is not usable, what else is to be known, and what is not known.
#[must_use]
pub fn disks(nodes: &[DiskRow<'_>], detail: DiskDetail) -> String {
    let with_node = nodes.iter().any(|n| !n.node.is_empty());
    let mut rows = Vec::new();
    let mut sections = [("Not usable, and why", String::new()), ("To know", String::new())];
    let mut unknown = String::new();
    let mut none = String::new();
    for node in nodes {
        match node.disks.get() {
            Err(why) => unknown.push_str(&format!("{}disks {why}\n", prefix(&node.node))),
            Ok(known) if known.disks.is_empty() => none.push_str(&format!("{}none\n", prefix(&node.node))),
            Ok(known) => {
                for disk in &known.disks {
                    let mut row = disk_row(disk, detail);
                    if with_node {
                        row.insert(0, node.node.clone());
                    }
                    rows.push(row);
                    let [(_, reasons), (_, notes)] = &mut sections;
                    reasons.push_str(&said_of(&prefix(&node.node), disk, |verdict| {
                        verdict.against.iter().map(|reason| reason.text.as_str()).collect()
                    }));
                    notes.push_str(&said_of(&prefix(&node.node), disk, |verdict| {
                        // Of what can't be used anyway the usual table says only that.
                        let may_be_used = verdict.against.iter().all(|reason| reason.kind.may_be_accepted());
                        let told = may_be_used || detail == DiskDetail::All;
                        verdict.notes.iter().filter(|_| told).map(String::as_str).collect()
                    }));
                }
            }
        }
    }
    let mut headers = match detail {
        DiskDetail::Usual => vec![
            "DISK",
            "MODEL",
            "SERIAL",
            "SIZE",
            "KIND",
            "HEALTH",
            "HELD BY",
            "USABLE FOR",
        ],
        DiskDetail::All => vec![
            "DISK",
            "NAME",
            "MODEL",
            "SERIAL",
            "WWN",
            "SIZE",
            "KIND",
            "CONTROLLER",
            "HEALTH",
            "HELD BY",
            "USABLE FOR",
        ],
    };
    if with_node {
        headers.insert(0, "NODE");
    }
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str(&table(&headers, &rows));
    }
    for (title, lines) in sections
        .into_iter()
        .chain([("No such disks", none), ("Not known", unknown)])
    {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}\n{}", indent(&lines, 2)));
        }
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

fn disk_row(disk: &Disk, detail: DiskDetail) -> Vec<String> {
    let all = detail == DiskDetail::All;
    let mut row = vec![short(&disk.path).to_owned()];
    if all {
        row.push(or_dash(disk.stable_name()));
    }
    row.extend([or_dash(disk.model.as_deref()), or_dash(disk.serial.as_deref())]);
    if all {
        row.push(or_dash(disk.wwn.as_deref()));
    }
    row.extend([disk.size.to_string(), kind(disk)]);
    if all {
        row.push(or_dash(disk.controller.as_ref().and_then(|c| c.driver.as_deref())));
    }
    row.extend([
        health(disk),
        held_by(&disk.holders, if all { usize::MAX } else { HOLDERS }),
        usable(&disk.verdicts),
    ]);
    row
}

fn short(path: &str) -> &str {
    path.strip_prefix("/dev/").unwrap_or(path)
}

/// The medium, and how it is connected where that says more.
fn kind(disk: &Disk) -> String {
    let kind = disk.kind().as_str();
    match disk.transport.as_deref() {
        Some(transport) if transport != kind => format!("{kind} {transport}"),
        _ => kind.to_owned(),
    }
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
    // Of one that fails nobody asks how worn it is.
    let wear = smart.wear_percent.filter(|_| smart.passed != Some(false));
    let wear = wear.map(|w| format!(", {w}% worn")).unwrap_or_default();
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
fn held_by(holders: &[Holder], most: usize) -> String {
    let mut said: Vec<String> = Vec::new();
    let more_than_table = holders.iter().any(|h| h.kind != HolderKind::PartitionTable);
    let is_osd = holders.iter().any(|h| h.kind == HolderKind::CephOsd);
    // What uses it before what merely lies on it.
    let (lies, uses): (Vec<&Holder>, Vec<&Holder>) = holders
        .iter()
        .partition(|h| matches!(h.kind, HolderKind::Boot | HolderKind::FileSystem));
    for holder in uses.into_iter().chain(lies) {
        let text = match holder.kind {
            // An OSD is a volume of a group of its own.
            HolderKind::Lvm if is_osd => continue,
            HolderKind::PartitionTable if more_than_table => continue,
            HolderKind::PartitionTable => format!("{} table", holder.name),
            HolderKind::Mounted => holder.name.clone(),
            HolderKind::FileSystem | HolderKind::OtherSignature => holder.name.clone(),
            HolderKind::Boot => "boot".to_owned(),
            kind => format!("{} {}", kind.as_str(), holder.name).trim_end().to_owned(),
        };
        if !said.contains(&text) {
            said.push(text);
        }
    }
    let more = said.len().saturating_sub(most);
    said.truncate(most);
    if more > 0 {
        said.push(format!("{more} more"));
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

/// What is said of a disk, a part of its verdicts; what is the same for every role is told once.
fn said_of(node: &str, disk: &Disk, of: impl Fn(&Verdict) -> Vec<&str>) -> String {
    let Some(first) = disk.verdicts.first() else {
        return String::new();
    };
    let name = format!("{node}{}", short(&disk.path));
    let same = disk.verdicts.iter().all(|verdict| of(verdict) == of(first));
    let told: Vec<(String, &Verdict)> = if same {
        vec![(name, first)]
    } else {
        let of_role = |verdict: &Verdict| format!("{name} for {}", verdict.role.as_str().to_uppercase());
        disk.verdicts
            .iter()
            .map(|verdict| (of_role(verdict), verdict))
            .collect()
    };
    told.into_iter()
        .map(|(name, verdict)| (name, of(verdict)))
        .filter(|(_, texts)| !texts.is_empty())
        .map(|(name, texts)| wrapped(&name, &texts))
        .collect()
}

/// `NAME: this; that`, broken between the parts and then between words.
fn wrapped(name: &str, parts: &[&str]) -> String {
    let mut lines = vec![format!("{name}:")];
    for (number, part) in parts.iter().enumerate() {
        let end = if number + 1 < parts.len() { ";" } else { "" };
        for word in format!("{part}{end}").split(' ') {
            match lines.last_mut() {
                Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(format!("   {word}")),
            }
        }
    }
    lines.join("\n") + "\n"
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
