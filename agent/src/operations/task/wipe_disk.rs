//! A disk is wiped, as PVE wipes one: the signatures of each partition and of the disk, then zeros at the beginning and at the end of each.
//! What is written to are the kernel's names of the very disk and the partitions that were just identified: the links of partitions are
//! made one by one, and may lead to another disk than that of their name.

use quorate_model::ByteSize;
use quorate_model::observation::disks::Disk;
use quorate_model::pool_layout::DiskIdentity;
use quorate_tools::wiping;

use super::disk_lock;
use super::{CHANGING, Stopped, Task, say, stopped};
use crate::observe::disks::edges::{Meanwhile, read_device};
use crate::observe::disks::led_to;

/// How much of a disk's beginning goes. Source: PVE::Diskmanage, `wipe_blockdev`.
const BEGINNING: u64 = 200 << 20;

/// How much of each end goes, and of a partition's beginning: backups of partition tables, ZFS's labels and those of md and DRBD are there.
/// Behind ZFS's data are 8 MiB that it keeps free, and before those its last labels.
const END: u64 = 16 << 20;

pub(super) async fn run(task: &Task<'_>, planned: &DiskIdentity) -> Result<(), Stopped> {
    let _held = disk_lock::take(task).await?;
    let tools = task.host.tools();
    // lsblk tells what udev has noted, and somebody may have formatted the disk a moment ago.
    task.change(wiping::settle(tools)).await?;
    let seen = task.look_again().await?;
    let disks = seen.disks.get().map_err(|unknown| Stopped(unknown.reason.clone()))?;
    let disk = planned
        .find(disks)
        .map_err(|why| Stopped(format!("{} {why}", planned.link)))?;
    let devices = devices(disk);
    for (device, size) in &devices {
        nobody_holds(task, device, *size).await?;
    }
    say(CHANGING);
    for (device, size) in devices {
        still_there(task, planned, disk)?;
        // It takes the device for itself, and so fails where anybody has begun to use it.
        task.change(wiping::wipefs(tools, device)).await?;
        let beginning = if device == disk.path { BEGINNING } else { END };
        zero_ends(task, device, size, beginning).await?;
    }
    task.change(wiping::reread(tools, &disk.path)).await?;
    task.change(wiping::settle(tools)).await
}

/// Its partitions, and then itself.
fn devices(disk: &Disk) -> Vec<(&str, ByteSize)> {
    let parts = disk.partitions.iter().map(|part| (part.path.as_str(), part.size));
    parts.chain([(disk.path.as_str(), disk.size)]).collect()
}

/// Whatever the tools show, only the kernel knows who holds a device: of all of them, before the first is written to.
async fn nobody_holds(task: &Task<'_>, device: &str, size: ByteSize) -> Result<(), Stopped> {
    match read_device(task.host, device, size, Meanwhile::Nobody).await {
        Ok(edges) if edges.claimed => stopped(format!(
            "{device} is in use: the kernel does not give it to anybody else"
        )),
        Ok(_) => Ok(()),
        Err(unknown) => stopped(format!("whether {device} is in use can't be told: {}", unknown.reason)),
    }
}

/// The kernel gives a name to another disk only after the first has gone, and its link with it.
fn still_there(task: &Task<'_>, planned: &DiskIdentity, disk: &Disk) -> Result<(), Stopped> {
    match led_to(task.host, &planned.link) {
        Some(path) if path == disk.path => Ok(()),
        Some(path) => stopped(format!(
            "{} leads to {path} now, and led to {}",
            planned.link, disk.path
        )),
        None => stopped(format!("{} is not there any more", planned.link)),
    }
}

async fn zero_ends(task: &Task<'_>, device: &str, size: ByteSize, beginning: u64) -> Result<(), Stopped> {
    let tools = task.host.tools();
    for (from, length) in ends(size, beginning) {
        task.change(wiping::zero(tools, device, from, length)).await?;
    }
    Ok(())
}

/// From where, and how much.
fn ends(size: ByteSize, beginning: u64) -> Vec<(ByteSize, ByteSize)> {
    let beginning = beginning.min(size.0);
    let end = END.min(size.0 - beginning);
    let both = [(0, beginning), (size.0 - end, end)];
    let written = both.into_iter().filter(|(_, length)| *length > 0);
    written
        .map(|(from, length)| (ByteSize(from), ByteSize(length)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_written_and_nothing_beyond() {
        let told = |size: u64, beginning: u64| {
            let ends = ends(ByteSize(size), beginning);
            ends.iter().map(|(from, length)| (from.0, length.0)).collect::<Vec<_>>()
        };
        let gib = 1 << 30;
        assert_eq!(told(gib, BEGINNING), [(0, BEGINNING), (gib - END, END)]);
        assert_eq!(told(END + 512, END), [(0, END), (END, 512)]);
        assert_eq!(told(512, END), [(0, 512)]);
        assert_eq!(told(0, END), []);
    }
}
