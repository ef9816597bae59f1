//! The pools of a cluster that others made: `[zfs.NAME]` for those that a cluster file can say.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::VdevPlace;
use quorate_model::failure::Failure;
use quorate_model::ids::{NodeName, PoolName};
use quorate_model::observation::Disks;
use quorate_model::observation::pools::{Pool, Vdev, VdevClass};
use quorate_model::pool_layout::disk_of;
use quorate_model::raid::Raid;
use quorate_model::spec::{DiskName, Draft, DraftDisks, DraftPool, NodeRole};

use super::derive::{Server, unseen};

/// A pool's data as the file says it.
type Shape = (Raid, u8);

/// Puts the members' pools into the draft, and those that it can't say into its comments.
pub(super) fn pools(draft: &mut Draft, servers: &[Server<'_>]) -> Result<(), Failure> {
    let mut found: BTreeMap<&str, Vec<(&Server<'_>, &Pool, &Disks)>> = BTreeMap::new();
    let members = servers.iter().filter(|server| draft.nodes.contains_key(&server.name));
    for server in members.filter(|server| !server.is_no_pve()) {
        let pools = server.observation.pools.get();
        let pools = pools.map_err(|unknown| unseen(server, "its pools", "pools", unknown))?;
        let disks = server.observation.disks.get();
        let disks = disks.map_err(|unknown| unseen(server, "its disks", "disks", unknown))?;
        for pool in pools {
            found.entry(pool.name.as_str()).or_default().push((server, pool, disks));
        }
    }
    for (name, of_nodes) in found {
        match one(name, &of_nodes) {
            Ok((name, mut pool)) => {
                let members = draft.nodes.iter().filter(|(_, node)| node.role == NodeRole::Member);
                for node in members.map(|(name, _)| name) {
                    // None, said in so many words.
                    let all = pool.beside.values_mut().chain([&mut pool.disks]);
                    all.for_each(|disks| {
                        disks.entry(node.clone()).or_default();
                    });
                }
                draft.pools.insert(name, pool);
            }
            Err(why) => draft.comments.push(format!(
                "The pool {name} is left as it is, and not looked after: {why}."
            )),
        }
    }
    Ok(())
}

/// A pool of one name, as all servers have it that have one.
///
/// # Errors
/// Why a file can't say it.
fn one(name: &str, of_nodes: &[(&Server<'_>, &Pool, &Disks)]) -> Result<(PoolName, DraftPool), String> {
    let name = PoolName::new(name).map_err(|error| error.to_string())?;
    let mut shapes: BTreeMap<NodeName, Shape> = BTreeMap::new();
    let mut data = DraftDisks::new();
    let mut beside: BTreeMap<VdevClass, DraftDisks> = BTreeMap::new();
    for (server, pool, disks) in of_nodes {
        let node = &server.name;
        let shape = shape(pool).ok_or_else(|| format!("how its disks are laid out on {node} has no word here"))?;
        shapes.insert(node.clone(), shape);
        for vdev in &pool.vdevs {
            let into = match vdev.class {
                VdevClass::Data => &mut data,
                VdevClass::Dedup => return Err(format!("on {node} it has a vdev for deduplication")),
                class => beside.entry(class).or_default(),
            };
            // Of a disk that is being replaced, its successor; of one for which a spare stands in, the disk itself.
            for leaf in vdev.places().iter().filter_map(VdevPlace::keeper) {
                if leaf.name.starts_with("/dev/") && leaf.whole_disk().is_none() {
                    let shown = &leaf.name;
                    return Err(format!(
                        "on {node} it lies on parts of disks that have others ({shown})"
                    ));
                }
                let link = disk_of(leaf, disks).and_then(|disk| {
                    let link = disk.stable_name()?;
                    link.parse::<DiskName>().ok()
                });
                let link = link.ok_or_else(|| {
                    format!(
                        "which disk {} of {node} is can't be told; replace it, and adopt again",
                        leaf.name
                    )
                })?;
                into.entry(node.clone()).or_default().push(link);
            }
        }
    }
    let different: BTreeSet<&Shape> = shapes.values().collect();
    let mut different = different.into_iter();
    let (Some((raid, vdevs)), None) = (different.next(), different.next()) else {
        let each = shapes.iter().map(|(node, (raid, vdevs))| match vdevs {
            1 => format!("{node}: {raid}"),
            _ => format!("{node}: {raid} in {vdevs} vdevs"),
        });
        let each: Vec<String> = each.collect();
        return Err(format!(
            "its disks are laid out otherwise on each ({})",
            each.join(", ")
        ));
    };
    let pool = DraftPool {
        raid: *raid,
        vdevs: *vdevs,
        disks: data,
        beside,
        ashift: same(of_nodes, |pool| pool.ashift.filter(|ashift| *ashift != 0)).and_then(|n| u8::try_from(n).ok()),
        compression: same(of_nodes, |pool| pool.compression.clone()).and_then(|word| word.parse().ok()),
        autotrim: same(of_nodes, |pool| pool.autotrim),
        // Until its storage is seen.
        storage: false,
        content: BTreeSet::new(),
        thin: None,
    };
    Ok((name, pool))
}

/// What is the same for all of them. Where it is not, the plan tells who differs from what is usual.
fn same<T: PartialEq>(of_nodes: &[(&Server<'_>, &Pool, &Disks)], what: impl Fn(&Pool) -> Option<T>) -> Option<T> {
    let mut all = of_nodes.iter().map(|(_, pool, _)| what(pool));
    let first = all.next()??;
    all.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

/// The layout of its data, and over how many vdevs it is spread.
fn shape(pool: &Pool) -> Option<Shape> {
    let data: Vec<&Vdev> = pool.vdevs.iter().filter(|vdev| vdev.class == VdevClass::Data).collect();
    let sizes: Vec<usize> = data.iter().map(|vdev| vdev.places().len()).collect();
    let fits = |raid: Raid, vdevs: usize| {
        let disks = sizes.iter().sum();
        let planned = raid.vdevs(disks, vdevs);
        data.iter().all(|vdev| raid.names(&vdev.name))
            && raid.refuses(disks, vdevs).is_none()
            && planned.iter().map(Vec::len).eq(sizes.iter().copied())
    };
    // Two pairs are called as PVE calls them.
    let raid10 = fits(Raid::Raid10, 1).then_some((Raid::Raid10, 1));
    raid10.or_else(|| {
        let vdevs = u8::try_from(data.len()).ok()?;
        let raid = Raid::ALL.into_iter().find(|raid| fits(*raid, data.len()))?;
        Some((raid, vdevs))
    })
}
