//! What `zpool status` prints.

use std::fmt::Write as _;

use super::numbers;
use crate::world::clock::{self, SimTime};
use crate::world::server::Server;
use crate::world::zfs::disks;
use crate::world::zfs::health::whole_disk;
use crate::world::zfs::scan::{Scan, ScanKind, ScanState};
use crate::world::zfs::{Beside, Class, Errors, Leaf, LeafState, Pool, Vdev};

/// What is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    /// `-P`
    pub(super) paths: bool,
    /// `-L`
    pub(super) links: bool,
    /// `-p`
    pub(super) literal: bool,
    /// `-v`
    pub(super) verbose: bool,
    /// `-s`
    pub(super) slow: bool,
    /// `-x`
    pub(super) only_bad: bool,
    pub(super) pool: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// Nothing for flags that nobody has recorded.
    pub(super) fn read(args: &[&'a str]) -> Option<Self> {
        let mut asked = Self::default();
        for arg in args {
            match arg.strip_prefix('-') {
                Some(flags) => {
                    for flag in flags.chars() {
                        match flag {
                            'P' => asked.paths = true,
                            'L' => asked.links = true,
                            'p' => asked.literal = true,
                            'v' => asked.verbose = true,
                            's' => asked.slow = true,
                            'x' => asked.only_bad = true,
                            _ => return None,
                        }
                    }
                }
                None if asked.pool.is_none() => asked.pool = Some(arg),
                None => return None,
            }
        }
        Some(asked)
    }
}

/// Of all pools or of one; nothing if there is none of that name.
pub(super) fn print(server: &Server, now: SimTime, asked: Asked<'_>) -> Option<String> {
    let wanted = |pool: &&Pool| asked.pool.is_none_or(|name| pool.name == name);
    let pools: Vec<&Pool> = server.pools.iter().filter(wanted).collect();
    if pools.is_empty() {
        return None;
    }
    let bad = |pool: &&&Pool| !asked.only_bad || pool.complaint().is_some();
    let texts: Vec<String> = pools
        .iter()
        .filter(bad)
        .map(|pool| one(server, now, asked, pool))
        .collect();
    Some(match (texts.is_empty(), asked.pool) {
        (true, Some(name)) => format!("pool '{name}' is healthy\n"),
        (true, None) => "all pools are healthy\n".to_owned(),
        (false, _) => texts.join("\n"),
    })
}

fn one(server: &Server, now: SimTime, asked: Asked<'_>, pool: &Pool) -> String {
    let mut text = format!("  pool: {}\n state: {}\n", pool.name, pool.word());
    if let Some(complaint) = pool.complaint() {
        let (lines, message) = complaint.text();
        text.push_str(lines);
        if let Some(message) = message {
            writeln!(text, "   see: https://openzfs.github.io/openzfs-docs/msg/{message}").ok();
        }
    }
    if let Some(scan) = &pool.scan {
        text.push_str(&scanned(scan, pool.allocated, now));
    }
    text.push_str("config:\n\n");
    text.push_str(&table(server, asked, pool));
    text.push('\n');
    match (pool.data_errors.len(), asked.verbose) {
        (0, _) => text.push_str("errors: No known data errors\n"),
        (count, false) => {
            writeln!(text, "errors: {count} data errors, use '-v' for a list").ok();
        }
        (_, true) => {
            text.push_str("errors: Permanent errors have been detected in the following files:\n\n");
            for file in &pool.data_errors {
                writeln!(text, "        {file}").ok();
            }
        }
    }
    text
}

/// Captured: a scrub under way and one that is done, a resilver that is done. The others are from zpool_main.c of OpenZFS 2.1
/// (`print_scan_scrub_resilver_status`).
fn scanned(scan: &Scan, total: u64, now: SimTime) -> String {
    let (noun, done) = match scan.kind {
        ScanKind::Scrub => ("scrub", "scrub repaired"),
        ScanKind::Resilver => ("resilver", "resilvered"),
    };
    let at = clock::ctime(scan.at);
    let fraction = scan.done(now);
    let part = |of: u64| (of as f64 * fraction) as u64;
    let issued = part(total);
    let verb = match scan.kind {
        ScanKind::Scrub => format!("{} repaired", numbers::bytes(part(scan.repaired))),
        ScanKind::Resilver => format!("{} resilvered", numbers::bytes(part(scan.repaired))),
    };
    let percent = format!("\t{verb}, {:.2}% done", 100.0 * fraction);
    match &scan.state {
        ScanState::Finished { took } => format!(
            "  scan: {done} {} in {} with {} errors on {at}\n",
            numbers::bytes(scan.repaired),
            numbers::time(took.as_secs()),
            scan.errors
        ),
        ScanState::Cancelled => format!("  scan: {noun} canceled on {at}\n"),
        ScanState::Paused { .. } => format!(
            "  scan: {noun} paused since {at}\n\t{noun} started on {at}\n\t{} scanned, {} issued, {} total\n{percent}\n",
            numbers::bytes(total),
            numbers::bytes(issued),
            numbers::bytes(total)
        ),
        ScanState::Running { since, takes } => {
            let elapsed = now.saturating_sub(*since).as_secs().max(1);
            let rate = issued / elapsed;
            let left = takes.saturating_sub(now.saturating_sub(*since)).as_secs();
            let to_go = if rate >= 10 << 20 {
                format!("{} to go", numbers::time(left))
            } else {
                "no estimated completion time".to_owned()
            };
            format!(
                "  scan: {noun} in progress since {at}\n\t{} scanned at {}/s, {} issued at {}/s, {} total\n{percent}, {to_go}\n",
                numbers::bytes(total),
                numbers::bytes(total / elapsed),
                numbers::bytes(issued),
                numbers::bytes(rate),
                numbers::bytes(total)
            )
        }
    }
}

/// A line below `NAME STATE READ WRITE CKSUM`.
struct Row {
    depth: usize,
    name: String,
    state: &'static str,
    errors: Option<Errors>,
    leaf: bool,
    note: String,
}

enum Line {
    Heading(&'static str),
    Row(Row),
}

fn table(server: &Server, asked: Asked<'_>, pool: &Pool) -> String {
    let mut lines = vec![Line::Row(Row {
        depth: 0,
        name: pool.name.clone(),
        state: pool.health().word(),
        errors: Some(Errors::default()),
        leaf: false,
        note: pool.health().note().to_owned(),
    })];
    for (number, class, vdev) in numbered(pool) {
        lines.extend(class.map(Line::Heading));
        lines.extend(of_vdev(server, asked, pool, number, vdev).into_iter().map(Line::Row));
    }
    let rows = || {
        lines.iter().filter_map(|line| match line {
            Line::Row(row) => Some(row),
            Line::Heading(_) => None,
        })
    };
    let width = rows()
        .map(|row| 2 * row.depth + row.name.len())
        .max()
        .unwrap_or(0)
        .max(10);
    let mut text = format!(
        "\t{:width$}  {:8} {:>5} {:>5} {:>5}",
        "NAME", "STATE", "READ", "WRITE", "CKSUM"
    );
    text.push_str(if asked.slow { "  SLOW\n" } else { "\n" });
    for line in &lines {
        match line {
            Line::Heading(heading) => writeln!(text, "\t{heading}").ok(),
            Line::Row(row) => writeln!(text, "{}", printed(asked, row, width)).ok(),
        };
    }
    text
}

fn printed(asked: Asked<'_>, row: &Row, width: usize) -> String {
    let name = format!("{}{}", "  ".repeat(row.depth), row.name);
    let mut text = format!("\t{name:width$}  {:8}", row.state);
    if let Some(errors) = row.errors {
        let number = |count: u64| {
            if asked.literal {
                count.to_string()
            } else {
                numbers::count(count)
            }
        };
        for count in [errors.read, errors.write, errors.checksum] {
            write!(text, " {:>5}", number(count)).ok();
        }
        if asked.slow {
            // Captured with -p, where what has no number of its own has a zero as well.
            text.push_str(if row.leaf || asked.literal { "     0" } else { "     -" });
        }
    }
    if !row.note.is_empty() {
        write!(text, "  {}", row.note).ok();
    }
    text
}

fn of_vdev(server: &Server, asked: Asked<'_>, pool: &Pool, number: usize, vdev: &Vdev) -> Vec<Row> {
    let mut rows = Vec::new();
    let name = vdev.name(number);
    let depth = 1 + usize::from(name.is_some());
    let group = |depth, name, health: crate::world::zfs::health::Health| Row {
        depth,
        name,
        state: health.word(),
        errors: Some(Errors::default()),
        leaf: false,
        note: health.note().to_owned(),
    };
    rows.extend(name.map(|name| group(1, name, vdev.health())));
    for (place, leaf) in vdev.leaves.iter().enumerate() {
        if vdev.class == Class::Spare {
            rows.push(spare(server, asked, pool, leaf));
            continue;
        }
        let Some((beside, _)) = &leaf.beside else {
            rows.push(of_leaf(server, asked, pool, depth, leaf));
            continue;
        };
        let word = match beside {
            Beside::Replacing => "replacing",
            Beside::Spare => "spare",
        };
        rows.push(group(depth, format!("{word}-{place}"), leaf.health()));
        rows.extend(leaf.both().map(|leaf| of_leaf(server, asked, pool, depth + 1, leaf)));
    }
    rows
}

fn of_leaf(server: &Server, asked: Asked<'_>, pool: &Pool, depth: usize, leaf: &Leaf) -> Row {
    let (state, note) = leaf.state.words();
    // Not present since import: then its number stands for it. Source: libzfs (`zpool_vdev_name`).
    let (name, note) = if leaf.state == LeafState::Missing {
        (leaf.guid.to_string(), format!("was {}", leaf.path))
    } else if leaf.resilvers && pool.resilvers() && leaf.state == LeafState::Online {
        (shown(server, asked, pool, leaf), "(resilvering)".to_owned())
    } else {
        (shown(server, asked, pool, leaf), note.to_owned())
    };
    Row {
        depth,
        name,
        state,
        errors: Some(leaf.errors),
        leaf: true,
        note,
    }
}

fn spare(server: &Server, asked: Asked<'_>, pool: &Pool, leaf: &Leaf) -> Row {
    let used = |other: &Leaf| {
        other
            .beside
            .as_ref()
            .is_some_and(|(_, beside)| beside.path == leaf.path)
    };
    let in_use = pool.vdevs.iter().flat_map(|vdev| &vdev.leaves).any(used);
    let (state, note) = match (in_use, leaf.state) {
        (true, _) => ("INUSE", "currently in use"),
        (false, LeafState::Online) => ("AVAIL", ""),
        (false, state) => state.words(),
    };
    Row {
        depth: 1,
        name: shown(server, asked, pool, leaf),
        state,
        errors: None,
        leaf: true,
        note: note.to_owned(),
    }
}

/// Its path, as asked for.
fn shown(server: &Server, asked: Asked<'_>, pool: &Pool, leaf: &Leaf) -> String {
    let path = if asked.links {
        kernel_path(server, pool, leaf)
    } else {
        leaf.path.clone()
    };
    if asked.paths {
        return path;
    }
    let disk = whole_disk(&path);
    let name = disk.rsplit('/').next().unwrap_or(disk);
    name.to_owned()
}

/// Where its path leads to.
pub(super) fn kernel_path(server: &Server, pool: &Pool, leaf: &Leaf) -> String {
    match disks::holding(&server.disks, pool.guid, leaf) {
        Some((disk, part)) => format!("/dev/{}", crate::roots::disks::partition_name(disk, part.number)),
        // A link that leads nowhere is shown as it is.
        None => leaf.path.clone(),
    }
}

/// The vdevs with their numbers, each first one of a class with its heading.
pub(super) fn numbered(pool: &Pool) -> impl Iterator<Item = (usize, Option<&'static str>, &Vdev)> {
    let mut last = Class::Data;
    pool.vdevs.iter().enumerate().map(move |(number, vdev)| {
        // A tab ends those of print_class_vdevs, and no others.
        let heading = (vdev.class != last).then_some(match vdev.class {
            Class::Data => "",
            Class::Dedup => "dedup\t",
            Class::Special => "special\t",
            Class::Log => "logs\t",
            Class::Cache => "cache",
            Class::Spare => "spares",
        });
        last = vdev.class;
        (number, heading, vdev)
    })
}
