//! `ha-manager`: status, configuration, and orders to the master.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::io::Stop;
use super::options;
use super::{Call, Reply, unknown};
use crate::world::clock;
use crate::world::ha::{Command, HaFiles, LrmStatus, Manager};
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
        ["add", rest @ ..] => add(call, rest).await,
        ["remove", sid] => remove(call, sid).await,
        ["crm-command", "disarm-ha", mode @ ("freeze" | "ignore")] => {
            order(call, "disarm-ha", Command::Disarm((*mode).to_owned())).await
        }
        ["crm-command", "arm-ha"] => order(call, "arm-ha", Command::Arm).await,
        _ => unknown(call).await,
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
        let word = age(now, manager.timestamp, || {
            if files.resources.is_empty() { "idle" } else { "active" }.to_owned()
        });
        list.push(json!({
            "id": "master", "node": manager.master, "timestamp": manager.timestamp, "type": "master",
            "status": format!("{} ({word}, {})", manager.master, date(manager.timestamp)),
        }));
        if server.can_disarm() {
            let (state, text) = match &manager.disarm {
                Some(disarm) if disarm.done => ("disarmed", format!("disarmed, resource mode: {}", disarm.mode)),
                Some(disarm) => ("disarming", format!("disarming, resource mode: {}", disarm.mode)),
                None if files.resources.is_empty() => ("standby", "standby (no CRM watchdog)".to_owned()),
                None => ("armed", "armed (CRM watchdog active)".to_owned()),
            };
            let mut entry = json!({"id": "fencing", "node": manager.master, "type": "fencing", "status": text, "armed-state": state});
            if let (Some(disarm), Some(map)) = (&manager.disarm, entry.as_object_mut()) {
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
        let word = age(now, lrm.timestamp, || match (lrm.mode, lrm.state) {
            ("active", "wait_for_agent_lock") => {
                let waits = files.manager.as_ref().is_some_and(|manager| {
                    manager
                        .services
                        .values()
                        .any(|s| s.node == node && s.state == "started")
                });
                if waits { "wait_for_agent_lock" } else { "idle" }.to_owned()
            }
            ("active", state) => state.to_owned(),
            (mode, _) => format!("{mode} mode"),
        });
        let watchdog = match (newer, lrm.state) {
            (false, _) => "",
            (true, "active") => ", watchdog active",
            (true, _) => ", watchdog standby",
        };
        list.push(json!({
            "id": format!("lrm:{node}"), "node": node, "timestamp": lrm.timestamp, "type": "lrm",
            "status": format!("{node} ({word}{watchdog}, {})", date(lrm.timestamp)),
        }));
    }
    list.extend(services(server));
    list
}

fn services(server: &Server) -> Vec<Value> {
    let files = &server.pmxcfs.replica.ha;
    files
        .resources
        .iter()
        .map(|(sid, wanted)| {
            let service = files.manager.as_ref().and_then(|manager| manager.services.get(sid));
            let node = service.map_or_else(|| server.name().to_owned(), |service| service.node.clone());
            let word = match service {
                _ if wanted == "ignored" => "ignored",
                None => "queued",
                Some(service) if service.state == "started" && !service.running => "starting",
                Some(service) => service.state,
            };
            let crm = service.map_or("", |service| service.state);
            json!({
                "id": format!("service:{sid}"), "type": "service", "sid": sid, "node": node, "state": word, "crm_state": crm,
                "request_state": wanted, "status": format!("{sid} ({node}, {word})"), "max_restart": 1, "max_relocate": 1,
            })
        })
        .collect()
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
            let status = files.lrm.get(&node).map(LrmStatus::json);
            (node, status.unwrap_or_else(|| json!({"mode": "unknown"})))
        })
        .collect();
    let manager = files.manager.as_ref().map(Manager::json);
    json!({
        "lrm_status": lrm,
        "manager_status": manager.unwrap_or_else(|| json!({})),
        "quorum": {"node": server.name(), "quorate": if server.pmxcfs.writable() { "1" } else { "0" }},
    })
}

fn config(server: &Server) -> String {
    let files = &server.pmxcfs.replica.ha;
    files
        .resources
        .iter()
        .map(|(sid, state)| format!("{sid}\n\tstate {state}\n\n"))
        .collect()
}

async fn add(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let Ok(parsed) = options::parse(args, &["state"]) else {
        return unknown(call).await;
    };
    let [sid] = parsed.words.as_slice() else {
        return unknown(call).await;
    };
    let vmid = sid.split_once(':').and_then(|(_, id)| id.parse::<u32>().ok());
    let state = parsed.option("state").unwrap_or("started").to_owned();
    let refusal = call
        .server(|server, _| {
            let replica = &server.pmxcfs.replica;
            if vmid.is_none_or(|vmid| !replica.guests.contains_key(&vmid)) {
                return Some(Reply::fail(17, format!("resource '{sid}' does not exist in cluster\n")));
            }
            let text = format!("create resource failed: resource ID '{sid}' already defined\n");
            replica.ha.resources.contains_key(sid).then(|| Reply::fail(255, text))
        })
        .flatten();
    if let Some(reply) = refusal {
        return call.reply(0, reply).await;
    }
    change(call, |files| {
        files.resources.insert(sid.clone(), state.clone());
    })
    .await
}

async fn remove(call: &Call, sid: &str) -> Result<i32, Stop> {
    let known = call
        .server(|server, _| server.pmxcfs.replica.ha.resources.contains_key(sid))
        .unwrap_or(false);
    if !known {
        let text = format!("delete resource failed: cannot delete service '{sid}', not HA managed!\n");
        return call.reply(0, Reply::fail(255, text)).await;
    }
    change(call, |files| {
        files.resources.remove(sid);
    })
    .await
}

/// Leaves an order for the master, which reads it in its next round.
async fn order(call: &Call, word: &str, command: Command) -> Result<i32, Stop> {
    if !call.server(|server, _| server.can_disarm()).unwrap_or(false) {
        let text = format!("ERROR: unknown command 'ha-manager crm-command {word}'\n{USAGE}");
        return call.reply(0, Reply::fail(255, text)).await;
    }
    change(call, |files| files.commands.push(command.clone())).await
}

/// Writes below the cluster-wide lock of the domain `ha`.
async fn change(call: &Call, act: impl Fn(&mut HaFiles)) -> Result<i32, Stop> {
    // Writes block while a membership is undecided.
    while call.world.with(|state| state.is_undecided(call.node)) {
        call.io.pause(Duration::from_millis(200)).await?;
    }
    let written = call
        .world
        .with(|state| state.write(call.node, |replica| act(&mut replica.ha)));
    match written {
        Ok(_) => Ok(0),
        Err(_) => {
            call.reply(0, Reply::fail(13, "cfs-lock 'domain-ha' error: no quorum!\n"))
                .await
        }
    }
}

const USAGE: &str = "USAGE: ha-manager crm-command <COMMAND> [ARGS] [OPTIONS]

       ha-manager crm-command migrate <sid> <node>
       ha-manager crm-command node-maintenance disable <node>
       ha-manager crm-command node-maintenance enable <node>
       ha-manager crm-command relocate <sid> <node>
       ha-manager crm-command stop <sid> <timeout>
";
