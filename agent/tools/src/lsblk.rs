//! `lsblk` of util-linux: all block devices as a tree. A read of 5 ms; needs no root, but without root and without
//! udev's database it cannot see signatures.

use quorate_exec::{Invocation, Tools};
use serde::Deserialize;

use crate::{CallError, ParseError, json, lenient};

/// Its name.
pub const NAME: &str = "lsblk";

/// All columns but the mount points, in the order in which they are asked for.
const COLUMNS: &str = "NAME,KNAME,PATH,TYPE,SIZE,ROTA,MODEL,VENDOR,SERIAL,WWN,TRAN,FSTYPE,PTTYPE,PARTTYPE";
const MORE_COLUMNS: &str = "HCTL,RO,RM,PKNAME";

/// How mount points are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountColumn {
    /// `MOUNTPOINTS`: all of them. util-linux 2.37 and later (PVE 8 and later).
    All,
    /// `MOUNTPOINT`: one of them. Before (PVE 7).
    One,
}

/// Asks for the tree of all devices with sizes in bytes.
///
/// # Errors
/// When lsblk is not installed.
pub fn list(tools: &Tools, mounts: MountColumn) -> Result<Invocation, CallError> {
    let column = match mounts {
        MountColumn::All => "MOUNTPOINTS",
        MountColumn::One => "MOUNTPOINT",
    };
    let columns = format!("{COLUMNS},{column},{MORE_COLUMNS}");
    Ok(tools
        .call(NAME)?
        .args(["--json", "--bytes", "--output"])
        .arg(columns)
        .build()?)
}

/// Whether lsblk refused a column that it does not know (`lsblk: unknown column: MOUNTPOINTS…`): then the older
/// [`MountColumn::One`] is to be tried.
#[must_use]
pub fn refused_column(stderr: &str) -> bool {
    stderr.contains("unknown column")
}

/// A node of the tree. A device that lies on two others (RAID, multipath) appears below each of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Device {
    /// Device-mapper name or kernel name.
    pub name: String,
    /// Kernel name; `cciss/c0d0` stands for sysfs's `cciss!c0d0`.
    pub kname: String,
    /// Path of the device node.
    pub path: String,
    /// `disk`, `part`, `lvm`, `crypt`, `raid1`, `mpath`, `loop`, `rom` …; from device-mapper's uuid, md's level, or the SCSI type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bytes.
    #[serde(deserialize_with = "lenient::u64")]
    pub size: u64,
    /// Does it spin, as the kernel believes?
    #[serde(deserialize_with = "lenient::flag")]
    pub rota: bool,
    /// Model, without padding.
    #[serde(default, deserialize_with = "lenient::text")]
    pub model: Option<String>,
    /// Vendor, without padding.
    #[serde(default, deserialize_with = "lenient::text")]
    pub vendor: Option<String>,
    /// Serial number.
    #[serde(default, deserialize_with = "lenient::text")]
    pub serial: Option<String>,
    /// World-wide name.
    #[serde(default, deserialize_with = "lenient::text")]
    pub wwn: Option<String>,
    /// Transport.
    #[serde(default, deserialize_with = "lenient::text")]
    pub tran: Option<String>,
    /// Signature.
    #[serde(default, deserialize_with = "lenient::text")]
    pub fstype: Option<String>,
    /// Kind of partition table; a partition carries its disk's.
    #[serde(default, deserialize_with = "lenient::text")]
    pub pttype: Option<String>,
    /// GPT type or MBR id of a partition.
    #[serde(default, deserialize_with = "lenient::text")]
    pub parttype: Option<String>,
    /// Mount points, `[SWAP]` for active swap. Never null inside, which is how lsblk says that there is none.
    #[serde(default, alias = "mountpoint", deserialize_with = "mountpoints")]
    pub mountpoints: Vec<String>,
    /// Host:channel:target:lun.
    #[serde(default, deserialize_with = "lenient::text")]
    pub hctl: Option<String>,
    /// Read-only.
    #[serde(deserialize_with = "lenient::flag")]
    pub ro: bool,
    /// Removable.
    #[serde(deserialize_with = "lenient::flag")]
    pub rm: bool,
    /// What lies on it.
    #[serde(default)]
    pub children: Vec<Device>,
}

impl Device {
    /// Its folder's name in /sys/block or /sys/class/block.
    #[must_use]
    pub fn sysfs_name(&self) -> String {
        self.kname.replace('/', "!")
    }

    /// Active swap?
    #[must_use]
    pub fn is_active_swap(&self) -> bool {
        self.mountpoints.iter().any(|point| point == SWAP)
    }

    /// Itself and everything below, parents first.
    pub fn tree(&self) -> Box<dyn Iterator<Item = &Device> + '_> {
        Box::new(std::iter::once(self).chain(self.children.iter().flat_map(Device::tree)))
    }
}

/// lsblk's word in the place of a mount point for active swap.
pub const SWAP: &str = "[SWAP]";

#[derive(Deserialize)]
struct Report {
    blockdevices: Vec<Device>,
}

/// Reads the tree.
///
/// # Errors
/// When it is no JSON, or a device lacks name, path, type, size or a flag.
pub fn read(stdout: &str) -> Result<Vec<Device>, ParseError> {
    Ok(json::read::<Report>(NAME, stdout)?.blockdevices)
}

/// `[null]`, `null`, `"/"`, `["/", null, "/srv"]`.
fn mountpoints<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        Many(Vec<Option<String>>),
        One(Option<String>),
    }
    let found = match OneOrMany::deserialize(from)? {
        OneOrMany::Many(points) => points,
        OneOrMany::One(point) => vec![point],
    };
    Ok(found.into_iter().flatten().filter(|point| !point.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_calls_differ_in_the_mount_column_only() {
        let all = list(&Tools::imagined(), MountColumn::All).unwrap().to_string();
        let one = list(&Tools::imagined(), MountColumn::One).unwrap().to_string();
        assert_eq!(
            all,
            "/usr/bin/lsblk --json --bytes --output NAME,KNAME,PATH,TYPE,SIZE,ROTA,MODEL,VENDOR,SERIAL,WWN,TRAN,FSTYPE,PTTYPE,\
             PARTTYPE,MOUNTPOINTS,HCTL,RO,RM,PKNAME"
        );
        assert_eq!(one, all.replace("MOUNTPOINTS", "MOUNTPOINT"));
        assert!(refused_column(fixture!("lsblk/2.36/unknown-column.err")));
        assert!(refused_column(fixture!("lsblk/2.38.1/bad-column.err")));
        assert!(!refused_column(fixture!("lsblk/2.38.1/no-such-device.err")));
    }

    #[test]
    fn a_server_with_all_kinds_of_disks() {
        let devices = read(fixture!("lsblk/2.38.1/server.json")).unwrap();
        let kinds: Vec<_> = devices
            .iter()
            .map(|device| (device.name.as_str(), device.kind.as_str()))
            .collect();
        assert_eq!(kinds.len(), 17);
        assert_eq!(kinds[12], ("sr0", "rom"));
        let perc = &devices[1];
        assert_eq!(
            (perc.vendor.as_deref(), perc.model.as_deref()),
            (Some("DELL"), Some("PERC H730 Mini"))
        );
        assert_eq!(
            (perc.wwn.as_deref(), perc.size),
            (Some("0x61866da07a4d2b00"), 536_870_912)
        );
        let gpt = &devices[5];
        assert_eq!((gpt.pttype.as_deref(), gpt.children.len()), (Some("gpt"), 2));
        assert_eq!(gpt.children[0].fstype.as_deref(), Some("ext4"));
        assert_eq!(
            gpt.children[0].parttype.as_deref(),
            Some("0fc63daf-8483-4772-8e79-3d69d8477de4")
        );
        assert!(devices[11].ro && !devices[10].ro);
        let root = devices.iter().find(|device| device.name == "nvme0n1").unwrap();
        assert_eq!(
            (root.mountpoints.as_slice(), root.tran.as_deref()),
            (&["/".to_owned()][..], Some("nvme"))
        );
        assert!(devices[0].mountpoints.is_empty());
        let virtio = devices.iter().find(|device| device.name == "vda").unwrap();
        assert_eq!(
            (virtio.model.as_deref(), virtio.vendor.as_deref()),
            (None, Some("0x1af4"))
        );
    }

    #[test]
    fn stacked_devices_keep_their_order_and_names() {
        let devices = read(fixture!("lsblk/2.38.1/stacked.json")).unwrap();
        let names: Vec<_> = devices[0].tree().map(|device| device.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "sda",
                "sda1",
                "sda2",
                "sda3",
                "pve-swap",
                "pve-root",
                "pve-data_tdata",
                "pve-data"
            ]
        );
        let root = devices[0].tree().find(|device| device.name == "pve-root").unwrap();
        assert_eq!(root.mountpoints, ["/", "/var/snap"]);
        assert!(devices[0].tree().any(Device::is_active_swap));
        let shared = devices
            .iter()
            .filter(|device| device.tree().any(|below| below.name == "md0"));
        assert_eq!(
            shared.map(|device| device.name.as_str()).collect::<Vec<_>>(),
            ["sdb", "sdc"]
        );
        let cciss = devices.iter().find(|device| device.path == "/dev/cciss/c0d0").unwrap();
        assert_eq!(cciss.sysfs_name(), "cciss!c0d0");
    }

    #[test]
    fn old_versions_print_strings_and_one_mount_point() {
        let devices = read(fixture!("lsblk/2.33/mountpoint.json")).unwrap();
        assert_eq!(
            (devices[0].size, devices[0].rota, devices[0].rm),
            (480_103_981_056, true, false)
        );
        assert_eq!(devices[0].model.as_deref(), Some("ST480"));
        assert_eq!(devices[0].children[0].mountpoints, ["/"]);
    }

    #[test]
    fn an_empty_list_is_no_disks_and_a_missing_size_is_an_error() {
        assert!(read(fixture!("lsblk/2.38.1/no-such-device.json")).unwrap().is_empty());
        let broken = fixture!("lsblk/2.38.1/virtual-machine.json").replacen("\"size\": 0,", "", 1);
        assert!(read(&broken).unwrap_err().reason.contains("missing field `size`"));
        assert!(read("").is_err() && read("{}").is_err() && read("NAME KNAME\nsda sda\n").is_err());
    }
}
