//! Places in a vdev. A disk that is being replaced stands there together with its successor, and one for which a spare stands in together with
//! the spare: both fill one place.

use crate::observation::disks::Disks;
use crate::observation::pools::{Leaf, Vdev, VdevState};
use crate::pool_layout::disk_of;
use crate::raid::Raid;
use crate::size::ByteSize;

/// A place: one disk, or all that fill it together, in zpool's order: the successor comes last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VdevPlace<'v>(Vec<&'v Leaf>);

impl<'v> VdevPlace<'v> {
    /// All that fill it.
    pub fn leaves(&self) -> impl Iterator<Item = &'v Leaf> {
        self.0.iter().copied()
    }

    /// Who will have it: the successor of a disk that is being replaced; else the disk itself, and no spare, which only stands in.
    #[must_use]
    pub fn keeper(&self) -> Option<&'v Leaf> {
        let replaced = self.0.last().is_some_and(|leaf| leaf.is_being_replaced());
        if replaced { self.0.last() } else { self.0.first() }.copied()
    }
}

impl Vdev {
    /// Its places, in zpool's order.
    #[must_use]
    pub fn places(&self) -> Vec<VdevPlace<'_>> {
        let mut places: Vec<VdevPlace<'_>> = Vec::new();
        for leaf in &self.leaves {
            let same = |place: &&mut VdevPlace<'_>| {
                leaf.group.is_some() && place.0.first().is_some_and(|first| first.group == leaf.group)
            };
            match places.iter_mut().find(same) {
                Some(place) => place.0.push(leaf),
                None => places.push(VdevPlace(vec![leaf])),
            }
        }
        places
    }

    /// How many of its disks may be lost now, and nothing with them.
    pub(crate) fn may_lose(&self) -> usize {
        let places = self.places();
        let is_whole = |leaf: &Leaf| {
            let fine = matches!(leaf.health.state, VdevState::Online | VdevState::InUse);
            fine && leaf.health.note.as_deref() != Some("(resilvering)")
        };
        // A place is filled when any of those in it is.
        let missing = places.iter().filter(|place| !place.leaves().any(is_whole)).count();
        let parity = ["raidz", "draid"].into_iter().find_map(|stem| {
            let digit = self.name.strip_prefix(stem)?.chars().next()?;
            digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok())
        });
        let spare = match parity {
            Some(parity) => parity,
            None if self.name.starts_with("mirror") => places.len().saturating_sub(1),
            None => 0,
        };
        spare.saturating_sub(missing)
    }

    /// What is usable of it, before ZFS's own needs; `None`: its layout has no word here, or a disk of it can't be told.
    #[must_use]
    pub fn usable(&self, disks: &Disks) -> Option<ByteSize> {
        let raid = Raid::ALL.into_iter().find(|raid| raid.names(&self.name))?;
        let size = |place: VdevPlace<'_>| Some(disk_of(place.keeper()?, disks)?.size);
        let sizes: Option<Vec<ByteSize>> = self.places().into_iter().map(size).collect();
        Some(raid.usable(&sizes?, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::pools::{VdevClass, VdevHealth};

    #[test]
    fn a_disk_and_its_successor_fill_one_place() {
        let health = VdevHealth {
            state: VdevState::Online,
            errors: None,
            note: None,
        };
        let leaf = |(name, group): (&str, Option<&str>)| Leaf {
            name: name.to_owned(),
            health: health.clone(),
            group: group.map(str::to_owned),
        };
        let leaves = [
            ("a", None),
            ("b", Some("replacing-1")),
            ("c", Some("replacing-1")),
            ("d", Some("spare-2")),
            ("e", Some("spare-2")),
        ];
        let vdev = Vdev {
            class: VdevClass::Data,
            name: "raidz1-0".to_owned(),
            health: health.clone(),
            leaves: leaves.into_iter().map(leaf).collect(),
        };
        let places = vdev.places();
        let all: Vec<usize> = places.iter().map(|place| place.leaves().count()).collect();
        assert_eq!(all, [1, 2, 2]);
        let keepers: Vec<&str> = places
            .iter()
            .filter_map(VdevPlace::keeper)
            .map(|leaf| leaf.name.as_str())
            .collect();
        assert_eq!(keepers, ["a", "c", "d"]);
    }
}
