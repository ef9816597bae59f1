//! What ZFS leaves on disks, and how it finds its disks again.

use super::{Leaf, Left, Pool};
use crate::description::{DiskSpec, PartitionSpec};
use crate::roots;
use crate::roots::disks::{identities, partition_name};
use crate::world::complain;
use crate::world::server::Server;

/// GPT types of the partitions that ZFS makes on a whole disk.
const OF_ZFS: &str = "6a898cc3-1dd2-11b2-99a6-080020736631";
const RESERVED: &str = "6a945a3b-1dd2-11b2-99a6-080020736631";

/// What lsblk and wipefs call a partition with ZFS's label.
pub(crate) const MEMBER: &str = "zfs_member";

/// The reserved partition.
const RESERVED_BYTES: u64 = 8 << 20;

/// Alignment and both copies of the GPT.
const OVERHEAD: u64 = 2 << 20;

/// A path below `/dev`: the disk, and the number of the partition if it means one.
pub(crate) fn at<'d>(disks: &'d [DiskSpec], path: &str) -> Option<(&'d DiskSpec, Option<u32>)> {
    let names = |disk: &DiskSpec| -> Vec<(String, String)> {
        let links = identities(disk).into_iter();
        let mut names: Vec<_> = links
            .map(|link| {
                (
                    format!("/dev/disk/by-id/{link}"),
                    format!("/dev/disk/by-id/{link}-part"),
                )
            })
            .collect();
        let stem = partition_name(disk, 0);
        names.push((
            format!("/dev/{}", disk.name),
            format!("/dev/{}", stem.trim_end_matches('0')),
        ));
        names
    };
    disks.iter().find_map(|disk| {
        names(disk).into_iter().find_map(|(whole, part)| {
            if path == whole {
                return Some((disk, None));
            }
            let number = path.strip_prefix(&part)?.parse().ok()?;
            let there = disk.partitions.iter().any(|partition| partition.number == number);
            there.then_some((disk, Some(number)))
        })
    })
}

/// The disk that a path below `/dev` means, if it means a whole disk.
pub(crate) fn whole_at<'d>(disks: &'d [DiskSpec], path: &str) -> Option<&'d DiskSpec> {
    at(disks, path).filter(|(_, part)| part.is_none()).map(|(disk, _)| disk)
}

/// What a path becomes when ZFS has partitioned its disk.
pub(crate) fn first_partition(disk: &DiskSpec, path: &str) -> String {
    if path.starts_with("/dev/disk/by-id/") {
        format!("{path}-part1")
    } else {
        format!("/dev/{}", partition_name(disk, 1))
    }
}

/// Bytes of the partition that ZFS makes on a disk.
pub(crate) fn usable(disk: &DiskSpec) -> u64 {
    disk.size.saturating_sub(RESERVED_BYTES + OVERHEAD)
}

/// ZFS's partitions on a disk; a label on the first of them only if the pool came about.
pub(crate) fn partition(disk: &mut DiskSpec, label: Option<(&Pool, &Leaf)>) {
    let name = |text: &str| Some(text.to_owned());
    disk.pttype = name("gpt");
    disk.fstype = None;
    disk.partitions = vec![
        PartitionSpec {
            number: 1,
            size: usable(disk),
            fstype: label.and_then(|_| name(MEMBER)),
            label: label.map(|(pool, _)| pool.name.clone()),
            uuid: label.map(|(pool, _)| pool.guid.to_string()),
            uuid_sub: label.map(|(_, leaf)| leaf.guid.to_string()),
            parttype: name(OF_ZFS),
            parttypename: name("Solaris /usr & Apple ZFS"),
            partlabel: Some(format!("zfs-{:016x}", super::fresh_guid())),
            ..PartitionSpec::default()
        },
        PartitionSpec {
            number: 9,
            size: RESERVED_BYTES,
            parttype: name(RESERVED),
            parttypename: name("Solaris reserved 1"),
            ..PartitionSpec::default()
        },
    ];
}

/// Takes a partition's label or file system away.
pub(crate) fn clear(part: &mut PartitionSpec) {
    part.fstype = None;
    part.label = None;
    part.uuid = None;
    part.uuid_sub = None;
}

/// Where the label of a pool's disk lies: the disk and the partition.
pub(crate) fn holding<'d>(disks: &'d [DiskSpec], pool: u64, leaf: &Leaf) -> Option<(&'d DiskSpec, &'d PartitionSpec)> {
    let (pool, leaf) = (pool.to_string(), leaf.guid.to_string());
    disks.iter().find_map(|disk| {
        let part = disk.partitions.iter().find(|part| {
            part.fstype.as_deref() == Some(MEMBER)
                && part.uuid.as_ref() == Some(&pool)
                && part.uuid_sub.as_ref() == Some(&leaf)
        })?;
        Some((disk, part))
    })
}

/// To which pool a partition's label belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Nothing that counts.
    Nothing,
    /// A member of a pool that is imported here.
    Active,
    /// A hot spare of one.
    Spare,
    /// A cache of one.
    Cache,
    Exported,
    PotentiallyActive,
}

impl Holds {
    /// As zpool says it where it refuses to take a partition.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::PotentiallyActive => "potentially active",
            Self::Nothing | Self::Active | Self::Spare | Self::Cache => "active",
        }
    }
}

/// What ZFS finds on a partition. A label of a pool of which nothing else is known was exported somewhere.
pub(crate) fn holds(server: &Server, part: &PartitionSpec) -> Holds {
    if part.fstype.as_deref() != Some(MEMBER) {
        return Holds::Nothing;
    }
    let is = |pool: &Pool| part.uuid.as_deref() == Some(pool.guid.to_string().as_str());
    let of_leaf = |leaf: &Leaf| part.uuid_sub.as_deref() == Some(leaf.guid.to_string().as_str());
    if let Some(pool) = server.pools.iter().find(|pool| is(pool)) {
        let vdev = pool
            .vdevs
            .iter()
            .find(|vdev| vdev.leaves.iter().flat_map(Leaf::both).any(of_leaf));
        return match vdev.map(|vdev| vdev.class) {
            Some(super::Class::Spare) => Holds::Spare,
            Some(super::Class::Cache) => Holds::Cache,
            // Detached with its label left, which ZFS no longer takes for a member's.
            None => Holds::Nothing,
            Some(_) => Holds::Active,
        };
    }
    match server
        .dormant
        .iter()
        .find(|dormant| is(&dormant.pool))
        .map(|dormant| dormant.left)
    {
        Some(Left::Destroyed) => Holds::Nothing,
        Some(Left::InUse) => Holds::PotentiallyActive,
        Some(Left::Exported) | None => Holds::Exported,
    }
}

/// Is a disk held open by an imported pool?
pub(crate) fn in_use(server: &Server, disk: &DiskSpec) -> bool {
    disk.partitions.iter().any(|part| open(server, part))
}

/// Is a partition held open by an imported pool? One that was taken offline is not.
pub(crate) fn open(server: &Server, part: &PartitionSpec) -> bool {
    let held = matches!(holds(server, part), Holds::Active | Holds::Spare | Holds::Cache);
    let leaf = part.uuid_sub.as_deref().unwrap_or_default();
    let leaves = || server.pools.iter().flat_map(Pool::leaves);
    held && leaves().any(|one| one.guid.to_string() == leaf && one.state <= super::LeafState::Degraded)
}

/// Changes what is on a disk, and what `/sys` and `/dev` show of it.
pub(crate) fn change(server: &mut Server, name: &str, change: impl FnOnce(&mut DiskSpec)) {
    let root = server.root.clone();
    let Some(disk) = server.disks.iter_mut().find(|disk| disk.name == name) else {
        return;
    };
    let before = disk.clone();
    change(disk);
    if let Err(error) = roots::disks::changed(&root, &before, disk) {
        complain(&format!("{name}: can't be shown as it is: {error}"));
    }
}

/// Makes a disk or a partition a member of a pool.
pub(crate) fn label(disk: &mut DiskSpec, pool: &Pool, leaf: &Leaf) {
    let number = disk
        .partitions
        .iter()
        .find(|part| leads_to(disk, part.number, &leaf.path))
        .map(|part| part.number);
    let of_zfs = |part: &PartitionSpec| part.parttype.as_deref() == Some(OF_ZFS);
    match number.and_then(|number| disk.partitions.iter_mut().find(|part| part.number == number)) {
        // A partition that somebody else made.
        Some(part) if !of_zfs(part) => {
            part.fstype = Some(MEMBER.to_owned());
            part.label = Some(pool.name.clone());
            part.uuid = Some(pool.guid.to_string());
            part.uuid_sub = Some(leaf.guid.to_string());
        }
        _ => partition(disk, Some((pool, leaf))),
    }
}

fn leads_to(disk: &DiskSpec, number: u32, path: &str) -> bool {
    let suffix = format!("-part{number}");
    path == format!("/dev/{}", partition_name(disk, number))
        || identities(disk)
            .iter()
            .any(|link| path == format!("/dev/disk/by-id/{link}{suffix}"))
}

/// Takes the label of a pool's disk away, where it is there.
pub(crate) fn unlabel(server: &mut Server, pool: u64, leaf: &Leaf) {
    let Some((disk, part)) = holding(&server.disks, pool, leaf) else {
        return;
    };
    let (name, number) = (disk.name.clone(), part.number);
    change(server, &name, |disk| {
        disk.partitions
            .iter_mut()
            .filter(|part| part.number == number)
            .for_each(clear);
    });
}

/// The pool has another name.
pub(crate) fn rename(disk: &mut DiskSpec, pool: u64, name: &str) {
    let pool = pool.to_string();
    let of_pool = disk
        .partitions
        .iter_mut()
        .filter(|part| part.uuid.as_ref() == Some(&pool));
    of_pool.for_each(|part| part.label = Some(name.to_owned()));
}

/// A partition by its first stable name, or by the kernel's.
pub(crate) fn path_of(disk: &DiskSpec, number: u32) -> String {
    match identities(disk).into_iter().next() {
        Some(link) => format!("/dev/disk/by-id/{link}-part{number}"),
        None => format!("/dev/{}", partition_name(disk, number)),
    }
}
