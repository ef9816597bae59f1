//! ZFS pools that a node has imported: their vdevs, room and health.

use serde::{Deserialize, Serialize};

use crate::facet::Facet;
use crate::size::ByteSize;
use crate::time::Timestamp;

/// A pool. That its state is `ONLINE` does not mean that all is well: errors that were repaired, files that are lost for good, and a disk
/// that nobody has written to since it was pulled leave it so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Source: `zpool status`, `state:`.
    pub state: VdevState,
    /// What zpool says is wrong, on one line. Source: `zpool status`, `status:`.
    pub complaint: Option<String>,
    /// Data that is lost for good: how many errors, 0 for none; `None`: zpool said it in words that we don't know.
    /// Source: `zpool status`, `errors:`.
    pub data_errors: Option<u64>,
    /// The last scrub or resilver, or the one that runs. Source: `zpool status`, `scan:`.
    pub scan: Option<Scan>,
    /// What it is made of, in zpool's order.
    pub vdevs: Vec<Vdev>,
    /// Room of all data vdevs, parity included; 0: it can't be opened, and nobody knows. Source: `zpool get`, `size`.
    pub size: ByteSize,
    /// What of it is taken; 0 as well where it can't be opened. Source: `zpool get`, `allocated`.
    pub allocated: ByteSize,
    /// Percent of the free room that is in pieces; `None`: unknown. Source: `zpool get`, `fragmentation`.
    pub fragmentation: Option<u32>,
    /// Source: `zpool get`, `ashift`; 0: chosen by ZFS for each vdev.
    pub ashift: Option<u32>,
    /// Source: `zpool get`, `autotrim`.
    pub autotrim: Option<bool>,
    /// How its datasets compress, unless one has a setting of its own; `None`: unknown. Source: `zfs get`, `compression`.
    pub compression: Option<String>,
    /// Whether something scrubs it from time to time; `None`: it can't be told. Source: /etc/cron.d/zfsutils-linux, and the timers
    /// `zfs-scrub-weekly@` and `zfs-scrub-monthly@` of OpenZFS.
    pub scrub_scheduled: Option<bool>,
    /// Whether it has the unit that imports it at boot, whatever has become of the file that ZFS remembers pools in; `None`: it can't be
    /// told, or this ZFS has no such unit. Source: the links of zfs-import.target to `zfs-import@`, which PVE makes.
    #[serde(default)]
    pub import_enabled: Option<bool>,
    /// When it was made; `None`: unknown. Source: `zfs get`, `creation` of its root dataset.
    pub created: Option<Timestamp>,
    /// The volumes of guests in it, and those of them that are kept aside, by their datasets' names. Source: `zfs list`, names as PVE gives them and
    /// as [`crate::held::KEPT`] has it.
    #[serde(default)]
    pub volumes: Facet<Vec<String>>,
}

/// A top-level vdev: disks that hold data together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vdev {
    /// What it is for.
    pub class: VdevClass,
    /// As zpool calls it, such as `mirror-0`; a disk's path where the disk is a vdev by itself.
    pub name: String,
    /// State and errors.
    pub health: VdevHealth,
    /// Its disks; one that is being replaced stands there with its successor.
    pub leaves: Vec<Leaf>,
}

/// The unit that imports a pool at boot, with the name escaped as systemd wants it in an instance. Source: PVE::API2::Disks::ZFS.
#[must_use]
pub fn import_unit(pool: &str) -> String {
    format!("zfs-import@{}.service", pool.replace('-', "\\x2d"))
}

/// A disk of a vdev.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// Its path as the pool knows it (`/dev/disk/by-id/…-part1`), or a number where the disk is gone.
    pub name: String,
    /// State and errors.
    pub health: VdevHealth,
    /// It is part of a replacement, or a spare in somebody's place; such as `replacing-1`, `spare-0`.
    pub group: Option<String>,
}

impl Leaf {
    /// What zpool's commands call it, if it takes up a whole disk: ZFS made the partition that its name tells of by itself. `None`: it is a
    /// partition among others, as on a disk that PVE boots from, or that can't be told. Where the disk is gone, its name is a number, and
    /// zpool's note says what it was: without that note nobody knows what else was on it.
    #[must_use]
    pub fn whole_disk(&self) -> Option<&str> {
        let name = self.name.as_str();
        if !name.starts_with('/') {
            let note = self.health.note.as_deref()?;
            let was = note.strip_prefix("was ")?.split_whitespace().next()?;
            return whole(was).map(|_| name);
        }
        whole(name)
    }

    /// Is it, or its place, being taken by another disk?
    #[must_use]
    pub fn is_being_replaced(&self) -> bool {
        self.group
            .as_deref()
            .is_some_and(|group| group.starts_with("replacing"))
    }
}

/// The disk of a path, if the path is that of a whole disk or of the one partition that ZFS makes on it.
fn whole(path: &str) -> Option<&str> {
    if let Some((disk, number)) = path.rsplit_once("-part") {
        return (number == "1").then_some(disk);
    }
    if !path.starts_with("/dev/") || path.starts_with("/dev/disk/") || path.starts_with("/dev/mapper/") {
        return Some(path);
    }
    let stem = path.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = path.get(stem.len()..).unwrap_or_default();
    match stem.strip_suffix('p') {
        // nvme0n1p1; without a partition, nvme0n1.
        Some(disk) if disk.ends_with(|c: char| c.is_ascii_digit()) => (number == "1").then_some(disk),
        _ if number.is_empty() || stem.starts_with("/dev/nvme") => Some(path),
        _ => (number == "1").then_some(stem),
    }
}

/// State and errors of a vdev or a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VdevHealth {
    /// Its state.
    pub state: VdevState,
    /// Errors since they were cleared last; `None`: zpool counts none for it (spares).
    pub errors: Option<VdevErrors>,
    /// What zpool says of it, such as `was /dev/sdb1`, `(resilvering)`.
    pub note: Option<String>,
}

/// Errors since they were cleared last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VdevErrors {
    /// Reads that failed.
    pub read: u64,
    /// Writes that failed.
    pub write: u64,
    /// Data that was not what its checksum says.
    pub checksum: u64,
}

/// What a vdev is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VdevClass {
    /// Data.
    Data,
    /// Synchronous writes first (SLOG).
    Log,
    /// Reads (L2ARC).
    Cache,
    /// In waiting.
    Spare,
    /// Metadata and small blocks.
    Special,
    /// The deduplication table.
    Dedup,
}

impl VdevClass {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Data,
        Self::Log,
        Self::Cache,
        Self::Spare,
        Self::Special,
        Self::Dedup,
    ];

    /// As zpool heads them; data has no heading.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Log => "logs",
            Self::Cache => "cache",
            Self::Spare => "spares",
            Self::Special => "special",
            Self::Dedup => "dedup",
        }
    }
}

/// zpool's word for how something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VdevState {
    /// Fine, or not known not to be.
    Online,
    /// Works without a part of it.
    Degraded,
    /// Can't be used.
    Faulted,
    /// Taken out by hand.
    Offline,
    /// Can't be opened.
    Unavail,
    /// Pulled.
    Removed,
    /// All reading and writing waits.
    Suspended,
    /// A spare in waiting.
    Available,
    /// A spare in use.
    InUse,
    /// A word that we don't know.
    Other,
}

impl VdevState {
    /// All but [`VdevState::Other`].
    pub const KNOWN: [Self; 9] = [
        Self::Online,
        Self::Degraded,
        Self::Faulted,
        Self::Offline,
        Self::Unavail,
        Self::Removed,
        Self::Suspended,
        Self::Available,
        Self::InUse,
    ];

    /// As zpool writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "ONLINE",
            Self::Degraded => "DEGRADED",
            Self::Faulted => "FAULTED",
            Self::Offline => "OFFLINE",
            Self::Unavail => "UNAVAIL",
            Self::Removed => "REMOVED",
            Self::Suspended => "SUSPENDED",
            Self::Available => "AVAIL",
            Self::InUse => "INUSE",
            Self::Other => "?",
        }
    }

    /// From zpool's word.
    #[must_use]
    pub fn of(word: &str) -> Self {
        let found = Self::KNOWN.into_iter().find(|state| state.as_str() == word);
        found.unwrap_or(Self::Other)
    }
}

/// A scrub or a resilver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scan {
    /// Which.
    pub kind: ScanKind,
    /// How far it is.
    pub state: ScanState,
    /// When it began, if it runs; when it ended or was stopped, if not.
    pub at: Option<Timestamp>,
    /// Percent that is done, while it runs; `None`: zpool does not say.
    pub percent: Option<f64>,
    /// Errors that it could not repair, once it has ended.
    pub errors: Option<u64>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanKind {
    /// Reads everything and repairs what is wrong.
    Scrub,
    /// Fills a disk that is new or was away.
    Resilver,
}

/// How far a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanState {
    /// It runs.
    Running,
    /// Somebody paused it.
    Paused,
    /// Somebody stopped it.
    Cancelled,
    /// It came to its end.
    Finished,
}

impl Pool {
    /// All disks, of every class.
    pub fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        self.vdevs.iter().flat_map(|vdev| &vdev.leaves)
    }

    /// How many more disks it may lose, whichever they are, and still has its data: the weakest vdev of those that hold some counts, and what
    /// is missing already is missing.
    #[must_use]
    pub fn may_lose(&self) -> usize {
        let holds = |vdev: &&Vdev| matches!(vdev.class, VdevClass::Data | VdevClass::Special | VdevClass::Dedup);
        self.vdevs.iter().filter(holds).map(Vdev::may_lose).min().unwrap_or(0)
    }

    /// Is it well enough to be changed? What is added to a pool that is about to be lost, or has lost something, can't be taken out again.
    ///
    /// # Errors
    /// Why not, in words that follow its name.
    pub fn may_be_changed(&self) -> Result<(), String> {
        if self.state != VdevState::Online {
            return Err(format!("that is {}", self.state.as_str()));
        }
        // That a newer ZFS could do more with it is no trouble. Source: zpool_main.c, `ZPOOL_STATUS_FEAT_DISABLED`.
        let only_advice = |complaint: &&String| complaint.contains("features are not enabled");
        if let Some(complaint) = self.complaint.as_ref().filter(|complaint| !only_advice(complaint)) {
            return Err(format!("of which zpool says: {complaint}"));
        }
        let bad = self
            .leaves()
            .find(|leaf| leaf.health.errors.is_some_and(|errors| errors != VdevErrors::default()));
        if let Some(leaf) = bad {
            return Err(format!("whose {} has errors", leaf.name));
        }
        match self.data_errors {
            Some(0) => Ok(()),
            Some(count) => Err(format!("that has lost data for good ({count} errors)")),
            None => Err("of which can't be told whether it has lost data".to_owned()),
        }
    }

    /// Is all of it there, and no data of it lost? What zpool does not say of that is no yes.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.state == VdevState::Online && self.data_errors == Some(0)
    }

    /// Percent of its room that is taken, rounded down.
    #[must_use]
    pub fn fill(&self) -> u8 {
        let percent = u128::from(self.allocated.0) * 100 / u128::from(self.size.0.max(1));
        u8::try_from(percent).unwrap_or(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphens_are_escaped_as_pve_escapes_them() {
        assert_eq!(import_unit("data_zfs"), "zfs-import@data_zfs.service");
        assert_eq!(import_unit("data-zfs.2"), "zfs-import@data\\x2dzfs.2.service");
    }

    #[test]
    fn what_is_missing_already_is_not_there_to_be_lost() {
        let leaf = |name: &str, state, group: Option<&str>| Leaf {
            name: name.to_owned(),
            health: VdevHealth {
                state,
                errors: None,
                note: None,
            },
            group: group.map(str::to_owned),
        };
        let vdev = |name: &str, leaves: Vec<Leaf>| Vdev {
            class: VdevClass::Data,
            name: name.to_owned(),
            health: leaves[0].health.clone(),
            leaves,
        };
        let (on, gone) = (VdevState::Online, VdevState::Removed);
        let mirror = |second| vdev("mirror-0", vec![leaf("a", on, None), leaf("b", second, None)]);
        assert_eq!((mirror(on).may_lose(), mirror(gone).may_lose()), (1, 0));
        let raidz2 = vdev(
            "raidz2-0",
            vec![
                leaf("a", on, None),
                leaf("b", gone, None),
                leaf("c", on, None),
                leaf("d", on, None),
            ],
        );
        assert_eq!(raidz2.may_lose(), 1);
        let replacing = vdev(
            "mirror-0",
            vec![
                leaf("a", on, None),
                leaf("b", gone, Some("replacing-1")),
                leaf("c", on, Some("replacing-1")),
            ],
        );
        assert_eq!(replacing.may_lose(), 1);
        assert_eq!(vdev("/dev/sdb1", vec![leaf("/dev/sdb1", on, None)]).may_lose(), 0);
    }

    #[test]
    fn a_whole_disk_is_called_without_the_partition_that_zfs_made_on_it() {
        let called = |name: &str| {
            let leaf = Leaf {
                name: name.to_owned(),
                health: VdevHealth {
                    state: VdevState::Online,
                    errors: None,
                    note: None,
                },
                group: None,
            };
            leaf.whole_disk().map(str::to_owned)
        };
        let same = |name: &str| Some(name.to_owned());
        assert_eq!(called("/dev/disk/by-id/ata-A-part1"), same("/dev/disk/by-id/ata-A"));
        assert_eq!(called("/dev/disk/by-id/ata-A-part3"), None);
        assert_eq!(called("/dev/sdb1"), same("/dev/sdb"));
        assert_eq!(called("/dev/sdb3"), None);
        assert_eq!(called("/dev/nvme0n1p1"), same("/dev/nvme0n1"));
        assert_eq!(called("/dev/nvme0n1p3"), None);
        assert_eq!(called("/dev/nvme0n1"), same("/dev/nvme0n1"));
        assert_eq!(called("/dev/sdb"), same("/dev/sdb"));
    }

    #[test]
    fn a_disk_that_is_gone_is_called_by_its_number_only_if_it_was_a_whole_one() {
        let called = |note: Option<&str>| {
            let leaf = Leaf {
                name: "17401683450812953081".to_owned(),
                health: VdevHealth {
                    state: VdevState::Unavail,
                    errors: None,
                    note: note.map(str::to_owned),
                },
                group: None,
            };
            leaf.whole_disk().map(str::to_owned)
        };
        let number = Some("17401683450812953081".to_owned());
        assert_eq!(called(Some("was /dev/disk/by-id/wwn-0x5000c500a1b2c302-part1")), number);
        assert_eq!(called(Some("was /dev/sdb1")), number);
        // A disk that PVE booted from: a blank one in its place would boot nothing.
        assert_eq!(called(Some("was /dev/disk/by-id/wwn-0x5000c500a1b2c302-part3")), None);
        assert_eq!(called(Some("was /dev/nvme0n1p3")), None);
        assert_eq!(called(Some("cannot open")), None);
        assert_eq!(called(None), None);
    }

    #[test]
    fn a_pool_with_errors_is_not_well_though_it_is_online() {
        let (leaf, mut pool) = (
            Leaf {
                name: "/dev/sdb1".to_owned(),
                health: VdevHealth {
                    state: VdevState::Online,
                    errors: Some(VdevErrors::default()),
                    note: None,
                },
                group: None,
            },
            Pool {
                name: "tank".to_owned(),
                state: VdevState::Online,
                complaint: None,
                data_errors: Some(0),
                scan: None,
                vdevs: vec![],
                size: ByteSize(1 << 30),
                allocated: ByteSize(0),
                fragmentation: None,
                ashift: None,
                autotrim: None,
                compression: None,
                scrub_scheduled: None,
                import_enabled: None,
                volumes: Facet::not_asked(),
                created: None,
            },
        );
        pool.vdevs.push(Vdev {
            class: VdevClass::Data,
            name: leaf.name.clone(),
            health: leaf.health.clone(),
            leaves: vec![leaf],
        });
        assert_eq!(pool.may_be_changed(), Ok(()));
        let not = |change: &dyn Fn(&mut Pool)| {
            let mut pool = pool.clone();
            change(&mut pool);
            pool.may_be_changed().unwrap_err()
        };
        assert_eq!(not(&|pool| pool.state = VdevState::Degraded), "that is DEGRADED");
        assert_eq!(
            not(&|pool| pool.data_errors = Some(2)),
            "that has lost data for good (2 errors)"
        );
        assert!(not(&|pool| pool.data_errors = None).contains("can't be told"));
        let checksum = |pool: &mut Pool| {
            let errors = pool.vdevs[0].leaves[0].health.errors.as_mut().unwrap();
            errors.checksum = 273;
        };
        assert_eq!(not(&checksum), "whose /dev/sdb1 has errors");
        let said = "One or more devices has experienced an unrecoverable error.";
        assert!(not(&|pool| pool.complaint = Some(said.to_owned())).ends_with(said));
        // After each upgrade of ZFS every pool says so.
        pool.complaint = Some("Some supported and requested features are not enabled on the pool.".to_owned());
        assert_eq!(pool.may_be_changed(), Ok(()));
    }

    #[test]
    fn words_are_read_back() {
        for state in VdevState::KNOWN {
            assert_eq!(VdevState::of(state.as_str()), state);
        }
        assert_eq!(VdevState::of("SPLIT"), VdevState::Other);
    }
}
