//! `qm migrate` and `pct migrate`. Source: qemu-server API2/Qemu.pm, QemuMigrate.pm; pve-container LXC/Migrate.pm; pve-guest-common
//! AbstractMigrate.pm.
//!
//! The lock is set first, and the configuration goes over late: a source that dies before leaves the guest there, locked; one that
//! dies after it leaves it on the target, locked still.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::io::Stop;
use super::super::worker::{Failure, Worker, died};
use super::{Asked, power};
use crate::description::GuestKind;
use crate::world::clock;
use crate::world::datacenter;
use crate::world::guest_times as times;
use crate::world::guests::{Drive, Guest};
use crate::world::server::Server;
use crate::world::state::replication::no_lock;
use crate::world::under_ha;
use crate::world::volumes::{CHECK_LOG, is_shared};

/// PVE waits so long for the guest's lock.
const LOCK: Duration = Duration::from_secs(10);

pub(super) async fn run(asked: Asked<'_>) -> Result<i32, Stop> {
    let (word, kind, vmid) = (asked.word(), asked.kind, asked.vmid);
    let Some(target) = asked.words.first().cloned() else {
        return asked.refuse("400 not enough arguments").await;
    };
    if let Some(text) = refusal(&asked, &target) {
        return asked.refuse(&text).await;
    }
    if asked.is_managed() {
        let text = format!("Requesting HA migration for {word} {vmid} to node {target}");
        let line = format!("migrate {} {target}", under_ha::sid(kind, vmid));
        return asked
            .by_ha("hamigrate", text, move |replica| under_ha::command(replica, &line))
            .await;
    }
    let runs = asked.call.world.with(|state| state.guest_runs(asked.call.node, vmid));
    if asked.is_on("online") && !runs && kind == GuestKind::Qemu {
        asked
            .call
            .io
            .err("VM isn't running. Doing offline migration instead.\n")
            .await?;
    }
    let worker = asked.task("qmigrate", "vzmigrate");
    let began = asked.call.world.with(|state| state.now);
    let result = migrates(&asked, &worker, &target, began).await;
    hold(&asked, false);
    worker.end_with(result, 255).await
}

/// What the call itself refuses, before any task.
fn refusal(asked: &Asked<'_>, target: &str) -> Option<String> {
    let guest = asked.guest()?;
    let call = asked.call;
    call.server(|server, _| {
        let word = asked.word();
        let runs = server.running.contains_key(&asked.vmid);
        let online = asked.is_on("online");
        if target == server.name() {
            return Some("400 Parameter verification failed.\ntarget: target is local node.".to_owned());
        }
        if !is_member(server, target) {
            return Some(format!("no such cluster node '{target}'"));
        }
        if !server.pmxcfs.writable() {
            return Some("cluster not ready - no quorum?".to_owned());
        }
        if let Some(lock) = guest.lock() {
            return Some(format!("{word} is locked ({lock})"));
        }
        // HA decides the rest by itself.
        if under_ha::is_managed(&server.pmxcfs.replica, asked.kind, asked.vmid) {
            return None;
        }
        match asked.kind {
            GuestKind::Lxc if online => return Some("lxc live migration is currently not implemented".to_owned()),
            GuestKind::Lxc if runs && !asked.is_on("restart") => {
                return Some("can't migrate running container without --online or --restart".to_owned());
            }
            GuestKind::Qemu if runs && !online => return Some("can't migrate running VM without --online".to_owned()),
            _ => {}
        }
        let jobs = server.pmxcfs.replica.jobs();
        let own: Vec<_> = jobs.iter().filter(|job| job.guest() == asked.vmid).collect();
        if own.iter().any(|job| job.removal().is_some()) {
            return Some("refusing to migrate replicated VM whose replication job is marked for removal".to_owned());
        }
        if runs && asked.kind == GuestKind::Qemu && !own.is_empty() && !own.iter().any(|job| job.target() == target) && !asked.is_on("force")
        {
            return Some(format!(
                "Cannot live-migrate replicated VM to node '{target}' - not a replication target. Use 'force' to override."
            ));
        }
        disks_refusal(server, &guest, target)
    })?
}

fn is_member(server: &Server, node: &str) -> bool {
    let conf = server.pmxcfs.replica.conf.as_ref();
    conf.is_some_and(|conf| conf.named(node).is_some())
}

fn disks_refusal(server: &Server, guest: &Guest, target: &str) -> Option<String> {
    guest.drives().iter().find_map(|drive| {
        let Some(id) = &drive.storage else {
            return (guest.kind == GuestKind::Lxc && drive.name.starts_with('/'))
                .then(|| format!("cannot migrate local bind mount point '{}'", drive.key));
        };
        let section = server.storage(id)?;
        if section.get("disable").is_some() {
            return Some(format!("storage '{id}' is disabled"));
        }
        (!section.is_for(target)).then(|| format!("storage '{id}' is not available on node '{target}'"))
    })
}

/// Takes the guest's lock `pve-migrate-ID`, or gives it back. Was it free?
fn hold(asked: &Asked<'_>, holds: bool) -> bool {
    asked.call.world.with(|state| {
        let Some(server) = state.servers.get_mut(asked.call.node) else {
            return false;
        };
        let replication = &mut server.replication;
        if !holds {
            return replication.migrating.remove(&asked.vmid);
        }
        let runs = replication.run.as_ref().is_some_and(|run| run.vmid == asked.vmid);
        !runs && replication.migrating.insert(asked.vmid)
    })
}

/// A line of the log.
async fn say(asked: &Asked<'_>, worker: &Worker<'_>, text: &str) -> Result<(), Failure> {
    let now = asked
        .call
        .server(|server, _| clock::log(server.now()))
        .unwrap_or_default();
    let lines: String = text.lines().map(|line| format!("{now} {line}\n")).collect();
    worker.say(&lines).await
}

fn clock_of(took: Duration) -> String {
    let seconds = took.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

async fn migrates(asked: &Asked<'_>, worker: &Worker<'_>, target: &str, began: Duration) -> Result<(), Failure> {
    let restarts = asked.kind == GuestKind::Lxc && asked.is_on("restart") && runs(asked);
    if restarts {
        say(asked, worker, &format!("shutdown CT {}", asked.vmid)).await?;
        power::ends(asked, times::CT_STOPS).await?;
    }
    let mut waited = Duration::ZERO;
    while !hold(asked, true) {
        if waited >= LOCK {
            return died(no_lock(asked.vmid));
        }
        let step = Duration::from_secs(1);
        asked.call.io.pause(step).await?;
        waited += step;
    }
    let done = phases(asked, worker, target).await;
    let took = clock_of(asked.call.world.with(|state| state.now.saturating_sub(began)));
    match done {
        Ok(()) => {
            say(
                asked,
                worker,
                &format!("migration finished successfully (duration {took})"),
            )
            .await?;
        }
        Err(Failure::Died(text)) => {
            // The lock goes with the failure.
            asked.change(|guest| guest.set("lock", None)).ok();
            let text = text.replace('\n', " ");
            say(asked, worker, &format!("ERROR: {text}")).await?;
            say(asked, worker, "aborting phase 1 - cleanup resources").await?;
            say(
                asked,
                worker,
                &format!("ERROR: migration aborted (duration {took}): {text}"),
            )
            .await?;
            return died("migration aborted");
        }
        stopped => return stopped,
    }
    if restarts {
        let to = asked.call.world.with(|state| {
            let to = state.find(target)?;
            state.start_guest_refusal(to, asked.vmid).is_none().then_some(to)
        });
        say(asked, worker, &format!("start container on target node '{target}'")).await?;
        asked.call.io.pause(times::CT_STARTS).await?;
        if let Some(to) = to {
            asked.call.world.with(|state| state.start_guest_now(to, asked.vmid));
        }
    }
    Ok(())
}

fn runs(asked: &Asked<'_>) -> bool {
    asked
        .call
        .world
        .with(|state| state.guest_runs(asked.call.node, asked.vmid))
}

async fn phases(asked: &Asked<'_>, worker: &Worker<'_>, target: &str) -> Result<(), Failure> {
    let (word, vmid, from) = (asked.word(), asked.vmid, asked.call.node);
    let online = asked.is_on("online") && runs(asked);
    let road = asked
        .call
        .server(|server, _| datacenter::road(&server.pmxcfs.replica, false));
    let road = match road {
        Some(Ok(road)) => road,
        Some(Err(text)) => return died(text),
        None => return died("no such server"),
    };
    let Some(to) = asked.call.world.with(|state| state.find(target)) else {
        return died(format!("no such cluster node '{target}'"));
    };
    let address = road.network.address_of(to);
    say(
        asked,
        worker,
        &format!("starting migration of {word} {vmid} to node '{target}' ({address})"),
    )
    .await?;
    if !asked.call.world.with(|state| state.reaches(from, to)) {
        asked.call.io.pause(times::NO_ROUTE).await?;
        return died("Can't connect to destination address using public key");
    }
    asked.change(|guest| guest.set("lock", Some("migrate")))?;
    let Some(guest) = asked.guest() else { return Ok(()) };
    let devices = guest.local_devices();
    if !devices.is_empty() && (online || !asked.is_on("force")) {
        return died(format!(
            "can't migrate VM which uses local devices: {}",
            devices.join(", ")
        ));
    }
    let job = asked.call.world.with(|state| state.job_to(from, vmid, target));
    let (runs, replicated) = (runs(asked), job.is_some());
    let kept = asked
        .call
        .server(|server, _| server.keeps_from_moving(&guest, runs, replicated));
    if let Some(Some(line)) = kept {
        say(asked, worker, &line).await?;
        return died(CHECK_LOG);
    }
    let drives: Vec<Drive> = guest.drives().into_iter().filter(|drive| !drive.cdrom).collect();
    let mut copies = false;
    for drive in &drives {
        let local = asked.call.server(|server, _| {
            let section = drive.storage.as_deref().and_then(|id| server.storage(id));
            section.is_some_and(|section| !is_shared(&section))
        });
        if local != Some(true) {
            continue;
        }
        if job.is_some() && drive.replicate {
            say(
                asked,
                worker,
                &format!("found local, replicated disk '{}' (attached)", drive.volid()),
            )
            .await?;
        } else {
            copies = true;
            say(
                asked,
                worker,
                &format!("found local disk '{}' (attached)", drive.volid()),
            )
            .await?;
        }
    }
    if copies && online && !asked.is_on("with-local-disks") {
        return died("can't live migrate attached local disks without with-local-disks option");
    }
    if job.is_some() {
        say(asked, worker, "replicating disk images").await?;
    }
    if copies {
        say(asked, worker, "copying local disk images").await?;
    }
    let copying = asked.call.world.with(|state| state.copy_takes(vmid, from, to));
    asked.call.io.pause(copying).await?;
    if online {
        say(
            asked,
            worker,
            &format!("starting VM {vmid} on remote node '{target}'\nstart remote tunnel"),
        )
        .await?;
        say(
            asked,
            worker,
            &format!("starting online/live migration on unix:/run/qemu-server/{vmid}.migrate"),
        )
        .await?;
        asked.call.io.pause(times::LIVE / 2).await?;
        let memory = guest.memory();
        say(
            asked,
            worker,
            &format!(
                "migration active, transferred {} MiB of {memory}.0 MiB VM-state, 112.0 MiB/s",
                memory / 2
            ),
        )
        .await?;
        asked.call.io.pause(times::LIVE / 2).await?;
        let text = format!(
            "average migration speed: 128.0 MiB/s - downtime {} ms\nmigration status: completed",
            times::DOWNTIME_MS
        );
        say(asked, worker, &text).await?;
    } else {
        asked.call.io.pause(times::MOVES).await?;
    }
    let moved = asked.call.world.with(|state| state.move_guest(vmid, from, to, online));
    if let Err(text) = moved {
        return died(text);
    }
    if let Some(job) = &job {
        let lines = asked
            .call
            .server(|server, _| server.replication_lines(&job.id))
            .unwrap_or_default();
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        worker.say(&lines).await?;
    }
    asked.call.io.pause(times::CLEARS_UP).await?;
    // Over the tunnel.
    asked.call.world.with(|state| {
        let unlock = |replica: &mut crate::world::pmxcfs::Replica| {
            if let Some(guest) = replica.guests.get_mut(&vmid) {
                guest.set("lock", None);
            }
        };
        state.write(from, unlock).ok();
    });
    Ok(())
}

/// `GET /nodes/NODE/qemu/ID/migrate`: what would keep it from going where.
pub(in crate::tools) fn precheck(server: &Server, vmid: u32, target: Option<&str>) -> Option<Value> {
    let guest = server.guest(vmid)?;
    let members: Vec<String> = server
        .pmxcfs
        .view
        .iter()
        .flat_map(|view| &view.nodes)
        .filter(|node| node.online && node.name != server.name())
        .map(|node| node.name.clone())
        .collect();
    let mut local = Vec::new();
    let (mut allowed, mut refused) = (Vec::new(), Map::new());
    for drive in guest.drives() {
        let section = drive.storage.as_deref().and_then(|id| server.storage(id));
        if section.is_some_and(|section| !is_shared(&section)) {
            local.push(json!({
                "volid": drive.volid(), "size": drive.size, "cdrom": u8::from(drive.cdrom), "is_unused": u8::from(drive.unused),
                "drivename": drive.key, "is_attached": u8::from(!drive.unused), "is_vmstate": 0, "shared": 0, "is_tpmstate": 0,
            }));
        }
    }
    for node in members {
        let drives = guest.drives();
        let missing: Vec<&str> = drives
            .iter()
            .filter_map(|drive| drive.storage.as_deref())
            .filter(|id| !server.storage(id).is_some_and(|section| section.is_for(&node)))
            .collect();
        if missing.is_empty() {
            allowed.push(node);
        } else {
            refused.insert(node, json!({"unavailable_storages": missing}));
        }
    }
    let runs = server.running.contains_key(&vmid);
    let mut value = json!({
        "running": u8::from(runs), "local_disks": local, "local_resources": guest.local_devices(), "mapped-resources": [], "mapped-resource-info": {},
        "has-dbus-vmstate": 0,
    });
    let map = value.as_object_mut()?;
    if let Some(target) = target {
        allowed.retain(|node| node == target);
    }
    map.insert("allowed_nodes".to_owned(), json!(allowed));
    map.insert("not_allowed_nodes".to_owned(), Value::Object(refused));
    Some(value)
}
