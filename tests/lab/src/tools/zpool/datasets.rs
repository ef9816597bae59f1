//! `zfs`: file systems and volumes of pools, as far as somebody asks for them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::io::Stop;
use super::super::{Call, Reply, unknown};
use super::{CHANGES, REFUSES, members};
use crate::world::server::Server;
use crate::world::zfs::Pool;

/// What a volume or file system has taken when it is new. Source: captured.
const EMPTY: u64 = 98_304;

/// What the pool keeps for itself: a thirty-second, 128 GiB at most. Source: OpenZFS `spa_slop_shift`, `spa_max_slop`.
fn slop(size: u64) -> u64 {
    (size / 32).min(128 << 30)
}

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<Reply> {
    match args {
        ["list", rest @ ..] => list(server, rest),
        ["get", "-Hp", properties, name] => get(server, properties, &[name], "name,property,value,source"),
        ["get", "-Hp", "-o", columns, properties, names @ ..] if !names.is_empty() => {
            get(server, properties, names, columns)
        }
        _ => None,
    }
}

type Found<'s> = (&'s Pool, &'s str, &'s BTreeMap<String, String>);

fn datasets<'s>(server: &'s Server, of: Option<&str>, below: bool) -> Vec<Found<'s>> {
    let all = server.pools.iter().flat_map(|pool| {
        let sets = pool.datasets.iter();
        sets.map(move |(name, set)| (pool, name.as_str(), set))
    });
    all.filter(|(_, name, _)| {
        of.is_none_or(|of| *name == of || (below && name.strip_prefix(of).is_some_and(|rest| rest.starts_with('/'))))
    })
    .collect()
}

fn missing(name: &str) -> Reply {
    Reply::fail(1, format!("cannot open '{name}': dataset does not exist\n"))
}

/// `zfs list -Hp [-r] [-o …] [-t …] [NAME …]`.
fn list(server: &Server, args: &[&str]) -> Option<Reply> {
    let mut columns = "name,used,avail,refer,mountpoint";
    let (mut below, mut machine, mut snapshots) = (false, false, false);
    let mut names = Vec::new();
    let mut args = args.iter().copied();
    while let Some(arg) = args.next() {
        match arg {
            "-Hp" | "-pH" => machine = true,
            "-r" => below = true,
            "-o" => columns = args.next()?,
            "-t" => match args.next()? {
                "snapshot" => snapshots = true,
                "filesystem,volume" => snapshots = false,
                _ => return None,
            },
            option if option.starts_with('-') => return None,
            one => names.push(one),
        }
    }
    if !machine {
        return None;
    }
    let mut found = Vec::new();
    for name in names.iter().copied() {
        let of_name = datasets(server, Some(name), below);
        if of_name.is_empty() {
            return Some(missing(name));
        }
        found.extend(of_name);
    }
    if names.is_empty() {
        found = datasets(server, None, below);
    }
    if snapshots {
        return Some(Reply::ok(snapshot_lines(&found, columns)?));
    }
    let mut text = String::new();
    for dataset in found {
        let values: Option<Vec<String>> = columns.split(',').map(|key| Some(value(dataset, key)?.0)).collect();
        writeln!(text, "{}", values?.join("\t")).ok();
    }
    Some(Reply::ok(text))
}

/// Snapshots of guests' volumes; those of others nobody makes here.
fn snapshot_lines(found: &[Found<'_>], columns: &str) -> Option<String> {
    let mut text = String::new();
    for (pool, name, _) in found {
        for snapshot in pool.volumes.get(*name).into_iter().flat_map(|volume| &volume.snapshots) {
            let value = |column: &str| match column {
                "name" => Some(format!("{name}@{}", snapshot.name)),
                "guid" => Some(snapshot.guid.to_string()),
                "creation" => Some(snapshot.at.to_string()),
                "used" => Some("0".to_owned()),
                "refer" | "referenced" => Some(EMPTY.to_string()),
                "avail" | "mountpoint" => Some("-".to_owned()),
                "type" => Some("snapshot".to_owned()),
                _ => None,
            };
            let values: Option<Vec<String>> = columns.split(',').map(value).collect();
            writeln!(text, "{}", values?.join("\t")).ok();
        }
    }
    Some(text)
}

fn get(server: &Server, properties: &str, names: &[&str], columns: &str) -> Option<Reply> {
    let mut text = String::new();
    for name in names {
        let Some(dataset) = datasets(server, Some(name), false).into_iter().next() else {
            return Some(missing(name));
        };
        for key in properties.split(',') {
            let (value, source) = value(dataset, key)?;
            let field = |column: &str| match column {
                "name" => Some((*name).to_owned()),
                "property" => Some(key.to_owned()),
                "value" => Some(value.clone()),
                "source" => Some(source.to_owned()),
                _ => None,
            };
            let fields: Option<Vec<String>> = columns.split(',').map(field).collect();
            writeln!(text, "{}", fields?.join("\t")).ok();
        }
    }
    Some(Reply::ok(text))
}

/// A property and where it is from.
fn value((pool, name, set): Found<'_>, key: &str) -> Option<(String, &'static str)> {
    let of_root = name == pool.name;
    let volume = set.contains_key("volsize");
    let fixed = |text: String| Some((text, "-"));
    match key {
        "name" => return fixed(name.to_owned()),
        "type" => return fixed(if volume { "volume" } else { "filesystem" }.to_owned()),
        "used" => return fixed(if of_root { pool.allocated } else { EMPTY }.to_string()),
        "refer" | "referenced" => return fixed(EMPTY.to_string()),
        "avail" | "available" => {
            let size = pool.size();
            return fixed(
                size.saturating_sub(slop(size))
                    .saturating_sub(pool.allocated)
                    .to_string(),
            );
        }
        // Of what was there before the lab: some day of 2025.
        "creation" => return fixed(set.get(key).cloned().unwrap_or_else(|| "1750000000".to_owned())),
        "mounted" => return fixed(if volume { "-" } else { "yes" }.to_owned()),
        "mountpoint" if volume => return fixed("-".to_owned()),
        "mountpoint" if !set.contains_key("mountpoint") => return Some((format!("/{name}"), "default")),
        "volsize" if !volume => return fixed("-".to_owned()),
        _ => {}
    }
    if let Some(own) = set.get(key) {
        return Some((own.clone(), "local"));
    }
    let default = match key {
        "compression" | "dedup" | "atime" | "readonly" | "encryption" => "off",
        "xattr" => "on",
        "acltype" => "off",
        "recordsize" => "131072",
        "refreservation" | "reservation" | "quota" | "refquota" => "0",
        "sync" => "standard",
        _ => return None,
    };
    let default = if key == "atime" { "on" } else { default };
    Some((default.to_owned(), "default"))
}

/// `zfs create [-s] [-V SIZE] [-o …] NAME`, `zfs set KEY=VALUE NAME`. Captured: a name that is taken, a parent that is not there, and
/// that both wait for ever where the pool's disks are gone.
pub(super) async fn change(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let Some((verb, name, properties)) = read(args) else {
        return unknown(call).await;
    };
    let pool = name.split('/').next().unwrap_or_default().to_owned();
    call.io.pause(REFUSES).await?;
    let refused = call.server(|server, _| judge(server, verb, name, &pool)).flatten();
    if let Some(text) = refused {
        return call.reply(0, Reply::fail(1, text)).await;
    }
    members::wait_while_stuck(call, &pool).await?;
    call.io.pause(CHANGES).await?;
    call.world.with(|state| {
        let Some(server) = state.servers.get_mut(call.node) else {
            return;
        };
        let Some(index) = server.pools.iter().position(|one| one.name == pool) else {
            return;
        };
        if let Some(pool) = server.pools.get_mut(index) {
            pool.datasets.entry(name.to_owned()).or_default().extend(properties);
        }
        server.pool_io(index);
    });
    Ok(0)
}

type Order<'a> = (&'a str, &'a str, Vec<(String, String)>);

fn read<'a>(args: &[&'a str]) -> Option<Order<'a>> {
    let (verb, rest) = args.split_first()?;
    let pair = |text: &str| {
        let (key, value) = text.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    };
    if *verb == "set" {
        let [property, name] = rest else { return None };
        return Some((verb, name, vec![pair(property)?]));
    }
    let mut properties = Vec::new();
    let mut rest = rest.iter().copied();
    loop {
        match rest.next()? {
            "-s" => {}
            "-V" => properties.push(("volsize".to_owned(), rest.next()?.to_owned())),
            "-o" => properties.push(pair(rest.next()?)?),
            option if option.starts_with('-') => return None,
            name => return rest.next().is_none().then_some((*verb, name, properties)),
        }
    }
}

fn judge(server: &Server, verb: &str, name: &str, pool: &str) -> Option<String> {
    let there = |name: &str| !datasets(server, Some(name), false).is_empty();
    if verb == "set" {
        return (!there(name)).then(|| format!("cannot open '{name}': dataset does not exist\n"));
    }
    if there(name) {
        return Some(format!("cannot create '{name}': dataset already exists\n"));
    }
    let parent = name.rsplit_once('/').map(|(parent, _)| parent);
    match parent {
        // Source: libzfs_dataset.c, not seen.
        None => Some(format!("cannot create '{name}': missing dataset name\n")),
        Some(_) if !there(pool) => Some(format!("cannot create '{name}': no such pool '{pool}'\n")),
        Some(parent) if !there(parent) => Some(format!("cannot create '{name}': parent does not exist\n")),
        Some(_) => None,
    }
}
