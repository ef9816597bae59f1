//! `zpool import` and `export`.
//!
//! Captured: the list, of healthy, degraded and lost pools, of destroyed ones; an import that succeeds, that fails for want of disks,
//! of an unknown pool. Two pools of one name are from zpool_main.c (`zpool_do_import`), not seen.

use std::time::Duration;

use super::super::io::Stop;
use super::super::{Call, Reply, unknown};
use super::{CHANGES, change, finish};
use crate::world::server::Server;
use crate::world::zfs::health::{Health, whole_disk};
use crate::world::zfs::{Beside, Class, Dormant, Leaf, LeafState, Left, Pool};

/// Source: captured, 1 to 4 s emulated: every disk is looked at.
const SEARCHES: Duration = Duration::from_millis(1000);

#[derive(Default)]
struct Asked<'a> {
    destroyed: bool,
    cached: bool,
    name: Option<&'a str>,
    new_name: Option<&'a str>,
}

pub(super) async fn import(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let Some(asked) = read(args) else {
        return unknown(call).await;
    };
    call.io.pause(SEARCHES).await?;
    let reply = call.world.with(|state| {
        let server = state.servers.get_mut(call.node)?;
        server.adopt_strays();
        Some(match asked.name {
            None => list(server, asked.destroyed),
            Some(name) => take(server, &asked, name),
        })
    });
    match reply {
        Some(reply) => call.reply(0, reply).await,
        None => unknown(call).await,
    }
}

fn read<'a>(args: &[&'a str]) -> Option<Asked<'a>> {
    let mut asked = Asked {
        cached: true,
        ..Asked::default()
    };
    let mut args = args.iter().copied();
    while let Some(arg) = args.next() {
        match arg {
            "-D" => asked.destroyed = true,
            "-f" | "-N" => {}
            // Where to look: all disks have their links there.
            "-d" => {
                args.next()?.strip_prefix("/dev")?;
            }
            "-o" => match args.next()? {
                "cachefile=none" => asked.cached = false,
                _ => return None,
            },
            option if option.starts_with('-') => return None,
            name if asked.name.is_none() => asked.name = Some(name),
            name if asked.new_name.is_none() => asked.new_name = Some(name),
            _ => return None,
        }
    }
    Some(asked)
}

/// With at least one disk of theirs.
fn candidates(server: &Server, destroyed: bool) -> impl Iterator<Item = &Dormant> {
    server
        .dormant
        .iter()
        .filter(move |dormant| (dormant.left == Left::Destroyed) == destroyed && server.has_some(&dormant.pool))
}

fn list(server: &Server, destroyed: bool) -> Reply {
    let texts: Vec<String> = candidates(server, destroyed)
        .map(|dormant| shown(&server.as_found(&dormant.pool), dormant.left))
        .collect();
    if texts.is_empty() {
        return Reply::fail(0, "no pools available to import\n");
    }
    Reply::ok(texts.join("\n"))
}

fn shown(pool: &Pool, left: Left) -> String {
    let health = pool.health();
    let destroyed = if left == Left::Destroyed { " (DESTROYED)" } else { "" };
    let mut text = format!(
        "   pool: {}\n     id: {}\n  state: {}{destroyed}\n",
        pool.name,
        pool.guid,
        health.word()
    );
    let any = |state| pool.leaves().any(|leaf| leaf.state == state);
    let (status, see) = if any(LeafState::Missing) || any(LeafState::Removed) {
        let number = if health == Health::Unavailable { "5E" } else { "4J" };
        ("status: One or more devices contains corrupted data.\n", Some(number))
    } else if any(LeafState::Faulted) {
        ("status: One or more devices are faulted.\n", None)
    } else if any(LeafState::Offline) {
        ("status: One or more devices are offlined.\n", None)
    } else {
        ("", None)
    };
    text.push_str(status);
    text.push_str(match health {
        Health::Online => " action: The pool can be imported using its name or numeric identifier.\n",
        Health::Degraded => {
            " action: The pool can be imported despite missing or damaged devices.  The\n\tfault tolerance of the pool may be \
             compromised if imported.\n"
        }
        Health::Unavailable => " action: The pool cannot be imported due to damaged devices or data.\n",
    });
    if let Some(see) = see {
        text.push_str(&format!(
            "   see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-{see}\n"
        ));
    }
    text.push_str(" config:\n\n");
    text.push_str(&config(pool));
    text
}

fn config(pool: &Pool) -> String {
    let with_note = |health: Health| match health.note() {
        "" => health.word().to_owned(),
        note => format!("{}  {note}", health.word()),
    };
    let mut rows = vec![(0, pool.name.clone(), with_note(pool.health()))];
    let mut last = Class::Data;
    for (number, vdev) in pool.vdevs.iter().enumerate() {
        if vdev.class != last {
            last = vdev.class;
            let heading = match vdev.class {
                Class::Data => "",
                Class::Dedup => "dedup\t",
                Class::Special => "special\t",
                Class::Log => "logs\t",
                Class::Cache => "cache",
                Class::Spare => "spares",
            };
            rows.push((0, heading.to_owned(), String::new()));
        }
        let name = vdev.name(number);
        let depth = 1 + usize::from(name.is_some());
        rows.extend(name.map(|name| (1, name, with_note(vdev.health()))));
        for (place, leaf) in vdev.leaves.iter().enumerate() {
            if let Some((beside, _)) = &leaf.beside {
                let word = if *beside == Beside::Spare { "spare" } else { "replacing" };
                rows.push((depth, format!("{word}-{place}"), with_note(leaf.health())));
            }
            let deeper = depth + usize::from(leaf.beside.is_some());
            rows.extend(leaf.both().map(|leaf| (deeper, short(leaf), state(vdev.class, leaf))));
        }
    }
    let width = rows
        .iter()
        .map(|(depth, name, _)| 2 * depth + name.len())
        .max()
        .unwrap_or(0)
        .max(10);
    let mut text = String::new();
    for (depth, name, state) in rows {
        let name = format!("{}{name}", "  ".repeat(depth));
        text.push_str(&if state.is_empty() {
            format!("\t{name}\n")
        } else {
            format!("\t{name:width$}  {state}\n")
        });
    }
    text
}

fn short(leaf: &Leaf) -> String {
    let disk = whole_disk(&leaf.path);
    disk.rsplit('/').next().unwrap_or(disk).to_owned()
}

fn state(class: Class, leaf: &Leaf) -> String {
    match (class, leaf.state) {
        // Nothing is said of them.
        (Class::Cache | Class::Spare, _) => String::new(),
        (_, LeafState::Removed) => "UNAVAIL".to_owned(),
        (_, state) => match state.words() {
            (word, "") => word.to_owned(),
            (word, note) => format!("{word}  {note}"),
        },
    }
}

fn take(server: &mut Server, asked: &Asked<'_>, name: &str) -> Reply {
    let fail = |text: String| Reply::fail(1, text);
    let new_name = asked.new_name.unwrap_or(name);
    if server.pools.iter().any(|pool| pool.name == new_name) {
        return fail(format!(
            "cannot import '{name}': a pool with that name already exists\nuse the form 'zpool import <pool | id> <newpool>' to give it \
             a new name\n"
        ));
    }
    let is = |pool: &Pool| pool.name == name || pool.guid.to_string() == name;
    let found: Vec<u64> = candidates(server, asked.destroyed)
        .filter(|dormant| is(&dormant.pool))
        .map(|dormant| dormant.pool.guid)
        .collect();
    let guid = match found.as_slice() {
        [] => return fail(format!("cannot import '{name}': no such pool available\n")),
        [guid] => *guid,
        _ => {
            return fail(format!(
                "cannot import '{name}': more than one matching pool\nimport by numeric ID instead\n"
            ));
        }
    };
    // Its own name then, which may be taken.
    let own = server.dormant.iter().find(|dormant| dormant.pool.guid == guid);
    let own = asked.new_name.map_or_else(
        || own.map(|dormant| dormant.pool.name.clone()),
        |new| Some(new.to_owned()),
    );
    let own = own.unwrap_or_default();
    if server.pools.iter().any(|pool| pool.name == own) {
        return fail(format!("cannot import '{own}': pool already exists\n"));
    }
    if server.wake(guid, Some(&own), asked.cached) {
        return Reply::default();
    }
    Reply {
        stdout: "\tDestroy and re-create the pool from\n\ta backup source.\n".to_owned(),
        ..fail(format!("cannot import '{own}': no such pool or dataset\n"))
    }
}

/// Captured: in silence; one whose disks are gone is not let go of.
pub(super) async fn export(call: &Call, name: &str) -> Result<i32, Stop> {
    call.io.pause(CHANGES).await?;
    let refused = change(call, name, |server, index, _| {
        if server.pools.get(index).is_some_and(|pool| server.is_stuck(pool)) {
            let text = format!("cannot unmount '/{name}': pool or dataset is busy\n");
            return Some(Reply::fail(1, text));
        }
        server.pool_io(index);
        let pool = server.pools.remove(index);
        server.dormant.push(Dormant {
            pool,
            left: Left::Exported,
        });
        None
    });
    finish(call, refused).await
}
