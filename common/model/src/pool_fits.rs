//! What zpool refuses of a layout: told before anything is touched, and in words that say which disks and what to do.
//!
//! zpool takes all of it with `-f`, which is never given: it would also let a disk be taken that somebody uses. Source: zpool_vdev.c,
//! `get_replication`, and what zpool was seen to say.

use std::fmt;

use crate::observation::pools::{Pool, Vdev, VdevClass};
use crate::pool_layout::{DiskIdentity, PlannedVdev, PoolLayout};
use crate::raid::Raid;
use crate::size::ByteSize;

/// By how much disks of a vdev may differ in size. Source: zpool_vdev.c, `ZPOOL_FUZZ`.
pub const ALIKE: ByteSize = ByteSize(16 << 20);

/// Why a layout can't be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// Which of its disks are not right.
    pub class: VdevClass,
    /// Why not, in a sentence without an end.
    pub why: String,
    /// What to do.
    pub next: &'static str,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.why)
    }
}

impl PoolLayout {
    /// Why zpool would refuse it; nothing: it would not. `pool`: the one that it is added to.
    #[must_use]
    pub fn unfit(&self, pool: Option<&Pool>) -> Vec<Unfit> {
        let mut unfit = Vec::new();
        unfit.extend(match pool {
            None => self.wrong_number_of_data(),
            Some(pool) => self.unlike_the_others(pool),
        });
        unfit.extend(self.vdevs().iter().filter_map(of_different_sizes));
        let may_lose = match pool {
            None => self.vdevs().first().map(|vdev| vdev.raid.may_lose(vdev.disks.len())),
            Some(pool) => data(pool).find_map(may_lose),
        };
        for beside in &self.beside {
            unfit.extend(
                refuses_beside(beside.class, beside.disks.len(), may_lose).map(|why| Unfit {
                    class: beside.class,
                    why: format!("{why}, and these are {}", beside.disks.len()),
                    next: "say how many by `count`, or name them",
                }),
            );
        }
        unfit
    }

    fn wrong_number_of_data(&self) -> Option<Unfit> {
        let count = self.disks.len();
        let why = self.raid.refuses(count, usize::from(self.data_vdevs))?;
        Some(Unfit {
            class: VdevClass::Data,
            why: format!("{} {why}, and these are {count}", self.raid),
            next: "say how many by `count`, or name them",
        })
    }

    /// What is added to the data must be of the kind, and as wide as, what is there.
    fn unlike_the_others(&self, pool: &Pool) -> Option<Unfit> {
        let planned = self.vdevs();
        let mut planned = planned.iter().filter(|vdev| vdev.class == VdevClass::Data);
        let odd = |planned: &&PlannedVdev<'_>| {
            data(pool).any(|vdev| !planned.raid.names(&vdev.name) || vdev.places().len() != planned.disks.len())
        };
        let odd = planned.find(odd)?;
        let has: Vec<String> = data(pool)
            .map(|vdev| format!("{} ({} disks)", vdev.name, vdev.places().len()))
            .collect();
        Some(Unfit {
            class: VdevClass::Data,
            why: format!(
                "{} of {} disks is not what the pool is made of: {}",
                odd.raid,
                odd.disks.len(),
                has.join(", ")
            ),
            next: "a pool grows by vdevs of the kind and width that it has",
        })
    }
}

fn data(pool: &Pool) -> impl Iterator<Item = &Vdev> {
    pool.vdevs.iter().filter(|vdev| vdev.class == VdevClass::Data)
}

/// Which losses a vdev is laid out for, whatever is missing of it now.
fn may_lose(vdev: &Vdev) -> Option<usize> {
    let raid = Raid::ALL.into_iter().find(|raid| raid.names(&vdev.name))?;
    Some(raid.may_lose(vdev.places().len()))
}

/// zpool holds the disks of a mirror, and of a group with parity, against each other; those of different vdevs may differ.
fn of_different_sizes(vdev: &PlannedVdev<'_>) -> Option<Unfit> {
    // Of a log zpool minds nothing of this.
    if vdev.class == VdevClass::Log {
        return None;
    }
    let sizes = || vdev.disks.iter().map(|disk| disk.size);
    let (least, most) = (sizes().min()?, sizes().max()?);
    if most.0 - least.0 <= ALIKE.0 {
        return None;
    }
    let told = |disk: &&DiskIdentity| format!("{} ({})", disk.link, exactly(disk.size, least, most));
    let all: Vec<String> = vdev.disks.iter().map(told).collect();
    Some(Unfit {
        class: vdev.class,
        why: format!(
            "zpool does not lay out disks of different sizes as {}, and {} are",
            vdev.raid,
            all.join(", ")
        ),
        next: "name disks of one size, or narrow the selector by `min_size` and `max_size`",
    })
}

/// A size by which it can be told from the others.
fn exactly(size: ByteSize, least: ByteSize, most: ByteSize) -> String {
    if least.to_string() == most.to_string() {
        format!("{} bytes", size.0)
    } else {
        size.to_string()
    }
}

/// Why so many disks of a class beside the data don't go. `may_lose`: how many the data's vdevs may lose; `None`: it can't be told.
#[must_use]
pub fn refuses_beside(class: VdevClass, count: usize, may_lose: Option<usize>) -> Option<String> {
    match (class, may_lose) {
        (_, _) if count == 0 => Some(format!("{} needs a disk", class.as_str())),
        (VdevClass::Log, _) if count > 2 => Some("a log is one disk, or two".to_owned()),
        // With them the pool is lost: zpool wants them to survive what the data does.
        (VdevClass::Special, Some(losses)) if count != losses + 1 => Some(format!(
            "special disks are to survive what the data does, the loss of {losses}: that takes {}",
            losses + 1
        )),
        _ => None,
    }
}

#[cfg(test)]
#[path = "pool_fits_tests.rs"]
mod tests;
