//! `pvesm list` and `pvesm free`, of volumes in pools.

use super::super::worker::Worker;
use super::{activate, sections};
use crate::tools::io::Stop;
use crate::tools::{Call, Reply};
use crate::world::server::Server;
use crate::world::volumes::owner;

/// The dataset below which a storage's volumes lie.
fn pool_of(server: &Server, id: &str) -> Result<String, String> {
    let section = sections(server)
        .get(id)
        .cloned()
        .ok_or_else(|| format!("storage '{id}' does not exist"))?;
    if !section.is_for(server.name()) {
        return Err(format!("storage '{id}' is not available on node '{}'", server.name()));
    }
    activate(server, &section)?;
    Ok(section
        .get("pool")
        .filter(|_| section.kind == "zfspool")
        .unwrap_or_default()
        .to_owned())
}

pub(super) async fn list(call: &Call, id: &str, options: &[&str]) -> Result<i32, Stop> {
    let only = match options {
        ["--vmid", vmid] => vmid.parse::<u32>().ok(),
        _ => None,
    };
    let reply = call.server(|server, _| match pool_of(server, id) {
        Ok(pool) => Reply::ok(table(server, id, &pool, only)),
        Err(text) => Reply::fail(255, format!("{text}\n")),
    });
    call.reply(0, reply.unwrap_or_default()).await
}

/// Source: pve-storage CLI/pvesm.pm (`list`).
fn table(server: &Server, id: &str, pool: &str, only: Option<u32>) -> String {
    let mut rows = Vec::new();
    for (dataset, volume) in server.pools.iter().flat_map(|pool| &pool.volumes) {
        let Some(name) = dataset.strip_prefix(pool).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        let Some(vmid) = owner(dataset).filter(|vmid| only.is_none_or(|only| only == *vmid)) else {
            continue;
        };
        let (format, kind) = if name.starts_with("subvol-") {
            ("subvol", "rootdir")
        } else {
            ("raw", "images")
        };
        rows.push((format!("{id}:{name}"), format, kind, volume.size, vmid));
    }
    let width = rows.iter().map(|row| row.0.len()).max().unwrap_or(0).max(5);
    let mut text = format!(
        "{:width$} {:<7} {:<9} {:>12} {}\n",
        "Volid", "Format", "Type", "Size", "VMID"
    );
    for (volid, format, kind, size, vmid) in rows {
        text.push_str(&format!("{volid:width$} {format:<7} {kind:<9} {size:>12} {vmid}\n"));
    }
    text
}

pub(super) async fn free(call: &Call, volid: &str) -> Result<i32, Stop> {
    let Some((id, name)) = volid.split_once(':') else {
        let text = "400 Parameter verification failed.\nvolume: unable to parse volume ID\n";
        return call.reply(0, Reply::fail(255, text)).await;
    };
    let worker = Worker::start(call, "imgdel", id);
    let freed = call.world.with(|state| {
        let server = state.servers.get_mut(call.node).ok_or("no such server")?;
        let dataset = format!("{}/{name}", pool_of(server, id)?);
        if owner(&dataset).is_some_and(|vmid| server.running.contains_key(&vmid)) {
            return Err(format!("zfs error: cannot destroy '{dataset}': dataset is busy"));
        }
        // One that is not there is no reason to complain.
        server.drop_volume(&dataset);
        Ok(())
    });
    let result = match freed {
        Ok(()) => worker.say(&format!("Removed volume '{volid}'\n")).await,
        Err(text) => super::super::worker::died(text),
    };
    worker.end_with(result, 255).await
}
