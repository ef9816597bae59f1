//! `pvesh`: the read paths that matter for clusters, and the join.

mod of_guests;

use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::io::Stop;
use super::options::{self, LINKS};
use super::pvecm::join::{Join, Secret};
use super::worker::Worker;
use super::{Call, Reply, guests, ha_manager, pveversion, qdevice_tools, unknown};
use crate::description::GuestKind;
use crate::world::clock::SimTime;
use crate::world::corosync::conf::{Conf, ConfNode};
use crate::world::server::Server;
use crate::world::state::State;
use crate::world::tasks;

const START: Duration = Duration::from_millis(520);
/// What a call to another node costs more: it goes over ssh.
const ELSEWHERE: Duration = Duration::from_millis(740);

const DOWN: &str = "ipcc_send_rec[1] failed: Connection refused\nipcc_send_rec[2] failed: Connection refused\n\
                    ipcc_send_rec[3] failed: Connection refused\nUnable to load access control list: Connection refused\n";

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    call.io.pause(START).await?;
    if !call.server(|server, _| server.pmxcfs.running).unwrap_or(false) {
        return call.reply(0, Reply::fail(111, DOWN)).await;
    }
    let args = call.args();
    match args.split_first() {
        Some((&"get", rest)) => get(call, rest).await,
        Some((&"create", ["/cluster/config/join", rest @ ..])) => join(call, rest).await,
        Some((verb @ (&"create" | &"set" | &"delete"), [path, rest @ ..])) => {
            of_guests::change(call, verb, path, rest).await
        }
        _ => unknown(call).await,
    }
}

enum Got {
    Json(Value),
    Refused(Reply),
    /// The path leads to another node.
    Remote(Value),
    Unknown,
}

async fn get(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let Some((path, rest)) = args.split_first() else {
        return unknown(call).await;
    };
    let Ok(parsed) = options::parse(
        rest,
        &[
            "output-format",
            "node",
            "limit",
            "source",
            "typefilter",
            "type",
            "target",
        ],
    ) else {
        return unknown(call).await;
    };
    // Text tables are not for machines; nobody should depend on them here.
    if !matches!(parsed.option("output-format"), Some("json")) {
        return unknown(call).await;
    }
    let speed = call.world.pace.speed();
    if path.trim_matches('/').ends_with("replication") {
        // As `pvesr status`: a mere look turns the jobs of guests round that came by themselves.
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        if let ["nodes", node, "replication"] = parts.as_slice() {
            call.world.with(|state| {
                if let Some(index) = state.find(node) {
                    state.turn_stolen(index);
                }
            });
        }
    }
    match call
        .server(|server, state| look(server, state, path, &parsed, speed))
        .unwrap_or(Got::Unknown)
    {
        Got::Json(value) => call.reply(40, Reply::ok(format!("{value}\n"))).await,
        Got::Remote(value) => {
            call.io.pause(ELSEWHERE).await?;
            call.reply(40, Reply::ok(format!("{value}\n"))).await
        }
        Got::Refused(reply) => call.reply(20, reply).await,
        Got::Unknown => unknown(call).await,
    }
}

fn look(server: &Server, state: &State, path: &str, parsed: &options::Parsed, speed: f64) -> Got {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let fault = server.pmxcfs.replica.conf.as_ref().and_then(|conf| conf.fault.as_ref());
    if let (["cluster", "config", ..], Some(fault)) = (parts.as_slice(), fault) {
        return Got::Refused(Reply::fail(255, format!("{}\n", fault.pve)));
    }
    match of_guests::of_cluster(server, state, &parts, parsed) {
        Some(Ok(value)) => return Got::Json(value),
        Some(Err(reply)) => return Got::Refused(reply),
        None => {}
    }
    match parts.as_slice() {
        ["version"] => Got::Json(pveversion::json(server)),
        ["cluster", "status"] => Got::Json(cluster_status(server)),
        ["cluster", "config", "apiversion"] => Got::Json(json!(1)),
        ["cluster", "config", "join"] => join_information(server, parsed.option("node")),
        ["cluster", "config", "nodes"] => {
            let conf = server.pmxcfs.replica.conf.as_ref();
            Got::Json(Value::Array(
                conf.map(|conf| shuffled(server, conf.nodes.iter().map(config_node)))
                    .unwrap_or_default(),
            ))
        }
        ["cluster", "config", "qdevice"] => Got::Json(qdevice(server)),
        ["cluster", "ha", "status", "current"] => {
            let mut stderr = String::new();
            let list = ha_manager::entries(server, state, &mut stderr);
            Got::Json(Value::Array(list))
        }
        ["cluster", "ha", "status", "manager_status"] => Got::Json(ha_manager::manager_status(server)),
        ["cluster", "config", "totem"] => {
            Got::Json(server.pmxcfs.replica.conf.as_ref().map_or_else(|| json!({}), totem))
        }
        ["nodes"] => Got::Json(Value::Array(shuffled(server, nodes(server).into_iter()))),
        ["nodes", node, rest @ ..] => {
            let Some(other) = state.servers.iter().find(|other| other.name() == *node) else {
                return Got::Refused(Reply::fail(2, format!("no such cluster node '{node}'\n")));
            };
            let found = of_guests::of_node(other, state, rest, parsed, speed);
            let found = found.map_or_else(|| on_node(other, state.now, rest), |found| found.map(Some));
            let value = match found {
                Ok(Some(value)) => value,
                Ok(None) => return Got::Unknown,
                Err(reply) => return Got::Refused(reply),
            };
            if other.index == server.index {
                Got::Json(value)
            } else {
                Got::Remote(value)
            }
        }
        _ => Got::Refused(Reply::fail(2, format!("No '{}' handler defined for '{path}'\n", "get"))),
    }
}

fn on_node(server: &Server, now: SimTime, rest: &[&str]) -> Result<Option<Value>, Reply> {
    Ok(Some(match rest {
        ["version"] => pveversion::json(server),
        ["tasks"] => Value::Array(
            server
                .tasks
                .list
                .iter()
                .rev()
                .filter(|task| task.state != tasks::State::Running)
                .map(|task| task_entry(server, task, false))
                .collect(),
        ),
        ["tasks", upid, "status"] => task_entry(server, find_task(server, upid)?, true),
        ["tasks", upid, "log"] => Value::Array(
            find_task(server, upid)?
                .lines
                .iter()
                .enumerate()
                .map(|(index, line)| json!({"n": index + 1, "t": line}))
                .collect(),
        ),
        ["qemu"] => guests::list(server, now, GuestKind::Qemu),
        ["lxc"] => guests::list(server, now, GuestKind::Lxc),
        _ => return Ok(None),
    }))
}

fn find_task<'a>(server: &'a Server, upid: &str) -> Result<&'a tasks::Task, Reply> {
    let reason = if upid.split(':').count() == 9 {
        "no such task"
    } else {
        "unable to parse worker upid"
    };
    server
        .tasks
        .get(upid)
        .ok_or_else(|| Reply::fail(2, format!("400 Parameter verification failed.\nupid: {reason}\n")))
}

fn task_entry(server: &Server, task: &tasks::Task, status: bool) -> Value {
    let mut entry = json!({
        "upid": task.upid, "node": server.name(), "pid": task.pid, "pstart": task.pstart, "starttime": task.started,
        "type": task.kind, "id": task.id, "user": "root@pam",
    });
    let mut put = |key: &str, value: Value| {
        if let Some(map) = entry.as_object_mut() {
            map.insert(key.to_owned(), value);
        }
    };
    match (&task.state, status) {
        (tasks::State::Running, true) => put("status", json!("running")),
        (tasks::State::Running, false) => put("status", json!("RUNNING")),
        (tasks::State::Ended { status: text, .. }, true) => {
            put("status", json!("stopped"));
            put("exitstatus", json!(text));
        }
        (tasks::State::Ended { at, status: text }, false) => {
            put("endtime", json!(at));
            put("status", json!(text));
        }
        (tasks::State::Vanished, true) => {
            put("status", json!("stopped"));
            put("exitstatus", json!("unexpected status"));
        }
        (tasks::State::Vanished, false) => put("status", json!("unexpected status")),
    }
    entry
}

/// Perl's hashes have no order; ours turns with the cluster's changes, so that nobody relies on one.
fn shuffled(server: &Server, items: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut items: Vec<Value> = items.collect();
    if !items.is_empty() {
        let turn = usize::try_from(server.pmxcfs.clinfo).unwrap_or(0) + server.index;
        let middle = turn % items.len();
        items.rotate_left(middle);
    }
    items
}

fn cluster_status(server: &Server) -> Value {
    let node = |name: &str, id: u32, online: bool, ip: Option<String>| {
        let mut map = Map::new();
        map.insert("id".to_owned(), json!(format!("node/{name}")));
        if let Some(ip) = ip {
            map.insert("ip".to_owned(), json!(ip));
        }
        map.insert("level".to_owned(), json!(""));
        map.insert("local".to_owned(), json!(u8::from(name == server.name())));
        map.insert("name".to_owned(), json!(name));
        map.insert("nodeid".to_owned(), json!(id));
        map.insert("online".to_owned(), json!(u8::from(online)));
        map.insert("type".to_owned(), json!("node"));
        Value::Object(map)
    };
    let ips = &server.pmxcfs.replica.ips;
    let ip = |name: &str| ips.get(name).map(ToString::to_string);
    let Some(view) = server.pmxcfs.view.as_ref().filter(|_| server.pmxcfs.clustered) else {
        return Value::Array(vec![node(server.name(), 0, true, ip(server.name()))]);
    };
    let mut list = vec![json!({
        "id": "cluster", "name": view.cluster_name, "nodes": view.nodes.len(), "quorate": u8::from(view.quorate),
        "type": "cluster", "version": view.version,
    })];
    list.extend(shuffled(
        server,
        view.nodes.iter().map(|n| node(&n.name, n.id, n.online, ip(&n.name))),
    ));
    Value::Array(list)
}

/// What Perl cut out of a text file: all strings.
fn config_node(node: &ConfNode) -> Value {
    let mut value = base_node(node);
    if let Some(map) = value.as_object_mut() {
        map.insert("node".to_owned(), json!(node.name));
    }
    value
}

fn base_node(node: &ConfNode) -> Value {
    let mut map = Map::new();
    map.insert("name".to_owned(), json!(node.name));
    map.insert("nodeid".to_owned(), json!(node.id.to_string()));
    map.insert("quorum_votes".to_owned(), json!(node.votes.to_string()));
    for (ring, address) in &node.rings {
        map.insert(format!("ring{ring}_addr"), json!(address));
    }
    Value::Object(map)
}

fn totem(conf: &Conf) -> Value {
    let interfaces: Map<String, Value> = conf
        .links
        .iter()
        .map(|link| (link.to_string(), json!({"linknumber": link.to_string()})))
        .collect();
    let mut map = json!({
        "cluster_name": conf.cluster_name, "config_version": conf.version.to_string(), "interface": interfaces,
        "ip_version": "ipv4-6", "link_mode": "passive", "secauth": "on", "version": "2",
    });
    if let (Some(coefficient), Some(map)) = (conf.token_coefficient, map.as_object_mut()) {
        map.insert("token_coefficient".to_owned(), json!(coefficient.to_string()));
    }
    map
}

/// Empty without a device, and also where its daemon does not run.
fn qdevice(server: &Server) -> Value {
    let device = server
        .corosync
        .as_ref()
        .and_then(|corosync| corosync.conf.device.as_ref());
    let (Some(device), Some(daemon)) = (device, &server.qdevice) else {
        return json!({});
    };
    let polled = server.now().strftime("%Y-%m-%dT%H:%M:%S");
    let vote = if daemon.votes { " (cast vote)" } else { "" };
    json!({
        "Algorithm": qdevice_tools::algorithm(device), "Last poll call": format!("{polled}{vote}"), "Model": "Net",
        "QNetd host": format!("{}:5403", device.host), "State": daemon.connection.to_string(),
        "Tie-breaker": "Node with lowest node ID",
    })
}

fn join_information(server: &Server, preferred: Option<&str>) -> Got {
    let Some(conf) = &server.pmxcfs.replica.conf else {
        return Got::Refused(Reply::fail(
            2,
            "424 node is not in a cluster, no join info available! at /usr/share/perl5/PVE/API2/ClusterConfig.pm line 578\n",
        ));
    };
    let preferred = preferred.unwrap_or_else(|| server.name());
    if conf.named(preferred).is_none() {
        return Got::Refused(Reply::fail(2, format!("unknown node '{preferred}'\n")));
    }
    let mut list = Vec::new();
    for node in &conf.nodes {
        let mut value = base_node(node);
        let Some(map) = value.as_object_mut() else { continue };
        if let Some(ip) = server.pmxcfs.replica.ips.get(&node.name) {
            map.insert("pve_addr".to_owned(), json!(ip.to_string()));
        }
        // A node that has no certificate yet makes the whole call fail.
        let Some(certificate) = server.pmxcfs.replica.certificates.get(&node.name) else {
            let text = format!(
                "unable to get fingerprint of '/etc/pve/nodes/{}/pve-ssl.pem'\n",
                node.name
            );
            return Got::Refused(Reply::fail(2, text));
        };
        let own = server.pmxcfs.replica.own_certificate(&node.name);
        let shown = own.unwrap_or_else(|| certificate.fingerprint.clone());
        map.insert("pve_fp".to_owned(), json!(shown));
        list.push(value);
    }
    // PVE prints a SHA-1; only its change means something.
    let digest: String = Sha256::digest(conf.render())
        .iter()
        .take(20)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Got::Json(json!({
        "config_digest": digest, "nodelist": shuffled(server, list.into_iter()), "preferred_node": preferred,
        "totem": totem(conf),
    }))
}

fn nodes(server: &Server) -> Vec<Value> {
    let names: Vec<String> = match &server.pmxcfs.view {
        Some(view) => view.nodes.iter().map(|node| node.name.clone()).collect(),
        None => vec![server.name().to_owned()],
    };
    let certificates = &server.pmxcfs.replica.certificates;
    names
        .iter()
        .map(|name| {
            let fingerprint = certificates.get(name).map(|certificate| certificate.fingerprint.clone());
            json!({"id": format!("node/{name}"), "node": name, "ssl_fingerprint": fingerprint, "status": "unknown", "type": "node"})
        })
        .collect()
}

async fn join(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let mut known = vec![
        "hostname",
        "password",
        "fingerprint",
        "nodeid",
        "votes",
        "force",
        "output-format",
    ];
    known.extend(LINKS);
    let Ok(parsed) = options::parse(args, &known) else {
        return unknown(call).await;
    };
    let missing: Vec<&str> = ["fingerprint", "hostname", "password"]
        .into_iter()
        .filter(|name| parsed.option(name).is_none())
        .collect();
    if !missing.is_empty() {
        let lines: String = missing
            .iter()
            .map(|name| format!("{name}: property is missing and it is not optional\n"))
            .collect();
        return call
            .reply(
                0,
                Reply::fail(2, format!("400 Parameter verification failed.\n{lines}{JOIN_USAGE}")),
            )
            .await;
    }
    let password = parsed.option("password").unwrap_or_default();
    if password.len() > 128 {
        let text = format!(
            "400 Parameter verification failed.\npassword: value may only be 128 characters long\n{JOIN_USAGE}"
        );
        return call.reply(0, Reply::fail(2, text)).await;
    }
    let worker = Worker::start(call, "clusterjoin", "");
    let join = Join {
        host: parsed.option("hostname").unwrap_or_default().to_owned(),
        fingerprint: parsed.option("fingerprint").map(str::to_owned),
        links: parsed.links(),
        nodeid: parsed.option("nodeid").and_then(|id| id.parse().ok()),
        votes: parsed.option("votes").and_then(|votes| votes.parse().ok()),
        force: parsed.option("force") == Some("1"),
    };
    let result = join.run(&worker, &Secret(password.to_owned())).await;
    let upid = worker.upid.clone();
    let code = worker.end(result).await?;
    let line = if parsed.option("output-format") == Some("json") {
        format!("\"{upid}\"\n")
    } else {
        format!("{upid}\n")
    };
    call.io.out(&line).await?;
    Ok(code)
}

const JOIN_USAGE: &str = "pvesh create <api_path> --fingerprint <string> --hostname <string> --password <string> [OPTIONS] \
                          [FORMAT_OPTIONS]\n";
