//! `wipefs`: signatures on a device, shown or erased.
//!
//! Captured: the list as JSON, and a device that is not there. What is said while erasing, and of a device that is in use, is from
//! util-linux' wipefs.c, not seen.

use std::time::Duration;

use super::io::Stop;
use super::{Call, Reply, unknown};
use crate::description::{DiskSpec, PartitionSpec};
use crate::world::server::Server;
use crate::world::zfs::disks;

const COST: u64 = 8;
/// Erasing, and having the partitions read again.
const ERASES: Duration = Duration::from_millis(150);

/// What a signature is, where it lies, and its bytes.
struct Signature {
    kind: String,
    offset: u64,
    magic: &'static [u8],
    uuid: Option<String>,
    label: Option<String>,
}

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    let args = call.args();
    let (flags, devices): (Vec<&str>, Vec<&str>) = args.iter().copied().partition(|arg| arg.starts_with('-'));
    let has = |long: &str, short: &str| flags.contains(&long) || flags.contains(&short);
    let known = [
        "--json", "-J", "--no-act", "-n", "--all", "-a", "--force", "-f", "--quiet", "-q",
    ];
    if devices.is_empty() || !flags.iter().all(|flag| known.contains(flag)) {
        return unknown(call).await;
    }
    let dry = has("--no-act", "-n");
    match (has("--all", "-a"), has("--json", "-J")) {
        (false, true) if devices.len() == 1 => {
            let path = devices.first().copied().unwrap_or_default();
            match call.server(|server, _| list(server, path)) {
                Some(reply) => call.reply(COST, reply).await,
                None => unknown(call).await,
            }
        }
        (true, false) => erase(call, &devices, has("--force", "-f"), has("--quiet", "-q"), dry).await,
        _ => unknown(call).await,
    }
}

/// A disk or one of its partitions.
fn find<'s>(server: &'s Server, path: &str) -> Result<(&'s DiskSpec, Option<&'s PartitionSpec>), Reply> {
    let Some((disk, number)) = disks::at(&server.disks, path) else {
        return Err(Reply::fail(
            1,
            format!("wipefs: error: {path}: probing initialization failed: No such file or directory\n"),
        ));
    };
    let part = number.and_then(|number| disk.partitions.iter().find(|part| part.number == number));
    Ok((disk, part))
}

fn list(server: &Server, path: &str) -> Reply {
    let (disk, part) = match find(server, path) {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    let name = match part {
        Some(part) => crate::roots::disks::partition_name(disk, part.number),
        None => disk.name.clone(),
    };
    let json = |text: &Option<String>| serde_json::Value::from(text.clone()).to_string();
    let entries: Vec<String> = signatures(disk, part)
        .iter()
        .map(|one| {
            format!(
                "{{\n         \"device\": \"{name}\",\n         \"offset\": \"{:#x}\",\n         \"type\": \"{}\",\n         \"uuid\": {},\n         \"label\": {}\n      }}",
                one.offset,
                one.kind,
                json(&one.uuid),
                json(&one.label)
            )
        })
        .collect();
    let inner = if entries.is_empty() {
        String::new()
    } else {
        format!("      {}", entries.join(","))
    };
    Reply::ok(format!("{{\n   \"signatures\": [\n{inner}\n   ]\n}}\n"))
}

fn signatures(disk: &DiskSpec, part: Option<&PartitionSpec>) -> Vec<Signature> {
    let table = |kind: &str, offset, magic| Signature {
        kind: kind.to_owned(),
        offset,
        magic,
        uuid: None,
        label: None,
    };
    let Some(part) = part else {
        let mut found = match disk.pttype.as_deref() {
            Some("gpt") => vec![
                table("gpt", 0x200, b"EFI PART"),
                table("gpt", disk.size.saturating_sub(512), b"EFI PART"),
                table("PMBR", 0x1fe, b"\x55\xaa"),
            ],
            Some(other) => vec![table(other, 0x1fe, b"\x55\xaa")],
            None => Vec::new(),
        };
        found.extend(disk.fstype.iter().flat_map(|kind| of_kind(kind, disk.size, None, None)));
        return found;
    };
    let kind = part.fstype.iter();
    kind.flat_map(|kind| of_kind(kind, part.size, part.uuid.as_ref(), part.label.as_ref()))
        .collect()
}

fn of_kind(kind: &str, size: u64, uuid: Option<&String>, label: Option<&String>) -> Vec<Signature> {
    let at = |offset, magic| Signature {
        kind: kind.to_owned(),
        offset,
        magic,
        uuid: uuid.cloned(),
        label: label.cloned(),
    };
    // Source: util-linux libblkid/src/superblocks; captured of ext4, LVM and ZFS.
    match kind {
        "ext2" | "ext3" | "ext4" => vec![at(0x438, b"\x53\xef")],
        "LVM2_member" => vec![at(0x218, b"LVM2 001")],
        "xfs" => vec![at(0, b"XFSB")],
        "btrfs" => vec![at(0x10040, b"_BHRfS_M")],
        "vfat" => vec![at(0x52, b"FAT32   ")],
        "ntfs" => vec![at(3, b"NTFS    ")],
        "swap" => vec![at(0xff6, b"SWAPSPACE2")],
        "crypto_LUKS" => vec![at(0, b"LUKS\xba\xbe")],
        "linux_raid_member" => vec![at(0x1000, b"\xfc\x4e\x2b\xa9")],
        "ceph_bluestore" => vec![at(0, b"bluestore block device")],
        disks::MEMBER => {
            // The rings of all four labels, as many as it takes.
            let labels = [0x40000, size.saturating_sub(0x80000), size.saturating_sub(0x40000)];
            let of_label = |start: u64| [7, 6, 5, 4].map(|ring| at(start + 0x20000 + ring * 0x1000, MAGIC));
            let mut found = vec![at(0x27000, MAGIC)];
            found.extend(labels.into_iter().flat_map(of_label));
            found
        }
        _ => vec![at(0, b"\0")],
    }
}

/// An uberblock's.
const MAGIC: &[u8] = b"\x0c\xb1\xba\0\0\0\0\0";

async fn erase(call: &Call, devices: &[&str], force: bool, quiet: bool, dry: bool) -> Result<i32, Stop> {
    for path in devices {
        call.io.pause(ERASES).await?;
        let done = call.world.with(|state| {
            let server = state.servers.get_mut(call.node)?;
            Some(erase_one(server, path, force, dry))
        });
        match done {
            Some(Ok(text)) if quiet => drop(text),
            Some(Ok(text)) => call.io.out(&text).await?,
            // The first failure ends it.
            Some(Err(reply)) => return call.reply(0, reply).await,
            None => return unknown(call).await,
        }
    }
    Ok(0)
}

fn erase_one(server: &mut Server, path: &str, force: bool, dry: bool) -> Result<String, Reply> {
    let (disk, part) = find(server, path)?;
    let failed = |why: &str| {
        Reply::fail(
            1,
            format!("wipefs: error: {path}: probing initialization failed: {why}\n"),
        )
    };
    if disk.read_only {
        return Err(failed("Read-only file system"));
    }
    if !force && held(server, disk, part) {
        return Err(failed("Device or resource busy"));
    }
    let mut text = String::new();
    for one in signatures(disk, part) {
        let bytes: Vec<String> = one.magic.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!(
            "{path}: {} bytes were erased at offset {:#010x} ({}): {}\n",
            one.magic.len(),
            one.offset,
            one.kind,
            bytes.join(" ")
        ));
    }
    if part.is_none() && disk.pttype.is_some() {
        text.push_str(&format!("{path}: calling ioctl to re-read partition table: Success\n"));
    }
    if !dry {
        let (name, number) = (disk.name.clone(), part.map(|part| part.number));
        disks::change(server, &name, |disk| match number {
            Some(number) => {
                let parts = disk.partitions.iter_mut().filter(|part| part.number == number);
                parts.for_each(disks::clear);
            }
            None => {
                disk.pttype = None;
                disk.fstype = None;
                disk.partitions.clear();
            }
        });
    }
    Ok(text)
}

/// Is it held open: mounted, of an imported pool, below a volume? The kernel lets nobody have a whole disk for himself of which a
/// partition is.
pub(super) fn held(server: &Server, disk: &DiskSpec, part: Option<&PartitionSpec>) -> bool {
    let one = |part: &PartitionSpec| part.mountpoint.is_some() || !part.volumes.is_empty() || disks::open(server, part);
    match part {
        Some(part) => one(part),
        None => disk.partitions.iter().any(one),
    }
}
