//! `qm create`, `pct create` and `set`.

use super::super::io::Stop;
use super::super::worker::{Failure, Worker, died};
use super::{Asked, disks, power};
use crate::description::GuestKind;
use crate::world::guests::{Guest, next_version};
use crate::world::random;
use crate::world::replication::jobs::Job;
use crate::world::state::replication::replicatable;
use crate::world::under_ha;

/// Options that are no lines of the configuration.
const ORDERS: [&str; 12] = [
    "start",
    "ha-managed",
    "delete",
    "digest",
    "force",
    "revert",
    "skiplock",
    "storage",
    "password",
    "ssh-public-keys",
    "unique",
    "bwlimit",
];

pub(super) async fn run(asked: Asked<'_>) -> Result<i32, Stop> {
    let (word, vmid) = (asked.word(), asked.vmid);
    let there = asked
        .call
        .server(|server, _| {
            server
                .pmxcfs
                .replica
                .guests
                .get(&vmid)
                .map(|guest| (guest.node.clone(), guest.kind))
        })
        .flatten();
    if let Some((node, kind)) = there {
        let other = if kind == GuestKind::Qemu { "VM" } else { "CT" };
        return asked
            .refuse(&format!(
                "unable to create {word} {vmid} - {other} {vmid} already exists on node '{node}'"
            ))
            .await;
    }
    if vmid < 100 {
        let text = "400 Parameter verification failed.\nvmid: value must have a minimum value of 100";
        return asked.refuse(text).await;
    }
    let worker = asked.task("qmcreate", "vzcreate");
    let result = creates(&asked, &worker).await;
    worker.end_with(result, 255).await
}

async fn creates(asked: &Asked<'_>, worker: &Worker<'_>) -> Result<(), Failure> {
    let (word, vmid) = (asked.word(), asked.vmid);
    let failed = |text: String| Failure::Died(format!("unable to create {word} {vmid} - {text}"));
    let writable = asked.call.server(|server, _| server.pmxcfs.writable()) == Some(true);
    if !writable {
        return died("cluster not ready - no quorum?");
    }
    if asked.kind == GuestKind::Lxc {
        let template = asked
            .words
            .first()
            .map(String::as_str)
            .or(asked.option("ostemplate"))
            .unwrap_or_default();
        let name = template.rsplit('/').next().unwrap_or_default();
        let path = format!("var/lib/vz/template/cache/{name}");
        let there = asked
            .call
            .server(|server, _| server.root.join(path).is_file())
            .unwrap_or(false);
        if !there {
            return Err(failed(format!("volume '{template}' does not exist")));
        }
    }
    let mut guest = Guest {
        node: asked.node(),
        kind: asked.kind,
        version: 0,
        conf: String::new(),
    };
    let mut options = asked.options.clone();
    if asked.kind == GuestKind::Lxc {
        let storage = asked.option("storage").unwrap_or("local").to_owned();
        options
            .entry("rootfs".to_owned())
            .or_insert_with(|| format!("{storage}:4"));
        guest.set("arch", Some("amd64"));
        guest.set("ostype", Some("debian"));
    } else {
        guest.set("smbios1", Some(&format!("uuid={}", uuid())));
        guest.set("vmgenid", Some(&uuid()));
        let seconds = asked.call.server(|server, _| server.now().as_second()).unwrap_or(0);
        guest.set("meta", Some(&format!("creation-qemu=9.0.2,ctime={seconds}")));
    }
    for (key, value) in options.iter().filter(|(key, _)| !ORDERS.contains(&key.as_str())) {
        let made = disks::make(asked, key, value).map_err(|failure| match failure {
            Failure::Died(text) => failed(text),
            stopped @ Failure::Stopped(_) => stopped,
        })?;
        match made {
            Some(made) => {
                worker.say(&made.line).await?;
                guest.set(key, Some(&made.value));
            }
            None => guest.set(key, Some(&plain(asked.kind, key, value))),
        }
    }
    if let Some(text) = asked.option("description") {
        // It stands above all, each line as a comment.
        guest.set("description", None);
        let lines: String = text.lines().map(|line| format!("#{line}\n")).collect();
        guest.conf.insert_str(0, &lines);
    }
    worker.pause(1500).await?;
    let managed = asked.is_on("ha-managed");
    let starts = asked.is_on("start");
    asked.write(|replica| {
        let version = next_version(&replica.guests);
        let fresh = Guest {
            version,
            ..guest.clone()
        };
        replica.guests.insert(vmid, fresh);
        if managed {
            under_ha::add(replica, asked.kind, vmid, if starts { "started" } else { "stopped" });
        }
    })?;
    asked.call.world.with(|state| {
        if let Some(server) = state.servers.get_mut(asked.call.node) {
            server.replication.states.remove(&vmid);
            server.numbers.remove(&vmid);
            server.keep_replication();
        }
        state.shared_numbers.remove(&vmid);
        // What comes from an image or a template writes no numbers by itself.
        let from_image = options.values().any(|value| value.contains("import-from="));
        state.put_inside.retain(|(of, _), _| *of != vmid);
        if from_image || asked.kind == GuestKind::Lxc {
            state.bare.insert(vmid);
        } else {
            state.bare.remove(&vmid);
        }
    });
    if starts && !managed {
        power::starts(asked).await?;
    }
    Ok(())
}

/// A line as it was given; a network card gets its address.
fn plain(kind: GuestKind, key: &str, value: &str) -> String {
    let is_net = key
        .strip_prefix("net")
        .is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()) && !number.is_empty());
    if !is_net {
        return value.to_owned();
    }
    let number = random();
    let [_, _, _, _, _, a, b, c] = number.to_be_bytes();
    let address = format!("BC:24:11:{a:02X}:{b:02X}:{c:02X}");
    match kind {
        GuestKind::Lxc if value.contains("hwaddr=") => value.to_owned(),
        GuestKind::Lxc => format!("{value},hwaddr={address},type=veth"),
        GuestKind::Qemu => {
            let (model, rest) = value.split_once(',').unwrap_or((value, ""));
            if model.contains('=') {
                return value.to_owned();
            }
            let rest = if rest.is_empty() {
                String::new()
            } else {
                format!(",{rest}")
            };
            format!("{model}={address}{rest}")
        }
    }
}

fn uuid() -> String {
    let (a, b) = (format!("{:016x}", random()), format!("{:016x}", random()));
    let part = |text: &str, from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
    format!(
        "{}-{}-4{}-8{}-{}",
        part(&a, 0, 8),
        part(&a, 8, 12),
        part(&a, 13, 16),
        part(&b, 1, 4),
        part(&b, 4, 16)
    )
}

pub(super) async fn set(asked: Asked<'_>) -> Result<i32, Stop> {
    match sets(&asked).await {
        Ok(()) => Ok(0),
        Err(Failure::Died(text)) => asked.refuse(&text).await,
        Err(Failure::Stopped(stop)) => Err(stop),
    }
}

async fn sets(asked: &Asked<'_>) -> Result<(), Failure> {
    let Some(mut guest) = asked.guest() else { return Ok(()) };
    if let Some(lock) = guest.lock() {
        return died(format!("{} is locked ({lock})", asked.word()));
    }
    let mut said = format!("update {} {}:", asked.word(), asked.vmid);
    let mut lines = String::new();
    for (key, value) in asked.options.iter().filter(|(key, _)| !ORDERS.contains(&key.as_str())) {
        said.push_str(&format!(" -{key} {value}"));
        let made = disks::make(asked, key, value)?;
        let value = match made {
            Some(made) => {
                lines.push_str(&made.line);
                made.value
            }
            None => plain(asked.kind, key, value),
        };
        guest.set(key, Some(&value));
    }
    for key in asked
        .option("delete")
        .unwrap_or_default()
        .split([',', ';', ' '])
        .filter(|key| !key.is_empty())
    {
        said.push_str(&format!(" -delete {key}"));
        guest.set(key, None);
    }
    let refused = asked.call.server(|server, _| {
        let jobs = server.pmxcfs.replica.jobs();
        let is_copied = jobs.iter().map(Job::guest).any(|vmid| vmid == asked.vmid);
        is_copied
            .then(|| replicatable(server, &guest, asked.vmid).err())
            .flatten()
    });
    if let Some(Some(text)) = refused {
        let managed = text.starts_with("missing replicate feature") || text.starts_with("storage");
        return died(if managed {
            format!("cannot add non-replicatable volume to a replicated {}", asked.word())
        } else {
            format!(
                "cannot add non-managed/pass-through volume to a replicated {}",
                asked.word()
            )
        });
    }
    asked.change(|there| there.conf.clone_from(&guest.conf))?;
    if asked.kind == GuestKind::Qemu {
        asked.call.io.out(&format!("{said}\n{lines}")).await?;
    }
    Ok(())
}
