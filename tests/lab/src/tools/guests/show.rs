//! `qm config`, `qm status`, and what PVE's API tells of one guest.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::Reply;
use super::super::io::Stop;
use super::{Asked, list};
use crate::description::GuestKind;
use crate::world::guests::Guest;
use crate::world::server::Server;
use crate::world::state::State;
use crate::world::under_ha;

pub(super) async fn config(asked: Asked<'_>) -> Result<i32, Stop> {
    let mut lines: Vec<String> = asked
        .guest()
        .map(|guest| {
            top(&guest)
                .into_iter()
                .map(|(key, value)| format!("{key}: {value}\n"))
                .collect()
        })
        .unwrap_or_default();
    lines.sort();
    asked.call.reply(20, Reply::ok(lines.concat())).await
}

pub(super) async fn status(asked: Asked<'_>) -> Result<i32, Stop> {
    let verbose = asked.is_on("verbose");
    let text = asked.call.server(|server, state| {
        if !verbose {
            return format!("status: {}\n", list::status(server, asked.vmid));
        }
        let value = current(server, state, asked.vmid).unwrap_or_default();
        let mut lines = String::new();
        for (key, value) in value.as_object().into_iter().flatten() {
            nested(&mut lines, key, value, 0);
        }
        lines
    });
    asked.call.reply(20, Reply::ok(text.unwrap_or_default())).await
}

/// Source: qemu-server CLI/qm.pm (`print_recursive_hash`).
fn nested(lines: &mut String, key: &str, value: &Value, depth: usize) {
    let gap = "\t".repeat(depth);
    match value {
        Value::Object(map) => {
            lines.push_str(&format!("{gap}{key}:\n"));
            for (key, value) in map {
                nested(lines, key, value, depth + 1);
            }
        }
        Value::String(text) => lines.push_str(&format!("{gap}{key}: {text}\n")),
        other => lines.push_str(&format!("{gap}{key}: {other}\n")),
    }
}

/// What stands above snapshots and pending changes.
fn top(guest: &Guest) -> Vec<(String, String)> {
    let lines = guest.conf.lines().take_while(|line| !line.starts_with('['));
    let pairs = lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(':'));
    pairs
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// `/nodes/NODE/qemu/ID/config`. Numbers are strings, but for a few that the schema names.
pub(in crate::tools) fn config_json(guest: &Guest) -> Value {
    let mut map = Map::new();
    for (key, value) in top(guest) {
        let number = matches!(
            key.as_str(),
            "cores" | "sockets" | "onboot" | "template" | "swap" | "unprivileged" | "numa"
        );
        let value = match value.parse::<i64>() {
            Ok(value) if number => json!(value),
            _ => json!(value),
        };
        map.insert(key, value);
    }
    let digest: String = Sha256::digest(&guest.conf)
        .iter()
        .take(20)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    map.insert("digest".to_owned(), json!(digest));
    Value::Object(map)
}

/// `/nodes/NODE/qemu/ID/status/current`.
pub(in crate::tools) fn current(server: &Server, state: &State, vmid: u32) -> Option<Value> {
    let guest = server.guest(vmid)?;
    let mut value = list::entry(server, state.now, vmid, guest);
    let replica = &server.pmxcfs.replica;
    let managed = under_ha::is_managed(replica, guest.kind, vmid);
    let mut ha = json!({"managed": u8::from(managed)});
    if let (true, Some(state), Some(map)) = (managed, under_ha::state(replica, guest.kind, vmid), ha.as_object_mut()) {
        map.insert("state".to_owned(), json!(state));
    }
    let runs = server.running.contains_key(&vmid);
    let map = value.as_object_mut()?;
    map.insert("ha".to_owned(), ha);
    if guest.kind == GuestKind::Qemu {
        map.insert("qmpstatus".to_owned(), json!(if runs { "running" } else { "stopped" }));
        if guest
            .value("agent")
            .is_some_and(|agent| agent.starts_with('1') || agent.contains("enabled=1"))
        {
            map.insert("agent".to_owned(), json!(1));
        }
        if runs {
            map.insert("running-machine".to_owned(), json!("pc-i440fx-9.0+pve0"));
            map.insert("running-qemu".to_owned(), json!("9.0.2"));
        }
    }
    Some(value)
}

/// The guests of `/cluster/resources`. What is known of other servers' guests is what their pvestatd told: of a server that is
/// not seen nothing is.
pub(in crate::tools) fn resources(server: &Server, state: &State) -> Vec<Value> {
    let replica = &server.pmxcfs.replica;
    let guests = replica.guests.iter().map(|(vmid, guest)| {
        let there = state.servers.iter().find(|other| other.name() == guest.node);
        let seen = there.filter(|other| {
            other.index == server.index || crate::world::state::replication::is_online(server, &guest.node)
        });
        let word = guest.kind.word();
        let mut value = json!({
            "id": format!("{word}/{vmid}"), "type": word, "vmid": vmid, "node": guest.node, "template": u8::from(guest.is_template()),
            "status": seen.map_or("unknown", |there| list::status(there, *vmid)),
        });
        let Some(map) = value.as_object_mut() else { return value };
        if let Some(state) = under_ha::state(replica, guest.kind, *vmid) {
            map.insert("hastate".to_owned(), json!(state));
        }
        if seen.is_some() {
            map.insert("name".to_owned(), json!(guest.name(*vmid)));
            map.insert("maxmem".to_owned(), json!(guest.memory() << 20));
            map.insert("maxcpu".to_owned(), json!(guest.cpus()));
            map.insert("maxdisk".to_owned(), json!(guest.boot_disk()));
            for key in ["lock", "tags"] {
                if let Some(text) = guest.value(key) {
                    map.insert(key.to_owned(), json!(text));
                }
            }
        }
        value
    });
    guests.collect()
}
