//! Disks: the usual ones of a server, and what `/sys` and `/dev` show of each.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};

use super::put;
use crate::description::{ControllerSpec, DiskSpec, PartitionSpec, SmartSpec, StackedSpec, VolumeSpec};

const EFI: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
const LVM: &str = "e6d6d379-f507-44c2-a23c-238f2a3df928";
const BIOS: &str = "21686148-6449-6e6f-744e-656564454649";
const LINUX: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";
const GIB: u64 = 1 << 30;

/// NVMe boot disk, two empty SSDs, a disk with an old file system, and a RAID volume.
pub(crate) fn standard(index: usize) -> Vec<DiskSpec> {
    let number = index + 1;
    vec![
        boot(number),
        ssd("sda", "0:0:0:0", number, 1),
        ssd("sdb", "1:0:0:0", number, 2),
        old_disk("sdc", number),
        raid_volume("sdd", number),
    ]
}

fn boot(number: usize) -> DiskSpec {
    let volume = |name: &str, size, fstype: &str, mountpoint: &str| VolumeSpec {
        group: "pve".to_owned(),
        name: name.to_owned(),
        size,
        fstype: Some(fstype.to_owned()),
        mountpoint: Some(mountpoint.to_owned()),
    };
    let partition = |number, size, fstype: Option<&str>, parttype: &str, name: &str| PartitionSpec {
        number,
        size,
        fstype: fstype.map(str::to_owned),
        parttype: Some(parttype.to_owned()),
        parttypename: Some(name.to_owned()),
        ..PartitionSpec::default()
    };
    let efi = PartitionSpec {
        uuid: Some(format!("7C4A-1B0{number}")),
        mountpoint: Some("/boot/efi".to_owned()),
        ..partition(2, GIB, Some("vfat"), EFI, "EFI System")
    };
    let lvm = PartitionSpec {
        uuid: Some(format!("Zq3kPd-1gBv-Tz4M-kc5R-9w2Y-sLmA-pve00{number}")),
        volumes: vec![
            volume("swap", 8 * GIB, "swap", "[SWAP]"),
            volume("root", 96 * GIB, "ext4", "/"),
        ],
        ..partition(3, 446 * GIB, Some("LVM2_member"), LVM, "Linux LVM")
    };
    DiskSpec {
        name: "nvme0n1".to_owned(),
        size: 480_103_981_056,
        model: Some("INTEL SSDPE2KX480G8".to_owned()),
        vendor: None,
        serial: Some(format!("BTLJ9120045{number}480BGN")),
        wwn: Some(format!("eui.01000000010000005cd2e4e1a1b0500{number}")),
        rev: Some("VDV10131".to_owned()),
        transport: Some("nvme".to_owned()),
        controller: ControllerSpec {
            address: "0000:01:00.0".to_owned(),
            driver: "nvme".to_owned(),
        },
        hctl: None,
        physical_sector: 512,
        pttype: Some("gpt".to_owned()),
        partitions: vec![partition(1, 1_031_168, None, BIOS, "BIOS boot"), efi, lvm],
        smart: SmartSpec::Answers {
            passed: true,
            used_percent: 3,
            hours: 9120,
            temperature: 38,
            bad_sectors: 0,
        },
        ..DiskSpec::default()
    }
}

fn ssd(name: &str, hctl: &str, number: usize, place: u8) -> DiskSpec {
    DiskSpec {
        name: name.to_owned(),
        model: Some("SAMSUNG MZ7LH960HAJR-00005".to_owned()),
        serial: Some(format!("S45NNA0N{number}0417{place}")),
        wwn: Some(format!("0x5002538e4{number:02}1a2b{place}")),
        rev: Some("HXT7404Q".to_owned()),
        hctl: Some(hctl.to_owned()),
        smart: SmartSpec::Answers {
            passed: true,
            used_percent: 2,
            hours: 8211,
            temperature: 29,
            bad_sectors: 0,
        },
        ..DiskSpec::default()
    }
}

fn old_disk(name: &str, number: usize) -> DiskSpec {
    DiskSpec {
        name: name.to_owned(),
        size: 4_000_787_030_016,
        model: Some("ST4000NM0035-1V4107".to_owned()),
        serial: Some(format!("ZC1AAAA{number}")),
        wwn: Some(format!("0x5000c500a1b2c30{number}")),
        rev: Some("TN05".to_owned()),
        rotational: true,
        hctl: Some("2:0:0:0".to_owned()),
        pttype: Some("gpt".to_owned()),
        partitions: vec![PartitionSpec {
            number: 1,
            size: 4_000_785_964_544,
            fstype: Some("ext4".to_owned()),
            parttype: Some(LINUX.to_owned()),
            parttypename: Some("Linux filesystem".to_owned()),
            uuid: Some(format!("3f9b1d52-0c1e-4f6e-9a55-00000000000{number}")),
            label: Some("backup".to_owned()),
            ..PartitionSpec::default()
        }],
        smart: SmartSpec::Answers {
            passed: true,
            used_percent: 0,
            hours: 31_877,
            temperature: 34,
            bad_sectors: 0,
        },
        ..DiskSpec::default()
    }
}

fn raid_volume(name: &str, number: usize) -> DiskSpec {
    DiskSpec {
        name: name.to_owned(),
        size: 1_999_844_147_200,
        model: Some("PERC H730 Mini".to_owned()),
        vendor: Some("DELL    ".to_owned()),
        serial: Some(format!("00aabbccdd1122334{number}")),
        wwn: Some(format!("0x61866da07a4d2b0{number}")),
        rev: Some("4.30".to_owned()),
        rotational: true,
        transport: None,
        controller: ControllerSpec {
            address: "0000:03:00.0".to_owned(),
            driver: "megaraid_sas".to_owned(),
        },
        hctl: Some("10:2:0:0".to_owned()),
        physical_sector: 512,
        ..DiskSpec::default()
    }
}

/// A disk of a virtual machine that is no SCSI disk.
pub(crate) fn is_virtio(disk: &DiskSpec) -> bool {
    disk.name.starts_with("vd")
}

/// Where the kernel keeps the disk, below `/sys`.
fn device_folder(disk: &DiskSpec) -> PathBuf {
    let address = &disk.controller.address;
    let bus = address.rsplit_once(':').map_or("0000:00", |(bus, _)| bus);
    let controller = PathBuf::from(format!("devices/pci{bus}/{address}"));
    if is_virtio(disk) {
        return controller.join("virtio2");
    }
    match &disk.hctl {
        Some(hctl) => {
            let mut parts = hctl.split(':');
            let host = parts.next().unwrap_or("0").to_owned();
            let rest: Vec<&str> = parts.collect();
            let target = [host.as_str(), rest.first().unwrap_or(&"0"), rest.get(1).unwrap_or(&"0")].join(":");
            let mut path = controller;
            if disk.controller.driver == "ahci" {
                path.push(format!("ata{}", host.parse::<u32>().unwrap_or(0) + 1));
            }
            path.join(format!("host{host}/target{target}/{hctl}"))
        }
        None => {
            let controller_name = disk.name.split_once('n').map_or("nvme0", |_| controller_of(&disk.name));
            controller.join("nvme").join(controller_name)
        }
    }
}

/// Where it is as a block device, below `/sys`.
fn block_folder(disk: &DiskSpec) -> PathBuf {
    let device = device_folder(disk);
    if disk.hctl.is_some() {
        device.join("block").join(&disk.name)
    } else {
        device.join(&disk.name)
    }
}

/// `nvme0` of `nvme0n1`.
fn controller_of(name: &str) -> &str {
    name.get(4..)
        .and_then(|rest| rest.find('n'))
        .and_then(|end| name.get(..4 + end))
        .unwrap_or(name)
}

/// The node name of a partition: `sda1`, `nvme0n1p1`.
pub(crate) fn partition_name(disk: &DiskSpec, number: u32) -> String {
    let separator = if disk.name.ends_with(|c: char| c.is_ascii_digit()) {
        "p"
    } else {
        ""
    };
    format!("{}{separator}{number}", disk.name)
}

/// The kernel's number of a device-mapper volume; counted over all disks, in order.
pub(crate) fn dm_name(disks: &[DiskSpec], disk: &str, volume: &VolumeSpec) -> String {
    let position = disks
        .iter()
        .flat_map(|d| {
            d.partitions
                .iter()
                .flat_map(|p| &p.volumes)
                .map(move |v| (d.name.as_str(), v))
        })
        .position(|(name, v)| name == disk && v.name == volume.name && v.group == volume.group);
    format!("dm-{}", position.unwrap_or(0))
}

/// Names under `/dev/disk/by-id` without the partition's suffix.
pub(crate) fn identities(disk: &DiskSpec) -> Vec<String> {
    let mut names = Vec::new();
    let model = disk.model.as_deref().unwrap_or_default().replace(' ', "_");
    if is_virtio(disk) {
        return disk.serial.iter().map(|serial| format!("virtio-{serial}")).collect();
    }
    match (disk.transport.as_deref(), &disk.serial) {
        (Some("nvme"), Some(serial)) => {
            names.push(format!("nvme-{model}_{serial}"));
            names.extend(disk.wwn.as_ref().map(|wwn| format!("nvme-{wwn}")));
        }
        (transport, serial) => {
            if let (Some("sata"), Some(serial)) = (transport, serial) {
                names.push(format!("ata-{model}_{serial}"));
            }
            if let Some(wwn) = disk.wwn.as_ref().and_then(|wwn| wwn.strip_prefix("0x")) {
                names.push(format!("scsi-3{wwn}"));
                names.push(format!("wwn-0x{wwn}"));
            }
        }
    }
    names
}

/// Makes a disk appear.
pub(crate) fn add(root: &Path, disk: &DiskSpec) -> io::Result<()> {
    let sys = root.join("sys");
    let device = device_folder(disk);
    let block = block_folder(disk);
    let folder = sys.join(&block);
    let flag = |yes: bool| if yes { "1\n" } else { "0\n" };
    put(&folder.join("size"), &format!("{}\n", disk.size / 512))?;
    put(&folder.join("removable"), flag(disk.removable))?;
    put(&folder.join("ro"), flag(disk.read_only))?;
    put(&folder.join("queue/rotational"), flag(disk.rotational))?;
    put(&folder.join("queue/logical_block_size"), "512\n")?;
    put(
        &folder.join("queue/physical_block_size"),
        &format!("{}\n", disk.physical_sector),
    )?;
    fs::create_dir_all(folder.join("holders"))?;
    fs::create_dir_all(folder.join("slaves"))?;
    if let Some(wwn) = &disk.wwn {
        let text = wwn
            .strip_prefix("0x")
            .map_or_else(|| wwn.clone(), |hex| format!("naa.{hex}"));
        let place = if disk.hctl.is_some() {
            sys.join(&device).join("wwid")
        } else {
            folder.join("wwid")
        };
        put(&place, &format!("{text}\n"))?;
    }
    let own = sys.join(&device);
    let model = disk.model.clone().unwrap_or_default();
    if disk.hctl.is_some() {
        put(
            &own.join("vendor"),
            &format!("{}\n", disk.vendor.clone().unwrap_or_default()),
        )?;
        // SCSI gives sixteen characters to the model.
        put(
            &own.join("model"),
            &format!("{:16}\n", model.get(..16).unwrap_or(&model)),
        )?;
        put(
            &own.join("rev"),
            &format!(
                "{}\n",
                disk.rev.as_deref().and_then(|rev| rev.get(..4)).unwrap_or_default()
            ),
        )?;
        put(&own.join("type"), "0\n")?;
        put(&own.join("state"), "running\n")?;
        if let Some(level) = &disk.raid_level {
            put(&own.join("raid_level"), &format!("{level}\n"))?;
        }
        link(
            Path::new("../../../")
                .join(disk.hctl.as_deref().unwrap_or_default())
                .as_path(),
            &folder.join("device"),
        )?;
    } else if is_virtio(disk) {
        put(&own.join("vendor"), "0x1af4\n")?;
        put(
            &folder.join("serial"),
            &format!("{}\n", disk.serial.clone().unwrap_or_default()),
        )?;
        link(Path::new("../../../virtio2"), &folder.join("device"))?;
    } else {
        put(&own.join("model"), &format!("{model:40}\n"))?;
        put(
            &own.join("serial"),
            &format!("{}\n", disk.serial.clone().unwrap_or_default()),
        )?;
        put(
            &own.join("firmware_rev"),
            &format!("{}\n", disk.rev.clone().unwrap_or_default()),
        )?;
        put(&own.join("state"), "live\n")?;
        put(&own.join("transport"), "pcie\n")?;
        link(
            Path::new("../../").join(controller_of(&disk.name)).as_path(),
            &folder.join("device"),
        )?;
    }
    controller(&sys, &disk.controller)?;
    link(&Path::new("..").join(&block), &sys.join("block").join(&disk.name))?;
    class(&sys, &block, &disk.name)?;
    node(root, &disk.name, disk.size, &identities(disk), "")?;
    content(root, disk)?;
    for device in &disk.stacked {
        stacked(root, &disk.name, &block, device)?;
    }
    let mut start = 2048;
    for partition in &disk.partitions {
        let name = partition_name(disk, partition.number);
        let part = folder.join(&name);
        put(&part.join("partition"), &format!("{}\n", partition.number))?;
        put(&part.join("start"), &format!("{start}\n"))?;
        put(&part.join("size"), &format!("{}\n", partition.size / 512))?;
        put(&part.join("ro"), "0\n")?;
        fs::create_dir_all(part.join("holders"))?;
        start += partition.size / 512;
        class(&sys, &block.join(&name), &name)?;
        let suffix = format!("-part{}", partition.number);
        node(root, &name, partition.size, &identities(disk), &suffix)?;
        for (position, volume) in partition.volumes.iter().enumerate() {
            mapped(root, &name, &block.join(&name), position, volume)?;
        }
        for device in &partition.stacked {
            stacked(root, &name, &block.join(&name), device)?;
        }
    }
    partitions(root)
}

/// Where disks, partitions and what lies on them stand side by side.
fn class(sys: &Path, device: &Path, name: &str) -> io::Result<()> {
    link(&Path::new("../..").join(device), &sys.join("class/block").join(name))
}

/// What a read of the disk finds: a file of its size in the place of the device, empty but for what was written to it.
fn content(root: &Path, disk: &DiskSpec) -> io::Result<()> {
    let place = root.join("dev").join(&disk.name);
    if disk.unreadable {
        fs::remove_file(&place)?;
        // A file that opens, and of which the kernel reads nothing for anybody: EIO, as from a disk that is dying.
        return symlink("/proc/self/mem", &place);
    }
    if disk.hangs {
        fs::remove_file(&place)?;
        // Whoever opens it for reading waits for one who writes.
        return Ok(nix::unistd::mkfifo(
            &place,
            nix::sys::stat::Mode::from_bits_truncate(0o600),
        )?);
    }
    let file = fs::OpenOptions::new().write(true).open(&place)?;
    for offset in &disk.filled {
        file.write_all_at(b"\x17", *offset)?;
    }
    Ok(())
}

/// Shows other partitions. The disk itself stays, with what somebody may have written to it.
pub(crate) fn changed(root: &Path, before: &DiskSpec, now: &DiskSpec) -> io::Result<()> {
    let sys = root.join("sys").join(block_folder(before));
    for partition in &before.partitions {
        let name = partition_name(before, partition.number);
        fs::remove_dir_all(sys.join(&name))?;
        unlink(root, &name, &identities(before), &format!("-part{}", partition.number))?;
    }
    add(root, now)
}

/// What the kernel shows of a device that lies on another.
fn stacked(root: &Path, below: &str, block: &Path, device: &StackedSpec) -> io::Result<()> {
    let sys = root.join("sys");
    let folder = sys.join("devices/virtual/block").join(&device.kname);
    put(&folder.join("size"), &format!("{}\n", device.size / 512))?;
    put(&folder.join("ro"), "0\n")?;
    fs::create_dir_all(folder.join("holders"))?;
    if device.kname.starts_with("dm-") {
        let maker = match device.kind.as_str() {
            "lvm" => "LVM",
            "crypt" => "CRYPT-LUKS2",
            "mpath" => "mpath",
            _ => "other",
        };
        put(&folder.join("dm/name"), &format!("{}\n", device.name))?;
        put(&folder.join("dm/uuid"), &format!("{maker}-{}\n", device.name))?;
    }
    let up: PathBuf = block.components().map(|_| "..").collect();
    let own = Path::new("devices/virtual/block").join(&device.kname);
    link(
        &Path::new("../../../../..").join(block),
        &folder.join("slaves").join(below),
    )?;
    link(
        &up.join("..").join(&own),
        &sys.join(block).join("holders").join(&device.kname),
    )?;
    link(&Path::new("..").join(&own), &sys.join("block").join(&device.kname))?;
    class(&sys, &own, &device.kname)?;
    put(&root.join("dev").join(&device.kname), "")
}

/// Makes a disk vanish. Links that lead to another one of the same identity stay.
pub(crate) fn remove(root: &Path, disk: &DiskSpec) -> io::Result<()> {
    fs::remove_dir_all(root.join("sys").join(device_folder(disk)))?;
    fs::remove_file(root.join("sys/block").join(&disk.name))?;
    unlink(root, &disk.name, &identities(disk), "")?;
    for partition in &disk.partitions {
        let name = partition_name(disk, partition.number);
        unlink(root, &name, &identities(disk), &format!("-part{}", partition.number))?;
    }
    partitions(root)
}

/// `/proc/partitions`: every disk and partition with its size in KiB. The numbers are not those that `lsblk` shows.
fn partitions(root: &Path) -> io::Result<()> {
    let mut lines = Vec::new();
    for disk in names(&root.join("sys/block"))? {
        let folder = root.join("sys/block").join(&disk);
        lines.push((folder.join("size"), disk.clone()));
        for part in names(&folder)?.into_iter().filter(|name| name.starts_with(&disk)) {
            lines.push((folder.join(&part).join("size"), part));
        }
    }
    let mut text = String::from("major minor  #blocks  name\n\n");
    for (minor, (size, name)) in lines.into_iter().enumerate() {
        let sectors: u64 = fs::read_to_string(size)?.trim().parse().unwrap_or(0);
        text.push_str(&format!("{:4}  {minor:7} {:10} {name}\n", 259, sectors / 2));
    }
    put(&root.join("proc/partitions"), &text)
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

fn unlink(root: &Path, name: &str, identities: &[String], suffix: &str) -> io::Result<()> {
    let gone = |path: PathBuf| match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    gone(root.join("dev").join(name))?;
    gone(root.join("sys/class/block").join(name))?;
    for identity in identities {
        let link = root.join("dev/disk/by-id").join(format!("{identity}{suffix}"));
        if fs::read_link(&link).is_ok_and(|target| target.ends_with(name)) {
            fs::remove_file(link)?;
        }
    }
    Ok(())
}

fn controller(sys: &Path, spec: &ControllerSpec) -> io::Result<()> {
    let bus = spec.address.rsplit_once(':').map_or("0000:00", |(bus, _)| bus);
    let folder = sys.join(format!("devices/pci{bus}/{}", spec.address));
    let (class, vendor) = match spec.driver.as_str() {
        "nvme" => ("0x010802", "0x8086"),
        "ahci" => ("0x010601", "0x8086"),
        "megaraid_sas" => ("0x010400", "0x1000"),
        "virtio-pci" => ("0x010000", "0x1af4"),
        _ => ("0x010700", "0x1000"),
    };
    put(&folder.join("class"), &format!("{class}\n"))?;
    put(&folder.join("vendor"), &format!("{vendor}\n"))?;
    fs::create_dir_all(sys.join("bus/pci/drivers").join(&spec.driver))?;
    fs::create_dir_all(sys.join("bus/pci/devices"))?;
    fs::create_dir_all(sys.join("bus/scsi/drivers/sd"))?;
    link(
        Path::new("../../../bus/pci/drivers").join(&spec.driver).as_path(),
        &folder.join("driver"),
    )?;
    link(Path::new("../../../bus/pci"), &folder.join("subsystem"))?;
    link(
        &Path::new("../../../devices").join(format!("pci{bus}/{}", spec.address)),
        &sys.join("bus/pci/devices").join(&spec.address),
    )
}

fn mapped(root: &Path, below: &str, block: &Path, position: usize, volume: &VolumeSpec) -> io::Result<()> {
    let name = format!("dm-{position}");
    let sys = root.join("sys");
    let folder = sys.join("devices/virtual/block").join(&name);
    put(&folder.join("size"), &format!("{}\n", volume.size / 512))?;
    put(&folder.join("dm/name"), &format!("{}-{}\n", volume.group, volume.name))?;
    put(
        &folder.join("dm/uuid"),
        &format!("LVM-{}{}\n", volume.group, volume.name),
    )?;
    put(&folder.join("queue/rotational"), "0\n")?;
    put(&folder.join("ro"), "0\n")?;
    fs::create_dir_all(folder.join("slaves"))?;
    fs::create_dir_all(folder.join("holders"))?;
    link(
        &Path::new("../../../../..").join(block),
        &folder.join("slaves").join(below),
    )?;
    let up: PathBuf = block.components().map(|_| "..").collect();
    link(
        &up.join("../devices/virtual/block").join(&name),
        &sys.join(block).join("holders").join(&name),
    )?;
    link(
        &Path::new("../devices/virtual/block").join(&name),
        &sys.join("block").join(&name),
    )?;
    class(&sys, &Path::new("devices/virtual/block").join(&name), &name)?;
    let link_name = format!("dm-name-{}-{}", volume.group, volume.name);
    node(root, &name, volume.size, &[link_name], "")?;
    let mapper = root.join("dev/mapper");
    fs::create_dir_all(&mapper)?;
    link(
        &Path::new("..").join(&name),
        &mapper.join(format!("{}-{}", volume.group, volume.name)),
    )
}

/// A file as large as the device, empty, in `/dev` (an ordinary user can make no device nodes), and the links to it. One that is
/// there is kept.
fn node(root: &Path, name: &str, size: u64, identities: &[String], suffix: &str) -> io::Result<()> {
    let place = root.join("dev").join(name);
    fs::create_dir_all(root.join("dev"))?;
    let mut options = fs::OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).open(&place)?;
    // Nothing of it is allocated. Where so large a file can't be, an empty one has to do.
    if file.set_len(size).is_err() {
        file.set_len(0)?;
    }
    let by_id = root.join("dev/disk/by-id");
    fs::create_dir_all(&by_id)?;
    for identity in identities {
        link(
            &Path::new("../..").join(name),
            &by_id.join(format!("{identity}{suffix}")),
        )?;
    }
    Ok(())
}

fn link(target: &Path, place: &Path) -> io::Result<()> {
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    match symlink(target, place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
