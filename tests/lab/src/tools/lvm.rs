//! `pvs`, `vgs` and `lvs`, in LVM's JSON report.

use super::Reply;
use crate::description::{PartitionSpec, StackedSpec};
use crate::roots::disks;
use crate::world::server::Server;

const COST: u64 = 35;

pub(super) fn reply(server: &Server, tool: &str, args: &[&str]) -> Option<(u64, Reply)> {
    let json = args.windows(2).any(|pair| pair == ["--reportformat", "json"]) || args.contains(&"--reportformat=json");
    if !json {
        return None;
    }
    let columns = columns(args)?;
    let (kind, rows) = match tool {
        "pvs" => ("pv", physical(server)),
        "vgs" => ("vg", groups(server)),
        _ => ("lv", logical(server)),
    };
    let defaults: Vec<&str> = match kind {
        "pv" => vec!["pv_name", "vg_name", "pv_fmt", "pv_attr", "pv_size", "pv_free"],
        "vg" => vec![
            "vg_name",
            "pv_count",
            "lv_count",
            "snap_count",
            "vg_attr",
            "vg_size",
            "vg_free",
        ],
        _ => vec!["lv_name", "vg_name", "lv_attr", "lv_size"],
    };
    let wanted = columns.unwrap_or(defaults);
    let mut lines = Vec::new();
    for row in rows {
        let mut fields = Vec::new();
        for column in &wanted {
            let (_, value) = row.iter().find(|(name, _)| name == column)?;
            fields.push(format!("\"{column}\":\"{value}\""));
        }
        lines.push(format!("                  {{{}}}", fields.join(", ")));
    }
    let body = if lines.is_empty() {
        String::new()
    } else {
        format!("{}\n", lines.join(",\n"))
    };
    let text = format!(
        "  {{\n      \"report\": [\n          {{\n              \"{kind}\": [\n{body}              ]\n          }}\n      ]\n  }}\n"
    );
    Some((COST, Reply::ok(text)))
}

fn columns<'a>(args: &[&'a str]) -> Option<Option<Vec<&'a str>>> {
    let mut found = None;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "-o" | "--options" => found = Some(args.next()?.split(',').collect()),
            "--reportformat" | "--units" => {
                args.next()?;
            }
            "--reportformat=json" | "--units=b" | "--nosuffix" | "--noheadings" | "--readonly" => {}
            _ => return None,
        }
    }
    Some(found)
}

type Row = Vec<(&'static str, String)>;

fn physical(server: &Server) -> Vec<Row> {
    let mut rows = Vec::new();
    for disk in &server.disks {
        for part in disk.partitions.iter().filter(|part| !part.volumes.is_empty()) {
            let used: u64 = part.volumes.iter().map(|volume| volume.size).sum();
            rows.push(vec![
                ("pv_name", format!("/dev/{}", disks::partition_name(disk, part.number))),
                (
                    "vg_name",
                    part.volumes
                        .first()
                        .map(|volume| volume.group.clone())
                        .unwrap_or_default(),
                ),
                ("pv_fmt", "lvm2".to_owned()),
                ("pv_attr", "a--".to_owned()),
                ("pv_size", format!("{}B", part.size)),
                ("pv_free", format!("{}B", part.size.saturating_sub(used))),
                ("pv_uuid", part.uuid.clone().unwrap_or_default()),
            ]);
        }
    }
    for (device, size, on_it) in on_whole_devices(server) {
        let group = on_it
            .iter()
            .find_map(|device| named(&device.name))
            .map(|(group, _)| group);
        rows.push(vec![
            ("pv_name", device),
            ("vg_name", group.unwrap_or_default()),
            ("pv_fmt", "lvm2".to_owned()),
            ("pv_attr", if on_it.is_empty() { "---" } else { "a--" }.to_owned()),
            ("pv_size", format!("{size}B")),
            ("pv_free", "0B".to_owned()),
            ("pv_uuid", String::new()),
        ]);
    }
    rows
}

/// Physical volumes that are described by what lies on them, if anything does.
fn on_whole_devices(server: &Server) -> Vec<(String, u64, &[StackedSpec])> {
    let mut found = Vec::new();
    for disk in &server.disks {
        if disk.fstype.as_deref() == Some("LVM2_member") {
            found.push((format!("/dev/{}", disk.name), disk.size, disk.stacked.as_slice()));
        }
        let bare = |part: &&PartitionSpec| part.fstype.as_deref() == Some("LVM2_member") && part.volumes.is_empty();
        for part in disk.partitions.iter().filter(bare) {
            let name = format!("/dev/{}", disks::partition_name(disk, part.number));
            found.push((name, part.size, part.stacked.as_slice()));
        }
    }
    found
}

/// Group and volume of a device-mapper name, in which hyphens of both are doubled.
fn named(name: &str) -> Option<(String, String)> {
    let shielded = name.replace("--", "\0");
    let (group, volume) = shielded.split_once('-')?;
    Some((group.replace('\0', "-"), volume.replace('\0', "-")))
}

fn groups(server: &Server) -> Vec<Row> {
    let parts = server
        .disks
        .iter()
        .flat_map(|disk| &disk.partitions)
        .filter(|part| !part.volumes.is_empty());
    parts
        .map(|part| {
            let used: u64 = part.volumes.iter().map(|volume| volume.size).sum();
            vec![
                (
                    "vg_name",
                    part.volumes
                        .first()
                        .map(|volume| volume.group.clone())
                        .unwrap_or_default(),
                ),
                ("pv_count", "1".to_owned()),
                ("lv_count", part.volumes.len().to_string()),
                ("snap_count", "0".to_owned()),
                ("vg_attr", "wz--n-".to_owned()),
                ("vg_size", format!("{}B", part.size)),
                ("vg_free", format!("{}B", part.size.saturating_sub(used))),
            ]
        })
        .collect()
}

fn logical(server: &Server) -> Vec<Row> {
    let mut rows = Vec::new();
    for disk in &server.disks {
        for part in &disk.partitions {
            for volume in &part.volumes {
                rows.push(vec![
                    ("lv_name", volume.name.clone()),
                    ("vg_name", volume.group.clone()),
                    ("lv_attr", "-wi-ao----".to_owned()),
                    ("lv_size", format!("{}B", volume.size)),
                    ("lv_path", format!("/dev/{}/{}", volume.group, volume.name)),
                    ("lv_tags", String::new()),
                    (
                        "devices",
                        format!("/dev/{}(0)", disks::partition_name(disk, part.number)),
                    ),
                ]);
            }
        }
    }
    for (device, _, on_it) in on_whole_devices(server) {
        for volume in on_it.iter().filter(|device| device.kind == "lvm") {
            let Some((group, name)) = named(&volume.name) else {
                continue;
            };
            rows.push(vec![
                ("lv_path", format!("/dev/{group}/{name}")),
                ("lv_name", name),
                ("vg_name", group),
                ("lv_attr", "-wi-ao----".to_owned()),
                ("lv_size", format!("{}B", volume.size)),
                ("lv_tags", volume.tags.clone()),
                ("devices", format!("{device}(0)")),
            ]);
        }
    }
    rows
}
