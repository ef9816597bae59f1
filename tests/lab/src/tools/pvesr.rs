//! `pvesr`: replication jobs, and how they go. Source: pve-manager CLI/pvesr.pm, API2/ReplicationConfig.pm, API2/Replication.pm.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::io::Stop;
use super::options::{self, Parsed};
use super::{Call, Reply, unknown};
use crate::world::clock;
use crate::world::replication::jobs::{Job, is_id};
use crate::world::replication::schedule;
use crate::world::server::Server;
use crate::world::state::State;
use crate::world::state::replication::{own_jobs, replicatable};

const START: Duration = Duration::from_millis(500);
/// How often `pvesr run` looks whether its job is done.
const LOOKS: Duration = Duration::from_millis(200);

const DOWN: &str = "ipcc_send_rec[1] failed: Connection refused\nipcc_send_rec[2] failed: Connection refused\n\
                    ipcc_send_rec[3] failed: Connection refused\nUnable to load access control list: Connection refused\n";

const BACKGROUND: &str = "Replication job removal is a background task and will take some time.\n";

/// Options of a job.
const OF_JOB: [&str; 7] = ["schedule", "rate", "comment", "disable", "source", "delete", "digest"];

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    call.io.pause(START).await?;
    if !call.server(|server, _| server.pmxcfs.running).unwrap_or(false) {
        return call.reply(0, Reply::fail(111, DOWN)).await;
    }
    let args = call.args();
    let Some((verb, rest)) = args.split_first() else {
        return unknown(call).await;
    };
    let flags = rest.iter().map(|arg| {
        if *arg == "--force" || *arg == "--keep" || *arg == "--verbose" {
            format!("{arg}=1")
        } else {
            (*arg).to_owned()
        }
    });
    let flags: Vec<String> = flags.collect();
    // A value after a switch is the switch's own.
    let rest: Vec<&str> = flags
        .iter()
        .enumerate()
        .filter(|(at, arg)| {
            !(matches!(arg.as_str(), "0" | "1")
                && *at > 0
                && flags.get(at - 1).is_some_and(|before| before.ends_with("=1")))
        })
        .map(|(_, arg)| arg.as_str())
        .collect();
    let mut known = OF_JOB.to_vec();
    known.extend(["force", "keep", "guest", "id", "verbose"]);
    let Ok(parsed) = options::parse(&rest, &known) else {
        return unknown(call).await;
    };
    let words: Vec<&str> = parsed.words.iter().map(String::as_str).collect();
    match (*verb, words.as_slice()) {
        ("list", []) => {
            let text = call.server(|server, _| list(server)).unwrap_or_default();
            call.reply(20, Reply::ok(text)).await
        }
        ("status", []) => {
            let guest = parsed.option("guest").and_then(|guest| guest.parse().ok());
            let text = status(call, guest);
            call.reply(20, Reply::ok(text)).await
        }
        ("read", [id]) => {
            let job = call.server(|server, _| server.pmxcfs.replica.job(id)).flatten();
            let reply = job.map_or_else(
                || Reply::fail(255, format!("no such job '{id}'\n")),
                |job| {
                    Reply::ok(format!(
                        "{}\n",
                        serde_json::to_string_pretty(&job_json(&job)).unwrap_or_default()
                    ))
                },
            );
            call.reply(20, reply).await
        }
        ("create-local-job", [id, target]) => finish(call, create(call, id, target, &parsed)).await,
        ("update", [id]) => finish(call, update(call, id, &parsed)).await,
        ("enable", [id]) => finish(call, switch(call, id, false)).await,
        ("disable", [id]) => finish(call, switch(call, id, true)).await,
        ("delete", [id]) => {
            let (keep, force) = (parsed.option("keep") == Some("1"), parsed.option("force") == Some("1"));
            let deleted = delete(call, id, keep, force);
            if deleted.is_ok() && !force {
                call.io.err(BACKGROUND).await?;
            }
            finish(call, deleted).await
        }
        ("schedule-now", [id]) => {
            schedule_now(call, call.node, id);
            Ok(0)
        }
        ("run", []) => run_jobs(call, parsed.option("id")).await,
        _ => unknown(call).await,
    }
}

async fn finish(call: &Call, result: Result<(), String>) -> Result<i32, Stop> {
    let reply = result.map_or_else(|text| Reply::fail(255, format!("{text}\n")), |()| Reply::default());
    call.reply(20, reply).await
}

fn list(server: &Server) -> String {
    let mut text = format!(
        "{:<20} {:<20} {:>10} {:>5} {:>8}\n",
        "JobID", "Target", "Schedule", "Rate", "Enabled"
    );
    for job in server.pmxcfs.replica.jobs() {
        let enabled = if job.disabled() { "no" } else { "yes" };
        let rate = job.get("rate").unwrap_or("-");
        let target = format!("local/{}", job.target());
        writeln!(
            text,
            "{:<20} {target:<20} {:>10} {rate:>5} {enabled:>8}",
            job.id,
            job.schedule()
        )
        .ok();
    }
    text
}

/// A mere look turns jobs of stolen guests round.
fn status(call: &Call, guest: Option<u32>) -> String {
    call.world.with(|state| state.turn_stolen(call.node));
    let mut text = format!(
        "{:<10} {:<10} {:<20} {:>20} {:>20} {:>10} {:>10} {}\n",
        "JobID", "Enabled", "Target", "LastSync", "NextSync", "Duration", "FailCount", "State"
    );
    let speed = call.world.pace.speed();
    let jobs = call
        .server(|server, state| entries(server, state, speed))
        .unwrap_or_default();
    let now = call.server(|server, _| server.now().as_second()).unwrap_or(0);
    for job in jobs {
        let number = |key: &str| job.get(key).and_then(Value::as_i64).unwrap_or(0);
        let word = |key: &str| job.get(key).and_then(Value::as_str);
        if guest.is_some_and(|guest| i64::from(guest) != number("guest")) {
            continue;
        }
        let last = match number("last_sync") {
            0 => "-".to_owned(),
            at => clock::joined(at),
        };
        let next = match number("next_sync") {
            0 => "-".to_owned(),
            at if at <= now => "pending".to_owned(),
            at => clock::joined(at),
        };
        let duration = job
            .get("duration")
            .and_then(Value::as_f64)
            .map_or("-".to_owned(), |took| format!("{took}"));
        let state = match (job.get("pid"), word("error")) {
            (Some(_), _) => "SYNCING",
            (None, Some(error)) => error,
            (None, None) => "OK",
        };
        let enabled = if number("disable") == 1 { "No" } else { "Yes" };
        let target = format!("local/{}", word("target").unwrap_or_default());
        writeln!(
            text,
            "{:<10} {enabled:<10} {target:<20} {last:>20} {next:>20} {duration:>10} {:>10} {state}",
            word("id").unwrap_or_default(),
            number("fail_count")
        )
        .ok();
    }
    text
}

/// A job as the API tells it.
pub(super) fn job_json(job: &Job) -> Value {
    let mut map = Map::new();
    map.insert("id".to_owned(), json!(job.id));
    map.insert("type".to_owned(), json!("local"));
    map.insert("guest".to_owned(), json!(job.guest()));
    map.insert("jobnum".to_owned(), json!(job.number()));
    for (key, value) in &job.values {
        let value = match (key.as_str(), value.parse::<i64>()) {
            ("disable" | "rate", Ok(number)) => json!(number),
            _ => json!(value),
        };
        map.insert(key.clone(), value);
    }
    Value::Object(map)
}

/// `/nodes/NODE/replication`. When a job runs next is true time: what is left of the wait goes by at the lab's speed.
pub(super) fn entries(server: &Server, state: &State, speed: f64) -> Vec<Value> {
    let jobs = if server.replication.by_hand {
        let all = server.pmxcfs.replica.jobs().into_iter();
        all.filter(|job| server.guest(job.guest()).is_some()).collect()
    } else {
        own_jobs(server)
    };
    let now = server.now().as_second();
    let entry = |job: &Job| {
        let mut value = job_json(job);
        let kind = server.guest(job.guest()).map_or("qemu", |guest| guest.kind.word());
        let Some(map) = value.as_object_mut() else { return value };
        let mut put = |key: &str, value: Value| {
            map.insert(key.to_owned(), value);
        };
        let known = server
            .replication
            .states
            .get(&job.guest())
            .and_then(|states| states.get(job.target()));
        let wait = state.next_run(server.index, job).map(|at| at.saturating_sub(state.now));
        let next = match (job.removal(), wait) {
            (Some(_), _) => 1,
            (None, None) => 0,
            (None, Some(wait)) => now + i64::try_from(wait.div_f64(speed).as_secs()).unwrap_or(0),
        };
        put("vmtype", json!(kind));
        put("next_sync", json!(next));
        put("last_sync", json!(known.map_or(0, |known| known.last_sync)));
        put("last_try", json!(known.map_or(0, |known| known.last_try)));
        put("fail_count", json!(known.map_or(0, |known| known.fail_count)));
        if let Some(known) = known {
            if known.duration > 0.0 {
                put("duration", json!(known.duration));
            }
            if let Some(error) = &known.error {
                put("error", json!(error));
            }
            if let Some(pid) = known.pid {
                put("pid", json!(pid));
            }
        }
        value
    };
    jobs.iter().map(entry).collect()
}

fn no_quorum<T>(_: T) -> String {
    "cfs-lock 'file-replication_cfg' error: no quorum!".to_owned()
}

fn wrong(text: &str) -> String {
    format!("400 Parameter verification failed.\n{text}")
}

fn check(parsed: &Parsed) -> Result<(), String> {
    if let Some(schedule) = parsed.option("schedule")
        && !schedule::is_known(schedule)
    {
        return Err(wrong(&format!(
            "schedule: invalid format - unable to parse calendar event '{schedule}'"
        )));
    }
    match parsed.option("rate").map(str::parse::<f64>) {
        Some(Ok(rate)) if rate < 1.0 => Err(wrong("rate: value must have a minimum value of 1")),
        Some(Err(_)) => Err(wrong("rate: type check ('number') failed")),
        _ => Ok(()),
    }
}

/// POST `/cluster/replication`.
pub(super) fn create(call: &Call, id: &str, target: &str, parsed: &Parsed) -> Result<(), String> {
    if !is_id(id) {
        return Err(wrong("id: value does not match the regex pattern"));
    }
    check(parsed)?;
    let mut job = Job {
        id: id.to_owned(),
        ..Job::default()
    };
    let vmid = job.guest();
    let source = call
        .server(|server, _| {
            let replica = &server.pmxcfs.replica;
            let guest = replica
                .guests
                .get(&vmid)
                .ok_or_else(|| format!("Guest '{vmid}' does not exist."))?;
            let known = replica.conf.as_ref().is_some_and(|conf| conf.named(target).is_some());
            if !known && target != server.name() {
                return Err(format!("Target '{target}' does not exist."));
            }
            if guest.node == target {
                return Err("Source and target must not be identical".to_owned());
            }
            let jobs = replica.jobs();
            if jobs.iter().any(|other| other.id == id) {
                return Err(format!("replication job '{id}' already exists"));
            }
            if jobs
                .iter()
                .any(|other| other.guest() == vmid && other.target() == target)
            {
                return Err(format!(
                    "replication job for guest '{vmid}' to target 'local/{target}' already exists"
                ));
            }
            // One volume that can be copied is enough here; others fail at the run.
            let any = guest
                .drives()
                .iter()
                .any(|drive| drive.replicate && !drive.cdrom && server.dataset_of(drive).is_some());
            if !any && replicatable(server, guest, vmid).map_or(true, |found| found.is_empty()) {
                return Err("No replicatable volumes found".to_owned());
            }
            Ok(guest.node.clone())
        })
        .ok_or("no such server")??;
    job.set("target", target);
    job.set("source", &source);
    for key in ["schedule", "rate", "comment"] {
        if let Some(value) = parsed.option(key) {
            job.set(key, &value.replace(' ', "%20"));
        }
    }
    if let Some(schedule) = parsed.option("schedule") {
        job.set("schedule", schedule);
    }
    if parsed.option("disable") == Some("1") {
        job.set("disable", "1");
    }
    let added = call
        .world
        .with(|state| state.write(call.node, |replica| replica.change_jobs(|jobs| jobs.push(job.clone()))));
    added.map_err(no_quorum)
}

/// PUT `/cluster/replication/ID`.
pub(super) fn update(call: &Call, id: &str, parsed: &Parsed) -> Result<(), String> {
    check(parsed)?;
    change(call, id, |job| {
        for key in ["schedule", "rate", "comment"] {
            if let Some(value) = parsed.option(key) {
                job.set(key, &written(key, value));
            }
        }
        match parsed.option("disable") {
            Some("1") => job.set("disable", "1"),
            Some(_) => drop(job.values.remove("disable")),
            None => {}
        }
        for key in parsed.option("delete").unwrap_or_default().split([',', ' ', ';']) {
            job.values.remove(key);
        }
    })
}

/// A comment is written with colons escaped. Source: pve-common PVE/Tools.pm (`encode_text`).
fn written(key: &str, value: &str) -> String {
    if key == "comment" {
        value.replace(':', "%3A")
    } else {
        value.to_owned()
    }
}

fn switch(call: &Call, id: &str, off: bool) -> Result<(), String> {
    change(call, id, |job| {
        if off {
            job.set("disable", "1");
        } else {
            job.values.remove("disable");
        }
    })
}

/// DELETE `/cluster/replication/ID`: marks it, or takes only the entry away.
pub(super) fn delete(call: &Call, id: &str, keep: bool, force: bool) -> Result<(), String> {
    if keep && force {
        return Err("conflicting parameters: 'keep' and 'force'".to_owned());
    }
    if !force {
        let how = if keep { "local" } else { "full" };
        return change(call, id, |job| job.set("remove_job", how));
    }
    change(call, id, |_| ())?;
    let gone = call.world.with(|state| {
        state.write(call.node, |replica| {
            replica.change_jobs(|jobs| jobs.retain(|job| job.id != id));
        })
    });
    gone.map_err(no_quorum)
}

fn change(call: &Call, id: &str, act: impl Fn(&mut Job)) -> Result<(), String> {
    let there = call.server(|server, _| server.pmxcfs.replica.job(id).is_some());
    if there != Some(true) {
        return Err(format!("no such job '{id}'"));
    }
    let changed = call.world.with(|state| {
        state.write(call.node, |replica| {
            replica.change_jobs(|jobs| jobs.iter_mut().filter(|job| job.id == id).for_each(&act));
        })
    });
    changed.map_err(no_quorum)
}

/// POST `/nodes/NODE/replication/ID/schedule_now`: nothing at all happens where the guest is not, or where the job never ran.
pub(super) fn schedule_now(call: &Call, node: usize, id: &str) {
    call.world.with(|state| {
        let Some(server) = state.servers.get_mut(node) else {
            return;
        };
        let Some(job) = server
            .pmxcfs
            .replica
            .job(id)
            .filter(|job| server.guest(job.guest()).is_some())
        else {
            return;
        };
        let states = server.replication.states.get_mut(&job.guest());
        if let Some(known) = states.and_then(|states| states.get_mut(job.target())) {
            known.last_try = 0;
            known.tried_at = None;
            server.keep_replication();
        }
    });
}

/// With an id: this job now, until it is done. Without: those that are due.
async fn run_jobs(call: &Call, id: Option<&str>) -> Result<i32, Stop> {
    let Some(id) = id else {
        let due = call.world.with(|state| state.run_due(call.node));
        for id in due {
            // How each went stands in its state; the call does not tell.
            wait(call, &id).await?.ok();
        }
        return Ok(0);
    };
    let known = call.server(|server, _| server.pmxcfs.replica.job(id).is_some());
    if known != Some(true) {
        return call.reply(0, Reply::fail(255, format!("no such job '{id}'\n"))).await;
    }
    call.world.with(|state| {
        state.turn_stolen(call.node);
        state.want_run(call.node, id);
    });
    match wait(call, id).await? {
        Ok(()) => Ok(0),
        Err(text) => call.reply(0, Reply::fail(255, format!("{text}\n"))).await,
    }
}

async fn wait(call: &Call, id: &str) -> Result<Result<(), String>, Stop> {
    loop {
        if let Some(ended) = call.world.with(|state| state.run_ended(call.node, id)) {
            return Ok(ended);
        }
        call.io.pause(LOOKS).await?;
    }
}
