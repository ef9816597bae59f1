//! What a lab consists of: plain data, so that a test or a later act can describe any server.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plants::Plant;

/// A whole lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabSpec {
    /// Divides the durations of tools and timers, never time stamps.
    pub speed: f64,
    /// The servers, in the order of their addresses.
    pub servers: Vec<ServerSpec>,
    /// Ways between them that are out of the ordinary; the last one that concerns a pair counts.
    #[serde(default)]
    pub ways: Vec<crate::ways::Way>,
}

/// One simulated server: PVE, or a host for the third vote.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSpec {
    /// Host name, without domain.
    pub name: String,
    /// PVE's version, for example `8.4.21` or `9.1.1`.
    pub pve_version: String,
    /// How far the server's clock runs ahead of the true time, in milliseconds (negative: behind).
    #[serde(default)]
    pub clock_offset_ms: i64,
    /// The password of `root@pam`.
    #[serde(default = "default_password")]
    pub root_password: String,
    /// How the server's own name resolves.
    #[serde(default)]
    pub own_name: OwnName,
    /// Guests that lie on it before anything happens.
    #[serde(default)]
    pub guests: Vec<GuestSpec>,
    /// The server starts as the only member of a cluster of this name.
    #[serde(default)]
    pub member_of: Option<String>,
    /// Tools that are not installed.
    #[serde(default)]
    pub missing_tools: Vec<String>,
    /// What kind of host it is.
    #[serde(default)]
    pub role: Role,
    /// What is out of the ordinary from the start, in this order.
    #[serde(default)]
    pub plants: Vec<Plant>,
    /// Its disks.
    pub disks: Vec<DiskSpec>,
    /// From the button, or a reset, to services that run, in seconds: servers take minutes for it, virtual machines do not.
    #[serde(default = "default_boot")]
    pub boot_seconds: u32,
}

/// What a server takes at least whose firmware looks at memory and controllers first.
fn default_boot() -> u32 {
    120
}

fn default_password() -> String {
    "labpass".to_owned()
}

impl ServerSpec {
    /// The usual server number `index` (from 0): `prox1` is 0.
    #[must_use]
    pub fn standard(index: usize) -> Self {
        Self {
            name: format!("prox{}", index + 1),
            pve_version: "8.4.21".to_owned(),
            clock_offset_ms: 0,
            root_password: default_password(),
            own_name: OwnName::Address,
            guests: Vec::new(),
            member_of: None,
            missing_tools: Vec::new(),
            role: Role::Pve,
            plants: Vec::new(),
            disks: crate::roots::disks::standard(index),
            boot_seconds: default_boot(),
        }
    }

    /// A Debian host number `index` (from 0) that is no PVE node: no pmxcfs, none of PVE's tools; corosync-qnetd is not yet
    /// installed.
    #[must_use]
    pub fn qnetd(name: &str, index: usize) -> Self {
        Self {
            name: name.to_owned(),
            role: Role::Qnetd,
            ..Self::standard(index)
        }
    }

    pub(crate) fn boot(&self) -> Duration {
        Duration::from_secs(self.boot_seconds.into())
    }

    /// Is it a PVE node?
    #[must_use]
    pub fn is_pve(&self) -> bool {
        self.role == Role::Pve
    }

    pub(crate) fn public_address(index: usize) -> Ipv4Addr {
        Ipv4Addr::new(192, 168, 1, octet(index, 11))
    }

    pub(crate) fn cluster_address(index: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 10, 10, octet(index, 1))
    }

    /// PVE's major version.
    pub(crate) fn major(&self) -> u32 {
        self.pve_version
            .split('.')
            .next()
            .and_then(|part| part.parse().ok())
            .unwrap_or(8)
    }
}

fn octet(index: usize, first: u8) -> u8 {
    first.saturating_add(u8::try_from(index).unwrap_or(u8::MAX))
}

/// What kind of host a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A PVE node.
    #[default]
    Pve,
    /// Plain Debian, meant to run corosync-qnetd.
    Qnetd,
}

/// What `/etc/hosts` says about the server's own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnName {
    /// Its public address, as PVE's installer writes it.
    #[default]
    Address,
    /// Only `127.0.1.1`, as Debian's installer writes it.
    Loopback,
    /// Nothing.
    Missing,
}

/// A guest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestSpec {
    /// The guest's number.
    pub vmid: u32,
    /// Its name.
    pub name: String,
    /// `qemu` or `lxc`.
    #[serde(default)]
    pub kind: GuestKind,
    /// Its configuration file; nothing: its name and 512 MiB.
    #[serde(default)]
    pub conf: Option<String>,
    /// It runs from the beginning.
    #[serde(default)]
    pub running: bool,
}

/// What a guest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuestKind {
    /// A virtual machine.
    #[default]
    Qemu,
    /// A container.
    Lxc,
}

impl GuestKind {
    /// PVE's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Lxc => "lxc",
        }
    }

    /// How HA calls it, before the number.
    #[must_use]
    pub fn sid_type(self) -> &'static str {
        match self {
            Self::Qemu => "vm",
            Self::Lxc => "ct",
        }
    }
}

/// One whole disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskSpec {
    /// Kernel name, for example `sda`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// As the drive reports it.
    pub model: Option<String>,
    /// As the kernel shows it, padded to eight characters for SCSI.
    pub vendor: Option<String>,
    /// As udev shows it.
    pub serial: Option<String>,
    /// `0x…` or `eui.…`, as `lsblk` shows it.
    pub wwn: Option<String>,
    /// Firmware revision.
    pub rev: Option<String>,
    /// Spins.
    pub rotational: bool,
    /// `sata`, `sas`, `nvme`, or nothing behind a RAID controller.
    pub transport: Option<String>,
    /// PCI address and driver of its controller.
    pub controller: ControllerSpec,
    /// `host:channel:target:lun`; nothing for NVMe.
    pub hctl: Option<String>,
    /// What the controller's driver tells of the volume's RAID level in `device/raid_level`, if it tells.
    pub raid_level: Option<String>,
    /// Bytes of a physical sector.
    pub physical_sector: u32,
    /// A medium that can be taken out.
    pub removable: bool,
    /// Write-protected.
    pub read_only: bool,
    /// File system or member type straight on the disk.
    pub fstype: Option<String>,
    /// What that calls itself: a label, a pool's name.
    pub label: Option<String>,
    /// Where it is mounted, or `[SWAP]`.
    pub mountpoint: Option<String>,
    /// What lies straight on the disk.
    pub stacked: Vec<StackedSpec>,
    /// Where something was written that no tool has a name for: bytes from the beginning.
    pub filled: Vec<u64>,
    /// The kernel can't read it: every read ends with `Input/output error`.
    pub unreadable: bool,
    /// The kernel does not answer who opens it.
    pub hangs: bool,
    /// When zpool first partitions it, the new partition's link is not there in time for the kernel, as on a server with very much to do.
    pub link_comes_late: bool,
    /// `gpt`, `dos` or nothing.
    pub pttype: Option<String>,
    /// Partitions.
    pub partitions: Vec<PartitionSpec>,
    /// What `smartctl` says.
    pub smart: SmartSpec,
}

impl Default for DiskSpec {
    fn default() -> Self {
        Self {
            name: "sda".to_owned(),
            size: 960_197_124_096,
            model: None,
            vendor: Some("ATA     ".to_owned()),
            serial: None,
            wwn: None,
            rev: None,
            rotational: false,
            transport: Some("sata".to_owned()),
            controller: ControllerSpec {
                address: "0000:00:17.0".to_owned(),
                driver: "ahci".to_owned(),
            },
            hctl: Some("0:0:0:0".to_owned()),
            raid_level: None,
            physical_sector: 4096,
            removable: false,
            read_only: false,
            fstype: None,
            label: None,
            mountpoint: None,
            stacked: Vec::new(),
            filled: Vec::new(),
            unreadable: false,
            hangs: false,
            link_comes_late: false,
            pttype: None,
            partitions: Vec::new(),
            smart: SmartSpec::default(),
        }
    }
}

/// The PCI device that a disk hangs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerSpec {
    /// For example `0000:00:17.0`.
    pub address: String,
    /// Kernel driver, for example `ahci`, `nvme`, `megaraid_sas`.
    pub driver: String,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PartitionSpec {
    /// From 1.
    pub number: u32,
    /// Bytes.
    pub size: u64,
    /// File system or member type.
    pub fstype: Option<String>,
    /// GPT type identifier.
    pub parttype: Option<String>,
    /// The identifier's name.
    pub parttypename: Option<String>,
    /// GPT name.
    pub partlabel: Option<String>,
    /// File system's or member's identifier.
    pub uuid: Option<String>,
    /// The member's own identifier among those of its group: a disk's in a ZFS pool.
    pub uuid_sub: Option<String>,
    /// File system's label.
    pub label: Option<String>,
    /// Where it is mounted.
    pub mountpoint: Option<String>,
    /// Device-mapper volumes on it.
    pub volumes: Vec<VolumeSpec>,
    /// What else lies on it.
    pub stacked: Vec<StackedSpec>,
}

/// A device that lies on a disk or a partition: an md array, an opened LUKS, a multipath device, bcache, DRBD, an LVM volume. Of several
/// disks that carry the same one, each has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StackedSpec {
    /// As `lsblk` calls it: `md0`, `mpatha`, `bcache0`, `drbd0`, `vg-lv` with doubled hyphens.
    pub name: String,
    /// The kernel's name: the same, or `dm-7`.
    pub kname: String,
    /// `lsblk`'s TYPE: `raid1`, `crypt`, `mpath`, `lvm`; `disk` for bcache and DRBD.
    pub kind: String,
    /// Bytes.
    pub size: u64,
    /// File system.
    pub fstype: Option<String>,
    /// Where it is mounted.
    pub mountpoint: Option<String>,
    /// LVM tags, for example of an OSD.
    pub tags: String,
    /// Not among what `lsblk` shows; only the kernel's `holders` tell.
    pub hidden: bool,
}

/// One LVM logical volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeSpec {
    /// Volume group.
    pub group: String,
    /// Volume.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// File system or `swap`.
    pub fstype: Option<String>,
    /// Where it is mounted, or `[SWAP]`.
    pub mountpoint: Option<String>,
}

/// What SMART knows of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum SmartSpec {
    /// The device does not answer (a RAID volume).
    #[default]
    Silent,
    /// It answers.
    Answers {
        /// The drive's own verdict.
        passed: bool,
        /// Worn, in percent.
        used_percent: u8,
        /// Hours in use.
        hours: u32,
        /// Degrees Celsius.
        temperature: u8,
        /// Sectors that were replaced.
        #[serde(default)]
        bad_sectors: u32,
    },
}
