//! Everything that holds a disk: signatures, partition tables, mounts, what is stacked on it, and what ZFS and LVM claim.

use std::collections::BTreeSet;

use quorate_model::observation::disks::{Holder, HolderKind};
use quorate_tools::lsblk::{Device, SWAP};

use super::{Claims, signature, sysfs};
use crate::host::Host;

/// All holders of a disk, sorted. Each names the part of the disk that carries it: the disk or one of its partitions.
pub(super) fn of(host: &Host, disk: &Device, claims: &Claims) -> Vec<Holder> {
    let mut found = Found::default();
    if let Some(table) = &disk.pttype {
        found.add(&disk.path, HolderKind::PartitionTable, table);
    }
    carrier(host, disk, claims, &mut found);
    for partition in disk.children.iter().filter(|child| child.kind == "part") {
        carrier(host, partition, claims, &mut found);
    }
    found.sorted()
}

/// Collects what holds one part of a disk.
fn carrier(host: &Host, part: &Device, claims: &Claims, found: &mut Found) {
    own_marks(part, &part.path, found);
    let is_disk = part.kind == "disk";
    let stacked = part.children.iter().filter(|child| !(is_disk && child.kind == "part"));
    for device in stacked.flat_map(Device::tree) {
        let kind = stacked_kind(device);
        let name = if kind == HolderKind::Lvm {
            volume_group(&device.name)
        } else {
            device.name.clone()
        };
        found.add(&part.path, kind, &name);
        in_use(device, &part.path, found);
        claimed(device, &part.path, claims, found);
    }
    claimed(part, &part.path, claims, found);
    for holder in sysfs::holders(host, part) {
        let seen = part.tree().any(|device| device.sysfs_name() == holder);
        if !seen {
            found.add(&part.path, HolderKind::DeviceMapper, &holder);
        }
    }
}

/// Signature, partition type, mounts.
fn own_marks(device: &Device, carrier: &str, found: &mut Found) {
    if let Some(fstype) = &device.fstype {
        let kind = signature::holder(fstype);
        let name = match kind {
            HolderKind::FileSystem | HolderKind::OtherSignature => fstype,
            _ => "",
        };
        found.add(carrier, kind, name);
    } else if let Some(kind) = device.parttype.as_deref().and_then(signature::holder_of_type) {
        found.add(carrier, kind, "");
    }
    in_use(device, carrier, found);
}

fn in_use(device: &Device, carrier: &str, found: &mut Found) {
    for point in &device.mountpoints {
        let kind = if point == SWAP {
            HolderKind::Swap
        } else {
            HolderKind::Mounted
        };
        let name = if point == SWAP { &device.path } else { point };
        found.add(carrier, kind, name);
    }
}

/// By lsblk's TYPE. A `disk` on a disk is a bcache or another driver's device; a `part` is of what is stacked.
fn stacked_kind(device: &Device) -> HolderKind {
    match device.kind.as_str() {
        "lvm" => HolderKind::Lvm,
        "crypt" => HolderKind::Luks,
        "mpath" => HolderKind::Multipath,
        "md" | "linear" => HolderKind::Md,
        raid if raid.starts_with("raid") => HolderKind::Md,
        _ if device.kname.starts_with("bcache") => HolderKind::Bcache,
        _ => HolderKind::DeviceMapper,
    }
}

/// What ZFS and LVM say of a device, by either of its paths.
fn claimed(device: &Device, carrier: &str, claims: &Claims, found: &mut Found) {
    let kernel_path = format!("/dev/{}", device.kname);
    let is_it = |path: &str| path == device.path || path == kernel_path;
    for member in claims.pools.iter().filter(|member| is_it(&member.device)) {
        found.add(carrier, HolderKind::Zfs, &member.pool);
    }
    for volume in claims.physical_volumes.iter().filter(|volume| is_it(&volume.device)) {
        found.add(carrier, HolderKind::Lvm, volume.group.as_deref().unwrap_or_default());
    }
    for volume in claims
        .logical_volumes
        .iter()
        .filter(|volume| volume.devices().any(is_it))
    {
        if let Some(osd) = volume.osd() {
            found.add(carrier, HolderKind::CephOsd, osd);
        }
    }
}

/// The group's part of a logical volume's device-mapper name: `pve-root`, `my--group-root`. Hyphens of the names
/// themselves are doubled.
fn volume_group(name: &str) -> String {
    const DOUBLED: &str = "\0";
    let shielded = name.replace("--", DOUBLED);
    shielded.split('-').next().unwrap_or_default().replace(DOUBLED, "-")
}

#[derive(Default)]
struct Found(BTreeSet<Holder>);

impl Found {
    fn add(&mut self, carrier: &str, kind: HolderKind, name: &str) {
        self.0.insert(Holder {
            device: carrier.to_owned(),
            kind,
            name: name.to_owned(),
        });
    }

    /// Without those that have no name where another of the same kind on the same device has one.
    fn sorted(self) -> Vec<Holder> {
        let named = |holder: &Holder| {
            let is_it = |other: &&Holder| other.device == holder.device && other.kind == holder.kind;
            self.0.iter().filter(is_it).any(|other| !other.name.is_empty())
        };
        self.0
            .iter()
            .filter(|holder| !holder.name.is_empty() || !named(holder))
            .cloned()
            .collect()
    }
}
