//! What `zpool list`, `status` and `get` print.

use std::fmt::Write as _;

use crate::world::server::Server;
use crate::world::zfs::{Class, Pool, Vdev};

/// What a new pool has taken already. Source: captured.
const ALLOCATED: u64 = 393_216;

/// `zpool list -HPLv`: kernel paths, sizes for people.
pub(super) fn devices(server: &Server) -> String {
    let mut text = String::new();
    for pool in &server.pools {
        let size = pool.size();
        writeln!(
            text,
            "{}\t{}\t{}\t{}\t-\t-\t0%\t0%\t1.00x\tONLINE\t-",
            pool.name,
            human(size),
            human(ALLOCATED),
            human(size.saturating_sub(ALLOCATED))
        )
        .ok();
        for (number, class, vdev) in numbered(pool) {
            if let Some(class) = class {
                let heading = if class == "spares" { "spare" } else { class };
                writeln!(
                    text,
                    "{heading}      -      -      -        -         -      -      -      -  -"
                )
                .ok();
            }
            if let Some(name) = vdev.name(number) {
                writeln!(
                    text,
                    "\t{name}\t{}\t-\t-\t-\t-\t0%\t0.00%\t-\tONLINE",
                    human(vdev.size())
                )
                .ok();
            }
            for leaf in &vdev.leaves {
                let state = if vdev.class == Class::Spare { "AVAIL" } else { "ONLINE" };
                let path = kernel_path(server, &leaf.disk);
                writeln!(text, "\t{path}\t{}\t-\t-\t-\t-\t-\t-\t-\t{state}", human(leaf.size)).ok();
            }
        }
    }
    text
}

/// `zpool list -Hp -o …`.
pub(super) fn columns(server: &Server, columns: &str) -> Option<String> {
    let mut text = String::new();
    for pool in &server.pools {
        let values: Option<Vec<String>> = columns.split(',').map(|column| property(pool, column)).collect();
        writeln!(text, "{}", values?.join("\t")).ok();
    }
    Some(text)
}

/// `zpool get -Hp …` of all pools.
pub(super) fn properties(server: &Server, wanted: &str) -> Option<String> {
    let mut text = String::new();
    for pool in &server.pools {
        for name in wanted.split(',') {
            let source = if ["ashift", "autotrim"].contains(&name) {
                "local"
            } else {
                "-"
            };
            writeln!(text, "{}\t{name}\t{}\t{source}", pool.name, property(pool, name)?).ok();
        }
    }
    Some(text)
}

fn property(pool: &Pool, name: &str) -> Option<String> {
    Some(match name {
        "name" => pool.name.clone(),
        "size" => pool.size().to_string(),
        "alloc" | "allocated" => ALLOCATED.to_string(),
        "free" => pool.size().saturating_sub(ALLOCATED).to_string(),
        "frag" | "fragmentation" | "cap" | "capacity" => "0".to_owned(),
        "dedup" | "dedupratio" => "1.00".to_owned(),
        "health" => "ONLINE".to_owned(),
        "guid" => pool.guid.to_string(),
        "ashift" => pool.ashift.to_string(),
        "autotrim" => if pool.autotrim { "on" } else { "off" }.to_owned(),
        _ => return None,
    })
}

/// `zpool status -P`, of all pools or of one; nothing if there is none of that name.
pub(super) fn status(server: &Server, of: Option<&str>) -> Option<String> {
    let pools: Vec<&Pool> = server
        .pools
        .iter()
        .filter(|pool| of.is_none_or(|name| pool.name == name))
        .collect();
    if pools.is_empty() {
        return None;
    }
    let texts: Vec<String> = pools.into_iter().map(one).collect();
    Some(texts.join("\n"))
}

fn one(pool: &Pool) -> String {
    let mut rows = vec![(0, pool.name.clone(), "ONLINE", true)];
    for (number, class, vdev) in numbered(pool) {
        rows.extend(class.map(|class| (0, class.to_owned(), "", false)));
        let name = vdev.name(number);
        let depth = 1 + usize::from(name.is_some());
        rows.extend(name.map(|name| (1, name, "ONLINE", true)));
        let spare = vdev.class == Class::Spare;
        let state = if spare { "AVAIL" } else { "ONLINE" };
        rows.extend(vdev.leaves.iter().map(|leaf| (depth, leaf.path.clone(), state, !spare)));
    }
    let width = rows
        .iter()
        .map(|(depth, name, ..)| 2 * depth + name.len())
        .max()
        .unwrap_or(4)
        .max(4);
    let mut text = format!("  pool: {}\n state: ONLINE\nconfig:\n\n", pool.name);
    writeln!(
        text,
        "\t{:width$}  {:8} {:>5} {:>5} {:>5}",
        "NAME", "STATE", "READ", "WRITE", "CKSUM"
    )
    .ok();
    for (depth, name, state, counted) in rows {
        let name = format!("{}{name}", "  ".repeat(depth));
        if state.is_empty() {
            writeln!(text, "\t{name}\t").ok();
        } else if counted {
            writeln!(text, "\t{name:width$}  {state:8} {:>5} {:>5} {:>5}", 0, 0, 0).ok();
        } else {
            writeln!(text, "\t{name:width$}  {state:8}").ok();
        }
    }
    text.push_str("\nerrors: No known data errors\n");
    text
}

/// The vdevs with their numbers, each first one of a class with its heading.
fn numbered(pool: &Pool) -> impl Iterator<Item = (usize, Option<&'static str>, &Vdev)> {
    let mut last = Class::Data;
    pool.vdevs.iter().enumerate().map(move |(number, vdev)| {
        let heading = (vdev.class != last).then_some(match vdev.class {
            Class::Data => "",
            Class::Dedup => "dedup",
            Class::Special => "special",
            Class::Log => "logs",
            Class::Cache => "cache",
            Class::Spare => "spares",
        });
        last = vdev.class;
        (number, heading, vdev)
    })
}

fn kernel_path(server: &Server, disk: &str) -> String {
    let found = server.disks.iter().find(|present| present.name == disk);
    found.map_or_else(
        || format!("/dev/{disk}1"),
        |disk| format!("/dev/{}", crate::roots::disks::partition_name(disk, 1)),
    )
}

/// As zpool shows sizes: three digits and a unit.
fn human(bytes: u64) -> String {
    let units = ["", "K", "M", "G", "T", "P"];
    let mut power = 0;
    let mut scaled = bytes;
    while scaled >= 1024 && power < units.len() - 1 {
        scaled /= 1024;
        power += 1;
    }
    let unit = units.get(power).unwrap_or(&"P");
    let exact = bytes as f64 / 1024_f64.powi(i32::try_from(power).unwrap_or(0));
    if power == 0 || exact.fract() == 0.0 || scaled >= 100 {
        return format!("{scaled}{unit}");
    }
    if scaled >= 10 {
        format!("{exact:.1}{unit}")
    } else {
        format!("{exact:.2}{unit}")
    }
}
