//! `zpool offline`, `online`, `clear`, `scrub`, `set`, `wait`: what is done to a pool's own disks.

use std::time::Duration;

use super::super::io::Stop;
use super::super::{Call, Reply, unknown};
use super::{CHANGES, change, finish, no_such_pool};
use crate::world::clock::SimTime;
use crate::world::oplog::What;
use crate::world::server::Server;
use crate::world::state::State;
use crate::world::zfs::scan::{Scan, ScanKind, ScanState};
use crate::world::zfs::{Class, LeafState, Pool, disks};

/// How often a waiting command looks again.
const LOOKS_AGAIN: Duration = Duration::from_millis(100);

pub(super) async fn run(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    match args {
        ["offline", pool, device] => offline(call, pool, device, Offline::Kept).await,
        ["offline", "-t", pool, device] => offline(call, pool, device, Offline::Temporary).await,
        ["offline", "-f", pool, device] => offline(call, pool, device, Offline::Faulted).await,
        ["online", pool, device] if !pool.starts_with('-') => online(call, pool, device).await,
        ["clear", pool] if !pool.starts_with('-') => clear(call, pool, None).await,
        ["clear", pool, device] if !pool.starts_with('-') => clear(call, pool, Some(device)).await,
        ["scrub", pool] if !pool.starts_with('-') => scrub(call, pool, Scrub::Begin).await,
        ["scrub", "-s", pool] => scrub(call, pool, Scrub::Stop).await,
        ["scrub", "-p", pool] => scrub(call, pool, Scrub::Pause).await,
        ["set", property, pool] => set(call, property, pool).await,
        ["wait", "-t", what, pool] => wait(call, what, pool).await,
        _ => unknown(call).await,
    }
}

/// Captured: commands that write to a pool whose disks are gone wait in the kernel, and no signal ends them.
pub(super) async fn wait_while_stuck(call: &Call, name: &str) -> Result<(), Stop> {
    let stuck = || {
        let is = |server: &Server| {
            let pool = server.pools.iter().find(|pool| pool.name == name);
            pool.is_some_and(|pool| server.is_stuck(pool))
        };
        call.server(|server, _| is(server)) == Some(true)
    };
    while stuck() {
        call.io.uninterruptible(LOOKS_AGAIN).await?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Offline {
    Kept,
    Temporary,
    Faulted,
}

/// Captured: in silence, or `no valid replicas`. Other refusals are from libzfs_pool.c (`zpool_vdev_offline`).
async fn offline(call: &Call, pool: &str, device: &str, how: Offline) -> Result<i32, Stop> {
    call.io.pause(CHANGES).await?;
    let refused = change(call, pool, |server, index, _| {
        let pool = server.pools.get_mut(index)?;
        let refuse = |why: &str| Some(Reply::fail(1, format!("cannot offline {device}: {why}\n")));
        let Some(vdev) = pool.vdev_of(device) else {
            return refuse("no such device in pool");
        };
        if vdev.class == Class::Spare {
            return refuse("device is reserved as a hot spare");
        }
        if vdev.class != Class::Cache && vdev.class != Class::Log && !vdev.can_lose(device) {
            return refuse("no valid replicas");
        }
        pool.each_leaf(|leaf| {
            if leaf.is(device) {
                leaf.temporary = how == Offline::Temporary;
                leaf.state = if how == Offline::Faulted {
                    LeafState::ForceFaulted
                } else {
                    LeafState::Offline
                };
            }
        });
        server.pool_io(index);
        None
    });
    if refused.is_none() {
        note(call, What::DiskOffline, pool, device);
    }
    finish(call, refused).await
}

/// Captured: what it missed is resilvered. That a device stays as it is, is from zpool_main.c (`zpool_do_online`).
async fn online(call: &Call, pool: &str, device: &str) -> Result<i32, Stop> {
    call.io.pause(CHANGES).await?;
    let refused = change(call, pool, |server, index, now| takes_in(server, index, device, now));
    if refused.as_ref().is_none_or(|reply| reply.code == 0) {
        note(call, What::DiskOnline, pool, device);
    }
    finish(call, refused).await
}

/// A timer of systemd's runs `zpool online`: what is refused is refused unseen.
pub(crate) fn online_by_timer(state: &mut State, node: usize, pool: &str, device: &str) {
    let now = state.now;
    let Some(server) = state.servers.get_mut(node) else {
        return;
    };
    let Some(index) = server.pools.iter().position(|one| one.name == pool) else {
        return;
    };
    if takes_in(server, index, device, now).is_none_or(|reply| reply.code == 0) {
        state.note(Some(node), What::DiskOnline, format!("{pool} {device}"));
    }
}

fn note(call: &Call, what: What, pool: &str, device: &str) {
    call.world
        .with(|state| state.note(Some(call.node), what, format!("{pool} {device}")));
}

fn takes_in(server: &mut Server, index: usize, device: &str, now: SimTime) -> Option<Reply> {
    let pool = server.pools.get(index)?;
    let Some(leaf) = pool.leaf(device).cloned() else {
        return Some(Reply::fail(
            1,
            format!("cannot online {device}: no such device in pool\n"),
        ));
    };
    let there = disks::holding(&server.disks, pool.guid, &leaf).map(|(disk, _)| disk.name.clone());
    let away = leaf.state > LeafState::Degraded;
    let faulted = matches!(leaf.state, LeafState::Faulted | LeafState::ForceFaulted);
    let state = match (&there, faulted) {
        (None, _) => LeafState::Missing,
        (Some(_), true) => leaf.state,
        (Some(_), false) => LeafState::Online,
    };
    server.pools.get_mut(index)?.each_leaf(|one| {
        if one.guid == leaf.guid {
            one.state = state;
            one.temporary = false;
            one.resilvers = away && state == LeafState::Online;
            if let Some(disk) = &there {
                one.disk.clone_from(disk);
            }
        }
    });
    if state == LeafState::Online {
        if away {
            server.begin_resilver(index, now);
        }
        return None;
    }
    let hint = if faulted {
        "use 'zpool clear' to restore a faulted device"
    } else {
        "use 'zpool replace' to replace devices that are no longer present"
    };
    Some(Reply::ok(format!(
        "warning: device '{device}' onlined, but remains in faulted state\n{hint}\n"
    )))
}

/// Captured: in silence; it hangs where the pool's only disk is gone.
async fn clear(call: &Call, pool: &str, device: Option<&str>) -> Result<i32, Stop> {
    call.io.pause(CHANGES).await?;
    let unsuspended = change(call, pool, |server, index, _| {
        // What suspended it is over when its disks are there: clearing is what resumes it.
        let pool = server.pools.get_mut(index)?;
        pool.suspended = false;
        None
    });
    if unsuspended.is_some() {
        return finish(call, unsuspended).await;
    }
    wait_while_stuck(call, pool).await?;
    let refused = change(call, pool, |server, index, now| {
        let pool = server.pools.get(index)?;
        if let Some(device) = device.filter(|device| pool.leaf(device).is_none()) {
            let text = format!("cannot clear errors for {device}: no such device in pool\n");
            return Some(Reply::fail(1, text));
        }
        // One that came back is opened again.
        let back = returned(server, pool);
        let pool = server.pools.get_mut(index)?;
        pool.clear(device);
        pool.each_leaf(|leaf| {
            if back.contains(&leaf.guid) {
                leaf.state = LeafState::Online;
                leaf.resilvers = true;
            }
        });
        if !back.is_empty() {
            server.begin_resilver(index, now);
        }
        None
    });
    finish(call, refused).await
}

/// Disks that are there again though their pool takes them for gone.
fn returned(server: &Server, pool: &Pool) -> Vec<u64> {
    let gone = |state| matches!(state, LeafState::Removed | LeafState::Missing);
    let back = pool
        .leaves()
        .filter(|leaf| gone(leaf.state) && disks::holding(&server.disks, pool.guid, leaf).is_some());
    back.map(|leaf| leaf.guid).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scrub {
    Begin,
    Stop,
    Pause,
}

/// Captured: in silence, and a second one is refused. The others are from libzfs_pool.c (`zpool_scan`).
async fn scrub(call: &Call, pool: &str, what: Scrub) -> Result<i32, Stop> {
    call.io.pause(CHANGES).await?;
    if what == Scrub::Begin {
        wait_while_stuck(call, pool).await?;
    }
    let refused = change(call, pool, |server, index, now| {
        let at = server.now();
        let pool = server.pools.get_mut(index)?;
        let name = pool.name.clone();
        let refuse = |text: String| Some(Reply::fail(1, text));
        let runs = |kind| pool.scan.as_ref().is_some_and(|scan| scan.runs(kind));
        match what {
            Scrub::Begin if runs(ScanKind::Resilver) => {
                return refuse(format!("cannot scrub {name}: currently resilvering\n"));
            }
            Scrub::Begin if runs(ScanKind::Scrub) => {
                return refuse(format!(
                    "cannot scrub {name}: currently scrubbing; use 'zpool scrub -s' to cancel current scrub\n"
                ));
            }
            Scrub::Begin => {
                let takes = pool.durations.scrub;
                let done = pool.scan.as_ref().map_or(0.0, |scan| match scan.state {
                    ScanState::Paused { done } => done,
                    _ => 0.0,
                });
                pool.scan = Some(Scan::begun(
                    ScanKind::Scrub,
                    at,
                    now.saturating_sub(takes.mul_f64(done)),
                    takes,
                ));
                server.pool_io(index);
            }
            Scrub::Stop | Scrub::Pause => {
                let running = pool.scan.as_mut().filter(|scan| {
                    scan.kind == ScanKind::Scrub
                        && matches!(scan.state, ScanState::Running { .. } | ScanState::Paused { .. })
                });
                let Some(scan) = running else {
                    let verb = if what == Scrub::Stop { "cancel" } else { "pause" };
                    return refuse(format!("cannot {verb} scrubbing {name}: there is no active scrub\n"));
                };
                let done = scan.done(now);
                scan.at = at;
                scan.state = match what {
                    Scrub::Pause => ScanState::Paused { done },
                    _ => ScanState::Cancelled,
                };
            }
        }
        None
    });
    finish(call, refused).await
}

async fn set(call: &Call, property: &str, pool: &str) -> Result<i32, Stop> {
    let Some((key, value)) = property.split_once('=') else {
        return unknown(call).await;
    };
    if !["autotrim", "cachefile", "autoreplace", "autoexpand", "comment"].contains(&key) {
        return unknown(call).await;
    }
    call.io.pause(CHANGES).await?;
    wait_while_stuck(call, pool).await?;
    let refused = change(call, pool, |server, index, _| {
        let pool = server.pools.get_mut(index)?;
        match key {
            "autotrim" => pool.autotrim = value == "on",
            "cachefile" => pool.cached = value != "none",
            _ => {}
        }
        None
    });
    finish(call, refused).await
}

/// Until no such activity is left. Source: zpool-wait(8).
async fn wait(call: &Call, what: &str, pool: &str) -> Result<i32, Stop> {
    let kind = match what {
        "scrub" => ScanKind::Scrub,
        "resilver" | "replace" => ScanKind::Resilver,
        _ => return unknown(call).await,
    };
    loop {
        let look = |server: &Server, _: SimTime| {
            let pool = server.pools.iter().find(|one| one.name == pool)?;
            Some(pool.scan.as_ref().is_some_and(|scan| scan.runs(kind)))
        };
        match call.server(|server, state| look(server, state.now)).flatten() {
            None => return call.reply(0, no_such_pool(pool)).await,
            Some(false) => return Ok(0),
            Some(true) => call.io.pause(LOOKS_AGAIN).await?,
        }
    }
}
