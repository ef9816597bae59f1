//! `zpool` and `zfs`: pools as they are made, grow, fail, are repaired and shown. What is not made here is not known.
//!
//! Texts and exit codes are those captured of OpenZFS 2.1.11; where nothing was captured they are from its source, and the place
//! says so.

mod create;
mod datasets;
mod destroy;
mod grow;
mod import;
mod label;
mod list;
mod members;
mod numbers;
mod rename;
mod spec;
mod status;

use std::time::Duration;

pub(super) use self::members::online_by_timer;
use super::io::Stop;
use super::{Call, Reply, unknown};
use crate::world::server::Server;
use crate::world::state::State;
use crate::world::zfs::{Dormant, Leaf, Left, Pool, disks};

/// Source: captured, 0.2 to 0.6 s in a machine that was emulated; a real one answers in a hundredth of a second.
const COST: u64 = 12;
const REFUSES: Duration = Duration::from_millis(200);
/// What changes a pool, where its own time was not taken.
const CHANGES: Duration = Duration::from_millis(500);

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    let args = call.args();
    let reply = match (call.tool.as_str(), args.as_slice()) {
        ("zpool", ["create", rest @ ..]) => return create::run(call, rest).await,
        ("zpool", ["add", rest @ ..]) => return grow::add(call, rest).await,
        ("zpool", ["attach", rest @ ..]) => return grow::attach(call, rest, false).await,
        ("zpool", ["replace", rest @ ..]) => return grow::attach(call, rest, true).await,
        ("zpool", ["detach", pool, device]) => return grow::detach(call, pool, device).await,
        ("zpool", ["labelclear", rest @ ..]) => return label::run(call, rest).await,
        ("zpool", ["import", rest @ ..]) => return import::import(call, rest).await,
        ("zpool", ["export", "-f", name] | ["export", name]) => return import::export(call, name).await,
        ("zfs", ["destroy", rest @ ..]) => return destroy::run(call, rest).await,
        ("zfs", ["rename", old, new]) => return rename::run(call, old, new).await,
        ("zfs", ["create" | "set", ..]) => return datasets::change(call, &args).await,
        ("zpool", ["destroy", "-f", name] | ["destroy", name]) => return destroy(call, name).await,
        ("zpool", ["offline" | "online" | "clear" | "scrub" | "set" | "wait", ..]) => {
            return members::run(call, &args).await;
        }
        (tool, args) => call.server(|server, state| reply(server, state, tool, args)).flatten(),
    };
    match reply {
        Some(reply) => call.reply(COST, reply).await,
        None => unknown(call).await,
    }
}

fn reply(server: &Server, state: &State, tool: &str, args: &[&str]) -> Option<Reply> {
    let of_pool = |name: &str, text: Option<String>| match text {
        Some(text) => Reply::ok(text),
        None => no_such_pool(name),
    };
    let there = |name: &&str| server.pools.iter().any(|pool| pool.name == **name);
    Some(match (tool, args) {
        // With -H nothing is printed at all.
        ("zpool", ["list", flags @ ..]) if server.pools.is_empty() && lists(flags) => {
            if flags.iter().any(|flag| flag.starts_with('-') && flag.contains('H')) {
                Reply::default()
            } else {
                Reply::ok("no pools available\n")
            }
        }
        ("zpool", ["list", "-Hp" | "-H", "-o", columns]) => Reply::ok(list::columns(server, columns, None)?),
        ("zpool", ["list", "-Hp" | "-H", "-o", columns, name]) if there(name) => {
            Reply::ok(list::columns(server, columns, Some(name))?)
        }
        ("zpool", ["list", "-Hp" | "-H", "-o", _, name]) => no_such_pool(name),
        ("zpool", ["list", flags, pool @ ..]) if flags.starts_with("-H") && flags.contains('v') && pool.len() < 2 => {
            let asked = list::Asked {
                literal: flags.contains('p'),
                links: flags.contains('L'),
                pool: pool.first().copied(),
            };
            of_pool(pool.first().copied().unwrap_or_default(), list::devices(server, asked))
        }
        ("zpool", ["status", flags @ ..]) if server.pools.is_empty() && lists(flags) => {
            Reply::fail(0, "no pools available\n")
        }
        ("zpool", ["status", "-j"]) => Reply::fail(2, USAGE_OF_STATUS),
        ("zpool", ["status", rest @ ..]) => {
            let asked = status::Asked::read(rest)?;
            of_pool(asked.pool.unwrap_or_default(), status::print(server, state.now, asked))
        }
        ("zpool", ["get", "-Hp", "-o", "value", property, name]) => {
            let pool = server.pools.iter().find(|pool| pool.name == *name);
            match pool {
                Some(pool) => Reply::ok(list::value(pool, property)?),
                None => no_such_pool(name),
            }
        }
        ("zpool", ["get", "-Hp", properties]) => Reply::ok(list::properties(server, properties, None)?),
        ("zpool", ["get", "-Hp", properties, name]) if there(name) => {
            Reply::ok(list::properties(server, properties, Some(name))?)
        }
        ("zpool", ["get", "-Hp", _, name]) => no_such_pool(name),
        ("zpool" | "zfs", ["version"] | ["--version"]) => Reply::ok("zfs-2.2.7-pve2\nzfs-kmod-2.2.7-pve2\n"),
        ("zfs", ["list", flags @ ..]) if server.pools.is_empty() => {
            if flags.iter().any(|flag| flag.starts_with('-') && flag.contains('H')) {
                Reply::default()
            } else {
                Reply::fail(0, "no datasets available\n")
            }
        }
        ("zfs", ["list" | "get", ..]) => datasets::reply(server, args)?,
        _ => return None,
    })
}

const USAGE_OF_STATUS: &str = "invalid option 'j'
usage:
\tstatus [-c [script1,script2,...]] [-igLpPstvxD]  [-T d|u] [pool] ... 
\t    [interval [count]]
";

fn no_such_pool(name: &str) -> Reply {
    Reply::fail(1, format!("cannot open '{name}': no such pool\n"))
}

/// Flags only, no pool names, which would be an error without pools.
fn lists(flags: &[&str]) -> bool {
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        if *flag == "-o" {
            if flags.next().is_none() {
                return false;
            }
        } else if !flag.starts_with('-') {
            return false;
        }
    }
    true
}

/// Captured: nothing is printed. The labels stay, and tell that their pool was destroyed: ZFS takes such a disk without a word,
/// while others see what it was.
async fn destroy(call: &Call, name: &str) -> Result<i32, Stop> {
    call.io.pause(CHANGES).await?;
    let ended = change(call, name, |server, index, _| {
        let stuck = server.pools.get(index).is_some_and(|pool| server.is_stuck(pool));
        if stuck {
            return Some(Reply::fail(
                1,
                format!(
                    "cannot unmount '/{name}': pool or dataset is busy\ncould not destroy '{name}': could not unmount datasets\n"
                ),
            ));
        }
        let pool = server.pools.remove(index);
        server.dormant.push(Dormant {
            pool,
            left: Left::Destroyed,
        });
        None
    });
    finish(call, ended).await
}

/// Changes an imported pool; what is printed if that is refused.
fn change(
    call: &Call,
    name: &str,
    change: impl FnOnce(&mut Server, usize, crate::world::clock::SimTime) -> Option<Reply>,
) -> Option<Reply> {
    call.world.with(|state| {
        let now = state.now;
        let server = state.servers.get_mut(call.node)?;
        match server.pools.iter().position(|pool| pool.name == name) {
            Some(index) => change(server, index, now),
            None => Some(no_such_pool(name)),
        }
    })
}

/// Nothing was refused: the command ends in silence.
async fn finish(call: &Call, refused: Option<Reply>) -> Result<i32, Stop> {
    call.reply(0, refused.unwrap_or_default()).await
}

/// Partitions disks, and no more.
fn partition(call: &Call, names: &[String]) {
    call.world.with(|state| {
        if let Some(server) = state.servers.get_mut(call.node) {
            for name in names {
                disks::change(server, name, |disk| {
                    disks::partition(disk, None);
                    disk.link_comes_late = false;
                });
            }
        }
    });
}

/// Labels disks as members of a pool: partitions whole ones.
fn label<'l>(server: &mut Server, pool: &Pool, leaves: impl Iterator<Item = &'l Leaf>) {
    for leaf in leaves {
        disks::change(server, &leaf.disk, |disk| disks::label(disk, pool, leaf));
    }
}
