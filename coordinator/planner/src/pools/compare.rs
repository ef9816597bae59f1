//! A pool that is there, against what the file says of it: how it could grow, and what differs.

use quorate_model::NodeName;
use quorate_model::VdevPlace;
use quorate_model::observation::disks::{Disk, Disks};
use quorate_model::observation::pools::{Leaf, Pool, Vdev, VdevClass};
use quorate_model::pool_layout::disk_of;
use quorate_model::spec::{DiskName, Located, Pick, PoolSpec, Selector};

use crate::report::in_a_row;

/// What the file wants of a pool that is there.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// How its data differs, in words, where nothing is to be done about it; then nothing is added to it.
    pub(super) differs: Vec<String>,
    /// How else it differs. That keeps nothing from being added.
    pub(super) besides: Vec<String>,
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
    let shape: Vec<usize> = data.iter().map(|vdev| vdev.places().len()).collect();
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
        for place in data.iter().flat_map(|vdev| vdev.places()) {
            if let Some(unnamed) = unnamed(&place, names, disks) {
                compared
                    .differs
                    .push(format!("{unnamed} is in it, and the file does not name it"));
            }
        }
    }
    compared.besides = properties(pool, spec);
    for class in VdevClass::ALL.into_iter().filter(|class| *class != VdevClass::Data) {
        beside(node, class, pool, spec, disks, &mut compared);
    }
    compared
}

/// What is written of properties. What is not written is right as it is.
fn properties(pool: &Pool, spec: &PoolSpec) -> Vec<String> {
    let word = |on: bool| if on { "on" } else { "off" };
    let mut differs = Vec::new();
    // 0: chosen by ZFS for each vdev.
    let ashift = pool.ashift.filter(|ashift| *ashift != 0).zip(spec.ashift);
    if let Some((has, wanted)) = ashift.filter(|(has, wanted)| *has != u32::from(*wanted)) {
        differs.push(format!("its ashift is {has}, not {wanted}"));
    }
    let autotrim = pool.autotrim.zip(spec.autotrim);
    if let Some((has, wanted)) = autotrim.filter(|(has, wanted)| has != wanted) {
        differs.push(format!("its autotrim is {}, not {}", word(has), word(wanted)));
    }
    let compression = pool.compression.as_deref().zip(spec.compression);
    if let Some((has, wanted)) = compression.filter(|(has, wanted)| *has != wanted.as_str()) {
        differs.push(format!("its compression is {has}, not {wanted}"));
    }
    differs
}

/// The disk of a place that the file names none of, as the pool calls it. One that is gone may be any of those that the file names.
fn unnamed<'p>(place: &VdevPlace<'p>, names: &[Located<DiskName>], disks: &Disks) -> Option<&'p str> {
    let named = |leaf: &Leaf| match disk_of(leaf, disks) {
        Some(disk) => names.iter().any(|name| name.value.means(disk)),
        None => true,
    };
    let keeper = place.keeper()?;
    let any = place.leaves().any(named);
    (!any).then_some(keeper.name.as_str())
}

/// Disks of a class beside the data, against those that the file has.
fn beside(node: &NodeName, class: VdevClass, pool: &Pool, spec: &PoolSpec, disks: &Disks, compared: &mut Compared) {
    let word = class.as_str();
    let vdevs = pool.vdevs.iter().filter(|vdev| vdev.class == class);
    let places: Vec<VdevPlace<'_>> = vdevs.flat_map(Vdev::places).collect();
    let wanted = spec.beside.get(&class).and_then(|choice| choice.of(node));
    let mut tell = |text: String| compared.besides.push(text);
    match wanted {
        None if places.is_empty() => {}
        None => {
            let there = places.iter().filter_map(VdevPlace::keeper).map(|leaf| &leaf.name);
            tell(format!("it has {word} ({}), and the file has none", in_a_row(there)));
        }
        Some(Pick::Named(names)) => {
            for unnamed in places.iter().filter_map(|place| unnamed(place, names, disks)) {
                tell(format!("{unnamed} is among its {word}, and the file does not name it"));
            }
            let mut elsewhere = false;
            for name in names {
                let means = |disk: &Disk| name.value.means(disk);
                let of_pool = |leaf: &&Leaf| disk_of(leaf, disks).is_some_and(means);
                let here = places.iter().flat_map(VdevPlace::leaves).any(|leaf| of_pool(&leaf));
                let holds = |vdev: &&Vdev| vdev.leaves.iter().any(|leaf| of_pool(&leaf));
                let name = name.value.to_string();
                match pool.vdevs.iter().find(holds).filter(|_| !here) {
                    // Such as a spare that has taken somebody's place.
                    Some(vdev) => {
                        elsewhere = true;
                        let of = vdev.class.as_str();
                        tell(format!(
                            "{name}, which the file names for its {word}, is part of its {of}"
                        ));
                    }
                    None if !here && !places.is_empty() => {
                        tell(format!(
                            "{name}, which the file names for its {word}, is not among them"
                        ));
                    }
                    None => {}
                }
            }
            if places.is_empty() && !elsewhere {
                compared.lacks.push(class);
            }
        }
        Some(Pick::Matching(_)) if places.is_empty() => compared.lacks.push(class),
        Some(pick @ Pick::Matching(_)) => {
            let has = places.len();
            if let Some(wanted) = wanted_disks(pick).filter(|wanted| *wanted != has) {
                tell(format!("it has {has} disks as {word}, not {wanted}"));
            }
        }
    }
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
