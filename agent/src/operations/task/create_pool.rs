//! A new ZFS pool: under PVE's own lock on disks, after one more look at each of them, and then its import at boot.

use quorate_model::observation::FacetName;
use quorate_model::pool_layout::PoolLayout;
use quorate_tools::{systemctl, zpool_create};

use super::disk_lock;
use super::{CHANGING, Stopped, Task, say, stopped};
use crate::observe::observe;
use crate::operations::actions::against_a_pool;

pub(super) async fn run(task: &Task<'_>, layout: &PoolLayout) -> Result<(), Stopped> {
    let tools = task.host.tools();
    let held = disk_lock::take(task).await?;
    // The lock may have been waited for while another command took a disk.
    let seen = observe(task.host, &[FacetName::Disks, FacetName::Pools]).await;
    let against = against_a_pool(layout, &task.node, &seen);
    if !against.is_empty() {
        let told: Vec<String> = against.into_iter().map(|finding| finding.message).collect();
        return stopped(told.join("; "));
    }
    say(CHANGING);
    task.change(zpool_create::create(tools, layout)).await?;
    drop(held);
    // As PVE does it: the cache file may be lost or stale, and a pool that is not imported is not there for any guest.
    task.change(systemctl::enable(tools, &import_unit(layout.name.as_str())))
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
