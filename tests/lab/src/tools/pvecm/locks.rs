//! What PVE takes before it changes corosync.conf, and how it waits.

use std::sync::Arc;
use std::time::Duration;

use super::super::io::{Io, Stop};
use crate::world::World;
use crate::world::pve_files::LOCK_LIFE;

/// How long a lock is asked for.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_secs(1);
/// How long it takes until a blocked write is looked at again.
const AGAIN: Duration = Duration::from_millis(200);

const CONF: &str = "file-corosync_conf";

/// Why a lock was not got.
#[derive(Debug)]
pub(super) enum NoLock {
    Died(String),
    Stopped(Stop),
}

/// Writes block while a membership is undecided; then they succeed or fail.
pub(super) async fn decided(world: &Arc<World>, member: usize) {
    while world.with(|state| state.is_undecided(member)) {
        world.pace.sleep(AGAIN).await;
    }
}

/// `/var/lock/pvecm.lock`.
pub(super) async fn lock_server(world: &Arc<World>, member: usize) -> Result<(), String> {
    let mut waited = Duration::ZERO;
    loop {
        let taken = world.with(|state| {
            state
                .servers
                .get_mut(member)
                .is_some_and(|server| !std::mem::replace(&mut server.pvecm_locked, true))
        });
        if taken {
            return Ok(());
        }
        if waited >= PATIENCE {
            return Err("can't lock file '/var/lock/pvecm.lock' - got timeout".to_owned());
        }
        waited += STEP;
        world.pace.sleep(STEP).await;
    }
}

pub(super) fn unlock_server(world: &World, member: usize) {
    world.with(|state| {
        if let Some(server) = state.servers.get_mut(member) {
            server.pvecm_locked = false;
        }
    });
}

/// `file-corosync_conf`, below `/etc/pve/priv/lock`, if there is more than one node. Who waits in a terminal is told. Is it
/// held now?
pub(super) async fn lock_cluster(world: &Arc<World>, member: usize, told: Option<&Io>) -> Result<bool, NoLock> {
    let many = world.with(|state| {
        let conf = state.get(member).and_then(|server| server.pmxcfs.replica.conf.as_ref());
        conf.is_some_and(|conf| conf.nodes.len() > 1)
    });
    if !many {
        return Ok(false);
    }
    let mut waited = Duration::ZERO;
    loop {
        decided(world, member).await;
        let taken = world.with(|state| {
            let held = state
                .get(member)
                .is_none_or(|server| server.pmxcfs.replica.locks.contains_key(CONF));
            let until = state.now + LOCK_LIFE;
            let take = |replica: &mut crate::world::pmxcfs::Replica| {
                replica.locks.insert(CONF.to_owned(), until);
            };
            !held && state.write(member, take).is_ok()
        });
        if taken {
            return Ok(true);
        }
        waited += STEP;
        if waited >= PATIENCE {
            return Err(NoLock::Died(format!(
                "cfs-lock '{CONF}' error: got lock request timeout"
            )));
        }
        if let Some(io) = told {
            let text = format!("trying to acquire cfs lock '{CONF}' ...\n");
            io.err(&text).await.map_err(NoLock::Stopped)?;
        }
        world.pace.sleep(STEP).await;
    }
}

/// Without quorum the lock stays until it expires.
pub(super) fn unlock_cluster(world: &World, member: usize, held: bool) {
    if held {
        world.with(|state| {
            let give = |replica: &mut crate::world::pmxcfs::Replica| {
                replica.locks.remove(CONF);
            };
            state.write(member, give).ok();
        });
    }
}
