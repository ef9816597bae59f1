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
    /// Over how many vdevs they are spread; [`Raid::Raid10`] has its own number.
    #[serde(default = "one")]
    pub data_vdevs: u8,
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

fn one() -> u8 {
    1
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
            ("model", told(&self.model), told(&disk.model)),
            ("size in bytes", self.size.0.to_string(), disk.size.0.to_string()),
        ];
        if let Some((what, planned, seen)) = pairs.into_iter().find(|(_, planned, seen)| planned != seen) {
            return Err(format!("is another disk now: its {what} is {seen}, and was {planned}"));
        }
        let mut others = disks.disks.iter().filter(|other| other.path != disk.path);
        match others.find_map(|other| twin(disk, other).or_else(|| self.strays_to(other))) {
            Some(why) => Err(why),
            None => Ok(disk),
        }
    }

    /// udev makes the links of partitions one by one. Where two disks claim the same name, the link may lead to the one and its
    /// partitions' to the other, and whoever writes to those writes to the wrong disk.
    fn strays_to(&self, other: &Disk) -> Option<String> {
        let links = other.partitions.iter().flat_map(|part| &part.by_id);
        let stray = links.into_iter().find(|link| whole_link(link) == Some(&self.link))?;
        Some(format!(
            "is a name that two disks have: {stray} leads to {}",
            other.path
        ))
    }
}

/// Why nobody can tell the one disk from the other, if so: they have the same serial number, and no WWN tells them apart.
fn twin(disk: &Disk, other: &Disk) -> Option<String> {
    let given = |value: &Option<String>| value.clone().filter(|value| !value.trim().is_empty());
    let (serial, wwn) = (given(&disk.serial), given(&disk.wwn));
    let what = match (wwn, given(&other.wwn)) {
        (Some(own), Some(others)) if own.eq_ignore_ascii_case(&others) => format!("WWN {own}"),
        (Some(_), Some(_)) => return None,
        _ if disk.model == other.model && serial == given(&other.serial) => format!("serial number {}", serial?),
        _ => return None,
    };
    Some(format!("can't be told from {}: both have {what}", other.path))
}

/// The disk's link of a partition's: `ata-X` of `ata-X-part3`. `None`: it is no partition's.
fn whole_link(link: &str) -> Option<&str> {
    let (whole, number) = link.rsplit_once("-part")?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(whole)
}

impl DiskIdentity {
    /// Is it the disk that a pool's leaf lies on?
    #[must_use]
    pub fn is_at(&self, leaf: &Leaf, disks: &Disks) -> bool {
        let disk = self.find(disks).ok();
        disk.is_some_and(|disk| disk_of(leaf, disks).is_some_and(|of_leaf| of_leaf.path == disk.path))
    }
}

impl PoolLayout {
    /// May a disk be used although this speaks against it?
    #[must_use]
    pub fn accepts(&self, reason: &Reason) -> bool {
        reason.kind.is_accepted(&self.accepted)
    }

    /// Which of the data's disks, by their number, make each vdev.
    fn data_by_number(&self) -> Vec<Vec<usize>> {
        if self.disks.is_empty() {
            return Vec::new();
        }
        self.raid.vdevs(self.disks.len(), usize::from(self.data_vdevs))
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
        let data = self.data_by_number().into_iter().map(|disks| PlannedVdev {
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
        let besides = self.placed(pool, disks)?;
        if let Some((class, paths)) = besides.first() {
            let paths: Vec<&str> = paths.iter().copied().collect();
            return Err(format!("it has {} of {} besides", class.as_str(), paths.join(", ")));
        }
        all_well(pool)
    }

    /// Is a pool that is there this one, as it was made a moment ago: also of this block size, of a plausible size, and imported at boot?
    ///
    /// # Errors
    /// Why not.
    pub fn is_made(&self, pool: &Pool, disks: &Disks) -> Result<(), String> {
        self.is(pool, disks)?;
        self.has_its_shape(pool)?;
        match pool.import_enabled {
            Some(false) => Err("nothing imports it at boot".to_owned()),
            Some(true) | None => Ok(()),
        }
    }

    /// Is it this one but for that nothing imports it at boot?
    #[must_use]
    pub fn lacks_only_its_import(&self, pool: &Pool, disks: &Disks) -> bool {
        let is = self.is(pool, disks).and_then(|()| self.has_its_shape(pool));
        is.is_ok() && pool.import_enabled == Some(false)
    }

    /// Its block size, and that its size is between half of what is usable and all that its disks have: ZFS rounds small ones down by much.
    fn has_its_shape(&self, pool: &Pool) -> Result<(), String> {
        if let Some(ashift) = pool
            .ashift
            .filter(|ashift| *ashift != u32::from(self.ashift) && *ashift != 0)
        {
            return Err(format!("its ashift is {ashift}, not {}", self.ashift));
        }
        let sizes: Vec<ByteSize> = self.disks.iter().map(|disk| disk.size).collect();
        let usable = self.raid.usable(&sizes, usize::from(self.data_vdevs));
        let most: u128 = sizes.iter().map(|size| u128::from(size.0)).sum();
        let plausible = pool.size.0 >= usable.0 / 2 && u128::from(pool.size.0) <= most;
        if plausible {
            Ok(())
        } else {
            Err(format!("it has {}, and its disks make {usable}", pool.size))
        }
    }

    /// Is each of its vdevs in a pool that is there and well, whatever else that one has?
    ///
    /// # Errors
    /// Why not.
    pub fn is_part_of(&self, pool: &Pool, disks: &Disks) -> Result<(), String> {
        self.placed(pool, disks)?;
        all_well(pool)
    }

    /// What the pool has besides: of which class, and on which disks.
    fn placed<'d>(&self, pool: &Pool, disks: &'d Disks) -> Result<Vec<(VdevClass, BTreeSet<&'d str>)>, String> {
        let mut left: Vec<(&str, VdevClass, BTreeSet<&str>)> = Vec::new();
        for vdev in &pool.vdevs {
            let mut paths = BTreeSet::new();
            for leaf in &vdev.leaves {
                let disk = disk_of(leaf, disks).ok_or_else(|| format!("which disk {} is can't be told", leaf.name))?;
                paths.insert(disk.path.as_str());
            }
            left.push((vdev.name.as_str(), vdev.class, paths));
        }
        for planned in self.vdevs() {
            let mut paths = BTreeSet::new();
            for identity in &planned.disks {
                let disk = identity.find(disks).map_err(|why| format!("{} {why}", identity.link))?;
                paths.insert(disk.path.as_str());
            }
            let found = left
                .iter()
                .position(|(_, class, seen)| *class == planned.class && *seen == paths);
            let Some(found) = found else {
                let names: Vec<&str> = planned.disks.iter().map(|disk| disk.link.as_str()).collect();
                return Err(format!(
                    "{} of {} is not part of it",
                    planned.class.as_str(),
                    names.join(", ")
                ));
            };
            let (name, ..) = left.swap_remove(found);
            if !planned.is_called(name) {
                let (class, raid) = (planned.class.as_str(), planned.raid.as_str());
                return Err(format!("its {name} of {class} is not laid out as {raid}"));
            }
        }
        Ok(left.into_iter().map(|(_, class, paths)| (class, paths)).collect())
    }
}

fn all_well(pool: &Pool) -> Result<(), String> {
    let bad = pool
        .leaves()
        .find(|leaf| !matches!(leaf.health.state, VdevState::Online | VdevState::Available));
    match bad {
        Some(leaf) => Err(format!("{} is {}", leaf.name, leaf.health.state.as_str())),
        None if pool.state != VdevState::Online => Err(format!("it is {}", pool.state.as_str())),
        None => Ok(()),
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

impl PlannedVdev<'_> {
    /// Does zpool call a vdev of this kind so? A disk by itself has its path, or the place that it shares with its successor or a spare.
    fn is_called(&self, vdev: &str) -> bool {
        let shared = self.raid == Raid::Single && (vdev.starts_with("replacing-") || vdev.starts_with("spare-"));
        shared || self.raid.names(vdev)
    }
}

/// The disk that a pool's leaf lies on: its partition's link, or the kernel's path of it. `None`: it can't be told, as of a disk that is gone.
/// A partition's link counts by where it leads; the disk's own, only where the partition's is not there.
#[must_use]
pub fn disk_of<'d>(leaf: &Leaf, disks: &'d Disks) -> Option<&'d Disk> {
    let leads_to = |disk: &Disk, name: &str| {
        disk.partitions
            .iter()
            .any(|part| part.by_id.iter().any(|link| link == name))
    };
    let is_it = |disk: &&Disk| match leaf.name.strip_prefix("/dev/disk/by-id/") {
        Some(name) if disks.disks.iter().any(|any| leads_to(any, name)) => leads_to(disk, name),
        Some(name) => {
            let whole = whole_link(name).unwrap_or(name);
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
