//! Pools as they are after they were made.

use quorate_model::facet::Facet;
use quorate_model::ids::NodeName;
use quorate_model::observation::disks::{Holder, HolderKind};
use quorate_model::observation::eligibility::{Role, judge};
use quorate_model::observation::pools::{Leaf, Pool, Vdev, VdevHealth, VdevState};
use quorate_model::pool_layout::PoolLayout;
use quorate_model::view::View;

use super::NOW;

/// The pool is there with each of its disks, and they are held by it.
pub(super) fn made(view: &mut View, node: &NodeName, layout: &PoolLayout) {
    let Some(Ok(seen)) = view.nodes.get_mut(node).map(|v| v.observation.as_mut()) else {
        return;
    };
    if let Facet::Known { value, .. } = &mut seen.disks {
        let used = |disk: &quorate_model::observation::Disk| {
            layout.all_disks().any(|planned| disk.by_id.contains(&planned.link))
        };
        for disk in value.disks.iter_mut().filter(|disk| used(disk)) {
            disk.holders.push(Holder {
                device: disk.path.clone(),
                kind: HolderKind::Zfs,
                name: layout.name.to_string(),
            });
            disk.verdicts = Role::ALL.iter().map(|role| judge(disk, *role)).collect();
        }
    }
    let pool = pool(layout);
    match &mut seen.pools {
        Facet::Known { value, .. } => value.push(pool),
        unknown => *unknown = Facet::known(vec![pool], NOW),
    }
}

fn pool(layout: &PoolLayout) -> Pool {
    let health = VdevHealth {
        state: VdevState::Online,
        errors: None,
        note: None,
    };
    let planned = layout.vdevs();
    let vdevs = planned.iter().enumerate().map(|(number, vdev)| Vdev {
        class: vdev.class,
        name: format!("{}-{number}", vdev.raid),
        health: health.clone(),
        leaves: vdev
            .disks
            .iter()
            .map(|disk| Leaf {
                name: format!("/dev/disk/by-id/{}-part1", disk.link),
                health: health.clone(),
                group: None,
            })
            .collect(),
    });
    let sizes: Vec<_> = layout.disks.iter().map(|disk| disk.size).collect();
    Pool {
        name: layout.name.to_string(),
        state: VdevState::Online,
        complaint: None,
        data_errors: Some(0),
        scan: None,
        vdevs: vdevs.collect(),
        size: layout.raid.usable(&sizes),
        allocated: quorate_model::ByteSize(0),
        fragmentation: Some(0),
        ashift: Some(u32::from(layout.ashift)),
        autotrim: Some(layout.autotrim),
    }
}
