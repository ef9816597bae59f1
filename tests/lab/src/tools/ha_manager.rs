//! `ha-manager`: status, configuration, and orders to the master.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use quorate_lab_ha::model::{DisarmState, LrmMode, LrmState, Requested, ServiceState, ServiceStatus, Sid};

use super::ha_orders;
use super::io::Stop;
use super::{Call, Reply};
use crate::world::clock;
use crate::world::ha::{Resource, Written};
use crate::world::server::Server;
use crate::world::state::State;

const START: Duration = Duration::from_millis(430);
const DOWN: &str = "ipcc_send_rec[1] failed: Connection refused\nipcc_send_rec[2] failed: Connection refused\n\
                    ipcc_send_rec[3] failed: Connection refused\nUnable to load access control list: Connection refused\n";

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    call.io.pause(START).await?;
    if !call.server(|server, _| server.pmxcfs.running).unwrap_or(false) {
        return call.reply(0, Reply::fail(111, DOWN)).await;
    }
    match call.args().as_slice() {
        ["status"] => status(call, false).await,
        ["status", "--verbose" | "-verbose" | "-v"] | ["status", "--verbose", "1"] => status(call, true).await,
        ["config"] => {
            let text = call.server(|server, _| config(server)).unwrap_or_default();
            call.reply(0, Reply::ok(text)).await
        }
        args => ha_orders::run(call, args).await,
    }
}

async fn status(call: &Call, verbose: bool) -> Result<i32, Stop> {
    let reply = call.server(|server, state| {
        let mut reply = Reply::ok(String::new());
        for entry in entries(server, state, &mut reply.stderr) {
            let get = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            writeln!(reply.stdout, "{} {}", get("type"), get("status")).ok();
        }
        if verbose {
            let text = serde_json::to_string_pretty(&manager_status(server)).unwrap_or_default();
            writeln!(reply.stdout, "full cluster state:\n{}", perl(&text)).ok();
        }
        reply
    });
    call.reply(0, reply.unwrap_or_default()).await
}

/// Perl's JSON: three blanks for each level, a blank before the colon.
fn perl(text: &str) -> String {
    text.lines()
        .map(|line| {
            let words = line.trim_start();
            let depth = (line.len() - words.len()) / 2;
            let words = match words.split_once("\": ") {
                Some((key, value)) => format!("{key}\" : {value}"),
                None => words.to_owned(),
            };
            format!("{}{words}", "   ".repeat(depth))
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// `/cluster/ha/status/current`.
pub(super) fn entries(server: &Server, _state: &State, stderr: &mut String) -> Vec<Value> {
    let files = &server.pmxcfs.replica.ha;
    let now = server.now().as_second();
    let quorate = server.pmxcfs.writable();
    let own = server.name();
    let newer = server.spec.major() >= 9;
    let mut list = vec![json!({
        "id": "quorum", "node": own, "quorate": u8::from(quorate), "type": "quorum",
        "status": if quorate { "OK".to_owned() } else { format!("No quorum on node '{own}'!") },
    })];
    if let Some(manager) = &files.manager {
        let word = age(now, manager.at, || {
            if files.resources.is_empty() { "idle" } else { "active" }.to_owned()
        });
        let master = manager.content.master_node.clone().unwrap_or_default();
        list.push(json!({
            "id": "master", "node": master, "timestamp": manager.at, "type": "master",
            "status": format!("{master} ({word}, {})", date(manager.at)),
        }));
        if server.can_disarm() {
            let disarm = manager.content.disarm;
            let (state, text) = match &disarm {
                Some(disarm) if disarm.state == DisarmState::Disarmed => {
                    ("disarmed", format!("disarmed, resource mode: {}", disarm.mode))
                }
                Some(disarm) => ("disarming", format!("disarming, resource mode: {}", disarm.mode)),
                None if files.resources.is_empty() => ("standby", "standby (no CRM watchdog)".to_owned()),
                None => ("armed", "armed (CRM watchdog active)".to_owned()),
            };
            let mut entry =
                json!({"id": "fencing", "node": master, "type": "fencing", "status": text, "armed-state": state});
            if let (Some(disarm), Some(map)) = (&disarm, entry.as_object_mut()) {
                map.insert("resource_mode".to_owned(), json!(disarm.mode));
            }
            list.push(entry);
        }
    }
    for node in nodes(server) {
        let Some(lrm) = files.lrm.get(&node) else {
            stderr.push_str(&format!("unable to read file '/etc/pve/nodes/{node}/lrm_status'\n"));
            list.push(json!({
                "id": format!("lrm:{node}"), "node": node, "type": "lrm", "status": format!("{node} (unable to read lrm status)"),
            }));
            continue;
        };
        let (mode, state) = (lrm.content.mode, lrm.content.state);
        let word = age(now, lrm.at, || match (mode, state) {
            (Some(LrmMode::Active) | None, Some(LrmState::WaitForAgentLock)) => {
                let waits = |manager: &Written<_>| manager_has_work(manager, &node);
                if files.manager.as_ref().is_some_and(waits) {
                    "wait_for_agent_lock"
                } else {
                    "idle"
                }
                .to_owned()
            }
            (Some(LrmMode::Active) | None, state) => state.map(|state| state.to_string()).unwrap_or_default(),
            (Some(mode), _) => format!("{mode} mode"),
        });
        let watchdog = match (newer, state) {
            (false, _) => "",
            (true, Some(LrmState::Active | LrmState::Maintenance)) => ", watchdog active",
            (true, _) => ", watchdog standby",
        };
        list.push(json!({
            "id": format!("lrm:{node}"), "node": node, "timestamp": lrm.at, "type": "lrm",
            "status": format!("{node} ({word}{watchdog}, {})", date(lrm.at)),
        }));
    }
    list.extend(services(server));
    list
}

fn manager_has_work(manager: &Written<quorate_lab_ha::model::ManagerStatus>, node: &str) -> bool {
    manager.content.active_services(node) > 0
}

/// Source: pve-ha-manager API2/HA/Status.pm and Tools.pm (`get_verbose_service_state`).
fn services(server: &Server) -> Vec<Value> {
    let files = &server.pmxcfs.replica.ha;
    let manager = files.manager.as_ref().map(|manager| &manager.content);
    let known = manager.into_iter().flat_map(|manager| &manager.service_status);
    let mut sids: Vec<&str> = files.resources.keys().map(String::as_str).collect();
    sids.extend(
        known
            .map(|(sid, _)| sid.as_str())
            .filter(|sid| !files.resources.contains_key(*sid)),
    );
    sids.sort_unstable();
    sids.into_iter()
        .map(|sid| {
            let service = manager.and_then(|manager| manager.service_status.get(&Sid::parse(sid).ok()?));
            entry(server, sid, files.resources.get(sid), service)
        })
        .collect()
}

fn entry(server: &Server, sid: &str, resource: Option<&Resource>, service: Option<&ServiceStatus>) -> Value {
    let vmid = sid.split(':').nth(1).and_then(|id| id.parse::<u32>().ok());
    let guest = vmid.and_then(|vmid| server.pmxcfs.replica.guests.get(&vmid));
    let node = match (service, guest) {
        (Some(service), _) => service.node.clone(),
        (None, Some(guest)) => guest.node.clone(),
        (None, None) => "unknown".to_owned(),
    };
    let word = match (resource.map(Resource::requested), service) {
        (None, _) => "deleting",
        _ if guest.is_none() => "not found",
        (Some(Requested::Ignored), _) => "ignored",
        (Some(_), None) => "queued",
        (Some(Requested::Disabled), Some(service)) if service.state == ServiceState::Error => "clearing error flag",
        (Some(Requested::Disabled), Some(service)) if service.state == ServiceState::Stopped => "disabled",
        (Some(_), Some(service)) => match service.state {
            ServiceState::Started if !service.running => "starting",
            ServiceState::RequestStop => "stopping",
            state => state.as_str(),
        },
    };
    let mut value = json!({
        "id": format!("service:{sid}"), "type": "service", "sid": sid, "node": node, "state": word,
        "status": format!("{sid} ({node}, {word})"),
    });
    let mut put = |key: &str, value_of: Value| {
        if let Some(map) = value.as_object_mut() {
            map.insert(key.to_owned(), value_of);
        }
    };
    if let Some(service) = service {
        put("crm_state", json!(service.state));
    }
    if let Some(resource) = resource {
        put("request_state", json!(resource.requested()));
        put("max_restart", json!(resource.max_restart()));
        put("max_relocate", json!(resource.max_relocate()));
        for (key, text) in resource.lines() {
            if ["group", "comment"].contains(&key) {
                put(key, json!(text));
            }
        }
        if server.has_ha_rules() {
            put("failback", json!(u8::from(resource.failback.unwrap_or(true))));
        }
    }
    value
}

fn age(now: i64, timestamp: i64, word: impl FnOnce() -> String) -> String {
    match now - timestamp {
        31.. => "old timestamp - dead?".to_owned(),
        ..-2 => "detected time drift!".to_owned(),
        _ => word(),
    }
}

fn date(timestamp: i64) -> String {
    jiff::Timestamp::from_second(timestamp).map_or_else(|_| String::new(), clock::ctime)
}

fn nodes(server: &Server) -> Vec<String> {
    let mut names: Vec<String> = match server.pmxcfs.replica.conf.as_ref() {
        Some(conf) => conf.nodes.iter().map(|node| node.name.clone()).collect(),
        None => vec![server.name().to_owned()],
    };
    names.sort();
    names
}

/// `/cluster/ha/status/manager_status`, and what `--verbose` prints.
pub(super) fn manager_status(server: &Server) -> Value {
    let files = &server.pmxcfs.replica.ha;
    let lrm: serde_json::Map<String, Value> = nodes(server)
        .into_iter()
        .map(|node| {
            let status = files.lrm.get(&node).map(Written::json);
            (node, status.unwrap_or_else(|| json!({"mode": "unknown"})))
        })
        .collect();
    let manager = files.manager.as_ref().map(Written::json);
    json!({
        "lrm_status": lrm,
        "manager_status": manager.unwrap_or_else(|| json!({})),
        "quorum": {"node": server.name(), "quorate": if server.pmxcfs.writable() { "1" } else { "0" }},
    })
}

fn config(server: &Server) -> String {
    let mut text = String::new();
    for (sid, resource) in &server.pmxcfs.replica.ha.resources {
        writeln!(text, "{sid}").ok();
        for (key, value) in resource.lines() {
            writeln!(text, "\t{key} {value}").ok();
        }
        text.push('\n');
    }
    text
}
