//! `zpool create`: what it refuses, in zpool's own order and words, and what it leaves on disks where it fails late.
//!
//! Captured: properties first, then the devices, then (with the disks partitioned already) the mountpoint, the name, and what
//! only the kernel finds.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::io::Stop;
use super::super::{Call, Reply, unknown};
use super::spec::{self, Spec, Taken};
use super::{REFUSES, label, partition};
use crate::world::server::Server;
use crate::world::zfs::{Class, Pool};

/// Source: captured, 1.5 to 4.8 s emulated.
const CREATES: Duration = Duration::from_millis(1500);

/// The least that a device may have. Source: OpenZFS `SPA_MINDEVSIZE`.
pub(super) const SMALLEST: u64 = 64 << 20;

const COMPRESSIONS: [&str; 9] = ["on", "off", "lzjb", "gzip", "zle", "lz4", "zstd", "zstd-fast", "gzip-9"];

/// What is asked for.
#[derive(Default)]
struct Asked<'a> {
    force: bool,
    dry: bool,
    mountpoint: Option<&'a str>,
    pool: Vec<(&'a str, &'a str)>,
    filesystem: Vec<(&'a str, &'a str)>,
    name: &'a str,
    specs: Vec<Spec<'a>>,
}

/// How it ends.
enum End {
    /// So.
    Refused(String),
    /// After these disks were partitioned.
    Late(Vec<String>, String),
    Would(String),
    Made(Box<Pool>),
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
        End::Would(text) => call.reply(super::COST, Reply::ok(text)).await,
        End::Late(disks, text) => {
            call.io.pause(CREATES).await?;
            partition(call, &disks);
            call.reply(0, Reply::fail(1, text)).await
        }
        End::Made(pool) => {
            call.io.pause(CREATES).await?;
            call.world.with(|state| {
                if let Some(server) = state.servers.get_mut(call.node) {
                    label(server, &pool, pool.leaves());
                    server.pools.push(*pool);
                    server.pools.sort_by(|a, b| a.name.cmp(&b.name));
                }
            });
            Ok(0)
        }
    }
}

/// Nothing for what nobody has recorded.
fn read<'a>(args: &[&'a str]) -> Option<Asked<'a>> {
    let mut asked = Asked::default();
    let mut args = args.iter().copied();
    asked.name = loop {
        match args.next()? {
            "-f" => asked.force = true,
            "-n" => asked.dry = true,
            "-m" => asked.mountpoint = Some(args.next()?),
            "-o" => asked.pool.push(args.next()?.split_once('=')?),
            "-O" => asked.filesystem.push(args.next()?.split_once('=')?),
            option if option.starts_with('-') => return None,
            name => break name,
        }
    };
    asked.specs = spec::read(args)?;
    Some(asked)
}

fn judge(server: &Server, asked: &Asked<'_>) -> End {
    let name = asked.name;
    if let Some(text) = wrong_property(asked) {
        return End::Refused(text);
    }
    if name.contains('/') {
        return End::Refused(format!(
            "cannot create '{name}': invalid character '/' in pool name\nuse 'zfs create' to create a dataset\n"
        ));
    }
    let taken = match spec::devices(server, &asked.specs, asked.force, None) {
        Ok(taken) => taken,
        Err(text) => return End::Refused(text),
    };
    if let Some(text) = spec::mismatch(server, &asked.specs, None).filter(|_| !asked.force) {
        return End::Refused(text);
    }
    if asked.dry {
        return End::Would(layout(asked));
    }
    let touched = |taken: &[Taken<'_, '_>]| -> Vec<String> {
        let whole = taken.iter().filter(|device| device.part.is_none());
        whole.map(|device| device.disk.name.clone()).collect()
    };
    if let Some(place) = taken.iter().position(|device| device.disk.read_only) {
        let (before, from) = taken.split_at(place);
        let disk = from.first().map_or("", |device| device.disk.name.as_str());
        let text = format!("cannot label '{disk}': cannot label '/dev/{disk}': unable to open device: 30\n");
        return End::Late(touched(before), text);
    }
    if asked.mountpoint.is_none() && not_empty(server, name) {
        let text =
            format!("mountpoint '/{name}' exists and is not empty\nuse '-m' option to provide a different default\n");
        return End::Late(touched(&taken), text);
    }
    let late = |why: &str| End::Late(touched(&taken), format!("cannot create '{name}': {why}\n"));
    if let Some(why) = wrong_name(name) {
        return late(&format!("{why}\npool name may have been omitted"));
    }
    let compression = asked.filesystem.iter().find(|(key, _)| *key == "compression");
    if compression.is_some_and(|(_, value)| !COMPRESSIONS.contains(value)) {
        return late(
            "'compression' must be one of 'on | off | lzjb | gzip | gzip-[1-9] | zle | lz4 | zstd | zstd-[1-19] | zstd-fast | \
             zstd-fast-[1-10,20,30,40,50,60,70,80,90,100,500,1000]'",
        );
    }
    if server.pools.iter().any(|pool| pool.name == name) {
        return late("pool already exists");
    }
    if twice(&taken) {
        return late(
            "one or more vdevs refer to the same device, or one of\nthe devices is part of an active md or lvm device",
        );
    }
    if spec::a_link_comes_late(&taken) {
        return late(spec::LINK_IS_AWAY);
    }
    // Source: libzfs_pool.c (`zpool_create`), not seen.
    if taken.iter().any(|device| spec::leaf(device).size < SMALLEST) {
        return late("one or more devices is less than the minimum size (64M)");
    }
    End::Made(Box::new(made(server, asked, &taken)))
}

/// The same device by two names too.
pub(super) fn twice(taken: &[Taken<'_, '_>]) -> bool {
    let same = |one: &Taken<'_, '_>, other: &Taken<'_, '_>| one.disk.name == other.disk.name && one.part == other.part;
    taken
        .iter()
        .any(|one| taken.iter().filter(|other| same(one, other)).count() > 1)
}

/// What `-n` says. Source: captured, of vdevs without a class; zpool_main.c (`print_vdev_tree`).
fn layout(asked: &Asked<'_>) -> String {
    let mut text = format!(
        "would create '{}' with the following layout:\n\n\t{}\n",
        asked.name, asked.name
    );
    let last = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let mut specs: Vec<&Spec<'_>> = asked.specs.iter().collect();
    specs.sort_by_key(|spec| spec.class);
    let mut class = Class::Data;
    for spec in specs {
        if spec.class != class {
            class = spec.class;
            let heading = match class {
                Class::Data => "",
                Class::Dedup => "dedup",
                Class::Special => "special",
                Class::Log => "logs",
                Class::Cache => "cache",
                Class::Spare => "spares",
            };
            text.push_str(&format!("\t{heading}\n"));
        }
        let group = spec.kind != crate::world::zfs::Kind::Disk;
        if group {
            text.push_str(&format!("\t  {}\n", spec.kind.word()));
        }
        for path in &spec.paths {
            text.push_str(&format!("\t  {}{}\n", if group { "  " } else { "" }, last(path)));
        }
    }
    text
}

fn wrong_property(asked: &Asked<'_>) -> Option<String> {
    for (key, value) in &asked.pool {
        match *key {
            "ashift" if !value.parse::<u8>().is_ok_and(|n| (9..=16).contains(&n)) => {
                return Some(format!(
                    "invalid 'ashift={value}' property: only values between 9 and 16 are allowed.\n"
                ));
            }
            "ashift" | "autotrim" | "cachefile" => {}
            other => return Some(format!("property '{other}' is not a valid pool property\n")),
        }
    }
    let known = ["compression", "atime", "xattr", "acltype", "mountpoint", "relatime"];
    let wrong = asked.filesystem.iter().find(|(key, _)| !known.contains(key));
    wrong.map(|(key, _)| format!("property '{key}' is not a valid filesystem property\n"))
}

fn not_empty(server: &Server, name: &str) -> bool {
    let folder = std::fs::read_dir(server.root.join(name));
    folder.is_ok_and(|mut entries| entries.next().is_some())
}

fn wrong_name(name: &str) -> Option<String> {
    let reserved = ["mirror", "raidz", "draid", "spare"];
    // Source: OpenZFS zfs_namecheck.c (`pool_namecheck`).
    if name.len() >= 240 {
        return Some("name is too long".to_owned());
    }
    let wrong = name
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && !"-_.: ".contains(*c));
    if let Some(wrong) = wrong {
        return Some(format!("invalid character '{wrong}' in pool name"));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Some("name must begin with a letter".to_owned());
    }
    (name == "log" || reserved.into_iter().any(|word| name.starts_with(word))).then(|| "name is reserved".to_owned())
}

fn made(server: &Server, asked: &Asked<'_>, taken: &[Taken<'_, '_>]) -> Pool {
    let property = |wanted: &str| {
        let found = asked.pool.iter().find(|(key, _)| *key == wanted);
        found.map(|(_, value)| *value)
    };
    let mut pool = Pool::new(asked.name, spec::vdevs(&asked.specs, taken));
    pool.ashift = property("ashift").and_then(|value| value.parse().ok()).unwrap_or(0);
    pool.autotrim = property("autotrim") == Some("on");
    pool.cached = property("cachefile") != Some("none");
    let set = asked.filesystem.iter();
    let mut set: BTreeMap<String, String> = set
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    set.insert("creation".to_owned(), server.now().as_second().to_string());
    pool.datasets.insert(asked.name.to_owned(), set);
    pool
}
