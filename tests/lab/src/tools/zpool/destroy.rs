//! `zfs destroy [-r] NAME` and `NAME@SNAPSHOT`. Texts are from OpenZFS's cmd/zfs/zfs_main.c and libzfs.

use super::super::io::Stop;
use super::super::{Call, Reply, unknown};
use super::CHANGES;
use crate::world::server::Server;
use crate::world::volumes::owner;

pub(super) async fn run(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let below = args.contains(&"-r");
    let names: Vec<&str> = args
        .iter()
        .copied()
        .filter(|arg| !matches!(*arg, "-r" | "-f"))
        .collect();
    let [name] = names.as_slice() else {
        return unknown(call).await;
    };
    if name.starts_with('-') {
        return unknown(call).await;
    }
    call.io.pause(CHANGES).await?;
    let refused = call.world.with(|state| {
        let server = state.servers.get_mut(call.node)?;
        match name.split_once('@') {
            Some((dataset, snapshot)) => drop_snapshot(server, dataset, snapshot),
            None => drop_dataset(server, name, below),
        }
    });
    call.reply(0, refused.map_or_else(Reply::default, |text| Reply::fail(1, text)))
        .await
}

fn drop_snapshot(server: &mut Server, dataset: &str, name: &str) -> Option<String> {
    let missing = || "could not find any snapshots to destroy; check snapshot names.\n".to_owned();
    let Some(volume) = server.volume_mut(dataset) else {
        return Some(missing());
    };
    let before = volume.snapshots.len();
    volume.snapshots.retain(|snapshot| snapshot.name != name);
    (volume.snapshots.len() == before).then(missing)
}

fn drop_dataset(server: &mut Server, name: &str, below: bool) -> Option<String> {
    let inside = |other: &str| other == name || other.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
    let all: Vec<String> = server
        .pools
        .iter()
        .flat_map(|pool| pool.datasets.keys())
        .filter(|other| inside(other))
        .cloned()
        .collect();
    if all.is_empty() {
        return Some(format!("cannot open '{name}': dataset does not exist\n"));
    }
    let busy = all
        .iter()
        .find(|dataset| owner(dataset).is_some_and(|vmid| server.running.contains_key(&vmid)));
    if let Some(busy) = busy {
        return Some(format!("cannot destroy '{busy}': dataset is busy\n"));
    }
    let snapshots = server.volume(name).map_or(0, |volume| volume.snapshots.len());
    if !below && (all.len() > 1 || snapshots > 0) {
        let kind = if server.volume(name).is_some() {
            "volume"
        } else {
            "filesystem"
        };
        let children = all.iter().filter(|other| *other != name).cloned();
        let own = server.volume(name).into_iter().flat_map(|volume| &volume.snapshots);
        let list: Vec<String> = children
            .chain(own.map(|snapshot| format!("{name}@{}", snapshot.name)))
            .collect();
        return Some(format!(
            "cannot destroy '{name}': {kind} has children\nuse '-r' to destroy the following datasets:\n{}\n",
            list.join("\n")
        ));
    }
    for pool in &mut server.pools {
        for dataset in &all {
            pool.drop_volume(dataset);
        }
    }
    None
}
