//! Disks as the kernel and `lsblk` show them, and what holds each.

use serde::{Deserialize, Serialize};

use crate::facet::Facet;
use crate::observation::eligibility::Verdict;
use crate::size::ByteSize;

/// All block devices of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disks {
    /// Whole disks, sorted by kernel name.
    pub disks: Vec<Disk>,
}

/// A whole disk. The default one has no identity, and nothing is known of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Disk {
    /// Kernel path, such as `/dev/sda`: it moves between boots; never name a disk by it. Source: lsblk PATH.
    pub path: String,
    /// Links below /dev/disk/by-id, sorted; empty for disks without an identity (some virtual ones).
    pub by_id: Vec<String>,
    /// World-wide name. Source: lsblk WWN.
    pub wwn: Option<String>,
    /// Serial number; may be empty or shared by several disks. Source: lsblk SERIAL.
    pub serial: Option<String>,
    /// Source: lsblk MODEL.
    pub model: Option<String>,
    /// Source: lsblk VENDOR, without the padding.
    pub vendor: Option<String>,
    /// Source: lsblk SIZE.
    pub size: ByteSize,
    /// Does it spin, as the kernel believes? RAID controllers and hypervisors often lie. Source: lsblk ROTA.
    pub rotational: bool,
    /// nvme, sata, sas, usb, …; often missing behind controllers. Source: lsblk TRAN.
    pub transport: Option<String>,
    /// Host:channel:target:lun of SCSI disks. Source: lsblk HCTL.
    pub hctl: Option<String>,
    /// Source: lsblk RO.
    pub read_only: bool,
    /// Source: lsblk RM.
    pub removable: bool,
    /// Kind of partition table. Source: lsblk PTTYPE.
    pub partition_table: Option<String>,
    /// Signature found on the whole disk. Source: lsblk FSTYPE.
    pub fstype: Option<String>,
    /// The PCI function that it hangs on. Source: /sys/block.
    pub controller: Option<Controller>,
    /// RAID level that the kernel shows for a volume of a RAID controller. Source: /sys/block/X/device/raid_level.
    pub raid_level: Option<String>,
    /// Partitions, in lsblk's order.
    pub partitions: Vec<Partition>,
    /// Everything that holds it, or has left its mark on it.
    pub holders: Vec<Holder>,
    /// Health, where smartctl is installed.
    pub smart: Facet<Smart>,
    /// What reading it tells. Looked at only of disks that nothing else speaks against, and only when somebody asks: it wakes a disk
    /// that sleeps.
    pub edges: Facet<Edges>,
    /// May it be used, and for what: one verdict a role.
    pub verdicts: Vec<Verdict>,
}

impl Disk {
    /// A name that stays: by-id link, else WWN, else serial; `None` if it has no identity at all.
    #[must_use]
    pub fn stable_name(&self) -> Option<&str> {
        // ata-/nvme-/scsi- links carry model and serial and read better than wwn- ones.
        let readable = self.by_id.iter().find(|link| {
            !link.starts_with("wwn-") && !link.starts_with("nvme-eui.") && !link.starts_with("nvme-nvme.")
        });
        readable
            .map(|link| self.of_namespace(link).unwrap_or(link))
            .or_else(|| self.by_id.first())
            .map(String::as_str)
            .or(self.wwn.as_deref())
            .or(self.serial.as_deref())
    }

    /// `nvme-MODEL_SERIAL` is claimed by every namespace of a drive, and leads to whichever udev met last; `nvme-MODEL_SERIAL_1` is the
    /// namespace's own. Source: udev's 60-persistent-storage.rules, which calls the former obsolete.
    fn of_namespace(&self, link: &str) -> Option<&String> {
        let number = |other: &str| {
            let number = other.strip_prefix(link)?.strip_prefix('_')?;
            (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(())
        };
        let own = || self.by_id.iter().find(|other| number(other).is_some());
        link.starts_with("nvme-").then(own).flatten()
    }

    /// No disk at all, but something that the kernel shows as one: compressed memory, a zvol, a network or Ceph block device.
    #[must_use]
    pub fn is_made_by_software(&self) -> bool {
        let name = self.path.strip_prefix("/dev/").unwrap_or(&self.path);
        let numbered = |stem: &str| {
            let rest = name.strip_prefix(stem);
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        ["zram", "zd", "nbd", "rbd", "ram"].into_iter().any(numbered)
    }

    /// Kind of medium, as far as can be told.
    #[must_use]
    pub fn kind(&self) -> DiskKind {
        let nvme = self.transport.as_deref() == Some("nvme") || self.path.starts_with("/dev/nvme");
        match (nvme, self.rotational) {
            (true, _) => DiskKind::Nvme,
            (false, true) => DiskKind::Hdd,
            (false, false) => DiskKind::Ssd,
        }
    }
}

/// Kind of medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskKind {
    /// Spinning, or said to be.
    Hdd,
    /// Flash behind SATA, SAS or virtio.
    Ssd,
    /// NVMe.
    Nvme,
}

/// A word that is no kind of disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of disk")]
pub struct InvalidKind(String);

impl std::str::FromStr for DiskKind {
    type Err = InvalidKind;

    fn from_str(text: &str) -> Result<Self, InvalidKind> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| InvalidKind(text.to_owned()))
    }
}

impl DiskKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hdd, Self::Ssd, Self::Nvme];

    /// As shown in tables and written in cluster files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hdd => "hdd",
            Self::Ssd => "ssd",
            Self::Nvme => "nvme",
        }
    }
}

/// The PCI function that a disk hangs on. Source: the `device` link of /sys/block/X, followed upwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller {
    /// Such as `0000:03:00.0`.
    pub pci_address: String,
    /// The kernel's driver, such as `ahci`, `nvme`, `megaraid_sas`.
    pub driver: Option<String>,
    /// PCI class, such as `0x010400` (RAID).
    pub class: Option<String>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Partition {
    /// Kernel path.
    pub path: String,
    /// Source: lsblk SIZE.
    pub size: ByteSize,
    /// GPT type or MBR id. Source: lsblk PARTTYPE.
    pub parttype: Option<String>,
    /// Source: lsblk FSTYPE.
    pub fstype: Option<String>,
    /// Where it is mounted. Source: lsblk MOUNTPOINTS.
    pub mountpoints: Vec<String>,
    /// Links below /dev/disk/by-id that lead to it, sorted. udev makes each by itself: it need not lead to the disk that bears the same
    /// name without `-partN`.
    #[serde(default)]
    pub by_id: Vec<String>,
}

/// What holds a disk, or has left its mark on it; `device` is the part of the disk that carries it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The disk's own path or one of its partitions'.
    pub device: String,
    /// By what.
    pub kind: HolderKind,
    /// Whose: a pool, a volume group, a mount point, an md device; empty where it can't be told.
    pub name: String,
    /// The signature's own UUID, or the partition table's: another one after whatever is made anew. `None`: it has none, or an lsblk that
    /// is too old to tell. Source: lsblk UUID, PTUUID.
    #[serde(default)]
    pub uuid: Option<String>,
}

/// By what a disk is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HolderKind {
    /// A partition table with or without partitions; name: gpt, dos.
    PartitionTable,
    /// A file system's signature; name: its type.
    FileSystem,
    /// Mounted; name: the mount point.
    Mounted,
    /// An LVM physical volume; name: the volume group where known.
    Lvm,
    /// A member of an md array; name: the array where running.
    Md,
    /// A member of an imported ZFS pool; name: the pool.
    Zfs,
    /// A Ceph OSD; name: its number where known.
    CephOsd,
    /// Swap space; name: its device where active.
    Swap,
    /// LUKS.
    Luks,
    /// A path of a multipath device.
    Multipath,
    /// bcache.
    Bcache,
    /// Any other device-mapper device, or a holder in /sys that is none of the above.
    DeviceMapper,
    /// Another signature; name: lsblk's word for it.
    OtherSignature,
    /// A ZFS label of a pool that is not imported here; name: the pool where the label tells.
    ZfsLabel,
    /// DRBD; name: its device where it runs.
    Drbd,
    /// A dynamic disk of Windows (LDM).
    Ldm,
    /// What a server boots from; name: the kind of partition.
    Boot,
}

impl HolderKind {
    /// As shown in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PartitionTable => "partition table",
            Self::FileSystem => "file system",
            Self::Mounted => "mounted",
            Self::Lvm => "LVM",
            Self::Md => "md",
            Self::Zfs => "ZFS",
            Self::CephOsd => "Ceph OSD",
            Self::Swap => "swap",
            Self::Luks => "LUKS",
            Self::Multipath => "multipath",
            Self::Bcache => "bcache",
            Self::DeviceMapper => "device mapper",
            Self::OtherSignature => "signature",
            Self::ZfsLabel => "ZFS label",
            Self::Drbd => "DRBD",
            Self::Ldm => "LDM",
            Self::Boot => "boot",
        }
    }
}

/// Health by SMART. Source: `smartctl -j`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Smart {
    /// The drive's own overall verdict; `None` where it gives none (virtual disks, some RAID volumes).
    pub passed: Option<bool>,
    /// Percent of rated life used; may exceed 100. NVMe `percentage_used`, ATA wear attributes, SCSI endurance indicator.
    pub wear_percent: Option<u32>,
    /// Degrees Celsius.
    pub temperature: Option<i32>,
    /// Hours powered on.
    pub power_on_hours: Option<u64>,
    /// Sectors reallocated or, for NVMe, media errors.
    pub bad_sectors: Option<u64>,
}

/// What reading a disk tells that no tool does. Source: the first and the last MiB of the device itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edges {
    /// Where its first MiB holds something, in bytes from the disk's beginning.
    pub first: Option<u64>,
    /// Where its last MiB does, in bytes from the disk's beginning.
    pub last: Option<u64>,
    /// The kernel did not give the disk to us alone: something holds it, whatever lsblk shows.
    pub claimed: bool,
}
