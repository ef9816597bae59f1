//! `lsblk --json`, in util-linux's own layout.

use std::fmt::Write as _;

use super::Reply;
use crate::description::{DiskSpec, PartitionSpec, StackedSpec, VolumeSpec};
use crate::roots::disks;
use crate::world::server::Server;

const COST: u64 = 5;

/// Every column, in the order of `-O`.
const COLUMNS: &[&str] = &[
    "alignment",
    "disc-aln",
    "dax",
    "disc-gran",
    "disc-max",
    "disc-zero",
    "fsavail",
    "fsroots",
    "fssize",
    "fstype",
    "fsused",
    "fsuse%",
    "fsver",
    "group",
    "hctl",
    "hotplug",
    "kname",
    "label",
    "log-sec",
    "maj:min",
    "min-io",
    "mode",
    "model",
    "name",
    "opt-io",
    "owner",
    "partflags",
    "partlabel",
    "parttype",
    "parttypename",
    "partuuid",
    "path",
    "phy-sec",
    "pkname",
    "pttype",
    "ptuuid",
    "ra",
    "rand",
    "rev",
    "rm",
    "ro",
    "rota",
    "rq-size",
    "sched",
    "serial",
    "size",
    "start",
    "state",
    "subsystems",
    "mountpoint",
    "mountpoints",
    "tran",
    "type",
    "uuid",
    "vendor",
    "wsame",
    "wwn",
    "zoned",
    "zone-sz",
    "zone-wgran",
    "zone-app",
    "zone-nr",
    "zone-omax",
    "zone-amax",
];

const DEFAULT: &[&str] = &["name", "maj:min", "rm", "size", "ro", "type", "mountpoints"];

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let mut options = Options {
        columns: DEFAULT.to_vec(),
        nodeps: false,
        device: None,
    };
    let (mut json, mut bytes) = (false, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "-J" | "--json" => json = true,
            "-b" | "--bytes" => bytes = true,
            "-d" | "--nodeps" => options.nodeps = true,
            "-O" | "--output-all" => options.columns = COLUMNS.to_vec(),
            "-o" | "--output" => match columns(server, args.next()?) {
                Ok(list) => options.columns = list,
                Err(reply) => return Some((COST, reply)),
            },
            other => match other.strip_prefix("--output=") {
                Some(list) => match columns(server, list) {
                    Ok(list) => options.columns = list,
                    Err(reply) => return Some((COST, reply)),
                },
                None if other.starts_with("/dev/") && options.device.is_none() => options.device = Some(other),
                None => return None,
            },
        }
    }
    // Sizes for people and tables are not for machines.
    if !json || !bytes {
        return None;
    }
    Some((COST, print(server, &options)))
}

struct Options<'a> {
    columns: Vec<&'static str>,
    nodeps: bool,
    device: Option<&'a str>,
}

/// util-linux 2.36, which PVE 7 has, does not know them yet.
const SINCE_2_37: [&str; 2] = ["mountpoints", "fsroots"];

/// From util-linux's source: a column that is not known is named with all that stand behind it.
fn columns(server: &Server, list: &str) -> Result<Vec<&'static str>, Reply> {
    let known = |name: &str| {
        let lower = name.to_ascii_lowercase();
        let older = server.spec.major() < 8 && SINCE_2_37.contains(&lower.as_str());
        COLUMNS.iter().find(|column| **column == lower && !older).copied()
    };
    let names: Vec<&str> = list.split(',').collect();
    let found = names.iter().enumerate().map(|(place, name)| {
        let rest = || names.get(place..).unwrap_or_default().join(",");
        known(name).ok_or_else(|| Reply::fail(1, format!("lsblk: unknown column: {}\n", rest())))
    });
    found.collect()
}

fn print(server: &Server, options: &Options<'_>) -> Reply {
    let all = devices(server);
    let roots: Vec<&Device> = match options.device {
        None => all.iter().collect(),
        Some(path) => find(&all, &target(server, path)).into_iter().collect(),
    };
    let mut text = String::from("{\n   \"blockdevices\": [\n");
    if roots.is_empty() {
        text.push_str("\n   ]\n}\n");
        let stderr = options
            .device
            .map(|path| format!("lsblk: {path}: not a block device\n"))
            .unwrap_or_default();
        return Reply {
            stdout: text,
            code: if stderr.is_empty() { 0 } else { 32 },
            stderr,
        };
    }
    list(&mut text, &roots, options, 6);
    text.push_str("\n   ]\n}\n");
    Reply::ok(text)
}

fn list(text: &mut String, devices: &[&Device], options: &Options<'_>, indent: usize) {
    let pad = " ".repeat(indent);
    for (position, device) in devices.iter().enumerate() {
        let open = if position == 0 {
            format!("{pad}{{\n")
        } else {
            ",{\n".to_owned()
        };
        text.push_str(&open);
        let lines: Vec<String> = options
            .columns
            .iter()
            .map(|column| format!("{pad}   \"{column}\": {}", value(device, column, indent)))
            .collect();
        text.push_str(&lines.join(",\n"));
        if !options.nodeps && !device.children.is_empty() {
            write!(text, ",\n{pad}   \"children\": [\n").ok();
            list(text, &device.children.iter().collect::<Vec<_>>(), options, indent + 6);
            write!(text, "\n{pad}   ]").ok();
        }
        write!(text, "\n{pad}}}").ok();
    }
}

/// One line of the tree.
struct Device {
    name: String,
    kname: String,
    path: String,
    kind: String,
    size: u64,
    start: Option<u64>,
    parent: Option<String>,
    fstype: Option<String>,
    label: Option<String>,
    uuid: Option<String>,
    mountpoint: Option<String>,
    pttype: Option<String>,
    parttype: Option<String>,
    parttypename: Option<String>,
    partlabel: Option<String>,
    maj_min: String,
    disk: DiskSpec,
    /// It lies on a disk or a partition.
    stacked: bool,
    children: Vec<Device>,
}

fn devices(server: &Server) -> Vec<Device> {
    let (mut sd, mut nvme) = (0, 0);
    server
        .disks
        .iter()
        .map(|disk| {
            let (major, minor) = if disks::is_virtio(disk) {
                sd += 1;
                (254, (sd - 1) * 16)
            } else if disk.name.starts_with("nvme") {
                nvme += 1;
                (259, (nvme - 1) * 16)
            } else {
                sd += 1;
                (8, (sd - 1) * 16)
            };
            whole(server, disk, major, minor)
        })
        .collect()
}

/// What lies on a disk or a partition and is shown.
fn on(below: &str, disk: &DiskSpec, list: &[StackedSpec]) -> Vec<Device> {
    let shown = list.iter().filter(|device| !device.hidden);
    let mapper = |device: &StackedSpec| device.kname.starts_with("dm-");
    shown
        .map(|device| Device {
            path: if mapper(device) {
                format!("/dev/mapper/{}", device.name)
            } else {
                format!("/dev/{}", device.name)
            },
            name: device.name.clone(),
            kname: device.kname.clone(),
            kind: device.kind.clone(),
            size: device.size,
            start: None,
            parent: Some(below.to_owned()),
            fstype: device.fstype.clone(),
            label: None,
            uuid: None,
            mountpoint: device.mountpoint.clone(),
            pttype: None,
            parttype: None,
            parttypename: None,
            partlabel: None,
            maj_min: if mapper(device) { "252:9" } else { "9:0" }.to_owned(),
            disk: disk.clone(),
            stacked: true,
            children: Vec::new(),
        })
        .collect()
}

fn whole(server: &Server, disk: &DiskSpec, major: u32, minor: u32) -> Device {
    let mut start = 2048;
    let partitions = disk.partitions.iter().map(|part| {
        let device = partition(server, disk, part, start, format!("{major}:{}", minor + part.number));
        start += part.size / 512;
        device
    });
    let children = partitions.chain(on(&disk.name, disk, &disk.stacked)).collect();
    Device {
        name: disk.name.clone(),
        kname: disk.name.clone(),
        path: format!("/dev/{}", disk.name),
        kind: "disk".to_owned(),
        size: disk.size,
        start: None,
        parent: None,
        fstype: disk.fstype.clone(),
        label: disk.label.clone(),
        uuid: None,
        mountpoint: disk.mountpoint.clone(),
        pttype: disk.pttype.clone(),
        parttype: None,
        parttypename: None,
        partlabel: None,
        maj_min: format!("{major}:{minor}"),
        disk: disk.clone(),
        stacked: false,
        children,
    }
}

fn partition(server: &Server, disk: &DiskSpec, part: &PartitionSpec, start: u64, maj_min: String) -> Device {
    let name = disks::partition_name(disk, part.number);
    let children = part
        .volumes
        .iter()
        .map(|volume| mapped(server, disk, &name, volume))
        .chain(on(&name, disk, &part.stacked))
        .collect();
    Device {
        path: format!("/dev/{name}"),
        kname: name.clone(),
        name,
        kind: "part".to_owned(),
        size: part.size,
        start: Some(start),
        parent: Some(disk.name.clone()),
        fstype: part.fstype.clone(),
        label: part.label.clone(),
        uuid: part.uuid.clone(),
        mountpoint: part.mountpoint.clone(),
        pttype: disk.pttype.clone(),
        parttype: part.parttype.clone(),
        parttypename: part.parttypename.clone(),
        partlabel: part.partlabel.clone(),
        maj_min,
        disk: disk.clone(),
        stacked: false,
        children,
    }
}

fn mapped(server: &Server, disk: &DiskSpec, parent: &str, volume: &VolumeSpec) -> Device {
    let kname = disks::dm_name(&server.disks, &disk.name, volume);
    let name = format!("{}-{}", volume.group, volume.name);
    Device {
        path: format!("/dev/mapper/{name}"),
        name,
        maj_min: format!("252:{}", kname.trim_start_matches("dm-")),
        kname,
        kind: "lvm".to_owned(),
        size: volume.size,
        start: None,
        parent: Some(parent.to_owned()),
        fstype: volume.fstype.clone(),
        label: None,
        uuid: None,
        mountpoint: volume.mountpoint.clone(),
        pttype: None,
        parttype: None,
        parttypename: None,
        partlabel: None,
        disk: disk.clone(),
        stacked: true,
        children: Vec::new(),
    }
}

/// Where a path leads to.
fn target(server: &Server, path: &str) -> String {
    match crate::world::zfs::disks::at(&server.disks, path) {
        Some((disk, None)) => format!("/dev/{}", disk.name),
        Some((disk, Some(number))) => format!("/dev/{}", disks::partition_name(disk, number)),
        None => path.to_owned(),
    }
}

fn find<'a>(devices: &'a [Device], path: &str) -> Option<&'a Device> {
    devices.iter().find_map(|device| {
        if device.path == path {
            Some(device)
        } else {
            find(&device.children, path)
        }
    })
}

fn text(value: Option<&str>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| serde_json::Value::from(value).to_string())
}

fn value(device: &Device, column: &str, indent: usize) -> String {
    let disk = &device.disk;
    let is_disk = device.kind == "disk" && !device.stacked;
    let of_disk = |value: &Option<String>| text(value.as_deref().filter(|_| is_disk));
    let inherited = |value: &Option<String>| text(value.as_deref().filter(|_| !device.stacked));
    let array = |item: String| format!("[\n{pad}       {item}\n{pad}   ]", pad = " ".repeat(indent));
    let mountable = device.mountpoint.as_deref().filter(|point| point.starts_with('/'));
    match column {
        "name" => text(Some(&device.name)),
        "kname" => text(Some(&device.kname)),
        "path" => text(Some(&device.path)),
        "type" => text(Some(&device.kind)),
        "size" => device.size.to_string(),
        "start" => device
            .start
            .map_or_else(|| "null".to_owned(), |start| start.to_string()),
        "pkname" => text(device.parent.as_deref()),
        "fstype" => text(device.fstype.as_deref()),
        "label" => text(device.label.as_deref()),
        "uuid" => text(device.uuid.as_deref()),
        "mountpoint" => text(device.mountpoint.as_deref()),
        "mountpoints" => array(text(device.mountpoint.as_deref())),
        "fsroots" => array(text(mountable.map(|_| "/"))),
        "fssize" | "fsavail" => mountable.map_or_else(|| "null".to_owned(), |_| (device.size / 10 * 9).to_string()),
        "fsused" => mountable.map_or_else(|| "null".to_owned(), |_| (device.size / 20).to_string()),
        "fsuse%" => text(mountable.map(|_| "5%")),
        "pttype" => text(device.pttype.as_deref()),
        "parttype" => text(device.parttype.as_deref()),
        "parttypename" => text(device.parttypename.as_deref()),
        "partlabel" => text(device.partlabel.as_deref()),
        "maj:min" => text(Some(&device.maj_min)),
        "model" => of_disk(&disk.model),
        "vendor" => of_disk(&disk.vendor),
        "serial" => of_disk(&disk.serial),
        "rev" => of_disk(&disk.rev),
        "hctl" => of_disk(&disk.hctl),
        "wwn" => inherited(&disk.wwn),
        "tran" => match disk.transport.as_deref() {
            // util-linux tells partitions' transport only for NVMe.
            Some("nvme") => inherited(&disk.transport),
            _ => of_disk(&disk.transport),
        },
        "state" => match (is_disk, device.kname.starts_with("dm-")) {
            // virtio's driver has none.
            (true, _) if disks::is_virtio(disk) => "null".to_owned(),
            (true, _) => text(Some(if disk.hctl.is_some() { "running" } else { "live" })),
            (_, true) => text(Some("running")),
            _ => "null".to_owned(),
        },
        "rota" => disk.rotational.to_string(),
        "rand" => "false".to_owned(),
        "rm" | "hotplug" => (disk.removable && !device.stacked).to_string(),
        "ro" => disk.read_only.to_string(),
        "dax" | "disc-zero" => "false".to_owned(),
        "phy-sec" => disk.physical_sector.to_string(),
        "min-io" => disk.physical_sector.to_string(),
        "log-sec" => "512".to_owned(),
        "ra" => "128".to_owned(),
        "rq-size" => "256".to_owned(),
        "sched" => text((!device.stacked).then_some(if disk.rotational { "mq-deadline" } else { "none" })),
        "group" => text(Some("disk")),
        "owner" => text(Some("root")),
        "mode" => text(Some("brw-rw----")),
        "subsystems" => text(Some(match (device.stacked, disk.hctl.is_some()) {
            (true, _) => "block",
            (_, true) => "block:scsi:pci",
            (_, false) if disks::is_virtio(disk) => "block:virtio:pci",
            (_, false) => "block:nvme:pci",
        })),
        "zoned" => text(Some("none")),
        "alignment" | "disc-aln" | "disc-gran" | "disc-max" | "opt-io" | "wsame" => "0".to_owned(),
        column if column.starts_with("zone-") => "0".to_owned(),
        _ => "null".to_owned(),
    }
}
