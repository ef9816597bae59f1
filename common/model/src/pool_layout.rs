//! A pool as it is to be made: which disks, in which vdevs, with which properties; and whether a pool that is there is that one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::compression::Compression;
use crate::ids::PoolName;
use crate::observation::disks::{Disk, Disks};
use crate::observation::eligibility::{Reason, ReasonKind};
use crate::observation::pools::{Leaf, Pool, VdevClass, VdevState};
use crate::raid::Raid;
use crate::size::ByteSize;

/// A pool as it is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolLayout {
    /// Its name.
    pub name: PoolName,
    /// How the disks of the data are laid out.
    pub raid: Raid,
    /// They, in the order in which they are used.
    pub disks: Vec<DiskIdentity>,
    /// Disks of other classes, each class once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<DisksBeside>,
    /// The power of two that is the smallest block.
    pub ashift: u8,
    /// How its datasets compress.
    pub compression: Compression,
    /// Whether disks are told at once what is free.
    pub autotrim: bool,
    /// What can't be decided about its disks, and the operator has said yes to. That a disk is in use is nothing of the kind.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub accepted: BTreeSet<ReasonKind>,
}

/// Disks that stand beside those of the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisksBeside {
    /// What they are for.
    pub class: VdevClass,
    /// They.
    pub disks: Vec<DiskIdentity>,
}

/// A disk by all that tells it from another one. It is looked for by its link, and must then be the one that was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DiskIdentity {
    /// A link below /dev/disk/by-id.
    pub link: String,
    /// Its serial number; some have none.
    pub serial: Option<String>,
    /// Its world-wide name; some have none.
    pub wwn: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Its size.
    pub size: ByteSize,
}

impl DiskIdentity {
    /// Of a disk that was seen; `None`: it has no link, and could not be found again.
    #[must_use]
    pub fn of(disk: &Disk) -> Option<Self> {
        let link = disk
            .stable_name()
            .filter(|name| disk.by_id.iter().any(|link| link == name))?;
        Some(Self {
            link: link.to_owned(),
            serial: disk.serial.clone(),
            wwn: disk.wwn.clone(),
            model: disk.model.clone(),
            size: disk.size,
        })
    }

    /// The disk among those that are there now.
    ///
    /// # Errors
    /// It is not there, or another one bears its name; in words that follow its name.
    pub fn find<'d>(&self, disks: &'d Disks) -> Result<&'d Disk, String> {
        let mut bearers = disks.disks.iter().filter(|disk| disk.by_id.contains(&self.link));
        let disk = match (bearers.next(), bearers.next()) {
            (Some(disk), None) => disk,
            (None, _) => return Err("is not there any more".to_owned()),
            (Some(_), Some(_)) => return Err("is a name that two disks have".to_owned()),
        };
        let told = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        let pairs = [
            ("serial number", told(&self.serial), told(&disk.serial)),
            ("WWN", told(&self.wwn), told(&disk.wwn)),
            ("size in bytes", self.size.0.to_string(), disk.size.0.to_string()),
        ];
        match pairs.into_iter().find(|(_, planned, seen)| planned != seen) {
            Some((what, planned, seen)) => Err(format!("is another disk now: its {what} is {seen}, and was {planned}")),
            None => Ok(disk),
        }
    }
}

impl PoolLayout {
    /// May a disk be used although this speaks against it?
    #[must_use]
    pub fn accepts(&self, reason: &Reason) -> bool {
        reason.kind.may_be_accepted() && self.accepted.contains(&reason.kind)
    }

    /// All disks, of every class.
    pub fn all_disks(&self) -> impl Iterator<Item = &DiskIdentity> {
        self.disks
            .iter()
            .chain(self.beside.iter().flat_map(|beside| &beside.disks))
    }

    /// Its vdevs in the order of `zpool create`: what each is for, whether its disks hold the same, and its disks.
    #[must_use]
    pub fn vdevs(&self) -> Vec<PlannedVdev<'_>> {
        let data = self.raid.vdevs(self.disks.len()).into_iter().map(|disks| PlannedVdev {
            class: VdevClass::Data,
            raid: if self.raid == Raid::Raid10 {
                Raid::Mirror
            } else {
                self.raid
            },
            disks: disks.into_iter().filter_map(|disk| self.disks.get(disk)).collect(),
        });
        let beside = self.beside.iter().flat_map(|DisksBeside { class, disks }| {
            let together = matches!(class, VdevClass::Log | VdevClass::Special | VdevClass::Dedup) && disks.len() > 1;
            let vdev = |raid, disks: Vec<_>| PlannedVdev {
                class: *class,
                raid,
                disks,
            };
            if together {
                vec![vdev(Raid::Mirror, disks.iter().collect())]
            } else {
                disks.iter().map(|disk| vdev(Raid::Single, vec![disk])).collect()
            }
        });
        data.chain(beside).collect()
    }

    /// Is a pool that is there this one, with each of its disks in its place and well?
    ///
    /// # Errors
    /// Why not.
    pub fn is(&self, pool: &Pool, disks: &Disks) -> Result<(), String> {
        let mut left: Vec<(VdevClass, BTreeSet<&str>)> = Vec::new();
        for vdev in &pool.vdevs {
            let mut paths = BTreeSet::new();
            for leaf in &vdev.leaves {
                let disk = disk_of(leaf, disks).ok_or_else(|| format!("which disk {} is can't be told", leaf.name))?;
                paths.insert(disk.path.as_str());
            }
            left.push((vdev.class, paths));
        }
        for planned in self.vdevs() {
            let mut paths = BTreeSet::new();
            for identity in &planned.disks {
                let disk = identity.find(disks).map_err(|why| format!("{} {why}", identity.link))?;
                paths.insert(disk.path.as_str());
            }
            let found = left
                .iter()
                .position(|(class, seen)| *class == planned.class && *seen == paths);
            let Some(found) = found else {
                let names: Vec<&str> = planned.disks.iter().map(|disk| disk.link.as_str()).collect();
                return Err(format!(
                    "{} of {} is not part of it",
                    planned.class.as_str(),
                    names.join(", ")
                ));
            };
            left.swap_remove(found);
        }
        if let Some((class, paths)) = left.first() {
            let paths: Vec<&str> = paths.iter().copied().collect();
            return Err(format!("it has {} of {} besides", class.as_str(), paths.join(", ")));
        }
        let bad = pool
            .leaves()
            .find(|leaf| !matches!(leaf.health.state, VdevState::Online | VdevState::Available));
        match bad {
            Some(leaf) => Err(format!("{} is {}", leaf.name, leaf.health.state.as_str())),
            None if pool.state != VdevState::Online => Err(format!("it is {}", pool.state.as_str())),
            None => Ok(()),
        }
    }
}

/// A vdev of a pool that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedVdev<'p> {
    /// What it is for.
    pub class: VdevClass,
    /// How its disks are laid out: never [`Raid::Raid10`], which is several of these.
    pub raid: Raid,
    /// Its disks.
    pub disks: Vec<&'p DiskIdentity>,
}

/// The disk that a pool's leaf lies on: its partition's link, or the kernel's path of it.
fn disk_of<'d>(leaf: &Leaf, disks: &'d Disks) -> Option<&'d Disk> {
    let is_it = |disk: &&Disk| match leaf.name.strip_prefix("/dev/disk/by-id/") {
        Some(name) => {
            let whole = name.rsplit_once("-part").map_or(name, |(whole, _)| whole);
            disk.by_id.iter().any(|link| link == whole)
        }
        None => disk.path == leaf.name || disk.partitions.iter().any(|part| part.path == leaf.name),
    };
    let mut found = disks.disks.iter().filter(is_it);
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
#[path = "pool_layout_tests.rs"]
mod tests;
