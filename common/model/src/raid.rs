//! Layouts of ZFS pools: how disks become vdevs, what of them is usable, and which losses they survive.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::size::ByteSize;

/// Disks' worth of data in each group of a draid, unless zpool is told otherwise or there are fewer disks. Source: zpoolconcepts(7), `draid`.
const GROUP: usize = 8;

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
    /// One disk's worth of parity in each group of disks, and the groups spread over all of them. Room for spares among them, which
    /// zpool leaves only if it is told to, is never left.
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

    /// How many disks a vdev of so many may lose, whichever they are.
    #[must_use]
    pub fn may_lose(self, disks: usize) -> usize {
        match self {
            Self::Single => 0,
            Self::Mirror => disks.saturating_sub(1),
            Self::Raid10 => 1,
            _ => self.parity(),
        }
    }

    /// Is it one of those whose groups are smaller than the vdev?
    fn has_groups(self) -> bool {
        matches!(self, Self::Draid | Self::Draid2 | Self::Draid3)
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

    /// Why so many disks, in so many vdevs, don't go, in words that follow the name of the layout; `None`: they do.
    #[must_use]
    pub fn refuses(self, disks: usize, vdevs: usize) -> Option<String> {
        let vdevs = vdevs.max(1);
        match self {
            Self::Single | Self::Raid10 if vdevs > 1 => Some("says by itself of how many vdevs it is".to_owned()),
            Self::Single if disks != 1 => Some("takes exactly one disk".to_owned()),
            Self::Raid10 if disks >= self.fewest() && !disks.is_multiple_of(2) => {
                Some("takes an even number of disks".to_owned())
            }
            _ if disks < self.fewest() * vdevs && vdevs > 1 => Some(format!(
                "takes at least {} disks for each of {vdevs} vdevs",
                self.fewest()
            )),
            _ if disks < self.fewest() => Some(format!("takes at least {} disks", self.fewest())),
            _ if !disks.is_multiple_of(vdevs) => Some(format!("takes as many disks for each of {vdevs} vdevs")),
            _ => None,
        }
    }

    /// Which disks, by their number, make each of so many vdevs. [`Raid::Raid10`] has its own number of them.
    #[must_use]
    pub fn vdevs(self, disks: usize, vdevs: usize) -> Vec<Vec<usize>> {
        let all: Vec<usize> = (0..disks).collect();
        let of_each = match self {
            Self::Raid10 => 2,
            _ => disks.div_ceil(vdevs.max(1)).max(1),
        };
        all.chunks(of_each).map(<[usize]>::to_vec).collect()
    }

    /// Does zpool call a vdev of this layout so? One disk by itself is called by its path.
    #[must_use]
    pub fn names(self, vdev: &str) -> bool {
        let stem = match self {
            Self::Single => return vdev.starts_with('/'),
            Self::Mirror | Self::Raid10 => "mirror",
            Self::Raidz => "raidz1",
            Self::Draid => "draid1",
            other => other.as_str(),
        };
        let rest = vdev.strip_prefix(stem);
        rest.is_some_and(|rest| rest.starts_with('-') || rest.starts_with(':'))
    }

    /// What is usable of disks of these sizes, before ZFS's own needs (about three hundredths). The smallest disk of a vdev counts for
    /// each of it.
    #[must_use]
    pub fn usable(self, sizes: &[ByteSize], vdevs: usize) -> ByteSize {
        let smallest = |vdev: &[usize]| {
            vdev.iter()
                .filter_map(|disk| sizes.get(*disk))
                .min()
                .map_or(0, |size| size.0)
        };
        let of_vdev = |vdev: &Vec<usize>| {
            let beside_parity = vdev.len().saturating_sub(self.parity());
            let (times, of) = match self {
                Self::Single | Self::Mirror | Self::Raid10 => (1, 1),
                // Each group has its parity, however many groups share the disks.
                _ if self.has_groups() => {
                    let data = beside_parity.min(GROUP);
                    (vdev.len() * data, (data + self.parity()).max(1))
                }
                _ => (beside_parity, 1),
            };
            let (times, of) = (u128::try_from(times).unwrap_or(1), u128::try_from(of).unwrap_or(1));
            u64::try_from(u128::from(smallest(vdev)) * times / of).unwrap_or(u64::MAX)
        };
        ByteSize(
            self.vdevs(sizes.len(), vdevs)
                .iter()
                .map(of_vdev)
                .fold(0, u64::saturating_add),
        )
    }

    /// Which losses it survives, in words.
    #[must_use]
    pub fn survives(self, disks: usize, vdevs: usize) -> String {
        let vdevs = vdevs.max(1);
        match self {
            Self::Single => "survives the loss of no disk".to_owned(),
            _ if vdevs > 1 => format!("each of its {vdevs} vdevs {}", self.survives(disks / vdevs, 1)),
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
        let refuses = |raid: Raid, disks| raid.refuses(disks, 1);
        assert_eq!(refuses(Raid::Single, 2).as_deref(), Some("takes exactly one disk"));
        assert_eq!(
            refuses(Raid::Raid10, 5).as_deref(),
            Some("takes an even number of disks")
        );
        assert_eq!(refuses(Raid::Raid10, 3).as_deref(), Some("takes at least 4 disks"));
        for raid in Raid::ALL {
            assert_eq!(refuses(raid, raid.fewest()), None);
            assert!(refuses(raid, raid.fewest() - 1).is_some());
        }
        assert_eq!(Raid::Raidz.refuses(8, 2), None);
        let each = "takes at least 3 disks for each of 2 vdevs";
        assert_eq!(Raid::Raidz.refuses(5, 2).as_deref(), Some(each));
        let even = "takes as many disks for each of 2 vdevs";
        assert_eq!(Raid::Raidz.refuses(7, 2).as_deref(), Some(even));
        assert!(Raid::Raid10.refuses(4, 2).is_some());
    }

    #[test]
    fn the_smallest_disk_of_a_vdev_counts() {
        let tb = |sizes: &[u64]| {
            sizes
                .iter()
                .map(|n| ByteSize(n * 1_000_000_000_000))
                .collect::<Vec<_>>()
        };
        assert_eq!(Raid::Mirror.usable(&tb(&[2, 4]), 1), ByteSize(2_000_000_000_000));
        assert_eq!(Raid::Raid10.usable(&tb(&[2, 2, 4, 4]), 1), ByteSize(6_000_000_000_000));
        assert_eq!(Raid::Raidz2.usable(&tb(&[4, 4, 4, 2]), 1), ByteSize(4_000_000_000_000));
        assert_eq!(
            Raid::Raidz.usable(&tb(&[2, 2, 2, 4, 4, 4]), 2),
            ByteSize(12_000_000_000_000)
        );
        // Of ten disks' worth, eight are data and two parity, however many disks there are.
        assert_eq!(Raid::Draid2.usable(&tb(&[1; 6]), 1), ByteSize(4_000_000_000_000));
        assert_eq!(Raid::Draid2.usable(&tb(&[1; 24]), 1), ByteSize(19_200_000_000_000));
        assert_eq!(Raid::Raid10.vdevs(4, 1), [vec![0, 1], vec![2, 3]]);
        assert_eq!(Raid::Mirror.vdevs(6, 2), [vec![0, 1, 2], vec![3, 4, 5]]);
    }

    #[test]
    fn vdevs_are_called_as_zpool_calls_them() {
        assert!(Raid::Mirror.names("mirror-0") && Raid::Raid10.names("mirror-1"));
        assert!(Raid::Raidz.names("raidz1-0") && !Raid::Raidz.names("raidz2-0"));
        assert!(Raid::Raidz2.names("raidz2-0") && Raid::Draid2.names("draid2:4d:8c:1s-0"));
        assert!(Raid::Single.names("/dev/disk/by-id/ata-A-part1") && !Raid::Mirror.names("/dev/sda1"));
    }
}
