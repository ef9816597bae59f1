//! `smartctl -j`.

use serde_json::{Map, Value, json};

use super::Reply;
use crate::description::{DiskSpec, SmartSpec};
use crate::roots::disks;
use crate::world::clock;
use crate::world::server::Server;

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let json = args.iter().any(|arg| ["-j", "--json", "--json=c", "-jc"].contains(arg));
    if !json {
        return None;
    }
    if args.contains(&"--scan") {
        return Some((200, Reply::ok(text(scan(server, args)))));
    }
    // Told to leave sleeping disks alone: none sleeps here.
    let args_without = without(args, "-n");
    let known = [
        "-j", "--json", "--json=c", "-jc", "-a", "--all", "-x", "--xall", "-i", "-H", "-A",
    ];
    let device = match args_without
        .iter()
        .filter(|arg| !known.contains(arg))
        .collect::<Vec<_>>()
        .as_slice()
    {
        [device] if device.starts_with("/dev/") => **device,
        _ => return None,
    };
    let name = device.trim_start_matches("/dev/");
    let disk = server
        .disks
        .iter()
        .find(|disk| disk.name == name || (disk.name.starts_with(name) && name.starts_with("nvme")));
    let (value, code) = match disk {
        None => (
            head(
                server,
                args,
                1,
                Some(&format!("{device}: Unable to detect device type")),
            ),
            1,
        ),
        Some(disk) => report(server, args, device, disk),
    };
    Some((
        200,
        Reply {
            stdout: text(value),
            stderr: String::new(),
            code,
        },
    ))
}

/// The arguments without an option and its value.
fn without<'a>(args: &[&'a str], option: &str) -> Vec<&'a str> {
    let mut rest = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if *arg == option {
            args.next();
        } else {
            rest.push(*arg);
        }
    }
    rest
}

fn text(value: Value) -> String {
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

fn head(server: &Server, args: &[&str], code: i32, message: Option<&str>) -> Value {
    let argv: Vec<&str> = std::iter::once("smartctl").chain(args.iter().copied()).collect();
    let mut smartctl = json!({
        "version": [7, 3], "svn_revision": "5338", "platform_info": "x86_64-linux-6.8.12-11-pve",
        "build_info": "(local build)", "argv": argv, "exit_status": code,
    });
    if let (Some(message), Some(map)) = (message, smartctl.as_object_mut()) {
        map.insert("messages".to_owned(), json!([{"string": message, "severity": "error"}]));
    }
    let now = server.now();
    json!({
        "json_format_version": [1, 0], "smartctl": smartctl,
        "local_time": {"time_t": now.as_second(), "asctime": clock::ctime(now) + " UTC"},
    })
}

fn scan(server: &Server, args: &[&str]) -> Value {
    let mut value = head(server, args, 0, None);
    let devices: Vec<Value> = server
        .disks
        .iter()
        .map(|disk| device(&format!("/dev/{}", disk.name), disk))
        .collect();
    if let Some(map) = value.as_object_mut() {
        map.insert("devices".to_owned(), Value::Array(devices));
    }
    value
}

fn device(path: &str, disk: &DiskSpec) -> Value {
    let (kind, protocol) = match disk.transport.as_deref() {
        Some("nvme") => ("nvme", "NVMe"),
        Some("sata") => ("sat", "ATA"),
        _ => ("scsi", "SCSI"),
    };
    json!({"name": path, "info_name": path, "type": kind, "protocol": protocol})
}

fn report(server: &Server, args: &[&str], path: &str, disk: &DiskSpec) -> (Value, i32) {
    let SmartSpec::Answers {
        passed,
        used_percent,
        hours,
        temperature,
        bad_sectors,
    } = disk.smart
    else {
        // Captured.
        if disks::is_virtio(disk) {
            let message = format!("{path}: Unable to detect device type");
            return (head(server, args, 1, Some(&message)), 1);
        }
        if disk.vendor.as_deref().map(str::trim) == Some("DELL") {
            let message = format!(
                "Smartctl open device: {path} failed: DELL or MegaRaid controller, please try adding '-d megaraid,N'"
            );
            return (head(server, args, 2, Some(&message)), 2);
        }
        // A RAID volume: the controller answers, not a drive.
        let mut value = head(server, args, 4, None);
        if let Some(map) = value.as_object_mut() {
            map.insert("device".to_owned(), device(path, disk));
            map.insert(
                "scsi_vendor".to_owned(),
                json!(disk.vendor.as_deref().unwrap_or_default().trim()),
            );
            map.insert("scsi_product".to_owned(), json!(disk.model));
            map.insert(
                "user_capacity".to_owned(),
                json!({"blocks": disk.size / 512, "bytes": disk.size}),
            );
        }
        return (value, 4);
    };
    let code = if passed { 0 } else { 8 };
    let mut value = head(server, args, code, None);
    let Some(map) = value.as_object_mut() else {
        return (value, code);
    };
    let mut put = |key: &str, value: Value| {
        map.insert(key.to_owned(), value);
    };
    put("device", device(path, disk));
    put("model_name", json!(disk.model));
    put("serial_number", json!(disk.serial));
    put("firmware_version", json!(disk.rev));
    put("user_capacity", json!({"blocks": disk.size / 512, "bytes": disk.size}));
    put("logical_block_size", json!(512));
    put("smart_support", json!({"available": true, "enabled": true}));
    put("smart_status", json!({"passed": passed}));
    put("temperature", json!({"current": temperature}));
    put("power_cycle_count", json!(27));
    put("power_on_time", json!({"hours": hours}));
    if disk.transport.as_deref() == Some("nvme") {
        put(
            "nvme_smart_health_information_log",
            nvme_log(passed, used_percent, hours, temperature, bad_sectors),
        );
    } else {
        put("physical_block_size", json!(disk.physical_sector));
        put("rotation_rate", json!(if disk.rotational { 7200 } else { 0 }));
        if disk.transport.as_deref() == Some("sata") {
            let attributes = ata_attributes(disk, used_percent, hours, bad_sectors);
            put("ata_smart_attributes", attributes);
        } else {
            put("scsi_grown_defect_list", json!(bad_sectors));
            if !disk.rotational {
                put("scsi_percentage_used_endurance_indicator", json!(used_percent));
            }
        }
    }
    (value, code)
}

fn nvme_log(passed: bool, used: u8, hours: u32, temperature: u8, media_errors: u32) -> Value {
    json!({
        "critical_warning": if passed { 0 } else { 4 }, "temperature": temperature, "available_spare": 100,
        "available_spare_threshold": 10, "percentage_used": used, "data_units_read": 1_204_118,
        "data_units_written": 3_001_422, "host_reads": 40_112_094, "host_writes": 81_230_411, "controller_busy_time": 120,
        "power_cycles": 27, "power_on_hours": hours, "unsafe_shutdowns": 3, "media_errors": media_errors, "num_err_log_entries": 0,
        "warning_temp_time": 0, "critical_comp_time": 0,
    })
}

fn ata_attributes(disk: &DiskSpec, used: u8, hours: u32, bad_sectors: u32) -> Value {
    let attribute = |id: u32, name: &str, value: u32, thresh: u32, raw: u64| {
        json!({"id": id, "name": name, "value": value, "worst": value, "thresh": thresh, "when_failed": "",
            "flags": {"value": 50, "string": "-O--CK ", "prefailure": false},
            "raw": {"value": raw, "string": raw.to_string()}})
    };
    let mut table = vec![
        attribute(5, "Reallocated_Sector_Ct", 100, 10, u64::from(bad_sectors)),
        attribute(9, "Power_On_Hours", 98, 0, u64::from(hours)),
        attribute(12, "Power_Cycle_Count", 99, 0, 27),
    ];
    if !disk.rotational {
        table.push(attribute(
            177,
            "Wear_Leveling_Count",
            100_u32.saturating_sub(u32::from(used)),
            5,
            41,
        ));
    }
    let map: Map<String, Value> = [
        ("revision".to_owned(), json!(1)),
        ("table".to_owned(), Value::Array(table)),
    ]
    .into_iter()
    .collect();
    Value::Object(map)
}
