//! A guest's configuration, qemu-server/ID.conf or lxc/ID.conf, as far as placing, copying and moving it need it.
//!
//! Source: qemu-server PVE/QemuServer.pm and PVE/QemuServer/Drive.pm, pve-container PVE/LXC/Config.pm: keys, their defaults, and property
//! strings (`VALUE,KEY=VALUE,…`, where the first part may go without its key).

use quorate_model::observation::GuestKind;
use quorate_model::observation::guest_config::{Backing, GuestConfig, GuestDisk, GuestNic};
use quorate_model::{ByteSize, Timestamp};

use super::guest::is_mac;
use crate::ParseError;

/// What PVE takes where `memory` is missing, in MiB.
const DEFAULT_MEMORY: u64 = 512;
/// Keys of a machine's drives, each with a number behind it.
const DRIVES: [&str; 7] = ["scsi", "virtio", "sata", "ide", "efidisk", "tpmstate", "unused"];
/// Keys that give a machine a device of its host.
const OF_HOST: [&str; 5] = ["hostpci", "usb", "serial", "parallel", "virtiofs"];

/// Reads a guest's configuration of this name (for errors), up to its first section.
///
/// # Errors
/// When a line is no `KEY: VALUE`, a number is none, or a disk names nothing.
pub fn read(kind: GuestKind, text: &str) -> Result<GuestConfig, ParseError> {
    let mut config = GuestConfig {
        name: None,
        memory: ByteSize(DEFAULT_MEMORY << 20),
        cpus: (kind == GuestKind::Vm).then_some(1),
        cpu_type: None,
        tags: Vec::new(),
        template: false,
        lock: None,
        starts_at_boot: false,
        agent: false,
        disks: Vec::new(),
        nics: Vec::new(),
        bound_by: Vec::new(),
        created: None,
    };
    let (mut sockets, mut cores, mut vcpus) = (1, None, None);
    for line in text.lines().take_while(|line| !line.starts_with('[')) {
        // A description stands in comments; raw LXC lines are `lxc.KEY: VALUE` or `lxc.KEY = VALUE`.
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        if line.starts_with("lxc.") {
            continue;
        }
        let (key, value) = line
            .split_once(':')
            .map(|(key, value)| (key.trim(), value.trim()))
            .ok_or_else(|| ParseError::at(NAME, line, "expected `KEY: VALUE`"))?;
        let number = || {
            value
                .parse::<u32>()
                .map_err(|_| ParseError::at(NAME, line, "expected a number"))
        };
        match key {
            "name" | "hostname" => config.name = Some(value.to_owned()),
            "memory" => {
                let mib = value.strip_prefix("current=").unwrap_or(value).parse::<u64>();
                let bytes = mib.ok().and_then(|mib| mib.checked_mul(1 << 20));
                config.memory = ByteSize(bytes.ok_or_else(|| ParseError::at(NAME, line, "expected MiB"))?);
            }
            "sockets" => sockets = number()?,
            "cores" => cores = Some(number()?),
            "vcpus" => vcpus = Some(number()?),
            "cpu" => config.cpu_type = main_part(value, "cputype").map(str::to_owned),
            "tags" => {
                let tags = value.split([';', ',', ' ']).filter(|tag| !tag.is_empty());
                config.tags = tags.map(str::to_owned).collect();
            }
            "template" => config.template = is_on(value),
            "lock" => config.lock = Some(value.to_owned()),
            "onboot" => config.starts_at_boot = is_on(value),
            "agent" => config.agent = main_part(value, "enabled").is_some_and(is_on),
            // What it was made with, which PVE itself only looks at in part: one that is odd hides nothing else.
            "meta" => {
                let seconds = option(value, "ctime").and_then(|seconds| seconds.parse().ok());
                config.created = seconds.map(Timestamp::from_seconds);
            }
            "rootfs" => config.disks.extend(disk(kind, key, value, line)?),
            _ if is_disk(kind, key) => config.disks.extend(disk(kind, key, value, line)?),
            _ if is_numbered(key, "net") => config.nics.push(nic(key, value, line)?),
            _ if binds(kind, key, value) => config.bound_by.push(key.to_owned()),
            _ => {}
        }
    }
    config.cpus = match kind {
        GuestKind::Vm => Some(vcpus.unwrap_or_else(|| u32::saturating_mul(sockets, cores.unwrap_or(1)))),
        GuestKind::Container => cores,
    };
    Ok(config)
}

const NAME: &str = "guest configuration";

fn is_on(value: &str) -> bool {
    matches!(value, "1" | "yes" | "on" | "true")
}

fn is_numbered(key: &str, name: &str) -> bool {
    let number = key.strip_prefix(name);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn is_disk(kind: GuestKind, key: &str) -> bool {
    match kind {
        GuestKind::Vm => DRIVES.iter().any(|name| is_numbered(key, name)),
        GuestKind::Container => is_numbered(key, "mp") || is_numbered(key, "unused"),
    }
}

/// `serial0: socket` and `usb0: spice` are no devices of the host.
fn binds(kind: GuestKind, key: &str, value: &str) -> bool {
    match kind {
        GuestKind::Vm => {
            let of_host = OF_HOST.iter().any(|name| is_numbered(key, name));
            of_host && !matches!(main_part(value, "host"), Some("socket" | "spice"))
        }
        GuestKind::Container => is_numbered(key, "dev"),
    }
}

/// The part of a property string that may go without its key.
fn main_part<'v>(value: &'v str, key: &str) -> Option<&'v str> {
    let mut parts = value.split(',').map(str::trim).enumerate();
    parts.find_map(|(index, part)| match part.split_once('=') {
        Some((name, value)) => (name == key).then_some(value),
        None => (index == 0).then_some(part),
    })
}

fn option<'v>(value: &'v str, key: &str) -> Option<&'v str> {
    let mut parts = value.split(',').filter_map(|part| part.trim().split_once('='));
    parts.find_map(|(name, value)| (name == key).then_some(value))
}

/// Nothing for a CD drive, full or empty.
fn disk(kind: GuestKind, key: &str, value: &str, line: &str) -> Result<Option<GuestDisk>, ParseError> {
    let main = if kind == GuestKind::Vm { "file" } else { "volume" };
    let named = main_part(value, main).filter(|named| !named.is_empty());
    let named = named.ok_or_else(|| ParseError::at(NAME, line, "it names no volume"))?;
    if option(value, "media") == Some("cdrom") || matches!(named, "none" | "cdrom") {
        return Ok(None);
    }
    let backing = match (named.starts_with('/'), named.split_once(':')) {
        (true, _) if kind == GuestKind::Container && !named.starts_with("/dev/") => Backing::Folder(named.to_owned()),
        (true, _) => Backing::Device(named.to_owned()),
        (false, Some((storage, volume))) if !storage.is_empty() && !volume.is_empty() => Backing::Volume {
            storage: storage.to_owned(),
            volume: volume.to_owned(),
        },
        (false, _) => return Err(ParseError::at(NAME, line, "expected STORAGE:VOLUME or a path")),
    };
    let size =
        option(value, "size").map(|text| size(text).ok_or_else(|| ParseError::at(NAME, line, "its size is none")));
    Ok(Some(GuestDisk {
        key: key.to_owned(),
        backing,
        size: size.transpose()?,
        replicate: option(value, "replicate") != Some("0"),
    }))
}

/// `32G`, `528K`, `4M`, `1T`, or bytes; a fraction is possible. Source: pve-common PVE/JSONSchema.pm (`parse_size`).
fn size(text: &str) -> Option<ByteSize> {
    let (number, unit) = match text.char_indices().next_back()? {
        (at, last) if last.is_ascii_alphabetic() => (text.get(..at)?, last),
        _ => (text, 'B'),
    };
    let unit = match unit {
        'B' => "B",
        'K' => "KiB",
        'M' => "MiB",
        'G' => "GiB",
        'T' => "TiB",
        _ => return None,
    };
    format!("{number}{unit}").parse().ok()
}

fn nic(key: &str, value: &str, line: &str) -> Result<GuestNic, ParseError> {
    let mut values = value
        .split(',')
        .filter_map(|part| part.trim().split_once('=').map(|(_, value)| value));
    let vlan = option(value, "tag").map(str::parse).transpose();
    Ok(GuestNic {
        key: key.to_owned(),
        bridge: option(value, "bridge").map(str::to_owned),
        vlan: vlan.map_err(|_| ParseError::at(NAME, line, "its VLAN is no number"))?,
        mac: values.find(|value| is_mac(value)).map(str::to_ascii_lowercase),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(storage: &str, volume: &str) -> Backing {
        Backing::Volume {
            storage: storage.to_owned(),
            volume: volume.to_owned(),
        }
    }

    #[test]
    fn a_machine() {
        let config = read(GuestKind::Vm, fixture!("guest/pve-8.4/web.conf")).unwrap();
        assert_eq!(config.name.as_deref(), Some("web1"));
        assert_eq!(config.memory, ByteSize(4 << 30));
        assert_eq!(
            (config.cpus, config.cpu_type.as_deref()),
            (Some(4), Some("x86-64-v2-AES"))
        );
        assert_eq!(config.tags, ["customer-a", "web"]);
        assert!(config.agent && config.starts_at_boot && !config.template);
        assert_eq!(config.lock.as_deref(), Some("backup"));
        let disks: Vec<_> = config
            .disks
            .iter()
            .map(|disk| (disk.key.as_str(), &disk.backing))
            .collect();
        assert_eq!(
            disks,
            [
                ("efidisk0", &volume("data_zfs", "vm-100-disk-1")),
                ("scsi0", &volume("data_zfs", "vm-100-disk-0")),
                ("scsi1", &volume("local", "100/vm-100-disk-2.qcow2")),
                ("unused0", &volume("data_zfs", "vm-100-disk-3")),
            ],
            "the CD drive is none"
        );
        assert_eq!(config.disks[0].size, Some(ByteSize(4 << 20)));
        assert_eq!(config.disks[1].size, Some(ByteSize(32 << 30)));
        assert!(config.disks[1].replicate && !config.disks[2].replicate);
        assert!(config.disks[3].is_unused() && config.disks[3].size.is_none());
        let net = GuestNic {
            key: "net0".to_owned(),
            bridge: Some("vmbr0".to_owned()),
            vlan: Some(42),
            mac: Some("bc:24:11:0a:0b:0c".to_owned()),
        };
        assert_eq!(config.nics, [net]);
        assert_eq!(config.bound_by, ["usb0"], "a serial port on a socket binds to nothing");
    }

    #[test]
    fn what_is_missing_is_as_pve_takes_it() {
        let bare = read(GuestKind::Vm, fixture!("guest/pve-8.4/bare.conf")).unwrap();
        assert_eq!((bare.memory, bare.cpus), (ByteSize(2 << 30), Some(1)));
        assert!(!bare.agent && bare.disks.is_empty() && bare.cpu_type.is_none());
        let nothing = read(GuestKind::Container, "").unwrap();
        assert_eq!((nothing.memory, nothing.cpus), (ByteSize(512 << 20), None));
    }

    #[test]
    fn what_is_given_by_the_host_directly() {
        let machine = read(GuestKind::Vm, fixture!("guest/pve-8.4/machine.conf")).unwrap();
        assert_eq!(machine.bound_by, ["hostpci0", "hostpci1"]);
        assert_eq!(
            machine.disks[1].backing,
            Backing::Device("/dev/disk/by-id/ata-B".to_owned())
        );
        assert_eq!(machine.disks.len(), 2, "neither pending nor of a snapshot");
    }

    #[test]
    fn a_container() {
        let config = read(GuestKind::Container, fixture!("guest/pve-8.4/ct.conf")).unwrap();
        assert_eq!(config.name.as_deref(), Some("db1"));
        assert_eq!((config.memory, config.cpus), (ByteSize(1 << 30), Some(2)));
        assert!(!config.agent && config.template);
        let disks: Vec<_> = config
            .disks
            .iter()
            .map(|disk| (disk.key.as_str(), &disk.backing))
            .collect();
        assert_eq!(
            disks,
            [
                ("mp0", &volume("data_zfs", "subvol-101-disk-1")),
                ("mp1", &Backing::Folder("/srv/shared".to_owned())),
                ("mp2", &Backing::Device("/dev/sdb1".to_owned())),
                ("rootfs", &volume("data_zfs", "subvol-101-disk-0")),
            ]
        );
        assert_eq!(config.bound_by, ["dev0"]);
        assert_eq!(config.nics[0].vlan, None);
    }

    #[test]
    fn when_a_machine_was_created_is_told_where_it_is_written() {
        let created = |text: &str| read(GuestKind::Vm, text).unwrap().created;
        let written = created("meta: creation-qemu=9.0.2,ctime=1763800000\n");
        assert_eq!(written, Some(Timestamp::from_seconds(1_763_800_000)));
        assert_eq!(created("meta: creation-qemu=6.0.0\n"), None);
        assert_eq!(created("meta: ctime=once\n"), None, "nothing else is hidden by it");
    }

    #[test]
    fn sizes_as_pve_writes_them() {
        assert_eq!(size("528K"), Some(ByteSize(528 << 10)));
        assert_eq!(size("1.5T"), Some(ByteSize((1 << 40) + (1 << 39))));
        assert_eq!(size("540672"), Some(ByteSize(540_672)));
        for bad in ["", "G", "12X", "x"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_none_is_told_with_its_line() {
        for (text, said) in [
            ("memory: lots\n", "guest configuration: expected MiB: `memory: lots`"),
            ("cores: many\n", "guest configuration: expected a number: `cores: many`"),
            (
                "net0: virtio=BC:24:11:00:00:01,tag=blue\n",
                "guest configuration: its VLAN is no number: `net0: virtio=BC:24:11:00:00:01,tag=blue`",
            ),
            (
                "scsi0: size=3G\n",
                "guest configuration: it names no volume: `scsi0: size=3G`",
            ),
            (
                "scsi0: nothing,size=3G\n",
                "guest configuration: expected STORAGE:VOLUME or a path: `scsi0: nothing,size=3G`",
            ),
            (
                "<<<<<<< HEAD\n",
                "guest configuration: expected `KEY: VALUE`: `<<<<<<< HEAD`",
            ),
        ] {
            assert_eq!(read(GuestKind::Vm, text).unwrap_err().to_string(), said);
        }
    }
}
