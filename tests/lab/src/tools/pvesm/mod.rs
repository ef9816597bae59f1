//! `pvesm`: storages, defined once for the cluster and tried where they are added. Source: pve-storage CLI/pvesm.pm,
//! API2/Storage/Config.pm and the plugins.

mod config;
mod status;
mod volumes;

use std::time::Duration;

pub(crate) use self::config::Section;
use self::config::Sections;
use super::io::Stop;
use super::{Call, Reply, unknown};
use crate::plants::StorageIs;
use crate::world::pmxcfs::{Replica, tree};
use crate::world::pve_files::LOCK_LIFE;
use crate::world::server::Server;

/// Source: captured, 0.33 to 0.9 s.
const START: Duration = Duration::from_millis(330);

/// How long PVE waits for its lock.
const PATIENCE: u32 = 10;
const STEP: Duration = Duration::from_secs(1);

const LOCK: &str = "file-storage_cfg";
const FILE: &str = "storage.cfg";

/// What the lab's only backup server takes, whoever logs in.
pub(crate) const BACKUP_PASSWORD: &str = "lab-backup-secret";

const DOWN: &str = "ipcc_send_rec[1] failed: Connection refused\nipcc_send_rec[2] failed: Connection refused\n\
                    ipcc_send_rec[3] failed: Connection refused\nUnable to load access control list: Connection refused\n";

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    call.io.pause(START).await?;
    if !call.server(|server, _| server.pmxcfs.running).unwrap_or(false) {
        return call.reply(0, Reply::fail(111, DOWN)).await;
    }
    let args = call.args();
    match args.as_slice() {
        ["status"] => status::run(call).await,
        ["add", kind, id, options @ ..] => add(call, kind, id, options).await,
        ["set", id, options @ ..] => set(call, id, options).await,
        ["remove", id] => remove(call, id).await,
        ["list", id, options @ ..] => volumes::list(call, id, options).await,
        ["free", volid] => volumes::free(call, volid).await,
        _ => unknown(call).await,
    }
}

/// Options as they were given; an option without a value is empty.
fn options(args: &[&str]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for arg in args {
        match (arg.strip_prefix("--"), found.last_mut()) {
            (Some(name), _) => found.push((name.to_owned(), String::new())),
            (None, Some((_, value))) => (*arg).clone_into(value),
            (None, None) => {}
        }
    }
    found
}

async fn add(call: &Call, kind: &str, id: &str, args: &[&str]) -> Result<i32, Stop> {
    let mut options = options(args);
    let mut password = None;
    if let Some(place) = options.iter().position(|(name, _)| name == "password") {
        let (_, given) = options.remove(place);
        // With an optional value, a word after it would be it; alone, one line is read.
        password = if given.is_empty() {
            call.io.line().await?
        } else {
            Some(given)
        };
    }
    let (section, warnings) = match config::checked(kind, id, options) {
        Ok(checked) => checked,
        Err(refused) => return call.reply(0, Reply::fail(255, refused)).await,
    };
    call.io.err(&warnings).await?;
    let failed = |why: String| Reply::fail(255, format!("create storage failed: {why}\n"));
    if let Err(why) = lock(call).await? {
        return call.reply(0, failed(why)).await;
    }
    let taken = call.server(|server, _| sections(server).get(id).is_some());
    if taken == Some(true) {
        unlock(call);
        return call
            .reply(0, failed(format!("storage ID '{id}' already defined")))
            .await;
    }
    let kept = password.clone();
    let put = section.clone();
    write(call, move |all| all.put(put.clone()), Some((id, kept)));
    // Nothing is tried where it is not to be.
    let name = call.server(|server, _| server.name().to_owned()).unwrap_or_default();
    if section.is_for(&name) {
        call.io.pause(Duration::from_millis(200)).await?;
        let tried = call.server(|server, _| activate(server, &section)).unwrap_or(Ok(()));
        if let Err(why) = tried {
            let gone = id.to_owned();
            write(call, move |all| all.remove(&gone), Some((id, None)));
            unlock(call);
            return call.reply(0, failed(why)).await;
        }
    }
    unlock(call);
    Ok(0)
}

async fn set(call: &Call, id: &str, args: &[&str]) -> Result<i32, Stop> {
    let options = options(args);
    let failed = |why: String| Reply::fail(255, format!("update storage failed: {why}\n"));
    if let Err(why) = lock(call).await? {
        return call.reply(0, failed(why)).await;
    }
    let changed = call.server(|server, _| {
        let mut section = sections(server)
            .get(id)
            .cloned()
            .ok_or(format!("storage '{id}' does not exist"))?;
        config::change(&mut section, &options)?;
        Ok::<Section, String>(section)
    });
    match changed {
        Some(Ok(section)) => {
            write(call, move |all| all.put(section.clone()), None);
            unlock(call);
            Ok(0)
        }
        Some(Err(why)) => {
            unlock(call);
            call.reply(0, failed(why)).await
        }
        None => Ok(255),
    }
}

async fn remove(call: &Call, id: &str) -> Result<i32, Stop> {
    let failed = |why: String| Reply::fail(255, format!("delete storage failed: {why}\n"));
    if let Err(why) = lock(call).await? {
        return call.reply(0, failed(why)).await;
    }
    let there = call.server(|server, _| sections(server).get(id).is_some());
    if there != Some(true) {
        unlock(call);
        return call.reply(0, failed(format!("storage '{id}' does not exist"))).await;
    }
    let gone = id.to_owned();
    write(call, move |all| all.remove(&gone), Some((id, None)));
    unlock(call);
    Ok(0)
}

/// The definitions as this server's /etc/pve has them, with the one that is always there.
pub(crate) fn sections(server: &Server) -> Sections {
    if let Some(text) = server.pmxcfs.replica.files.get(FILE) {
        return Sections::read(text);
    }
    let file = tree(&server.pmxcfs, server.name(), 0).remove(FILE);
    Sections::read(&file.map(|file| file.text).unwrap_or_default())
}

/// Changes storage.cfg on all servers that share it. `secret`: the id whose password is kept, or goes.
fn write(call: &Call, change: impl Fn(&mut Sections), secret: Option<(&str, Option<String>)>) {
    let Some(mut all) = call.server(|server, _| sections(server)) else {
        return;
    };
    change(&mut all);
    let text = all.text();
    call.world.with(|state| {
        let put = |replica: &mut Replica| {
            replica.files.insert(FILE.to_owned(), text.clone());
            if let Some((id, password)) = &secret {
                let path = format!("priv/storage/{id}.pw");
                match password {
                    Some(password) => replica.files.insert(path, format!("{password}\n")),
                    None => replica.files.remove(&path),
                };
            }
        };
        state.write(call.node, put).ok();
    });
}

async fn lock(call: &Call) -> Result<Result<(), String>, Stop> {
    for _ in 0..PATIENCE {
        let writable = call.server(|server, _| server.pmxcfs.writable()) == Some(true);
        if !writable {
            return Ok(Err(format!("cfs-lock '{LOCK}' error: no quorum!")));
        }
        let taken = call.world.with(|state| {
            let held = state
                .get(call.node)
                .is_none_or(|server| server.pmxcfs.replica.locks.contains_key(LOCK));
            let until = state.now + LOCK_LIFE;
            let take = |replica: &mut Replica| {
                replica.locks.insert(LOCK.to_owned(), until);
            };
            !held && state.write(call.node, take).is_ok()
        });
        if taken {
            return Ok(Ok(()));
        }
        call.io.pause(STEP).await?;
    }
    Ok(Err(format!("cfs-lock '{LOCK}' error: got lock request timeout")))
}

fn unlock(call: &Call) {
    call.world.with(|state| {
        let give = |replica: &mut Replica| {
            replica.locks.remove(LOCK);
        };
        state.write(call.node, give).ok();
    });
}

/// Can the storage be used here? Else what PVE says.
pub(crate) fn activate(server: &Server, section: &Section) -> Result<(), String> {
    let id = &section.id;
    let away = matches!(
        server.hardware.storages.get(id),
        Some(StorageIs::Away | StorageIs::Hangs)
    );
    match section.kind.as_str() {
        "zfspool" => {
            let pool = section.get("pool").unwrap_or_default();
            let name = pool.split('/').next().unwrap_or(pool);
            if away || !server.pools.iter().any(|imported| imported.name == name) {
                return Err(format!(
                    "could not activate storage '{id}', zfs error: cannot import '{name}': no such pool available"
                ));
            }
        }
        "nfs" if away => return Err(format!("storage '{id}' is not online")),
        "pbs" => {
            let at = section.get("server").unwrap_or_default();
            let port = section.get("port").unwrap_or("8007");
            if away {
                return Err(format!(
                    "{id}: error fetching datastores - 500 Can't connect to {at}:{port} (No route to host)"
                ));
            }
            let given = server.pmxcfs.replica.files.get(&format!("priv/storage/{id}.pw"));
            if given.is_none_or(|given| given.trim_end() != BACKUP_PASSWORD) {
                return Err(format!("{id}: error fetching datastores - 401 authentication failure"));
            }
        }
        "dir" if away => {
            let path = section.get("path").unwrap_or_default();
            return Err(format!(
                "unable to activate storage '{id}' - directory '{path}' does not exist or is unreachable"
            ));
        }
        "rbd" if away => return Err("rbd error: rbd: couldn't connect to the cluster!".to_owned()),
        _ => {}
    }
    Ok(())
}
