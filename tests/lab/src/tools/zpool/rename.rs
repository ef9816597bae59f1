//! `zfs rename OLD NEW`: a dataset gets another name in its pool, with all its snapshots. Texts are from OpenZFS's libzfs_dataset.c (`zfs_rename`), not seen.

use super::super::io::Stop;
use super::super::{Call, Reply};
use super::CHANGES;
use crate::world::server::Server;
use crate::world::volumes::owner;

pub(super) async fn run(call: &Call, old: &str, new: &str) -> Result<i32, Stop> {
    call.io.pause(CHANGES).await?;
    let refused = call.world.with(|state| {
        let server = state.servers.get_mut(call.node)?;
        refused(server, old, new).or_else(|| {
            change(server, old, new);
            None
        })
    });
    call.reply(0, refused.map_or_else(Reply::default, |text| Reply::fail(1, text)))
        .await
}

fn refused(server: &Server, old: &str, new: &str) -> Option<String> {
    let there = |name: &str| server.pools.iter().any(|pool| pool.datasets.contains_key(name));
    let pool = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
    if !there(old) {
        return Some(format!("cannot open '{old}': dataset does not exist\n"));
    }
    if pool(old) != pool(new) {
        return Some(format!("cannot rename to '{new}': datasets must be within same pool\n"));
    }
    if there(new) {
        return Some(format!("cannot rename to '{new}': dataset already exists\n"));
    }
    let parent = new.rsplit_once('/').map_or(new, |(parent, _)| parent);
    if !there(parent) {
        return Some(format!("cannot rename to '{new}': parent does not exist\n"));
    }
    // A volume is renamed while it is open; a file system is unmounted for it.
    let mounted = old.rsplit('/').next().is_some_and(|name| name.starts_with("subvol-"));
    let busy = mounted && owner(old).is_some_and(|vmid| server.running.contains_key(&vmid));
    busy.then(|| format!("cannot unmount '/{old}': pool or dataset is busy\n"))
}

fn change(server: &mut Server, old: &str, new: &str) {
    for pool in &mut server.pools {
        if let Some(properties) = pool.datasets.remove(old) {
            pool.datasets.insert(new.to_owned(), properties);
        }
        if let Some(volume) = pool.volumes.remove(old) {
            pool.volumes.insert(new.to_owned(), volume);
        }
    }
}
