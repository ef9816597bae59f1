//! May a disk be used for ZFS or as an OSD? Every reason against it is told, not the first.
//!
//! Only what the node itself can see is judged here; what needs the whole cluster (a LUN seen by several nodes,
//! a disk named raw in a guest's configuration) is the planner's part.

use serde::{Deserialize, Serialize};

use crate::observation::disks::{Disk, HolderKind};
use crate::size::ByteSize;

/// What a disk could be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A vdev of a ZFS pool.
    Zfs,
    /// A Ceph OSD.
    Osd,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 2] = [Self::Zfs, Self::Osd];

    /// As typed on a command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zfs => "zfs",
            Self::Osd => "osd",
        }
    }

    /// Below this the tool itself refuses or the result is useless: zpool wants 64 MiB, `ceph-volume` 5 GiB.
    #[must_use]
    pub fn smallest(self) -> ByteSize {
        match self {
            Self::Zfs => ByteSize(64 << 20),
            Self::Osd => ByteSize(5 << 30),
        }
    }
}

/// Whether a disk may be used for a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The role.
    pub role: Role,
    /// Why not; empty: eligible.
    pub against: Vec<Reason>,
    /// What to know though it is eligible.
    pub notes: Vec<String>,
}

impl Verdict {
    /// Nothing speaks against it.
    #[must_use]
    pub fn eligible(&self) -> bool {
        self.against.is_empty()
    }
}

/// One reason against a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For machines.
    pub kind: ReasonKind,
    /// For people, with the names of what holds it.
    pub text: String,
}

/// Kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// Something on it is mounted, active or imported.
    InUse,
    /// It carries a partition table, file system or label that nobody uses now.
    Leftover,
    /// A volume of a RAID controller: ZFS and Ceph must see the disks themselves.
    RaidVolume,
    /// Behind a RAID-capable controller, and whether it is a plain disk can't be told.
    MaybeRaid,
    /// Removable media.
    Removable,
    /// Read-only.
    ReadOnly,
    /// Too small for the role.
    TooSmall,
    /// SMART says that it is failing.
    Failing,
    /// Neither serial, WWN nor by-id link: it can't be named safely.
    NoIdentity,
    /// Whether it carries a file system or label could not be seen: nobody may take it for empty.
    SignaturesUnseen,
    /// Another server, or another path of the same one, shows the same WWN: a LUN of shared storage, or one disk by several paths.
    SharedLun,
    /// A guest of the cluster is given it, or the controller that it hangs on.
    GivenToGuest,
    /// Which disks guests are given is not known: nobody may take it for free.
    GuestsUnseen,
    /// The server's own policy file says never to touch it.
    NeverTouch,
}

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

/// Words in vendor and model by which RAID volumes call themselves. From the controllers' own inquiry strings.
const RAID_VOLUME_WORDS: [&str; 12] = [
    "PERC",
    "LOGICAL VOLUME",
    "LOGICAL_VOLUME",
    "MegaRAID",
    "MR9",
    "RAID",
    "ServeRAID",
    "Virtual Disk",
    "LSI LOGICAL",
    "SmartArray",
    "Adaptec",
    "AVAGO",
];

/// Whether a disk is what it seems behind a RAID-capable controller.
#[derive(Debug, PartialEq, Eq)]
enum Behind {
    Plain,
    Volume(String),
    Undecidable(String),
}

/// Judges one disk for one role by what its node can see.
#[must_use]
pub fn judge(disk: &Disk, role: Role) -> Verdict {
    let mut against = Vec::new();
    let mut notes = Vec::new();
    let mut say = |kind, text: String| against.push(Reason { kind, text });

    for holder in &disk.holders {
        let (kind, text) = match holder.kind {
            HolderKind::Mounted => (
                ReasonKind::InUse,
                format!("{} is mounted at {}", holder.device, holder.name),
            ),
            HolderKind::Swap => (ReasonKind::InUse, format!("{} is swap space", holder.device)),
            HolderKind::PartitionTable => (ReasonKind::Leftover, format!("has a partition table ({})", holder.name)),
            HolderKind::FileSystem => (
                ReasonKind::Leftover,
                format!("{} holds a file system ({})", holder.device, holder.name),
            ),
            HolderKind::OtherSignature => (
                ReasonKind::Leftover,
                format!("{} carries a signature ({})", holder.device, holder.name),
            ),
            HolderKind::Lvm if holder.name.is_empty() => (
                ReasonKind::InUse,
                format!("{} is an LVM physical volume", holder.device),
            ),
            HolderKind::Lvm => (
                ReasonKind::InUse,
                format!("{} belongs to volume group {}", holder.device, holder.name),
            ),
            HolderKind::Zfs if holder.name.is_empty() => (
                ReasonKind::Leftover,
                format!(
                    "{} carries a ZFS label of a pool that is not imported here",
                    holder.device
                ),
            ),
            HolderKind::Zfs => (
                ReasonKind::InUse,
                format!("{} belongs to pool {}", holder.device, holder.name),
            ),
            HolderKind::CephOsd => (
                ReasonKind::InUse,
                format!("{} holds Ceph OSD {}", holder.device, holder.name),
            ),
            HolderKind::Md
            | HolderKind::Luks
            | HolderKind::Multipath
            | HolderKind::Bcache
            | HolderKind::DeviceMapper => (
                ReasonKind::InUse,
                format!("{} is held by {} {}", holder.device, holder.kind.as_str(), holder.name)
                    .trim_end()
                    .to_owned(),
            ),
        };
        say(kind, text);
    }
    if disk.read_only {
        say(ReasonKind::ReadOnly, "is read-only".to_owned());
    }
    if disk.removable {
        say(ReasonKind::Removable, "is removable".to_owned());
    }
    if disk.size < role.smallest() {
        say(
            ReasonKind::TooSmall,
            format!("is too small ({}, at least {})", disk.size, role.smallest()),
        );
    }
    if disk.stable_name().is_none() {
        say(
            ReasonKind::NoIdentity,
            "has neither serial, WWN nor by-id link".to_owned(),
        );
    }
    match behind(disk) {
        Behind::Plain => {}
        Behind::Volume(why) => say(ReasonKind::RaidVolume, why),
        Behind::Undecidable(why) => say(ReasonKind::MaybeRaid, why),
    }
    match disk.smart.get() {
        Ok(smart) if smart.passed == Some(false) => {
            say(ReasonKind::Failing, "SMART says that it is failing".to_owned())
        }
        Ok(_) => {}
        Err(unknown) => notes.push(format!("SMART {unknown}")),
    }
    Verdict { role, against, notes }
}

fn behind(disk: &Disk) -> Behind {
    if let Some(level) = &disk.raid_level {
        return Behind::Volume(format!("is a RAID volume ({level}) of a controller"));
    }
    let words = format!(
        "{} {}",
        disk.vendor.as_deref().unwrap_or(""),
        disk.model.as_deref().unwrap_or("")
    );
    if let Some(word) = RAID_VOLUME_WORDS
        .iter()
        .find(|w| words.to_lowercase().contains(&w.to_lowercase()))
    {
        return Behind::Volume(format!(
            "is a volume of a RAID controller (model says {word}): ZFS and Ceph must see the disks themselves"
        ));
    }
    let driver = disk.controller.as_ref().and_then(|c| c.driver.as_deref());
    let Some(driver) = driver.filter(|d| RAID_CAPABLE_DRIVERS.contains(d)) else {
        return Behind::Plain;
    };
    // A plain disk behind such a controller shows its own model, serial and WWN and answers SMART itself.
    let own_identity = disk.model.is_some() && disk.serial.is_some() && disk.wwn.is_some();
    let answers_smart = matches!(disk.smart.get(), Ok(smart) if smart.passed.is_some());
    if own_identity && answers_smart {
        Behind::Plain
    } else {
        Behind::Undecidable(format!(
            "is behind {driver}, and whether it is a plain disk can't be told"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facet::{Facet, UnknownKind};
    use crate::observation::disks::{Controller, Holder, Smart};
    use crate::time::Timestamp;

    fn blank() -> Disk {
        Disk {
            path: "/dev/sdb".into(),
            by_id: vec!["ata-SAMSUNG_MZ7LH960_S45NNA0M".into()],
            wwn: Some("0x5002538e".into()),
            serial: Some("S45NNA0M".into()),
            model: Some("SAMSUNG MZ7LH960".into()),
            vendor: Some("ATA".into()),
            size: ByteSize(960_197_124_096),
            rotational: false,
            transport: Some("sata".into()),
            hctl: None,
            read_only: false,
            removable: false,
            partition_table: None,
            fstype: None,
            controller: None,
            raid_level: None,
            partitions: vec![],
            holders: vec![],
            smart: Facet::known(
                Smart {
                    passed: Some(true),
                    wear_percent: Some(2),
                    temperature: None,
                    power_on_hours: None,
                    bad_sectors: None,
                },
                Timestamp(0),
            ),
            verdicts: vec![],
        }
    }

    fn kinds(disk: &Disk) -> Vec<ReasonKind> {
        judge(disk, Role::Zfs).against.into_iter().map(|r| r.kind).collect()
    }

    #[test]
    fn a_blank_disk_is_eligible() {
        assert!(judge(&blank(), Role::Zfs).eligible());
        assert!(judge(&blank(), Role::Osd).eligible());
    }

    #[test]
    fn all_reasons_are_told() {
        let mut disk = blank();
        disk.holders.push(Holder {
            device: "/dev/sdb".into(),
            kind: HolderKind::PartitionTable,
            name: "gpt".into(),
        });
        disk.holders.push(Holder {
            device: "/dev/sdb1".into(),
            kind: HolderKind::Mounted,
            name: "/mnt".into(),
        });
        disk.read_only = true;
        disk.size = ByteSize(1000);
        assert_eq!(
            kinds(&disk),
            [
                ReasonKind::Leftover,
                ReasonKind::InUse,
                ReasonKind::ReadOnly,
                ReasonKind::TooSmall
            ]
        );
    }

    #[test]
    fn a_raid_volume_is_refused_and_a_plain_disk_behind_the_same_controller_is_not() {
        let controller = Some(Controller {
            pci_address: "0000:03:00.0".into(),
            driver: Some("megaraid_sas".into()),
            class: None,
        });
        let mut volume = blank();
        volume.controller.clone_from(&controller);
        volume.model = Some("PERC H730 Mini".into());
        assert_eq!(kinds(&volume), [ReasonKind::RaidVolume]);

        let mut plain = blank();
        plain.controller = controller;
        assert_eq!(kinds(&plain), []);
        plain.smart = Facet::unknown(UnknownKind::ToolMissing, "smartctl is not installed");
        assert_eq!(kinds(&plain), [ReasonKind::MaybeRaid]);
    }

    #[test]
    fn without_identity_it_cannot_be_named() {
        let mut disk = blank();
        disk.by_id.clear();
        disk.wwn = None;
        disk.serial = None;
        assert_eq!(kinds(&disk), [ReasonKind::NoIdentity]);
    }
}
