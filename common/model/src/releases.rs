//! Which PVE releases Quorate knows, and how well: the one table that the planner goes by and docs/versions.md is made from.

use crate::observation::system::PveVersion;

/// How well a release is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Knowledge {
    /// Nothing is known: observing is safe, changing needs the operator's word.
    Unknown,
    /// How its tools behave was read from their source.
    ReadFromSource,
    /// Read from source, and its tools' real outputs were recorded from running clusters and are what parsers are held to.
    Captured,
}

impl Knowledge {
    /// What the planner does with a server of such a release.
    #[must_use]
    pub fn consequence(self) -> &'static str {
        match self {
            Self::Unknown => {
                "refused with `QRT-VERSION-UNTESTED` where the server would be changed, unless the operator accepts it"
            }
            Self::ReadFromSource => "planned, with a note `QRT-VERSION-UNTESTED`",
            Self::Captured => "planned",
        }
    }
}

/// One row: minor releases of a PVE release and how well they are known.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// The part of pve-manager's version before the first dot.
    pub major: u32,
    /// First and last of the numbers after it.
    pub minors: (u32, u32),
    /// How well they are known.
    pub knowledge: Knowledge,
    /// What was run, and is tested against what it printed.
    pub tested: &'static str,
    /// What was only read in its source.
    pub read: &'static str,
    /// What nobody has looked at.
    pub unknown: &'static str,
}

impl Release {
    /// `8.4`, `8.0–8.3`.
    #[must_use]
    pub fn name(&self) -> String {
        let (first, last) = self.minors;
        if first == last {
            format!("{}.{first}", self.major)
        } else {
            format!("{0}.{first}–{0}.{last}", self.major)
        }
    }

    /// Is this release in the row?
    #[must_use]
    pub fn has(&self, major: u32, minor: u32) -> bool {
        self.major == major && (self.minors.0..=self.minors.1).contains(&minor)
    }
}

/// The table. A release that isn't in it is unknown, also a newer minor one: PVE changes its tools with these.
pub const RELEASES: [Release; 3] = [
    Release {
        major: 8,
        minors: (0, 3),
        knowledge: Knowledge::ReadFromSource,
        tested: "–",
        read: "pvecm, pmxcfs, ha-manager, pvesm: the branch stable-bookworm from its beginning",
        unknown: "a running cluster of it",
    },
    Release {
        major: 8,
        minors: (4, 4),
        knowledge: Knowledge::Captured,
        tested: "pve-manager 8.4.21, pve-cluster 8.1.3, pve-ha-manager 4.0.7, corosync and qdevice of Debian 12 (3.1.7, 3.0.3): \
                 create, join, remove, quorum lost and regained, two links, a QDevice, HA's files, `pvesm status`",
        read: "`pvesm add` and `set`, the firewall's files, guests' configuration, replication, users and second factors",
        unknown: "Proxmox's own builds of corosync and OpenZFS (tested: 2.1.11 of Debian 12), and its kernel",
    },
    Release {
        major: 9,
        minors: (0, 2),
        knowledge: Knowledge::ReadFromSource,
        tested: "–",
        read: "pve-manager up to 9.2.11, pve-cluster 9.1.6, pve-ha-manager 5.2.0 (rules, disarm), pve-storage 9.1.7",
        unknown: "a running cluster of it; zpool of OpenZFS 2.3 and later",
    },
];

/// The row of a version; `None`: it is unknown, as one whose numbers can't be read.
#[must_use]
pub fn release(version: &PveVersion) -> Option<&'static Release> {
    let (major, minor) = (version.major()?, version.minor()?);
    RELEASES.iter().find(|release| release.has(major, minor))
}

/// How well a version is known.
#[must_use]
pub fn knowledge(version: &PveVersion) -> Knowledge {
    release(version).map_or(Knowledge::Unknown, |release| release.knowledge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(manager: &str) -> Knowledge {
        knowledge(&PveVersion {
            manager: manager.to_owned(),
            repoid: String::new(),
            running_kernel: String::new(),
        })
    }

    #[test]
    fn what_is_in_no_row_is_unknown() {
        for (manager, expected) in [
            ("8.4.21", Knowledge::Captured),
            ("8.4", Knowledge::Captured),
            ("8.0.4", Knowledge::ReadFromSource),
            ("9.2.11", Knowledge::ReadFromSource),
            ("7.4-17", Knowledge::Unknown),
            ("8.5.0", Knowledge::Unknown),
            ("9.3.0", Knowledge::Unknown),
            ("10.0.1", Knowledge::Unknown),
            ("8", Knowledge::Unknown),
            ("eight.four", Knowledge::Unknown),
            ("", Knowledge::Unknown),
        ] {
            assert_eq!(known(manager), expected, "{manager}");
        }
    }

    #[test]
    fn rows_are_in_order_and_do_not_overlap() {
        let places: Vec<_> = RELEASES.iter().map(|r| (r.major, r.minors.0, r.minors.1)).collect();
        assert!(places.iter().all(|(_, first, last)| first <= last));
        assert!(places.is_sorted_by(|a, b| (a.0, a.2) < (b.0, b.1)), "{places:?}");
        assert_eq!(RELEASES.map(|r| r.name()), ["8.0–8.3", "8.4", "9.0–9.2"]);
    }
}
