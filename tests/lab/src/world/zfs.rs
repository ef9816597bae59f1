//! ZFS pools of a server, as its kernel has them imported, and what they leave on disks.

use crate::description::{DiskSpec, PartitionSpec};
use crate::roots::disks::{identities, partition_name};

/// GPT types of the partitions that ZFS makes on a whole disk.
const OF_ZFS: &str = "6a898cc3-1dd2-11b2-99a6-080020736631";
const RESERVED: &str = "6a945a3b-1dd2-11b2-99a6-080020736631";

/// The reserved partition.
const RESERVED_BYTES: u64 = 8 << 20;

/// Alignment and both copies of the GPT.
const OVERHEAD: u64 = 2 << 20;

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pool {
    pub(crate) name: String,
    pub(crate) guid: u64,
    /// As given; 0: chosen by ZFS.
    pub(crate) ashift: u8,
    pub(crate) autotrim: bool,
    pub(crate) vdevs: Vec<Vdev>,
}

/// A top-level vdev.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vdev {
    pub(crate) class: Class,
    pub(crate) kind: Kind,
    pub(crate) leaves: Vec<Leaf>,
}

/// A disk of a vdev, by the path that it was given by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) path: String,
    /// Its kernel name when it was taken.
    pub(crate) disk: String,
    /// Of its ZFS partition.
    pub(crate) size: u64,
}

/// What a vdev is for, in the order in which zpool lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Data,
    Dedup,
    Special,
    Log,
    Cache,
    Spare,
}

/// How its disks are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Disk,
    Mirror,
    /// With so much parity.
    Raidz(u8),
    /// With so much parity.
    Draid(u8),
}

impl Kind {
    /// From zpool's word.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "mirror" => Self::Mirror,
            "raidz" | "raidz1" => Self::Raidz(1),
            "raidz2" => Self::Raidz(2),
            "raidz3" => Self::Raidz(3),
            "draid" | "draid1" => Self::Draid(1),
            "draid2" => Self::Draid(2),
            "draid3" => Self::Draid(3),
            _ => return None,
        })
    }

    /// The fewest disks that zpool itself takes.
    pub(crate) fn fewest(self) -> usize {
        match self {
            Self::Disk => 1,
            Self::Mirror => 2,
            Self::Raidz(parity) | Self::Draid(parity) => usize::from(parity) + 1,
        }
    }
}

impl Vdev {
    /// As zpool calls it; `number`: which top-level vdev of the pool it is. A disk alone has its path.
    pub(crate) fn name(&self, number: usize) -> Option<String> {
        let leaves = self.leaves.len();
        match self.kind {
            Kind::Disk => None,
            Kind::Mirror => Some(format!("mirror-{number}")),
            Kind::Raidz(parity) => Some(format!("raidz{parity}-{number}")),
            Kind::Draid(parity) => {
                let data = leaves.saturating_sub(usize::from(parity));
                Some(format!("draid{parity}:{data}d:{leaves}c:0s-{number}"))
            }
        }
    }

    /// Bytes for data and parity.
    pub(crate) fn size(&self) -> u64 {
        let smallest = self.leaves.iter().map(|leaf| leaf.size).min().unwrap_or(0);
        match self.kind {
            Kind::Disk | Kind::Mirror => smallest,
            Kind::Raidz(_) | Kind::Draid(_) => {
                smallest.saturating_mul(u64::try_from(self.leaves.len()).unwrap_or(u64::MAX))
            }
        }
    }
}

impl Pool {
    pub(crate) fn size(&self) -> u64 {
        let counted = self
            .vdevs
            .iter()
            .filter(|vdev| matches!(vdev.class, Class::Data | Class::Special | Class::Dedup));
        counted.map(Vdev::size).sum()
    }
}

/// The disk that a path below `/dev` means, if it means a whole disk.
pub(crate) fn disk_at<'d>(disks: &'d [DiskSpec], path: &str) -> Option<&'d DiskSpec> {
    if let Some(link) = path.strip_prefix("/dev/disk/by-id/") {
        return disks
            .iter()
            .find(|disk| identities(disk).iter().any(|name| name == link));
    }
    let name = path.strip_prefix("/dev/")?;
    disks.iter().find(|disk| disk.name == name)
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
pub(crate) fn partitioned(disk: &mut DiskSpec, label: Option<(&str, u64)>) {
    let name = |text: &str| Some(text.to_owned());
    disk.pttype = name("gpt");
    disk.fstype = None;
    disk.partitions = vec![
        PartitionSpec {
            number: 1,
            size: usable(disk),
            fstype: label.and_then(|_| name("zfs_member")),
            label: label.map(|(pool, _)| pool.to_owned()),
            uuid: label.map(|(_, guid)| guid.to_string()),
            parttype: name(OF_ZFS),
            parttypename: name("Solaris /usr & Apple ZFS"),
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
