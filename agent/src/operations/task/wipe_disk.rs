//! A disk is wiped, as PVE wipes one: the signatures of each partition and of the disk, then zeros at the beginning and at the end of each.
//! Everything is named by links below /dev/disk/by-id: the kernel's names may have moved.

use quorate_model::ByteSize;
use quorate_model::observation::disks::Disk;
use quorate_model::pool_layout::DiskIdentity;
use quorate_tools::wiping;

use super::disk_lock;
use super::{CHANGING, Stopped, Task, say};

/// How much of a disk's beginning goes. Source: PVE::Diskmanage, `wipe_blockdev`.
const BEGINNING: u64 = 200 << 20;

/// How much of each end goes, and of a partition's beginning: backups of partition tables, ZFS's labels and those of md and DRBD are there.
const END: u64 = 4 << 20;

pub(super) async fn run(task: &Task<'_>, planned: &DiskIdentity) -> Result<(), Stopped> {
    let _held = disk_lock::take(task).await?;
    let seen = task.look_again().await?;
    let disks = seen.disks.get().map_err(|unknown| Stopped(unknown.reason.clone()))?;
    let disk = planned
        .find(disks)
        .map_err(|why| Stopped(format!("{} {why}", planned.link)))?;
    let tools = task.host.tools();
    let whole = format!("/dev/disk/by-id/{}", planned.link);
    say(CHANGING);
    for (part, size) in partitions(disk) {
        let part = format!("{whole}-part{part}");
        // It takes the device for itself, and so fails where anybody has begun to use it.
        task.change(wiping::wipefs(tools, &part)).await?;
        zero_ends(task, &part, size, END).await?;
    }
    task.change(wiping::wipefs(tools, &whole)).await?;
    zero_ends(task, &whole, disk.size, BEGINNING).await?;
    task.change(wiping::reread(tools, &whole)).await?;
    task.change(wiping::settle(tools)).await
}

async fn zero_ends(task: &Task<'_>, device: &str, size: ByteSize, beginning: u64) -> Result<(), Stopped> {
    let tools = task.host.tools();
    let beginning = beginning.min(size.0);
    let end = END.min(size.0 - beginning);
    for (from, length) in [(0, beginning), (size.0 - end, end)] {
        if length > 0 {
            task.change(wiping::zero(tools, device, ByteSize(from), ByteSize(length)))
                .await?;
        }
    }
    Ok(())
}

/// Number and size of each.
fn partitions(disk: &Disk) -> Vec<(&str, ByteSize)> {
    let numbered = |path: &'_ str| -> Option<usize> {
        let digits = path.len() - path.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        (digits > 0).then(|| path.len() - digits)
    };
    let parts = disk.partitions.iter().filter_map(|part| {
        let number = part.path.get(numbered(&part.path)?..)?;
        Some((number, part.size))
    });
    parts.collect()
}
