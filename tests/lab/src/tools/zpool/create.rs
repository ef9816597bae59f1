//! `zpool create`: what it refuses, in zpool's own order and words, and what it leaves on disks where it fails late.
//!
//! Captured: properties first, then the devices, then (with the disks partitioned already) the name, and what only the kernel finds.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use super::super::io::Stop;
use super::super::{Call, Reply, unknown};
use super::change_disk;
use crate::description::DiskSpec;
use crate::world::server::Server;
use crate::world::zfs::{Class, Kind, Leaf, Pool, Vdev, disk_at, first_partition, partitioned, usable};

/// Source: captured, 1.5 to 4.8 s emulated.
const CREATES: Duration = Duration::from_millis(1500);
const REFUSES: Duration = Duration::from_millis(200);

const COMPRESSIONS: [&str; 9] = ["on", "off", "lzjb", "gzip", "zle", "lz4", "zstd", "zstd-fast", "gzip-9"];

/// What is asked for.
#[derive(Default)]
struct Asked<'a> {
    force: bool,
    pool: Vec<(&'a str, &'a str)>,
    filesystem: Vec<(&'a str, &'a str)>,
    name: &'a str,
    vdevs: Vec<(Class, Kind, Vec<&'a str>)>,
}

/// How it ends.
enum End {
    /// So.
    Refused(String),
    /// After the disks were partitioned.
    Late(Vec<String>, String),
    Made(Pool),
}

pub(super) async fn run(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let Some(asked) = read(args) else {
        return unknown(call).await;
    };
    let Some(end) = call.server(|server, _| judge(server, &asked)) else {
        return unknown(call).await;
    };
    match end {
        End::Refused(text) => {
            call.io.pause(REFUSES).await?;
            call.reply(0, Reply::fail(1, text)).await
        }
        End::Late(disks, text) => {
            call.io.pause(CREATES).await?;
            call.world.with(|state| {
                let Some(server) = state.servers.get_mut(call.node) else {
                    return;
                };
                for disk in disks {
                    change_disk(server, &disk, |disk| partitioned(disk, None));
                }
            });
            call.reply(0, Reply::fail(1, text)).await
        }
        End::Made(pool) => {
            call.io.pause(CREATES).await?;
            call.world.with(|state| {
                let Some(server) = state.servers.get_mut(call.node) else {
                    return;
                };
                for leaf in pool.vdevs.iter().flat_map(|vdev| &vdev.leaves) {
                    let label = (pool.name.as_str(), pool.guid);
                    change_disk(server, &leaf.disk, |disk| partitioned(disk, Some(label)));
                }
                server.pools.push(pool);
                server.pools.sort_by(|a, b| a.name.cmp(&b.name));
            });
            Ok(0)
        }
    }
}

/// Nothing for what nobody has recorded.
fn read<'a>(args: &[&'a str]) -> Option<Asked<'a>> {
    let mut asked = Asked::default();
    let mut args = args.iter().copied();
    let name = loop {
        match args.next()? {
            "-f" => asked.force = true,
            "-o" => asked.pool.push(args.next()?.split_once('=')?),
            "-O" => asked.filesystem.push(args.next()?.split_once('=')?),
            option if option.starts_with('-') => return None,
            name => break name,
        }
    };
    asked.name = name;
    let mut class = Class::Data;
    let mut kind = Kind::Disk;
    for word in args {
        let of_class = match word {
            "log" => Some(Class::Log),
            "cache" => Some(Class::Cache),
            "spare" => Some(Class::Spare),
            "special" => Some(Class::Special),
            "dedup" => Some(Class::Dedup),
            _ => None,
        };
        if let Some(of_class) = of_class {
            (class, kind) = (of_class, Kind::Disk);
            continue;
        }
        if let Some(of_kind) = Kind::of(word) {
            kind = of_kind;
            asked.vdevs.push((class, kind, Vec::new()));
            continue;
        }
        match asked
            .vdevs
            .last_mut()
            .filter(|(of, as_kind, _)| kind != Kind::Disk && *of == class && *as_kind == kind)
        {
            Some((_, _, paths)) => paths.push(word),
            None => asked.vdevs.push((class, Kind::Disk, vec![word])),
        }
    }
    (!asked.vdevs.is_empty()).then_some(asked)
}

fn judge(server: &Server, asked: &Asked<'_>) -> End {
    if let Some(text) = wrong_property(asked) {
        return End::Refused(text);
    }
    let mut taken: Vec<(&DiskSpec, &str)> = Vec::new();
    for (_, kind, paths) in &asked.vdevs {
        if paths.len() < kind.fewest() {
            let text = format!(
                "invalid vdev specification: {} requires at least {} devices\n",
                word(*kind),
                kind.fewest()
            );
            return End::Refused(text);
        }
        for path in paths {
            match device(server, path, asked.force) {
                Ok(disk) => taken.push((disk, path)),
                Err(text) => return End::Refused(text),
            }
        }
    }
    if let Some(text) = sizes(server, asked).filter(|_| !asked.force) {
        return End::Refused(text);
    }
    if server.pools.iter().any(|pool| pool.name == asked.name) {
        return End::Refused(format!("cannot create '{}': pool already exists\n", asked.name));
    }
    let touched = || taken.iter().map(|(disk, _)| disk.name.clone()).collect::<Vec<_>>();
    let name = asked.name;
    let twice = taken
        .iter()
        .any(|(disk, _)| taken.iter().filter(|(other, _)| other.name == disk.name).count() > 1);
    if twice {
        let text = format!(
            "cannot create '{name}': one or more vdevs refer to the same device, or one of\nthe devices is part of an active md or lvm device\n"
        );
        return End::Late(touched(), text);
    }
    let compression = asked.filesystem.iter().find(|(key, _)| *key == "compression");
    if let Some((_, value)) = compression.filter(|(_, value)| !COMPRESSIONS.contains(value)) {
        let text = format!(
            "cannot create '{name}': 'compression' must be one of 'on | off | lzjb | gzip | gzip-[1-9] | zle | lz4 | zstd | \
             zstd-[1-19] | zstd-fast | zstd-fast-[1-10,20,30,40,50,60,70,80,90,100,500,1000]'\n"
        );
        // Captured ({value} was `fast`).
        let _ = value;
        return End::Late(touched(), text);
    }
    if let Some(why) = wrong_name(name) {
        return End::Late(
            touched(),
            format!("cannot create '{name}': {why}\npool name may have been omitted\n"),
        );
    }
    End::Made(made(server, asked))
}

fn word(kind: Kind) -> String {
    match kind {
        Kind::Disk => "disk".to_owned(),
        Kind::Mirror => "mirror".to_owned(),
        Kind::Raidz(1) => "raidz".to_owned(),
        Kind::Raidz(parity) => format!("raidz{parity}"),
        Kind::Draid(1) => "draid".to_owned(),
        Kind::Draid(parity) => format!("draid{parity}"),
    }
}

fn wrong_property(asked: &Asked<'_>) -> Option<String> {
    for (key, value) in &asked.pool {
        match *key {
            "ashift" if !value.parse::<u8>().is_ok_and(|n| (9..=16).contains(&n)) => {
                return Some(format!(
                    "invalid 'ashift={value}' property: only values between 9 and 16 are allowed.\n"
                ));
            }
            "ashift" | "autotrim" => {}
            other => return Some(format!("property '{other}' is not a valid pool property\n")),
        }
    }
    let known = ["compression", "atime", "xattr", "acltype"];
    let wrong = asked.filesystem.iter().find(|(key, _)| !known.contains(key));
    wrong.map(|(key, _)| format!("property '{key}' is not a valid filesystem property\n"))
}

/// The whole disk that a path means, if nothing is on it that zpool sees.
fn device<'s>(server: &'s Server, path: &str, force: bool) -> Result<&'s DiskSpec, String> {
    let Some(disk) = disk_at(&server.disks, path) else {
        return Err(if path.starts_with('/') {
            format!("cannot resolve path '{path}'\n")
        } else {
            format!("cannot open '{path}': no such device in /dev\nmust be a full path or shorthand device name\n")
        });
    };
    let in_pool = server
        .pools
        .iter()
        .flat_map(|pool| &pool.vdevs)
        .flat_map(|vdev| &vdev.leaves);
    if in_pool.into_iter().any(|leaf| leaf.disk == disk.name) {
        return Err(format!("{path} is in use and contains a unknown filesystem.\n"));
    }
    let mounted = disk
        .partitions
        .iter()
        .find(|part| part.mountpoint.is_some() || part.volumes.iter().any(|volume| volume.mountpoint.is_some()));
    if let Some(part) = mounted {
        let fstype = part.fstype.as_deref().unwrap_or("unknown");
        return Err(format!("{path} is in use and contains a {fstype} filesystem.\n"));
    }
    let override_it = |what: String| {
        Err(format!(
            "invalid vdev specification\nuse '-f' to override the following errors:\n{what}\n"
        ))
    };
    if let Some(fstype) = disk.fstype.as_deref().filter(|_| !force) {
        return override_it(format!("{path} contains a filesystem of type '{fstype}'"));
    }
    for part in disk.partitions.iter().filter(|_| !force) {
        let of_part = format!("{path}-part{}", part.number);
        match (part.fstype.as_deref(), &part.label) {
            (Some("zfs_member"), Some(pool)) => {
                return override_it(format!("{of_part} is part of exported pool '{pool}'"));
            }
            (Some(fstype), _) => return override_it(format!("{of_part} contains a filesystem of type '{fstype}'")),
            (None, _) => {}
        }
    }
    Ok(disk)
}

fn sizes(server: &Server, asked: &Asked<'_>) -> Option<String> {
    let unequal = asked.vdevs.iter().find(|(_, kind, paths)| {
        let mut sizes = paths
            .iter()
            .filter_map(|path| disk_at(&server.disks, path))
            .map(|disk| disk.size);
        let first = sizes.next();
        *kind != Kind::Disk && sizes.any(|size| Some(size) != first)
    });
    unequal.map(|(_, kind, _)| {
        format!(
            "invalid vdev specification\nuse '-f' to override the following errors:\n{} contains devices of different sizes\n",
            word(*kind)
        )
    })
}

fn wrong_name(name: &str) -> Option<String> {
    let reserved = ["mirror", "raidz", "draid", "spare"];
    if name == "log" || reserved.into_iter().any(|word| name.starts_with(word)) {
        return Some("name is reserved".to_owned());
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Some("name must begin with a letter".to_owned());
    }
    let wrong = name
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && !"-_.: ".contains(*c));
    wrong.map(|c| format!("invalid character '{c}' in pool name"))
}

fn made(server: &Server, asked: &Asked<'_>) -> Pool {
    let property = |wanted: &str| {
        asked
            .pool
            .iter()
            .find(|(key, _)| *key == wanted)
            .map(|(_, value)| *value)
    };
    let leaf = |path: &&str| {
        let disk = disk_at(&server.disks, path)?;
        Some(Leaf {
            path: first_partition(disk, path),
            disk: disk.name.clone(),
            size: usable(disk),
        })
    };
    let mut vdevs: Vec<Vdev> = asked
        .vdevs
        .iter()
        .map(|(class, kind, paths)| Vdev {
            class: *class,
            kind: *kind,
            leaves: paths.iter().filter_map(leaf).collect(),
        })
        .collect();
    vdevs.sort_by_key(|vdev| vdev.class);
    Pool {
        name: asked.name.to_owned(),
        // Only that it is another one each time means something.
        guid: RandomState::new().build_hasher().finish() | 1 << 63,
        ashift: property("ashift").and_then(|value| value.parse().ok()).unwrap_or(0),
        autotrim: property("autotrim") == Some("on"),
        vdevs,
    }
}
