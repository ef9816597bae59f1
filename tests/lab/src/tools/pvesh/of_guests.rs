//! Paths of guests, replication and the cluster's options.

use serde_json::{Map, Value, json};

use super::super::io::Stop;
use super::super::options::{self, Parsed};
use super::super::{Call, Reply, guests, pvesr, unknown};
use crate::description::GuestKind;
use crate::world::datacenter;
use crate::world::server::Server;
use crate::world::state::State;
use crate::world::state::guests::no_conf;

/// Options that PVE keeps as a string of parts, and what a word without a key stands for.
const STRUCTURED: [(&str, &str); 4] = [
    ("migration", "type"),
    ("replication", "type"),
    ("ha", "shutdown_policy"),
    ("crs", "ha"),
];
/// The others that are known here.
const PLAIN: [&str; 6] = [
    "bwlimit",
    "keyboard",
    "console",
    "description",
    "mac_prefix",
    "max_workers",
];

/// Paths below `/cluster`, as far as they are about guests.
pub(super) fn of_cluster(
    server: &Server,
    state: &State,
    parts: &[&str],
    parsed: &Parsed,
) -> Option<Result<Value, Reply>> {
    let replica = &server.pmxcfs.replica;
    Some(Ok(match parts {
        ["cluster", "options"] => options_json(server),
        ["cluster", "nextid"] => {
            let mut ids = 100..;
            let free = ids.find(|id| !replica.guests.contains_key(id)).unwrap_or(100);
            json!(free.to_string())
        }
        ["cluster", "resources"] if parsed.option("type") == Some("vm") => {
            Value::Array(guests::resources(server, state))
        }
        ["cluster", "replication"] => Value::Array(replica.jobs().iter().map(pvesr::job_json).collect()),
        ["cluster", "replication", id] => match replica.job(id) {
            Some(job) => pvesr::job_json(&job),
            None => return Some(Err(Reply::fail(2, format!("no such job '{id}'\n")))),
        },
        _ => return None,
    }))
}

/// Paths below `/nodes/NODE`, as far as they are about guests.
pub(super) fn of_node(
    server: &Server,
    state: &State,
    parts: &[&str],
    parsed: &Parsed,
    speed: f64,
) -> Option<Result<Value, Reply>> {
    let all = || pvesr::entries(server, state, speed);
    let one = |id: &str| {
        all()
            .into_iter()
            .find(|entry| entry.get("id").is_some_and(|own| own == id))
    };
    Some(Ok(match parts {
        ["replication"] => Value::Array(all()),
        ["replication", id, "status"] => match one(id) {
            Some(entry) => entry,
            None => return Some(Err(Reply::fail(2, format!("no such replication job '{id}'\n")))),
        },
        ["replication", id, "log"] => {
            let lines = server.replication_lines(id);
            let lines = lines.iter().enumerate();
            Value::Array(lines.map(|(at, line)| json!({"n": at + 1, "t": line})).collect())
        }
        [word @ ("qemu" | "lxc"), id, rest @ ..] => {
            let kind = if *word == "qemu" {
                GuestKind::Qemu
            } else {
                GuestKind::Lxc
            };
            let vmid = id.parse::<u32>().ok()?;
            let guest = server.guest(vmid).filter(|guest| guest.kind == kind);
            let Some(guest) = guest else {
                return Some(Err(Reply::fail(2, format!("{}\n", no_conf(server.name(), kind, vmid)))));
            };
            match rest {
                ["config"] => guests::config_json(guest),
                ["status", "current"] => guests::current(server, state, vmid)?,
                ["migrate"] => guests::precheck(server, vmid, parsed.option("target"))?,
                _ => return None,
            }
        }
        _ => return None,
    }))
}

fn options_json(server: &Server) -> Value {
    let options = datacenter::options(&server.pmxcfs.replica);
    let value = |key: &str, text: &str| match STRUCTURED.iter().find(|(name, _)| *name == key) {
        Some((_, default)) => {
            let parts: Map<String, Value> = datacenter::parts(text, default)
                .into_iter()
                .map(|(key, value)| (key, json!(value)))
                .collect();
            Value::Object(parts)
        }
        None => json!(text),
    };
    let map: Map<String, Value> = options
        .iter()
        .map(|(key, text)| (key.clone(), value(key, text)))
        .collect();
    Value::Object(map)
}

/// `pvesh create|set|delete PATH`, of what is about guests.
pub(super) async fn change(call: &Call, verb: &str, path: &str, rest: &[&str]) -> Result<i32, Stop> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let known = [
        "id",
        "target",
        "type",
        "schedule",
        "rate",
        "comment",
        "disable",
        "source",
        "delete",
        "digest",
        "keep",
        "force",
        "output-format",
    ];
    let all: Vec<&str> = known
        .into_iter()
        .chain(STRUCTURED.iter().map(|(name, _)| *name))
        .chain(PLAIN)
        .collect();
    let Ok(parsed) = options::parse(rest, &all) else {
        return unknown(call).await;
    };
    let given = |key: &str| parsed.option(key).unwrap_or_default().to_owned();
    let done = match (verb, parts.as_slice()) {
        ("create", ["cluster", "replication"]) => pvesr::create(call, &given("id"), &given("target"), &parsed),
        ("set", ["cluster", "replication", id]) => pvesr::update(call, id, &parsed),
        ("delete", ["cluster", "replication", id]) => pvesr::delete(
            call,
            id,
            parsed.option("keep") == Some("1"),
            parsed.option("force") == Some("1"),
        ),
        ("set", ["cluster", "options"]) => set_options(call, &parsed),
        ("create", ["nodes", node, "replication", id, "schedule_now"]) => {
            match call.world.with(|state| state.find(node)) {
                Some(index) => {
                    pvesr::schedule_now(call, index, id);
                    Ok(())
                }
                None => Err(format!("no such cluster node '{node}'")),
            }
        }
        _ => return unknown(call).await,
    };
    let reply = done.map_or_else(|text| Reply::fail(2, format!("{text}\n")), |()| Reply::default());
    call.reply(60, reply).await
}

/// PVE writes parts sorted by their keys.
fn set_options(call: &Call, parsed: &Parsed) -> Result<(), String> {
    let mut changes: Vec<(String, Option<String>)> = Vec::new();
    for (key, value) in &parsed.options {
        match STRUCTURED.iter().find(|(name, _)| name == key) {
            Some((_, default)) => {
                let parts = datacenter::parts(value, default);
                if let Some(network) = parts.get("network")
                    && !network.contains('/')
                {
                    return Err(format!(
                        "400 Parameter verification failed.\n{key}: invalid format - format error\n{key}.network: invalid format - value \
                         does not look like a valid CIDR network"
                    ));
                }
                let words: Vec<String> = parts.iter().map(|(key, value)| format!("{key}={value}")).collect();
                changes.push((key.clone(), Some(words.join(","))));
            }
            None if PLAIN.contains(&key.as_str()) => changes.push((key.clone(), Some(value.clone()))),
            None => {}
        }
    }
    let gone = parsed.option("delete").unwrap_or_default();
    changes.extend(
        gone.split([',', ' ', ';'])
            .filter(|key| !key.is_empty())
            .map(|key| (key.to_owned(), None)),
    );
    let written = call.world.with(|state| {
        state.write(call.node, |replica| {
            let mut options = datacenter::options(replica);
            for (key, value) in &changes {
                match value {
                    Some(value) => options.insert(key.clone(), value.clone()),
                    None => options.remove(key),
                };
            }
            datacenter::write(replica, &options);
        })
    });
    written.map_err(|_| "cfs-lock 'file-datacenter_cfg' error: no quorum!".to_owned())
}
