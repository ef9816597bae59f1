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
        found.add_marked(&disk.path, HolderKind::PartitionTable, table, disk.ptuuid.as_ref());
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
            let (kind, name) = unseen(host, holder);
            found.add(&part.path, kind, &name);
        }
    }
}

/// What a holder is that lsblk does not show.
fn unseen(host: &Host, holder: String) -> (HolderKind, String) {
    let kind = match &holder {
        md if md.starts_with("md") => HolderKind::Md,
        bcache if bcache.starts_with("bcache") => HolderKind::Bcache,
        drbd if drbd.starts_with("drbd") => HolderKind::Drbd,
        _ => HolderKind::DeviceMapper,
    };
    let Some((uuid, name)) = sysfs::mapped(host, &holder) else {
        return (kind, holder);
    };
    // Whoever makes a device-mapper device begins its uuid with its own name.
    match uuid.split('-').next() {
        Some("LVM") => (HolderKind::Lvm, volume_group(&name)),
        Some("CRYPT") => (HolderKind::Luks, name),
        Some("mpath") => (HolderKind::Multipath, name),
        _ => (HolderKind::DeviceMapper, name),
    }
}

/// Signature, partition type, mounts.
fn own_marks(device: &Device, carrier: &str, found: &mut Found) {
    if let Some(fstype) = &device.fstype {
        let kind = signature::holder(fstype);
        let name = match kind {
            HolderKind::FileSystem | HolderKind::OtherSignature => fstype,
            HolderKind::ZfsLabel => device.label.as_deref().unwrap_or_default(),
            _ => "",
        };
        found.add_marked(carrier, kind, name, device.uuid.as_ref());
    }
    let typed = device.parttype.as_deref().and_then(|parttype| {
        let kind = signature::holder_of_type(parttype)?;
        Some((kind, parttype))
    });
    match typed {
        Some((HolderKind::Boot, parttype)) => {
            found.add(carrier, HolderKind::Boot, signature::boot_partition(parttype));
        }
        Some((kind, _)) if device.fstype.is_none() || kind == HolderKind::Ldm => found.add(carrier, kind, ""),
        _ => {}
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
        _ if device.kname.starts_with("drbd") => HolderKind::Drbd,
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
        self.add_marked(carrier, kind, name, None);
    }

    fn add_marked(&mut self, carrier: &str, kind: HolderKind, name: &str, uuid: Option<&String>) {
        self.0.insert(Holder {
            device: carrier.to_owned(),
            kind,
            name: name.to_owned(),
            uuid: uuid.cloned(),
        });
    }

    /// Without those that have no name where another of the same kind on the same device has one, or tells more, and without the labels
    /// of pools that are imported.
    fn sorted(self) -> Vec<Holder> {
        let beside = |holder: &Holder, kind: HolderKind| {
            let others = self.0.iter().filter(move |other| other.kind == kind);
            others
                .filter(|other| other.device == holder.device)
                .any(|other| !other.name.is_empty())
        };
        let tells_more = |holder: &Holder| {
            let others = self
                .0
                .iter()
                .filter(|other| other.kind == holder.kind && other.device == holder.device);
            holder.uuid.is_none() && others.into_iter().any(|other| other.uuid.is_some())
        };
        let goes_without_saying = |holder: &Holder| {
            (holder.name.is_empty() && (beside(holder, holder.kind) || tells_more(holder)))
                || (holder.kind == HolderKind::ZfsLabel && beside(holder, HolderKind::Zfs))
        };
        self.0
            .iter()
            .filter(|holder| !goes_without_saying(holder))
            .cloned()
            .collect()
    }
}
