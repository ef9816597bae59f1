//! `lsblk` of util-linux: all block devices as a tree. A read of 5 ms; needs no root, but without root and without
//! udev's database it cannot see signatures.

use quorate_exec::{Invocation, Tools};
use serde::Deserialize;
use serde_json::Value;

use crate::{CallError, ParseError, json, lenient};

/// Its name.
pub const NAME: &str = "lsblk";

/// Everything that is asked for, in this order.
const COLUMNS: [&str; 22] = [
    "NAME",
    "KNAME",
    "PATH",
    "TYPE",
    "SIZE",
    "ROTA",
    "MODEL",
    "VENDOR",
    "SERIAL",
    "WWN",
    "TRAN",
    "FSTYPE",
    "LABEL",
    "PTTYPE",
    "PARTTYPE",
    "MOUNTPOINTS",
    "HCTL",
    "RO",
    "RM",
    "PKNAME",
    "UUID",
    "PTUUID",
];

/// Without these nothing can be said of a device.
const NEEDED: [&str; 8] = ["NAME", "KNAME", "PATH", "TYPE", "SIZE", "ROTA", "RO", "RM"];

/// What tells whether a device carries something, or is in use.
const OF_CONTENT: [&str; 4] = ["FSTYPE", "PTTYPE", "PARTTYPE", "MOUNTPOINT"];

/// All mount points of a device (util-linux 2.37 and later, PVE 8 and later), and one of them (before, PVE 7).
const MOUNTPOINTS: &str = "MOUNTPOINTS";
const MOUNTPOINT: &str = "MOUNTPOINT";

/// What lsblk is asked for. Which columns there are depends on util-linux's version; one that it does not know makes it refuse all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<&'static str>);

impl Default for Columns {
    fn default() -> Self {
        Self(COLUMNS.to_vec())
    }
}

impl Columns {
    /// What is left to ask for after lsblk refused a column. It names it and, in some versions, all that stand behind it:
    /// `lsblk: unknown column: MOUNTPOINTS,HCTL,RO`. `None`: it complains of something else, or nothing can be said without that one.
    #[must_use]
    pub fn without_refused(&self, stderr: &str) -> Option<Self> {
        let refused = stderr.split("unknown column: ").nth(1)?;
        let refused = refused.split([',', '\n']).next()?.trim();
        let place = self.0.iter().position(|column| *column == refused)?;
        let mut left = self.0.clone();
        if refused == MOUNTPOINTS {
            *left.get_mut(place)? = MOUNTPOINT;
        } else if NEEDED.contains(&refused) {
            return None;
        } else {
            left.remove(place);
        }
        Some(Self(left))
    }

    /// Which of those that tell what is on a device are not asked for: of a device that shows nothing it can't be said then that it is
    /// empty.
    #[must_use]
    pub fn untold(&self) -> Vec<&'static str> {
        let asked = |column: &str| self.0.iter().any(|own| own.trim_end_matches('S') == column);
        OF_CONTENT.into_iter().filter(|column| !asked(column)).collect()
    }
}

impl Columns {
    /// Reads the answer of an lsblk that was asked for these. What tells of a device's content must be there for each: lsblk prints null
    /// where there is nothing, so that a column which is not there at all says nothing, and not that the device is empty.
    ///
    /// # Errors
    /// As [`read`], and when such a column is missing.
    pub fn read(&self, stdout: &str) -> Result<Vec<Device>, ParseError> {
        let devices = read(stdout)?;
        let document: Value = json::read(NAME, stdout)?;
        match document.get("blockdevices").and_then(|all| self.unanswered(all)) {
            None => Ok(devices),
            Some(missing) => Err(ParseError::missing(NAME, missing)),
        }
    }

    fn unanswered(&self, devices: &Value) -> Option<String> {
        let untold = self.untold();
        let wanted: Vec<&str> = OF_CONTENT
            .into_iter()
            .filter(|column| !untold.contains(column))
            .collect();
        let mut open: Vec<&Value> = devices.as_array()?.iter().collect();
        while let Some(device) = open.pop() {
            for column in &wanted {
                let key = column.to_ascii_lowercase();
                if device.get(&key).is_none() && device.get(format!("{key}s")).is_none() {
                    let name = device.get("name").and_then(Value::as_str).unwrap_or_default();
                    return Some(format!("{name} has no `{key}`, which was asked for"));
                }
            }
            open.extend(device.get("children").and_then(Value::as_array).into_iter().flatten());
        }
        None
    }
}

/// Asks for the tree of all devices with sizes in bytes.
///
/// # Errors
/// When lsblk is not installed.
pub fn list(tools: &Tools, columns: &Columns) -> Result<Invocation, CallError> {
    Ok(tools
        .call(NAME)?
        .args(["--json", "--bytes", "--output"])
        .arg(columns.0.join(","))
        .build()?)
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
    /// What the signature says of its name: a file system's label, the name of a ZFS pool.
    #[serde(default, deserialize_with = "lenient::text")]
    pub label: Option<String>,
    /// The signature's own UUID: another one after each mkfs.
    #[serde(default, deserialize_with = "lenient::text")]
    pub uuid: Option<String>,
    /// The partition table's; a partition carries its disk's.
    #[serde(default, deserialize_with = "lenient::text")]
    pub ptuuid: Option<String>,
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

    const WHOLE: &str = "/usr/bin/lsblk --json --bytes --output NAME,KNAME,PATH,TYPE,SIZE,ROTA,MODEL,VENDOR,SERIAL,WWN,TRAN,\
                         FSTYPE,LABEL,PTTYPE,PARTTYPE,MOUNTPOINTS,HCTL,RO,RM,PKNAME,UUID,PTUUID";

    fn asked(columns: &Columns) -> String {
        list(&Tools::imagined(), columns).unwrap().to_string()
    }

    #[test]
    fn an_older_lsblk_is_asked_for_one_mount_point() {
        let all = Columns::default();
        assert_eq!(asked(&all), WHOLE);
        let older = all.without_refused(fixture!("lsblk/2.36/unknown-column.err")).unwrap();
        assert_eq!(asked(&older), WHOLE.replace("MOUNTPOINTS", "MOUNTPOINT"));
        assert_eq!(older.untold(), [""; 0]);
    }

    #[test]
    fn what_is_refused_is_left_out_and_what_then_can_not_be_told_is_known() {
        let refuses =
            |columns: &Columns, name: &str| columns.without_refused(&format!("lsblk: unknown column: {name}\n"));
        let all = Columns::default();
        let fewer = refuses(&all, "HCTL,RO,RM,PKNAME").unwrap();
        assert_eq!(asked(&fewer), WHOLE.replace("HCTL,", ""));
        assert_eq!(fewer.untold(), [""; 0]);
        let fewer = refuses(&refuses(&fewer, "PTTYPE").unwrap(), "MOUNTPOINTS").unwrap();
        assert_eq!(
            refuses(&fewer, "MOUNTPOINT").unwrap().untold(),
            ["PTTYPE", "MOUNTPOINT"]
        );
        // Without these there is no list of disks; and what was not asked for can't be left out.
        assert_eq!(refuses(&all, "PATH"), None);
        assert_eq!(all.without_refused(fixture!("lsblk/2.38.1/bad-column.err")), None);
        assert_eq!(all.without_refused(fixture!("lsblk/2.38.1/no-such-device.err")), None);
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
    fn a_column_that_was_asked_for_and_is_not_there_is_no_empty_disk() {
        let (all, text) = (Columns::default(), fixture!("lsblk/2.38.1/stacked.json"));
        assert_eq!(all.read(text), read(text));
        for (column, key) in [
            ("FSTYPE", "fstype"),
            ("PTTYPE", "pttype"),
            ("PARTTYPE", "parttype"),
            ("MOUNTPOINTS", "mountpoints"),
        ] {
            // Of the last device, which lies deepest.
            let at = text.rfind(&format!("\"{key}\"")).unwrap();
            let without = format!("{}\"x-{key}\"{}", &text[..at], &text[at + key.len() + 2..]);
            let said = all.read(&without).unwrap_err().to_string();
            assert!(said.contains("which was asked for"), "{said}");
            // An lsblk that does not know the column was not asked for it: that it can't be told is known then.
            let fewer = all
                .without_refused(&format!("lsblk: unknown column: {column}\n"))
                .unwrap();
            let fewer = fewer
                .without_refused("lsblk: unknown column: MOUNTPOINT\n")
                .filter(|_| key == "mountpoints")
                .unwrap_or(fewer);
            assert!(fewer.read(&without).is_ok(), "{column}");
        }
        // An older one has one mount point.
        assert!(all.read(fixture!("lsblk/2.33/mountpoint.json")).is_ok());
    }

    #[test]
    fn an_empty_list_is_no_disks_and_a_missing_size_is_an_error() {
        assert!(read(fixture!("lsblk/2.38.1/no-such-device.json")).unwrap().is_empty());
        let broken = fixture!("lsblk/2.38.1/virtual-machine.json").replacen("\"size\": 0,", "", 1);
        assert!(read(&broken).unwrap_err().reason.contains("missing field `size`"));
        assert!(read("").is_err() && read("{}").is_err() && read("NAME KNAME\nsda sda\n").is_err());
    }
}
