//! A pool that is there, against what the file says of it: how it could grow, and what differs.

use quorate_model::NodeName;
use quorate_model::observation::disks::Disks;
use quorate_model::observation::pools::{Pool, Vdev, VdevClass};
use quorate_model::pool_layout::disk_of;
use quorate_model::spec::{Pick, PoolSpec, Selector};

/// What the file wants of a pool that is there.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// How it differs, in words, where nothing is to be done about it.
    pub(super) differs: Vec<String>,
    /// So many disks more for its data, in so many vdevs like those that it has.
    pub(super) more: Option<More>,
    /// Classes beside the data that it lacks.
    pub(super) lacks: Vec<VdevClass>,
}

/// Disks that are to be added to the data.
#[derive(Debug)]
pub(super) struct More {
    /// Of those that the file names, the ones that are not in the pool yet; or so many like those that it describes.
    pub(super) pick: Pick,
    /// How many vdevs they make.
    pub(super) vdevs: u8,
}

pub(super) fn compare(node: &NodeName, pool: &Pool, spec: &PoolSpec, disks: &Disks) -> Compared {
    let mut compared = Compared::default();
    let raid = spec.raid.value;
    let data: Vec<&Vdev> = pool.vdevs.iter().filter(|vdev| vdev.class == VdevClass::Data).collect();
    let shape: Vec<usize> = data.iter().map(|vdev| vdev.leaves.len()).collect();
    let has: usize = shape.iter().sum();
    let pick = spec.disks.of(node);
    let wanted = pick.and_then(wanted_disks).unwrap_or(has);
    let target: Vec<usize> = raid
        .vdevs(wanted, usize::from(spec.vdevs))
        .iter()
        .map(Vec::len)
        .collect();
    let alike = data.iter().all(|vdev| raid.names(&vdev.name));
    let more = target.get(shape.len()..).unwrap_or_default();
    let grows = alike && !more.is_empty() && target.starts_with(&shape);
    match pick {
        Some(pick) if grows => {
            let added = more.iter().sum();
            compared.more = missing(pick, pool, disks, added).and_then(|pick| {
                Some(More {
                    pick,
                    vdevs: u8::try_from(more.len()).ok()?,
                })
            });
            if compared.more.is_none() {
                compared
                    .differs
                    .push(format!("it has {has} disks for data, not {wanted}"));
            }
        }
        _ if !alike || (wanted == has && target != shape) => {
            compared.differs.push(format!("its disks are not laid out as {raid}"));
        }
        _ if wanted != has => compared
            .differs
            .push(format!("it has {has} disks for data, not {wanted}")),
        _ => {}
    }
    if let Some(Pick::Named(names)) = pick {
        let of_pool = data.iter().flat_map(|vdev| &vdev.leaves);
        for leaf in of_pool {
            let named = disk_of(leaf, disks).is_some_and(|disk| names.iter().any(|name| name.value.means(disk)));
            if !named {
                compared
                    .differs
                    .push(format!("{} is in it, and the file does not name it", leaf.name));
            }
        }
    }
    let ashift = pool
        .ashift
        .filter(|ashift| *ashift != 0 && *ashift != u32::from(spec.ashift));
    if let Some(ashift) = ashift {
        compared
            .differs
            .push(format!("its ashift is {ashift}, not {}", spec.ashift));
    }
    if let Some(autotrim) = pool.autotrim.filter(|autotrim| *autotrim != spec.autotrim) {
        let word = |on: bool| if on { "on" } else { "off" };
        compared.differs.push(format!(
            "its autotrim is {}, not {}",
            word(autotrim),
            word(spec.autotrim)
        ));
    }
    if let Some(compression) = pool
        .compression
        .as_deref()
        .filter(|found| *found != spec.compression.as_str())
    {
        compared
            .differs
            .push(format!("its compression is {compression}, not {}", spec.compression));
    }
    for class in spec
        .beside
        .keys()
        .filter(|class| spec.beside.get(class).is_some_and(|c| c.of(node).is_some()))
    {
        if !pool.vdevs.iter().any(|vdev| vdev.class == *class) {
            compared.lacks.push(*class);
        }
    }
    compared
}

/// How many disks for data the file asks for; `None`: it does not say.
fn wanted_disks(pick: &Pick) -> Option<usize> {
    match pick {
        Pick::Named(names) => Some(names.len()),
        Pick::Matching(selector) => selector.count.as_ref().map(|count| usize::from(count.value)),
    }
}

/// What the file means beside the disks that the pool has; `None`: what it names and is not in the pool are not so many.
fn missing(pick: &Pick, pool: &Pool, disks: &Disks, added: usize) -> Option<Pick> {
    match pick {
        Pick::Named(names) => {
            let in_pool = |name: &quorate_model::spec::DiskName| {
                let mut of_pool = pool.leaves().filter_map(|leaf| disk_of(leaf, disks));
                of_pool.any(|disk| name.means(disk))
            };
            let others: Vec<_> = names.iter().filter(|name| !in_pool(&name.value)).cloned().collect();
            (others.len() == added).then_some(Pick::Named(others))
        }
        Pick::Matching(selector) => {
            let mut count = selector.count.clone()?;
            count.value = u8::try_from(added).ok()?;
            Some(Pick::Matching(Box::new(Selector {
                count: Some(count),
                ..(**selector).clone()
            })))
        }
    }
}
