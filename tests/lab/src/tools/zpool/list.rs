//! What `zpool list` and `zpool get` print.

use std::fmt::Write as _;

use super::numbers;
use super::status::{kernel_path, numbered};
use crate::world::server::Server;
use crate::world::zfs::{Class, Leaf, LeafState, Pool, Vdev};

/// `zpool list -v`: flags that matter, in a call of -H.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// `-p`
    pub(super) literal: bool,
    /// `-L`
    pub(super) links: bool,
    pub(super) pool: Option<&'a str>,
}

/// `zpool list -HPv`, with or without -p and -L.
pub(super) fn devices(server: &Server, asked: Asked<'_>) -> Option<String> {
    let wanted = |pool: &&Pool| asked.pool.is_none_or(|name| pool.name == name);
    let pools: Vec<&Pool> = server.pools.iter().filter(wanted).collect();
    if pools.is_empty() && asked.pool.is_some() {
        return None;
    }
    let mut text = String::new();
    for pool in pools {
        let size = |bytes: u64| size(bytes, asked.literal);
        let percent = |number: u64, decimals: &str| percent(number, decimals, asked.literal);
        writeln!(
            text,
            "{}\t{}\t{}\t{}\t-\t-\t{}\t{}\t{}\t{}\t-",
            pool.name,
            size(pool.size()),
            size(pool.allocated),
            size(pool.size().saturating_sub(pool.allocated)),
            percent(u64::from(pool.fragmentation), ""),
            percent(capacity(pool), ""),
            if asked.literal { "1.00" } else { "1.00x" },
            pool.word()
        )
        .ok();
        for (number, class, vdev) in numbered(pool) {
            if let Some(class) = class {
                let heading = if class == "spares" { "spare" } else { class.trim_end() };
                writeln!(
                    text,
                    "{heading}      -      -      -        -         -      -      -      -  -"
                )
                .ok();
            }
            if let Some(name) = vdev.name(number) {
                text.push_str(&group(pool, vdev, &name, asked.literal));
            }
            for leaf in vdev.leaves.iter().flat_map(Leaf::both) {
                let state = match (vdev.class, leaf.state) {
                    (Class::Spare, LeafState::Online) => "AVAIL",
                    (_, state) => state.words().0,
                };
                let path = match leaf.state {
                    LeafState::Missing => leaf.guid.to_string(),
                    _ if asked.links => kernel_path(server, pool, leaf),
                    _ => leaf.path.clone(),
                };
                writeln!(text, "\t{path}\t{}\t-\t-\t-\t-\t-\t-\t-\t{state}", size(leaf.size)).ok();
            }
        }
    }
    Some(text)
}

/// All is counted at the first vdev of the data: who writes where is not played.
fn group(pool: &Pool, vdev: &Vdev, name: &str, literal: bool) -> String {
    let first = pool.vdevs.iter().find(|vdev| vdev.class == Class::Data) == Some(vdev);
    let allocated = if first { pool.allocated } else { 0 };
    let whole = vdev.size().max(1);
    let capacity = percent(allocated.saturating_mul(100) / whole, ".00", literal);
    format!(
        "\t{name}\t{}\t{}\t{}\t-\t-\t{}\t{capacity}\t-\t{}\n",
        size(vdev.size(), literal),
        size(allocated, literal),
        size(vdev.size().saturating_sub(allocated), literal),
        percent(u64::from(pool.fragmentation), "", literal),
        vdev.health().word()
    )
}

fn size(bytes: u64, literal: bool) -> String {
    if literal {
        bytes.to_string()
    } else {
        numbers::bytes(bytes)
    }
}

fn percent(number: u64, decimals: &str, literal: bool) -> String {
    if literal {
        number.to_string()
    } else {
        format!("{number}{decimals}%")
    }
}

fn capacity(pool: &Pool) -> u64 {
    pool.allocated.saturating_mul(100) / pool.size().max(1)
}

/// `zpool list -Hp -o …`, of all pools or of one.
pub(super) fn columns(server: &Server, columns: &str, of: Option<&str>) -> Option<String> {
    let mut text = String::new();
    for pool in server
        .pools
        .iter()
        .filter(|pool| of.is_none_or(|name| pool.name == name))
    {
        let values: Option<Vec<String>> = columns.split(',').map(|column| property(pool, column)).collect();
        writeln!(text, "{}", values?.join("\t")).ok();
    }
    Some(text)
}

/// `zpool get -Hp …`, of all pools or of one.
pub(super) fn properties(server: &Server, wanted: &str, of: Option<&str>) -> Option<String> {
    let mut text = String::new();
    for pool in server
        .pools
        .iter()
        .filter(|pool| of.is_none_or(|name| pool.name == name))
    {
        for name in wanted.split(',') {
            let source = match name {
                "ashift" if pool.ashift == 0 => "default",
                "autotrim" if !pool.autotrim => "default",
                "ashift" | "autotrim" => "local",
                "cachefile" | "autoreplace" | "autoexpand" | "failmode" => "default",
                _ => "-",
            };
            writeln!(text, "{}\t{name}\t{}\t{source}", pool.name, property(pool, name)?).ok();
        }
    }
    Some(text)
}

/// `zpool get -Hp -o value PROPERTY POOL`.
pub(super) fn value(pool: &Pool, name: &str) -> Option<String> {
    Some(format!("{}\n", property(pool, name)?))
}

fn property(pool: &Pool, name: &str) -> Option<String> {
    Some(match name {
        "name" => pool.name.clone(),
        "size" => pool.size().to_string(),
        "alloc" | "allocated" => pool.allocated.to_string(),
        "free" => pool.size().saturating_sub(pool.allocated).to_string(),
        "frag" | "fragmentation" => pool.fragmentation.to_string(),
        "cap" | "capacity" => capacity(pool).to_string(),
        "dedup" | "dedupratio" => "1.00".to_owned(),
        "health" => pool.word().to_owned(),
        "guid" => pool.guid.to_string(),
        "ashift" => pool.ashift.to_string(),
        "autotrim" => if pool.autotrim { "on" } else { "off" }.to_owned(),
        "altroot" | "ckpoint" | "checkpoint" | "expandsz" | "expandsize" | "cachefile" => "-".to_owned(),
        "readonly" | "autoreplace" | "autoexpand" => "off".to_owned(),
        "freeing" | "leaked" => "0".to_owned(),
        "failmode" => "wait".to_owned(),
        _ => return None,
    })
}
