//! `blkid`, `blockdev`, `dd`, `sgdisk`, `udevadm`: what is done to a disk before and after it is wiped, and how it is looked at. All of it is from the tools' sources and
//! manuals, not seen.

use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use super::io::Stop;
use super::wipefs::held;
use super::{Call, Reply, unknown};
use crate::world::server::Server;
use crate::world::zfs::disks;

const COST: u64 = 5;
/// udev has nothing to do most of the time.
const SETTLES: u64 = 60;

/// Source: util-linux blockdev.c.
pub(super) fn blockdev(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let [command, path] = args else { return None };
    let Some((disk, number)) = disks::at(&server.disks, path) else {
        let text = format!("blockdev: cannot open {path}: No such file or directory\n");
        return Some((COST, Reply::fail(1, text)));
    };
    let part = number.and_then(|number| disk.partitions.iter().find(|part| part.number == number));
    let size = part.map_or(disk.size, |part| part.size);
    let reply = match *command {
        "--rereadpt" if part.is_some() => Reply::fail(1, "blockdev: ioctl error on BLKRRPART: Invalid argument\n"),
        "--rereadpt" if held(server, disk, None) => {
            Reply::fail(1, "blockdev: ioctl error on BLKRRPART: Device or resource busy\n")
        }
        "--rereadpt" | "--flushbufs" => Reply::default(),
        "--getsize64" => Reply::ok(format!("{size}\n")),
        "--getsz" => Reply::ok(format!("{}\n", size / 512)),
        "--getro" => Reply::ok(if disk.read_only { "1\n" } else { "0\n" }),
        "--getss" => Reply::ok("512\n"),
        "--getpbsz" => Reply::ok(format!("{}\n", disk.physical_sector)),
        _ => return None,
    };
    Some((COST, reply))
}

/// `blkid -p -o export DEVICE`. Captured: a partition with a file system, LVM, a partition table, an empty disk (exit 2, no output).
pub(super) fn blkid(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let ["-p", "-o", "export", path] = args else {
        return None;
    };
    let nothing = Reply::fail(2, "");
    let Some((disk, number)) = disks::at(&server.disks, path) else {
        return Some((
            COST,
            Reply::fail(2, format!("blkid: error: {path}: No such file or directory\n")),
        ));
    };
    let Some(number) = number else {
        let kind = disk.fstype.as_ref().map(|kind| ("TYPE", kind));
        let found = kind.or(disk.pttype.as_ref().map(|table| ("PTTYPE", table)));
        let reply = found.map_or(nothing, |(key, value)| {
            Reply::ok(format!("DEVNAME={path}\n{key}={value}\n"))
        });
        return Some((COST, reply));
    };
    let part = disk.partitions.iter().find(|part| part.number == number)?;
    let mut text = format!("DEVNAME={path}\n");
    if let Some(kind) = &part.fstype {
        text.push_str(&format!("TYPE={kind}\n"));
    }
    text.push_str("PART_ENTRY_SCHEME=gpt\n");
    if let Some(kind) = &part.parttype {
        text.push_str(&format!("PART_ENTRY_TYPE={kind}\n"));
    }
    text.push_str(&format!("PART_ENTRY_NUMBER={number}\n"));
    Some((COST, Reply::ok(text)))
}

/// `dd if=/dev/zero of=DEVICE … status=none`: nothing is said. Signatures are erased by `wipefs` before; what else lies there goes.
pub(super) async fn dd(call: &Call) -> Result<i32, Stop> {
    let args = call.args();
    let value = |key: &str| args.iter().find_map(|arg| arg.strip_prefix(key)?.strip_prefix('='));
    let number = |key: &str| value(key)?.parse::<u64>().ok();
    let (Some("/dev/zero"), Some("none"), Some(path)) = (value("if"), value("status"), value("of")) else {
        return unknown(call).await;
    };
    let (Some(count), Some(seek)) = (number("count"), number("seek")) else {
        return unknown(call).await;
    };
    // Some 200 MB a second.
    call.io.pause(Duration::from_millis(COST + count / 200_000)).await?;
    let reply = call.world.with(|state| {
        let server = state.servers.get_mut(call.node)?;
        Some(zero(server, path, seek, count))
    });
    match reply {
        Some(reply) => call.reply(0, reply).await,
        None => unknown(call).await,
    }
}

/// Source: coreutils dd.c.
fn zero(server: &mut Server, path: &str, seek: u64, count: u64) -> Reply {
    let Some((disk, part)) = disks::at(&server.disks, path) else {
        return Reply::fail(1, format!("dd: failed to open '{path}': No such file or directory\n"));
    };
    let found = part.and_then(|number| disk.partitions.iter().find(|part| part.number == number));
    if seek + count > found.map_or(disk.size, |part| part.size) {
        return Reply::fail(1, format!("dd: error writing '{path}': No space left on device\n"));
    }
    if part.is_some() {
        return Reply::default();
    }
    let (name, device) = (disk.name.clone(), server.root.join("dev").join(&disk.name));
    let gone: Vec<u64> = disk
        .filled
        .iter()
        .copied()
        .filter(|at| (seek..seek + count).contains(at))
        .collect();
    if gone.is_empty() {
        return Reply::default();
    }
    let written = std::fs::OpenOptions::new()
        .write(true)
        .open(device)
        .and_then(|file| gone.iter().try_for_each(|at| file.write_all_at(&[0], *at)));
    if let Err(error) = written {
        return Reply::fail(1, format!("dd: error writing '{path}': {error}\n"));
    }
    disks::change(server, &name, |disk| disk.filled.retain(|at| !gone.contains(at)));
    Reply::default()
}

/// Nothing is ever late: `settle` and `trigger` end in silence.
pub(super) fn udevadm(args: &[&str]) -> Option<(u64, Reply)> {
    match args {
        ["settle" | "trigger", ..] => Some((SETTLES, Reply::default())),
        _ => None,
    }
}

/// `sgdisk --zap-all DISK`. Source: gdisk 1.0.9 sgdisk.cc, gptcl.cc.
pub(super) async fn sgdisk(call: &Call) -> Result<i32, Stop> {
    let args = call.args();
    let ["--zap-all" | "-Z", path] = args.as_slice() else {
        return unknown(call).await;
    };
    call.io.pause(Duration::from_millis(1000)).await?;
    let reply = call.world.with(|state| {
        let server = state.servers.get_mut(call.node)?;
        let Some(disk) = disks::whole_at(&server.disks, path) else {
            let text = format!("Problem opening {path} for reading! Error is 2.\nThe specified file does not exist!\n");
            return Some(Reply::fail(2, text));
        };
        let name = disk.name.clone();
        let stays = held(server, disk, None);
        if !stays {
            disks::change(server, &name, |disk| {
                disk.pttype = None;
                disk.partitions.clear();
            });
        }
        let old = "Warning: The kernel is still using the old partition table.\nThe new table will be used at the next reboot or \
                   after you\nrun partprobe(8) or kpartx(8)\n";
        let done = "GPT data structures destroyed! You may now partition the disk using fdisk or\nother utilities.\n";
        Some(Reply::ok(format!("{}{done}", if stays { old } else { "" })))
    });
    match reply {
        Some(reply) => call.reply(0, reply).await,
        None => unknown(call).await,
    }
}
