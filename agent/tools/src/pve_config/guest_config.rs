//! A guest's configuration, qemu-server/ID.conf or lxc/ID.conf, as far as placing, copying and moving it need it.
//!
//! Source: qemu-server PVE/QemuServer.pm and PVE/QemuServer/Drive.pm, pve-container PVE/LXC/Config.pm: keys, their defaults, and property
//! strings (`VALUE,KEY=VALUE,…`, where the first part may go without its key). A line that it can't read PVE skips with a warning and goes on
//! (`parse_vm_config`, `parse_pct_config`), so such lines say nothing here either; but disks and memory, on which copying and moving depend, must be
//! understood.

use quorate_model::observation::GuestKind;
use quorate_model::observation::guest_config::{Backing, GuestConfig, GuestDisk, GuestNic, GuestSnapshot};
use quorate_model::{ByteSize, Timestamp};

use super::guest::is_mac;
use crate::ParseError;

/// What PVE takes where `memory` is missing, in MiB.
const DEFAULT_MEMORY: u64 = 512;
/// Keys of a machine's drives, each with a number behind it.
const DRIVES: [&str; 7] = ["scsi", "virtio", "sata", "ide", "efidisk", "tpmstate", "unused"];
/// Keys that give a machine a device of its host.
const OF_HOST: [&str; 5] = ["hostpci", "usb", "serial", "parallel", "virtiofs"];

/// Reads a guest's configuration: what is above its first section, and of its snapshots what they hold on to.
///
/// # Errors
/// When the memory is no number, or a disk names nothing.
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
        discs: Vec::new(),
        snapshots: snapshots(kind, text)?,
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
        let Some((key, value)) = key_and_value(line) else {
            continue;
        };
        let number = || value.parse::<u32>().ok();
        match key {
            "name" | "hostname" => config.name = Some(value.to_owned()),
            "memory" => {
                let mib = value.strip_prefix("current=").unwrap_or(value).parse::<u64>();
                let bytes = mib.ok().and_then(|mib| mib.checked_mul(1 << 20));
                config.memory = ByteSize(bytes.ok_or_else(|| ParseError::at(NAME, line, "expected MiB"))?);
            }
            "sockets" => sockets = number().unwrap_or(sockets),
            "cores" => cores = number().or(cores),
            "vcpus" => vcpus = number().or(vcpus),
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
            _ if is_disk(kind, key) => match drive(kind, key, value, line)? {
                Drive::Disk(disk) => config.disks.push(disk),
                Drive::Disc(disc) => config.discs.push(disc),
                Drive::Empty => {}
            },
            _ if is_numbered(key, "net") => config.nics.extend(nic(key, value)),
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

fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    Some((key.trim(), value.trim()))
}

/// Sections but `[PENDING]` and `[special:…]`, which are no snapshots.
fn snapshots(kind: GuestKind, text: &str) -> Result<Vec<GuestSnapshot>, ParseError> {
    let mut found: Vec<GuestSnapshot> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(name) = line
            .trim_end()
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            let mut characters = name.chars();
            inside = !name.eq_ignore_ascii_case("pending")
                && characters.next().is_some_and(|c| c.is_ascii_alphabetic())
                && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
            if inside {
                found.push(GuestSnapshot {
                    name: name.to_owned(),
                    disks: Vec::new(),
                    discs: Vec::new(),
                });
            }
            continue;
        }
        let Some(snapshot) = found.last_mut().filter(|_| inside) else {
            continue;
        };
        let Some((key, value)) = key_and_value(line).filter(|(key, _)| is_disk(kind, key)) else {
            continue;
        };
        match drive(kind, key, value, line)? {
            Drive::Disk(disk) => snapshot.disks.push(disk),
            Drive::Disc(disc) => snapshot.discs.push(disc),
            Drive::Empty => {}
        }
    }
    Ok(found)
}

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
        GuestKind::Container => key == "rootfs" || is_numbered(key, "mp") || is_numbered(key, "unused"),
    }
}

/// `serial0: socket` and `usb0: spice` are no devices of the host.
fn binds(kind: GuestKind, key: &str, value: &str) -> bool {
    match kind {
        GuestKind::Vm => {
            let of_host = key == "ivshmem" || OF_HOST.iter().any(|name| is_numbered(key, name));
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

/// What a line about a drive says.
enum Drive {
    /// A disk, or a mount point.
    Disk(GuestDisk),
    /// What lies in a CD drive.
    Disc(GuestDisk),
    /// A CD drive with nothing in it that has to be anywhere.
    Empty,
}

/// Cloud-init's disc is made anew where it is missing. Source: qemu-server PVE/QemuServer/Cloudinit.pm, and what QemuMigrate.pm lets through
/// (`vm-ID-cloudinit`).
fn is_of_cloud_init(named: &str) -> bool {
    let volume = named.rsplit([':', '/']).next().unwrap_or(named);
    let stem = volume.split('.').next().unwrap_or(volume);
    stem.starts_with("vm-") && stem.ends_with("-cloudinit")
}

fn drive(kind: GuestKind, key: &str, value: &str, line: &str) -> Result<Drive, ParseError> {
    let main = if kind == GuestKind::Vm { "file" } else { "volume" };
    let named = main_part(value, main).filter(|named| !named.is_empty());
    let named = named.ok_or_else(|| ParseError::at(NAME, line, "it names no volume"))?;
    let is_cd = kind == GuestKind::Vm && (option(value, "media") == Some("cdrom") || matches!(named, "none" | "cdrom"));
    if is_cd && (named == "none" || is_of_cloud_init(named)) {
        return Ok(Drive::Empty);
    }
    let backing = match (named.starts_with('/'), named.split_once(':')) {
        (true, _) if kind == GuestKind::Container && !named.starts_with("/dev/") => Backing::Folder(named.to_owned()),
        (true, _) => Backing::Device(named.to_owned()),
        (false, None) if is_cd && named == "cdrom" => Backing::Device(named.to_owned()),
        (false, Some((storage, volume))) if !storage.is_empty() && !volume.is_empty() => Backing::Volume {
            storage: storage.to_owned(),
            volume: volume.to_owned(),
        },
        (false, _) => return Err(ParseError::at(NAME, line, "expected STORAGE:VOLUME or a path")),
    };
    let size =
        option(value, "size").map(|text| size(text).ok_or_else(|| ParseError::at(NAME, line, "its size is none")));
    let disk = GuestDisk {
        key: key.to_owned(),
        backing,
        size: size.transpose()?,
        replicate: option(value, "replicate") != Some("0"),
        shared: option(value, "shared").is_some_and(is_on),
    };
    Ok(if is_cd { Drive::Disc(disk) } else { Drive::Disk(disk) })
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

fn nic(key: &str, value: &str) -> Option<GuestNic> {
    let mut values = value
        .split(',')
        .filter_map(|part| part.trim().split_once('=').map(|(_, value)| value));
    let vlan = option(value, "tag").map(str::parse).transpose();
    Some(GuestNic {
        key: key.to_owned(),
        bridge: option(value, "bridge").map(str::to_owned),
        vlan: vlan.ok()?,
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
            "the CD drive is no disk"
        );
        let discs: Vec<String> = config.discs.iter().map(GuestDisk::written).collect();
        assert_eq!(discs, ["local:iso/debian-13.iso"]);
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
            (
                "scsi0: size=3G\n",
                "guest configuration: it names no volume: `scsi0: size=3G`",
            ),
            (
                "scsi0: nothing,size=3G\n",
                "guest configuration: expected STORAGE:VOLUME or a path: `scsi0: nothing,size=3G`",
            ),
        ] {
            assert_eq!(read(GuestKind::Vm, text).unwrap_err().to_string(), said);
        }
    }

    #[test]
    fn lines_that_pve_skips_say_nothing() {
        let text = "<<<<<<< HEAD\ncores: many\nsockets: 2\nnet0: virtio=BC:24:11:00:00:01,tag=blue\nnet1: virtio=BC:24:11:00:00:02\n";
        let config = read(GuestKind::Vm, text).unwrap();
        assert_eq!(config.cpus, Some(2));
        let nics: Vec<&str> = config.nics.iter().map(|nic| nic.key.as_str()).collect();
        assert_eq!(nics, ["net1"]);
    }

    #[test]
    fn what_lies_in_a_drive_for_discs() {
        let text = "ide0: cdrom,media=cdrom\nide1: data_zfs:vm-100-cloudinit,media=cdrom,size=4M\nide2: \
                    local:iso/x.iso,media=cdrom,size=3G\nsata0: none,media=cdrom\nsata1: local:100/vm-100-cloudinit.qcow2,media=cdrom\nsata2: \
                    /srv/y.iso,media=cdrom,shared=1\n[old]\nide3: nfs:iso/z.iso,media=cdrom\n";
        let config = read(GuestKind::Vm, text).unwrap();
        let discs: Vec<(String, bool)> = config.discs.iter().map(|disc| (disc.written(), disc.shared)).collect();
        let told = |text: &str, shared| (text.to_owned(), shared);
        assert_eq!(
            discs,
            [
                told("cdrom", false),
                told("local:iso/x.iso", false),
                told("/srv/y.iso", true)
            ]
        );
        let all: Vec<_> = config.all_discs().map(|(disc, of)| (disc.key.as_str(), of)).collect();
        assert_eq!(all.last(), Some(&("ide3", Some("old"))));
        assert!(config.disks.is_empty());
    }

    #[test]
    fn what_snapshots_hold_on_to() {
        let text = "scsi0: data_zfs:vm-100-disk-0,size=4G\n\n[PENDING]\nscsi1: data_zfs:vm-100-disk-1\n\n[special:cloudinit]\nname: \
                    x\n\n[before_1]\nscsi0: data_zfs:vm-100-disk-0,size=4G\nvmstate: data_zfs:vm-100-state-before_1\n";
        let config = read(GuestKind::Vm, text).unwrap();
        assert_eq!(config.disks.len(), 1);
        assert_eq!(config.snapshots.len(), 1);
        assert_eq!(config.snapshots[0].name, "before_1");
        assert_eq!(config.snapshots[0].disks[0].written(), "data_zfs:vm-100-disk-0");
        let container = "rootfs: data_zfs:subvol-101-disk-0,size=4G\n[a]\nrootfs: data_zfs:subvol-101-disk-0,size=4G\n";
        assert_eq!(
            read(GuestKind::Container, container).unwrap().snapshots[0].disks.len(),
            1
        );
    }

    #[test]
    fn what_is_shared_and_what_binds() {
        let container = "rootfs: data_zfs:subvol-101-disk-0\nmp0: /mnt/pve/nfs,mp=/data,shared=1\nmp1: /srv,mp=/srv\n";
        let config = read(GuestKind::Container, container).unwrap();
        let shared: Vec<bool> = config.disks.iter().map(|disk| disk.shared).collect();
        assert_eq!(shared, [false, true, false]);
        let machine = read(GuestKind::Vm, "ivshmem: size=32\nserial0: socket\n").unwrap();
        assert_eq!(machine.bound_by, ["ivshmem"]);
    }
}
