//! How a lab's ZFS is steered: pools that are there from the start, and what happens to them.

use serde::{Deserialize, Serialize};

/// A pool that somebody else made, before anything happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolPlant {
    /// Its name.
    pub name: String,
    /// Its vdevs; whole disks.
    pub vdevs: Vec<VdevPlant>,
    /// Not imported, and how it was left; imported without.
    #[serde(default)]
    pub left: Option<PoolLeft>,
}

/// One vdev of such a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VdevPlant {
    /// zpool's word: `mirror`, `raidz2`, …; a disk alone without.
    #[serde(default)]
    pub raid: Option<String>,
    /// zpool's word: `log`, `cache`, `spare`, `special`, `dedup`; data without.
    #[serde(default)]
    pub class: Option<String>,
    /// Kernel names, for example `sda`.
    pub disks: Vec<String>,
}

/// How a pool was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolLeft {
    /// By `zpool export`.
    Exported,
    /// By `zpool destroy`.
    Destroyed,
    /// In use, as on disks that were moved from a server that had lost its power.
    InUse,
}

/// What happens to an imported pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "does", deny_unknown_fields)]
pub enum PoolHappens {
    /// Something is read and written in it: what has gone is noticed.
    Io {
        /// Simulated milliseconds from now; at once without.
        #[serde(default)]
        after_ms: Option<u64>,
    },
    /// The counters of a disk.
    Errors {
        /// As `zpool status` shows it, with or without its path.
        disk: String,
        /// So many.
        #[serde(default)]
        read: u64,
        /// So many.
        #[serde(default)]
        write: u64,
        /// So many.
        #[serde(default)]
        checksum: u64,
    },
    /// How ZFS takes a disk to be.
    Disk {
        /// As `zpool status` shows it, with or without its path.
        disk: String,
        /// How it is.
        is: PoolDiskIs,
    },
    /// Files have permanent errors; none without any.
    DataErrors {
        /// As `zpool status -v` names them.
        files: Vec<String>,
    },
    /// All I/O failed: whatever writes waits until `zpool clear`.
    Suspend,
    /// A scrub ended so long ago.
    Scrubbed {
        /// Days.
        days_ago: u32,
        /// That could not be repaired.
        #[serde(default)]
        errors: u64,
        /// Bytes that were.
        #[serde(default)]
        repaired: u64,
    },
    /// It was never scrubbed.
    NeverScrubbed,
    /// So full it is.
    Filled {
        /// Of its size.
        percent: u8,
    },
    /// So fragmented its free space is.
    Fragmented {
        /// As zpool counts it.
        percent: u8,
    },
    /// How long scrubs and resilvers take from now on, one that runs too; unchanged without.
    ScansTake {
        /// Simulated milliseconds.
        #[serde(default)]
        scrub_ms: Option<u64>,
        /// Simulated milliseconds.
        #[serde(default)]
        resilver_ms: Option<u64>,
    },
    /// It is not imported any more, as after a boot at which that failed.
    NotImported,
}

/// How ZFS takes a disk to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolDiskIs {
    /// ONLINE
    Online,
    /// DEGRADED, too many checksum errors.
    Degraded,
    /// FAULTED, too many errors.
    Faulted,
    /// OFFLINE
    Offline,
    /// REMOVED
    Removed,
    /// UNAVAIL: not found when the pool was imported.
    Missing,
    /// UNAVAIL, invalid label.
    Corrupt,
}
