//! Pools: made, grown, a disk of theirs replaced. Under PVE's own lock on disks, after one more look at each of them.

use quorate_model::ids::PoolName;
use quorate_model::pool_layout::{DiskIdentity, PoolLayout};
use quorate_tools::{systemctl, zpool_disks};

use super::disk_lock;
use super::{CHANGING, Stopped, Task, say, stopped};
use crate::begun_pools;

pub(super) async fn create(task: &Task<'_>, layout: &PoolLayout) -> Result<(), Stopped> {
    let (tools, root) = (task.host.tools(), task.host.root());
    let held = disk_lock::take(task).await?;
    task.look_again().await?;
    // Before the first disk is touched: what a create that fails leaves on them is told from others' by this note alone.
    begun_pools::begin(root, layout)?;
    say(CHANGING);
    task.change(zpool_disks::create(tools, layout)).await?;
    begun_pools::finish(root, &layout.name)?;
    drop(held);
    // As PVE does it: the cache file may be lost or stale, and a pool that is not imported is not there for any guest.
    task.change(systemctl::enable(tools, &import_unit(layout.name.as_str())))
        .await
}

pub(super) async fn grow(task: &Task<'_>, layout: &PoolLayout) -> Result<(), Stopped> {
    let _held = disk_lock::take(task).await?;
    task.look_again().await?;
    say(CHANGING);
    task.change(zpool_disks::add(task.host.tools(), layout)).await
}

pub(super) async fn replace(task: &Task<'_>, pool: &PoolName, old: &str, with: &DiskIdentity) -> Result<(), Stopped> {
    let _held = disk_lock::take(task).await?;
    let seen = task.look_again().await?;
    let pools = seen.pools.get().map_err(|unknown| Stopped(unknown.reason.clone()))?;
    let leaf = pools
        .iter()
        .filter(|seen| seen.name == pool.as_str())
        .flat_map(|seen| seen.leaves())
        .find(|leaf| leaf.name == old);
    let Some(called) = leaf.and_then(|leaf| leaf.whole_disk()) else {
        return stopped(format!(
            "{old} is a partition among others: what else is on the disk has to be put on the new one by hand"
        ));
    };
    say(CHANGING);
    task.change(zpool_disks::replace(task.host.tools(), pool, called, with))
        .await
}

/// The unit that imports a pool at boot, with the name escaped as systemd wants it in an instance. Source: PVE::API2::Disks::ZFS.
fn import_unit(pool: &str) -> String {
    format!("zfs-import@{}.service", pool.replace('-', "\\x2d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphens_are_escaped_as_pve_escapes_them() {
        assert_eq!(import_unit("data_zfs"), "zfs-import@data_zfs.service");
        assert_eq!(import_unit("data-zfs.2"), "zfs-import@data\\x2dzfs.2.service");
    }
}
