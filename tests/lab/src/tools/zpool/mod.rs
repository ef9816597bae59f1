//! `zpool` and `zfs`: making, listing and destroying pools. Whole disks only; what is not made here is not known.

mod create;
mod print;

use std::time::Duration;

use super::io::Stop;
use super::{Call, Reply, unknown};
use crate::roots;
use crate::world::server::Server;
use crate::world::zfs::partitioned;

/// Source: captured, 0.2 to 0.6 s in a machine that was emulated; a real one answers in a hundredth of a second.
const COST: u64 = 12;

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    let args = call.args();
    let reply = match (call.tool.as_str(), args.as_slice()) {
        ("zpool", ["create", rest @ ..]) => return create::run(call, rest).await,
        ("zpool", ["destroy", "-f", name] | ["destroy", name]) => return destroy(call, name).await,
        (tool, args) => call.server(|server, _| reply(server, tool, args)).flatten(),
    };
    match reply {
        Some(reply) => call.reply(COST, reply).await,
        None => unknown(call).await,
    }
}

fn reply(server: &Server, tool: &str, args: &[&str]) -> Option<Reply> {
    Some(match (tool, args) {
        ("zpool", ["list", "-HPLv"]) => Reply::ok(print::devices(server)),
        ("zpool", ["list", "-Hp", "-o", columns]) => Reply::ok(print::columns(server, columns)?),
        // With -H nothing is printed at all.
        ("zpool", ["list", flags @ ..]) if server.pools.is_empty() && lists(flags) => {
            if flags.iter().any(|flag| flag.starts_with('-') && flag.contains('H')) {
                Reply::default()
            } else {
                Reply::ok("no pools available\n")
            }
        }
        ("zpool", ["status", flags @ ..]) if server.pools.is_empty() && lists(flags) => {
            Reply::fail(0, "no pools available\n")
        }
        ("zpool", ["status", "-P" | "-Pp"]) => Reply::ok(print::status(server, None)?),
        ("zpool", ["status", "-P" | "-Pp", name]) => match print::status(server, Some(name)) {
            Some(text) => Reply::ok(text),
            None => Reply::fail(1, format!("cannot open '{name}': no such pool\n")),
        },
        ("zpool", ["status", "-x"]) => Reply::ok("all pools are healthy\n"),
        ("zpool", ["get", "-Hp", properties]) => Reply::ok(print::properties(server, properties)?),
        ("zpool", ["version"] | ["--version"]) => Reply::ok("zfs-2.2.7-pve2\nzfs-kmod-2.2.7-pve2\n"),
        ("zfs", ["list", flags @ ..]) if server.pools.is_empty() => {
            if flags.iter().any(|flag| flag.starts_with('-') && flag.contains('H')) {
                Reply::default()
            } else {
                Reply::fail(0, "no datasets available\n")
            }
        }
        _ => return None,
    })
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

/// Captured: nothing is printed. The disks keep their partitions; of the label nothing is left that is shown.
async fn destroy(call: &Call, name: &str) -> Result<i32, Stop> {
    call.io.pause(Duration::from_millis(500)).await?;
    let gone = call.world.with(|state| {
        let server = state.servers.get_mut(call.node)?;
        let position = server.pools.iter().position(|pool| pool.name == name)?;
        let pool = server.pools.remove(position);
        for leaf in pool.vdevs.iter().flat_map(|vdev| &vdev.leaves) {
            change_disk(server, &leaf.disk, |disk| partitioned(disk, None));
        }
        Some(())
    });
    match gone {
        Some(()) => Ok(0),
        None => {
            call.reply(0, Reply::fail(1, format!("cannot open '{name}': no such pool\n")))
                .await
        }
    }
}

/// Changes what is on a disk, and what `/sys` and `/dev` show of it.
fn change_disk(server: &mut Server, name: &str, change: impl FnOnce(&mut crate::description::DiskSpec)) {
    let root = server.root.clone();
    let Some(disk) = server.disks.iter_mut().find(|disk| disk.name == name) else {
        return;
    };
    let shown = roots::disks::remove(&root, disk).and_then(|()| {
        change(disk);
        roots::disks::add(&root, disk)
    });
    if let Err(error) = shown {
        crate::world::complain(&format!("{name}: can't be shown as it is: {error}"));
    }
}
