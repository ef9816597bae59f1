//! `qm list`, `pct list`, and what PVE's API lists of a node's guests.

use serde_json::{Map, Value, json};

use super::super::Reply;
use crate::description::GuestKind;
use crate::world::clock::SimTime;
use crate::world::guests::Guest;
use crate::world::server::Server;

pub(super) fn reply(server: &Server, tool: &str, args: &[&str]) -> Option<(u64, Reply)> {
    if args != ["list"] {
        return None;
    }
    let kind = if tool == "qm" { GuestKind::Qemu } else { GuestKind::Lxc };
    let own: Vec<_> = server.guests().filter(|(_, guest)| guest.kind == kind).collect();
    let mut text = String::new();
    if !own.is_empty() {
        text.push_str(match kind {
            GuestKind::Qemu => "      VMID NAME                 STATUS     MEM(MB)    BOOTDISK(GB) PID       \n",
            GuestKind::Lxc => "VMID       Status     Lock         Name                \n",
        });
    }
    for (vmid, guest) in own {
        let name = guest.name(vmid);
        let line = match kind {
            GuestKind::Qemu => {
                let pid = server.running.get(&vmid).map_or(0, |process| process.pid);
                format!(
                    "{vmid:>10} {name:20} {:10} {:<10} {:>12.2} {pid:<10}\n",
                    status(server, vmid),
                    guest.memory(),
                    gib(guest.boot_disk()),
                )
            }
            GuestKind::Lxc => {
                let lock = guest.value("lock").unwrap_or_default();
                format!("{vmid:<10} {:10} {lock:12} {name:20}\n", status(server, vmid))
            }
        };
        text.push_str(&line);
    }
    Some((440, Reply::ok(text)))
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

pub(super) fn status(server: &Server, vmid: u32) -> &'static str {
    if server.running.contains_key(&vmid) {
        "running"
    } else {
        "stopped"
    }
}

/// `/nodes/NODE/qemu` and `/lxc`. Source: qemu-server QemuServer.pm and pve-container LXC.pm (`vmstatus`); Perl's hashes have no order.
pub(in crate::tools) fn list(server: &Server, now: SimTime, kind: GuestKind) -> Value {
    let own = server.guests().filter(|(_, guest)| guest.kind == kind);
    Value::Array(own.map(|(vmid, guest)| entry(server, now, vmid, guest)).collect())
}

pub(super) fn entry(server: &Server, now: SimTime, vmid: u32, guest: &Guest) -> Value {
    let process = server.running.get(&vmid);
    let memory = guest.memory() << 20;
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| {
        map.insert(key.to_owned(), value);
    };
    put("vmid", json!(vmid));
    put("name", json!(guest.name(vmid)));
    put("status", json!(status(server, vmid)));
    put("cpus", json!(guest.cpus()));
    put("cpu", json!(0));
    put("maxmem", json!(memory));
    put("mem", json!(if process.is_some() { memory / 3 } else { 0 }));
    put("maxdisk", json!(guest.boot_disk()));
    for nothing in ["disk", "diskread", "diskwrite", "netin", "netout"] {
        put(nothing, json!(0));
    }
    let uptime = process.map_or(0, |process| now.saturating_sub(process.since).as_secs());
    put("uptime", json!(uptime));
    if let Some(process) = process {
        put("pid", json!(process.pid));
    }
    for key in ["lock", "tags"] {
        if let Some(value) = guest.value(key) {
            put(key, json!(value));
        }
    }
    if guest.is_template() {
        put("template", json!(1));
    }
    if guest.kind == GuestKind::Lxc {
        put("type", json!("lxc"));
        put("swap", json!(0));
        put("maxswap", json!(512 << 20));
    }
    Value::Object(map)
}
