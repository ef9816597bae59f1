//! Pools: made, grown, a disk of theirs replaced. Under PVE's own lock on disks, after one more look at each of them.

use quorate_exec::Invocation;
use quorate_model::Observation;
use quorate_model::ids::PoolName;
use quorate_model::observation::pools::import_unit;
use quorate_model::observation::{FacetName, Pool};
use quorate_model::pool_layout::{DiskIdentity, PoolLayout};
use quorate_tools::{CallError, systemctl, wiping, zpool_disks};

use super::disk_lock;
use super::{CHANGING, Stopped, Task, say, stopped};
use crate::begun_pools::{self, Begun};
use crate::observe::observe;

pub(super) async fn create(task: &Task<'_>, layout: &PoolLayout) -> Result<(), Stopped> {
    let held = disk_lock::take(task).await?;
    let seen = task.look_again().await?;
    let made = if there(&seen, &layout.name).is_some() {
        say("the pool is there, and is not imported at boot yet");
        say(CHANGING);
        Ok(())
    } else {
        give(task, &layout.name, layout.all_disks(), || {
            zpool_disks::create(task.host.tools(), layout)
        })
        .await
    };
    if made.is_err() {
        // It fails also after the pool has come about, as where it can't be mounted.
        let seen = observe(task.host, &[FacetName::Pools]).await;
        if there(&seen, &layout.name).is_none() {
            return made;
        }
    }
    drop(held);
    // As PVE does it: the cache file may be lost or stale, and a pool that is not imported is not there for any guest.
    let enabled = task
        .change(systemctl::enable(task.host.tools(), &import_unit(layout.name.as_str())))
        .await;
    made.and(enabled)
}

fn there<'o>(seen: &'o Observation, name: &PoolName) -> Option<&'o Pool> {
    let pools = seen.pools.get().ok()?;
    pools.iter().find(|pool| pool.name == name.as_str())
}

/// Gives disks to a pool. That it is begun is noted before the first disk is touched: what is left on them by a zpool that fails is told
/// from others' by this note alone.
async fn give<'d>(
    task: &Task<'_>,
    pool: &PoolName,
    disks: impl Iterator<Item = &'d DiskIdentity>,
    call: impl Fn() -> Result<Invocation, CallError>,
) -> Result<(), Stopped> {
    let begun = Begun {
        pool: pool.clone(),
        disks: disks.cloned().collect(),
    };
    begun_pools::begin(&task.state_dir, &task.operation.id, &begun)?;
    say(CHANGING);
    let heard = task.errors()?.len();
    if let Err(failed) = task.change(call()).await {
        let errors = task.errors()?;
        if !zpool_disks::was_too_early(errors.get(heard..).unwrap_or_default()) {
            return Err(failed);
        }
        say(
            "the new partition's link was away for a moment: once udev is done, everything is looked at again, and zpool is run once more",
        );
        task.change(wiping::settle(task.host.tools())).await?;
        task.look_again().await?;
        task.change(call()).await?;
    }
    Ok(begun_pools::finish(&task.state_dir, &begun)?)
}

pub(super) async fn grow(task: &Task<'_>, layout: &PoolLayout) -> Result<(), Stopped> {
    let _held = disk_lock::take(task).await?;
    task.look_again().await?;
    give(task, &layout.name, layout.all_disks(), || {
        zpool_disks::add(task.host.tools(), layout)
    })
    .await
}

pub(super) async fn replace(task: &Task<'_>, pool: &PoolName, old: &str, with: &DiskIdentity) -> Result<(), Stopped> {
    let _held = disk_lock::take(task).await?;
    let seen = task.look_again().await?;
    let mut leaves = there(&seen, pool).into_iter().flat_map(Pool::leaves);
    let leaf = leaves.find(|leaf| leaf.name == old);
    let Some(called) = leaf.and_then(|leaf| leaf.whole_disk()) else {
        return stopped(format!(
            "{old} is not known to take up a whole disk: what else was on it has to be put on the new one by hand"
        ));
    };
    give(task, pool, std::iter::once(with), || {
        zpool_disks::replace(task.host.tools(), pool, called, with)
    })
    .await
}
