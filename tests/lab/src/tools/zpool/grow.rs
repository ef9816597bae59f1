//! `zpool add`, `attach`, `replace`, `detach`: other disks in a pool.

use std::time::Duration;

use super::super::io::Stop;
use super::super::{Call, Reply, unknown};
use super::create::{SMALLEST, twice};
use super::spec::{self, Spec, Taken};
use super::{CHANGES, REFUSES, change, finish, label, no_such_pool, partition};
use crate::world::server::Server;
use crate::world::zfs::{Beside, Class, Kind, Leaf, LeafState, Pool, Vdev, disks};

/// Source: captured, 3.6 to 4.9 s emulated, failures that come late too.
const REPLACES: Duration = Duration::from_millis(1500);

/// Options, and what follows them.
struct Asked<'a> {
    force: bool,
    pool: &'a str,
    rest: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    fn read(args: &[&'a str]) -> Option<Self> {
        let mut args = args.iter().copied();
        let mut force = false;
        let pool = loop {
            match args.next()? {
                "-f" => force = true,
                "-o" => {
                    args.next()?.strip_prefix("ashift=")?;
                }
                option if option.starts_with('-') => return None,
                name => break name,
            }
        };
        Some(Self {
            force,
            pool,
            rest: args.collect(),
        })
    }
}

/// How an order ends.
enum End<T> {
    Refused(Reply),
    /// After these disks were partitioned.
    Late(Vec<String>, Reply),
    Done(T),
}

fn touched(taken: &[Taken<'_, '_>]) -> Vec<String> {
    let whole = taken.iter().filter(|device| device.part.is_none());
    whole.map(|device| device.disk.name.clone()).collect()
}

/// `zpool add [-f] POOL VDEV…`. Captured: a disk alone beside a mirror is refused, beside a disk alone it is not.
pub(super) async fn add(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let Some(asked) = Asked::read(args) else {
        return unknown(call).await;
    };
    let Some(specs) = spec::read(asked.rest.iter().copied()) else {
        return unknown(call).await;
    };
    let end = call.server(|server, _| judge_add(server, &asked, &specs));
    match end {
        None => unknown(call).await,
        Some(End::Refused(reply)) => {
            call.io.pause(REFUSES).await?;
            call.reply(0, reply).await
        }
        Some(End::Late(disks, reply)) => {
            call.io.pause(REPLACES).await?;
            partition(call, &disks);
            call.reply(0, reply).await
        }
        Some(End::Done(vdevs)) => {
            call.io.pause(REPLACES).await?;
            super::members::wait_while_stuck(call, asked.pool).await?;
            let refused = change(call, asked.pool, |server, index, _| {
                let pool = server.pools.get(index)?.clone();
                label(server, &pool, vdevs.iter().flat_map(|vdev| &vdev.leaves));
                let pool = server.pools.get_mut(index)?;
                pool.vdevs.extend(vdevs);
                pool.vdevs.sort_by_key(|vdev| vdev.class);
                server.pool_io(index);
                None
            });
            finish(call, refused).await
        }
    }
}

fn judge_add(server: &Server, asked: &Asked<'_>, specs: &[Spec<'_>]) -> End<Vec<Vdev>> {
    let Some(pool) = server.pools.iter().find(|pool| pool.name == asked.pool) else {
        return End::Refused(no_such_pool(asked.pool));
    };
    let taken = match spec::devices(server, specs, asked.force, None) {
        Ok(taken) => taken,
        Err(text) => return End::Refused(Reply::fail(1, text)),
    };
    if let Some(text) = spec::mismatch(server, specs, Some(pool)).filter(|_| !asked.force) {
        return End::Refused(Reply::fail(1, text));
    }
    // Both are from libzfs_pool.c (`zpool_add`), not seen.
    let late = |why: &str| {
        let text = format!("cannot add to '{}': {why}\n", asked.pool);
        End::Late(touched(&taken), Reply::fail(1, text))
    };
    if twice(&taken) {
        return late("one or more vdevs refer to the same device");
    }
    if spec::a_link_comes_late(&taken) {
        return late(spec::LINK_IS_AWAY);
    }
    if taken.iter().any(|device| spec::leaf(device).size < SMALLEST) {
        return late("device is less than the minimum size (64M)");
    }
    End::Done(spec::vdevs(specs, &taken))
}

/// `zpool attach POOL OLD NEW`, `zpool replace POOL OLD [NEW]`. Captured: the new disk is checked as for a new pool (1), then labelled;
/// what comes later ends with 255.
pub(super) async fn attach(call: &Call, args: &[&str], replacing: bool) -> Result<i32, Stop> {
    let Some(asked) = Asked::read(args) else {
        return unknown(call).await;
    };
    let (old, new) = match asked.rest.as_slice() {
        [old, new] => (*old, *new),
        [old] if replacing => (*old, *old),
        _ => return unknown(call).await,
    };
    let end = call.server(|server, _| judge_attach(server, &asked, (old, new), replacing));
    match end {
        None => unknown(call).await,
        Some(End::Refused(reply)) => {
            call.io.pause(REFUSES).await?;
            call.reply(0, reply).await
        }
        Some(End::Late(disks, reply)) => {
            call.io.pause(REPLACES).await?;
            partition(call, &disks);
            call.reply(0, reply).await
        }
        Some(End::Done((leaf, beside))) => {
            call.io.pause(REPLACES).await?;
            super::members::wait_while_stuck(call, asked.pool).await?;
            let refused = change(call, asked.pool, |server, index, now| {
                let pool = server.pools.get(index)?.clone();
                if beside != Some(Beside::Spare) {
                    label(server, &pool, std::iter::once(&leaf));
                }
                put_beside(server.pools.get_mut(index)?, old, leaf, beside);
                server.pool_io(index);
                server.begin_resilver(index, now);
                None
            });
            finish(call, refused).await
        }
    }
}

fn put_beside(pool: &mut Pool, old: &str, new: Leaf, beside: Option<Beside>) {
    for vdev in &mut pool.vdevs {
        let Some(place) = vdev.leaves.iter().position(|leaf| leaf.is(old)) else {
            continue;
        };
        match beside {
            Some(beside) => {
                if let Some(leaf) = vdev.leaves.get_mut(place) {
                    leaf.beside = Some((beside, Box::new(new)));
                }
            }
            None => {
                vdev.kind = Kind::Mirror;
                vdev.leaves.insert(place + 1, new);
            }
        }
        return;
    }
}

fn judge_attach(
    server: &Server,
    asked: &Asked<'_>,
    (old, new): (&str, &str),
    replacing: bool,
) -> End<(Leaf, Option<Beside>)> {
    let Some(pool) = server.pools.iter().find(|pool| pool.name == asked.pool) else {
        return End::Refused(no_such_pool(asked.pool));
    };
    let spec = Spec {
        class: Class::Data,
        kind: Kind::Disk,
        paths: vec![new],
    };
    let taken = match spec::devices(server, &[spec], asked.force, replacing.then_some(pool)) {
        Ok(taken) => taken,
        Err(text) => return End::Refused(Reply::fail(1, text)),
    };
    let Some(mut leaf) = taken.first().map(spec::leaf) else {
        return End::Refused(Reply::default());
    };
    let spare = |vdev: &&Vdev| vdev.class == Class::Spare;
    let spares = || pool.vdevs.iter().filter(spare).flat_map(|vdev| &vdev.leaves);
    let own_spare = spares().find(|spare| spare.is(new)).filter(|_| replacing);
    let disks = if own_spare.is_some() {
        Vec::new()
    } else {
        touched(&taken)
    };
    let what = if replacing {
        format!("cannot replace {old} with {new}")
    } else {
        format!("cannot attach {new} to {old}")
    };
    // Captured: too small; a link that comes late. The other reasons are from libzfs_pool.c (`zpool_vdev_attach`).
    let late = |why: &str| End::Late(disks.clone(), Reply::fail(255, format!("{what}: {why}\n")));
    let Some(vdev) = pool.vdev_of(old) else {
        return late("no such device in pool");
    };
    match vdev.class {
        Class::Spare => return late("device is reserved as a hot spare"),
        Class::Cache => return late("device is in use as a cache"),
        _ => {}
    }
    if !replacing && !matches!(vdev.kind, Kind::Disk | Kind::Mirror) {
        return late("can only attach to mirrors and top-level disks");
    }
    let Some(target) = vdev.leaves.iter().find(|leaf| leaf.is(old)) else {
        return late("already in replacing/spare config; wait for completion or use 'zpool detach'");
    };
    if target.beside.is_some() {
        return late("already in replacing/spare config; wait for completion or use 'zpool detach'");
    }
    if spec::a_link_comes_late(&taken) {
        return late(spec::LINK_IS_AWAY);
    }
    if leaf.size < vdev.leaves.iter().map(|leaf| leaf.size).min().unwrap_or(0) {
        return late("device is too small");
    }
    if let Some(spare) = own_spare {
        leaf.guid = spare.guid;
    }
    leaf.resilvers = true;
    let beside = match (replacing, own_spare) {
        (false, _) => None,
        (true, Some(_)) => Some(Beside::Spare),
        (true, None) => Some(Beside::Replacing),
    };
    End::Done((leaf, beside))
}

/// `zpool detach POOL DEVICE`. Captured: the last one is refused, with 255. What remains on the disk is not: it is taken for cleared.
pub(super) async fn detach(call: &Call, pool: &str, device: &str) -> Result<i32, Stop> {
    call.io.pause(CHANGES).await?;
    super::members::wait_while_stuck(call, pool).await?;
    let refused = change(call, pool, |server, index, _| {
        let pool = server.pools.get_mut(index)?;
        let guid = pool.guid;
        match detached(pool, device) {
            Ok(leaf) => {
                let still = server.pools.get(index)?.leaves().any(|other| other.guid == leaf.guid);
                if !still {
                    disks::unlabel(server, guid, &leaf);
                }
                server.pool_io(index);
                None
            }
            Err(why) => Some(Reply::fail(255, format!("cannot detach {device}: {why}\n"))),
        }
    });
    finish(call, refused).await
}

fn detached(pool: &mut Pool, device: &str) -> Result<Leaf, &'static str> {
    let vdev = pool
        .vdevs
        .iter_mut()
        .find(|vdev| vdev.leaves.iter().flat_map(Leaf::both).any(|leaf| leaf.is(device)))
        .ok_or("no such device in pool")?;
    match vdev.class {
        Class::Spare => return Err("device is reserved as a hot spare"),
        Class::Cache => return Err("device is in use as a cache"),
        _ => {}
    }
    // Of two side by side the other one remains.
    for leaf in &mut vdev.leaves {
        match leaf.beside.take() {
            Some((_, beside)) if beside.is(device) => return Ok(*beside),
            Some((_, beside)) if leaf.is(device) => return Ok(std::mem::replace(leaf, *beside)),
            other => leaf.beside = other,
        }
    }
    if vdev.kind != Kind::Mirror {
        return Err("only applicable to mirror and replacing vdevs");
    }
    let left = vdev
        .leaves
        .iter()
        .filter(|leaf| !leaf.is(device) && leaf.state == LeafState::Online);
    if left.count() == 0 {
        return Err("no valid replicas");
    }
    let place = vdev.leaves.iter().position(|leaf| leaf.is(device));
    let leaf = vdev.leaves.remove(place.ok_or("no such device in pool")?);
    if vdev.leaves.len() == 1 {
        vdev.kind = Kind::Disk;
    }
    Ok(leaf)
}
