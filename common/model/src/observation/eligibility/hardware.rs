//! Is a disk a disk, or something that a RAID controller or a hypervisor shows as one?

use crate::observation::disks::Disk;

/// Drivers of controllers that can show RAID volumes. Most of them also show plain disks (JBOD, HBA mode).
const RAID_CAPABLE_DRIVERS: [&str; 9] = [
    "megaraid_sas",
    "smartpqi",
    "hpsa",
    "aacraid",
    "mpt3sas",
    "mpi3mr",
    "arcmsr",
    "3w-sas",
    "cciss",
];

/// Words in vendor and model by which RAID volumes call themselves. From the controllers' own inquiry strings; `DELLBOSS` and
/// `BOSS-N1` are Dell's mirrors of M.2 cards behind plain AHCI and NVMe.
const RAID_VOLUME_WORDS: [&str; 15] = [
    "PERC",
    "DELL VIRTUAL DISK",
    "LOGICAL VOLUME",
    "LOGICAL_VOLUME",
    "MegaRAID",
    "MR9",
    "RAID",
    "ServeRAID",
    "DELLBOSS",
    "BOSS-N1",
    "LSI LOGICAL",
    "SmartArray",
    "Adaptec",
    "AVAGO",
    "Areca",
];

/// Words by which hypervisors' disks call themselves; `0x1af4` is virtio's vendor, which stands in the place of a name.
const VIRTUAL_WORDS: [&str; 8] = [
    "QEMU",
    "0x1af4",
    "VMware",
    "VBOX",
    "Msft",
    "Virtual Disk",
    "Amazon Elastic Block Store",
    "PersistentDisk",
];

/// What a disk is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hardware {
    /// A disk.
    Plain,
    /// A disk, behind a controller that also makes volumes; what is to be said of that.
    PlainBehind(String),
    /// A volume of a RAID controller, and by what that is known.
    Volume(String),
    /// It can't be told, and why.
    Undecidable(String),
    /// A hypervisor's, and by what that is known.
    Virtual(String),
}

pub(super) fn of(disk: &Disk) -> Hardware {
    if let Some(level) = &disk.raid_level {
        return Hardware::Volume(format!("is a RAID volume ({level}) of a controller"));
    }
    let words = [&disk.vendor, &disk.model].map(|words| words.as_deref().unwrap_or("").to_lowercase());
    let says = |list: &[&'static str]| {
        let is_in = |word: &&'static str| words.join(" ").contains(&word.to_lowercase());
        list.iter().copied().find(is_in)
    };
    if let Some(word) = says(&RAID_VOLUME_WORDS) {
        return Hardware::Volume(format!(
            "is a volume of a RAID controller (model says {word}): ZFS and Ceph must see the disks themselves"
        ));
    }
    if let Some(word) = says(&VIRTUAL_WORDS) {
        return Hardware::Virtual(format!(
            "is a hypervisor's disk ({word}): what it lies on can't be told from here"
        ));
    }
    let driver = disk.controller.as_ref().and_then(|c| c.driver.as_deref());
    let Some(driver) = driver.filter(|d| RAID_CAPABLE_DRIVERS.contains(d)) else {
        return Hardware::Plain;
    };
    // A plain disk behind such a controller shows its own model, serial and WWN and answers SMART itself.
    let own_identity = disk.model.is_some() && disk.serial.is_some() && disk.wwn.is_some();
    let answers_smart = matches!(disk.smart.get(), Ok(smart) if smart.passed.is_some());
    if own_identity && answers_smart {
        Hardware::PlainBehind(format!(
            "is behind {driver}, and shows itself as a plain disk: own model, serial, WWN and SMART"
        ))
    } else {
        Hardware::Undecidable(format!(
            "is behind {driver}, and whether it is a plain disk can't be told"
        ))
    }
}
