//! ZFS of a server: the pools that its kernel has imported, and those that lie on disks only.

pub(crate) mod boot;
pub(crate) mod disks;
mod happen;
pub(crate) mod health;
mod life;
pub(crate) mod scan;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use self::scan::{Durations, Scan};
use crate::world::clock::SimTime;
use crate::world::volumes::Volume;

/// What a new pool has taken already. Source: captured.
pub(crate) const FIRST_ALLOCATED: u64 = 393_216;

/// A pool.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pool {
    pub(crate) name: String,
    pub(crate) guid: u64,
    /// As given; 0: chosen by ZFS.
    pub(crate) ashift: u8,
    pub(crate) autotrim: bool,
    pub(crate) vdevs: Vec<Vdev>,
    /// Bytes, before parity.
    pub(crate) allocated: u64,
    /// Percent.
    pub(crate) fragmentation: u8,
    /// Files with permanent errors, as `status -v` names them.
    pub(crate) data_errors: Vec<String>,
    /// I/O failed for good: whatever writes waits. Not seen as a word, see [`health`].
    pub(crate) suspended: bool,
    /// It stands in `/etc/zfs/zpool.cache`, from where it is imported at boot.
    pub(crate) cached: bool,
    /// Its file systems and volumes, itself too, with the properties that were set.
    pub(crate) datasets: BTreeMap<String, BTreeMap<String, String>>,
    /// What is in those of its datasets that are guests'.
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) scan: Option<Scan>,
    pub(crate) durations: Durations,
    /// When something is read and written in it next, by the world's clock.
    pub(crate) io_at: Option<SimTime>,
}

/// A pool that is on disks, and not imported.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dormant {
    pub(crate) pool: Pool,
    pub(crate) left: Left,
}

/// How a pool was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    Exported,
    Destroyed,
    /// In use when its server went down, or its disks moved from another server: "potentially active".
    InUse,
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
    /// Of the partition, if ZFS was given a whole disk.
    pub(crate) path: String,
    pub(crate) guid: u64,
    /// Its kernel name when it was taken.
    pub(crate) disk: String,
    /// Of its ZFS partition.
    pub(crate) size: u64,
    pub(crate) state: LeafState,
    pub(crate) errors: Errors,
    /// Data is copied to it.
    pub(crate) resilvers: bool,
    /// Only until the next boot.
    pub(crate) temporary: bool,
    /// The disk that takes its place, or stands in for it.
    pub(crate) beside: Option<(Beside, Box<Leaf>)>,
}

/// Why a disk stands beside another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    Replacing,
    Spare,
}

/// How ZFS sees a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LeafState {
    Online,
    /// Too many checksum errors.
    Degraded,
    /// Too many read or write errors.
    Faulted,
    /// By `zpool offline -f`.
    ForceFaulted,
    Offline,
    /// Pulled.
    Removed,
    /// Not found at import or at opening.
    Missing,
    /// Something else is on it.
    Corrupt,
}

/// Counters of a vdev.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Errors {
    pub(crate) read: u64,
    pub(crate) write: u64,
    pub(crate) checksum: u64,
}

impl Errors {
    pub(crate) fn any(self) -> bool {
        self.read + self.write + self.checksum > 0
    }
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

    /// As zpool writes it where it complains about a specification.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Disk => "disk".to_owned(),
            Self::Mirror => "mirror".to_owned(),
            Self::Raidz(1) => "raidz".to_owned(),
            Self::Raidz(parity) => format!("raidz{parity}"),
            Self::Draid(1) => "draid".to_owned(),
            Self::Draid(parity) => format!("draid{parity}"),
        }
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

impl Leaf {
    pub(crate) fn new(path: String, disk: String, size: u64) -> Self {
        Self {
            path,
            guid: fresh_guid(),
            disk,
            size,
            state: LeafState::Online,
            errors: Errors::default(),
            resilvers: false,
            temporary: false,
            beside: None,
        }
    }

    /// It and the one beside it.
    pub(crate) fn both(&self) -> impl Iterator<Item = &Self> {
        let beside = self.beside.as_ref().map(|(_, leaf)| leaf.as_ref());
        std::iter::once(self).chain(beside)
    }

    /// Is it meant? By its path with or without the partition, by the last part of that, or by its number.
    pub(crate) fn is(&self, named: &str) -> bool {
        let whole = health::whole_disk(&self.path);
        let last = |path: &str| path.rsplit('/').next().map(str::to_owned);
        self.path == named
            || whole == named
            || last(whole).as_deref() == Some(named)
            || last(&self.path).as_deref() == Some(named)
            || self.guid.to_string() == named
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

    /// Bytes for data and parity: what is left of its disks beside the labels, in whole metaslabs.
    pub(crate) fn size(&self) -> u64 {
        let smallest = self.leaves.iter().map(|leaf| leaf.size).min().unwrap_or(0);
        let usable = smallest.saturating_sub(LABELS) / LABEL * LABEL;
        let whole = match self.kind {
            Kind::Disk | Kind::Mirror => usable,
            Kind::Raidz(_) | Kind::Draid(_) => {
                usable.saturating_mul(u64::try_from(self.leaves.len()).unwrap_or(u64::MAX))
            }
        };
        let metaslab = 1_u64 << metaslab_shift(whole);
        whole / metaslab * metaslab
    }
}

/// One of the four labels on a disk, and all of them with the boot block.
const LABEL: u64 = 256 << 10;
const LABELS: u64 = 4 * LABEL + (7 << 19);

/// Source: OpenZFS 2.1 vdev.c (`vdev_metaslab_set_size`); it gives the captured 480M of 512 MiB, and 888G of a disk of 960 GB.
fn metaslab_shift(size: u64) -> u32 {
    let highest_bit = |number: u64| u64::BITS - number.leading_zeros();
    let shift = match size >> 29 {
        0..16 => highest_bit(size / 16),
        16..=200 => 29,
        _ => highest_bit(size / 200),
    };
    shift.clamp(24, 34)
}

impl Pool {
    pub(crate) fn new(name: &str, vdevs: Vec<Vdev>) -> Self {
        let mut pool = Self {
            name: name.to_owned(),
            guid: fresh_guid(),
            ashift: 0,
            autotrim: false,
            vdevs,
            allocated: FIRST_ALLOCATED,
            fragmentation: 0,
            data_errors: Vec::new(),
            suspended: false,
            cached: true,
            datasets: BTreeMap::from([(name.to_owned(), BTreeMap::new())]),
            volumes: BTreeMap::new(),
            scan: None,
            durations: Durations::default(),
            io_at: None,
        };
        pool.vdevs.sort_by_key(|vdev| vdev.class);
        pool
    }

    pub(crate) fn size(&self) -> u64 {
        let counted = self
            .vdevs
            .iter()
            .filter(|vdev| matches!(vdev.class, Class::Data | Class::Special | Class::Dedup));
        counted.map(Vdev::size).sum()
    }

    /// Every disk, those beside others too.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        self.vdevs.iter().flat_map(|vdev| &vdev.leaves).flat_map(Leaf::both)
    }

    /// Does something to every disk, those beside others too.
    pub(crate) fn each_leaf(&mut self, mut change: impl FnMut(&mut Leaf)) {
        for leaf in self.vdevs.iter_mut().flat_map(|vdev| &mut vdev.leaves) {
            change(leaf);
            if let Some((_, beside)) = &mut leaf.beside {
                change(beside);
            }
        }
    }

    /// The disk that is meant.
    pub(crate) fn leaf(&self, named: &str) -> Option<&Leaf> {
        self.leaves().find(|leaf| leaf.is(named))
    }

    /// The vdev with that disk.
    pub(crate) fn vdev_of(&self, named: &str) -> Option<&Vdev> {
        let has = |leaf: &Leaf| leaf.both().any(|leaf| leaf.is(named));
        self.vdevs.iter().find(|vdev| vdev.leaves.iter().any(has))
    }

    /// Every counter is zero again, and what only counters had brought down is up.
    pub(crate) fn clear(&mut self, only: Option<&str>) {
        self.each_leaf(|leaf| {
            if only.is_some_and(|named| !leaf.is(named)) {
                return;
            }
            leaf.errors = Errors::default();
            if matches!(
                leaf.state,
                LeafState::Degraded | LeafState::Faulted | LeafState::ForceFaulted
            ) {
                leaf.state = LeafState::Online;
            }
        });
    }
}

/// Only that it is another one each time means something.
pub(crate) fn fresh_guid() -> u64 {
    RandomState::new().build_hasher().finish() | 1 << 63
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_metaslabs() {
        let size = |bytes| {
            let leaves = vec![Leaf::new("/dev/sda1".to_owned(), "sda".to_owned(), bytes)];
            let vdev = Vdev {
                class: Class::Data,
                kind: Kind::Disk,
                leaves,
            };
            vdev.size()
        };
        assert_eq!(size(526_385_152), 503_316_480);
        assert_eq!(size(960_186_638_336), 888 << 30);
    }
}
