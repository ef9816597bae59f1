//! Layouts of ZFS pools: how disks become vdevs, what of them is usable, and which losses they survive.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::size::ByteSize;

/// How the disks of a pool's data are laid out. Source of names and smallest numbers: PVE's `raidlevel` of POST /nodes/N/disks/zfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Raid {
    /// One disk.
    Single,
    /// All disks hold the same.
    Mirror,
    /// Mirrors of two, and data spread over them.
    Raid10,
    /// One disk's worth of parity.
    Raidz,
    /// Two disks' worth.
    Raidz2,
    /// Three disks' worth.
    Raidz3,
    /// One disk's worth of parity in each group, with spares spread over all disks.
    Draid,
    /// Two disks' worth.
    Draid2,
    /// Three disks' worth.
    Draid3,
}

/// A word that is no layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no layout of a pool")]
pub struct InvalidRaid(String);

impl Raid {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Single,
        Self::Mirror,
        Self::Raid10,
        Self::Raidz,
        Self::Raidz2,
        Self::Raidz3,
        Self::Draid,
        Self::Draid2,
        Self::Draid3,
    ];

    /// As written in the cluster file, and in PVE.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Mirror => "mirror",
            Self::Raid10 => "raid10",
            Self::Raidz => "raidz",
            Self::Raidz2 => "raidz2",
            Self::Raidz3 => "raidz3",
            Self::Draid => "draid",
            Self::Draid2 => "draid2",
            Self::Draid3 => "draid3",
        }
    }

    /// Disks' worth of parity in each group.
    #[must_use]
    pub fn parity(self) -> usize {
        match self {
            Self::Single | Self::Mirror | Self::Raid10 => 0,
            Self::Raidz | Self::Draid => 1,
            Self::Raidz2 | Self::Draid2 => 2,
            Self::Raidz3 | Self::Draid3 => 3,
        }
    }

    /// The fewest disks that it takes.
    #[must_use]
    pub fn fewest(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Mirror => 2,
            Self::Raid10 => 4,
            Self::Raidz | Self::Raidz2 | Self::Raidz3 | Self::Draid | Self::Draid2 | Self::Draid3 => self.parity() + 2,
        }
    }

    /// Why so many disks don't go, in words that follow the name of the layout; `None`: they do.
    #[must_use]
    pub fn refuses(self, disks: usize) -> Option<String> {
        match self {
            Self::Single if disks != 1 => Some("takes exactly one disk".to_owned()),
            Self::Raid10 if disks >= self.fewest() && !disks.is_multiple_of(2) => {
                Some("takes an even number of disks".to_owned())
            }
            _ if disks < self.fewest() => Some(format!("takes at least {} disks", self.fewest())),
            _ => None,
        }
    }

    /// Which disks, by their number, make each vdev.
    #[must_use]
    pub fn vdevs(self, disks: usize) -> Vec<Vec<usize>> {
        let all: Vec<usize> = (0..disks).collect();
        match self {
            Self::Raid10 => all.chunks(2).map(<[usize]>::to_vec).collect(),
            _ => vec![all],
        }
    }

    /// What is usable of disks of these sizes, before ZFS's own needs (about three hundredths). The smallest disk of a vdev counts for
    /// each of it.
    #[must_use]
    pub fn usable(self, sizes: &[ByteSize]) -> ByteSize {
        let smallest = |vdev: &[usize]| {
            vdev.iter()
                .filter_map(|disk| sizes.get(*disk))
                .min()
                .map_or(0, |size| size.0)
        };
        let of_vdev = |vdev: &Vec<usize>| {
            let data = match self {
                Self::Single | Self::Mirror | Self::Raid10 => 1,
                _ => vdev.len().saturating_sub(self.parity()),
            };
            smallest(vdev).saturating_mul(u64::try_from(data).unwrap_or(u64::MAX))
        };
        ByteSize(self.vdevs(sizes.len()).iter().map(of_vdev).sum())
    }

    /// Which losses it survives, in words.
    #[must_use]
    pub fn survives(self, disks: usize) -> String {
        match self {
            Self::Single => "survives the loss of no disk".to_owned(),
            Self::Mirror if disks > 2 => format!("survives the loss of all disks but one of {disks}"),
            Self::Mirror => "survives the loss of one disk".to_owned(),
            Self::Raid10 => "survives the loss of one disk of each pair".to_owned(),
            _ if self.parity() == 1 => "survives the loss of any one disk".to_owned(),
            _ => format!("survives the loss of any {} disks", self.parity()),
        }
    }
}

impl fmt::Display for Raid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Raid {
    type Err = InvalidRaid;

    fn from_str(text: &str) -> Result<Self, InvalidRaid> {
        let found = Self::ALL.into_iter().find(|raid| raid.as_str() == text);
        found.ok_or_else(|| InvalidRaid(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pve_s_smallest_numbers_of_disks() {
        let fewest = |text: &str| text.parse::<Raid>().unwrap().fewest();
        let all = [
            "single", "mirror", "raid10", "raidz", "raidz2", "raidz3", "draid", "draid2", "draid3",
        ];
        assert_eq!(all.map(fewest), [1, 2, 4, 3, 4, 5, 3, 4, 5]);
        assert!("raid5".parse::<Raid>().is_err());
    }

    #[test]
    fn a_wrong_number_of_disks_is_refused_in_words() {
        assert_eq!(Raid::Single.refuses(2).as_deref(), Some("takes exactly one disk"));
        assert_eq!(
            Raid::Raid10.refuses(5).as_deref(),
            Some("takes an even number of disks")
        );
        assert_eq!(Raid::Raid10.refuses(3).as_deref(), Some("takes at least 4 disks"));
        for raid in Raid::ALL {
            assert_eq!(raid.refuses(raid.fewest()), None);
            assert!(raid.refuses(raid.fewest() - 1).is_some());
        }
    }

    #[test]
    fn the_smallest_disk_of_a_vdev_counts() {
        let tb = |sizes: &[u64]| {
            sizes
                .iter()
                .map(|n| ByteSize(n * 1_000_000_000_000))
                .collect::<Vec<_>>()
        };
        assert_eq!(Raid::Mirror.usable(&tb(&[2, 4])), ByteSize(2_000_000_000_000));
        assert_eq!(Raid::Raid10.usable(&tb(&[2, 2, 4, 4])), ByteSize(6_000_000_000_000));
        assert_eq!(Raid::Raidz2.usable(&tb(&[4, 4, 4, 2])), ByteSize(4_000_000_000_000));
        assert_eq!(Raid::Raid10.vdevs(4), [vec![0, 1], vec![2, 3]]);
    }
}
