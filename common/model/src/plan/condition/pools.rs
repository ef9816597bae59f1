//! Pools: that their disks are free, and that they are there.

use super::{Not, Verdict, on_each};
use crate::ids::NodeName;
use crate::observation::eligibility::Role;
use crate::pool_layout::PoolLayout;
use crate::view::View;

pub(super) fn disks_free(view: &View, node: &NodeName, layout: &PoolLayout) -> Verdict {
    let names: Vec<&str> = layout.all_disks().map(|disk| disk.link.as_str()).collect();
    on_each(
        [node],
        || {
            format!(
                "nothing is on {} of {node}, and no pool is called {}",
                names.join(", "),
                layout.name
            )
        },
        |node| {
            let pools = view.facet(node, |o| &o.pools)?;
            if pools.iter().any(|pool| pool.name == layout.name.as_str()) {
                return Err(Not::Yet(format!("has a pool {} already", layout.name)));
            }
            let disks = view.facet(node, |o| &o.disks)?;
            for planned in layout.all_disks() {
                let disk = planned
                    .find(disks)
                    .map_err(|why| Not::Yet(format!("has a disk {} that {why}", planned.link)))?;
                let verdict = disk.verdicts.iter().find(|verdict| verdict.role == Role::Zfs);
                let Some(verdict) = verdict else {
                    return Err(Not::Known(format!("nobody has judged {}", planned.link)));
                };
                if let Some(reason) = verdict.against.iter().find(|reason| !layout.accepts(reason)) {
                    return Err(Not::Yet(format!("has something on {}: {}", planned.link, reason.text)));
                }
            }
            Ok(())
        },
    )
}

pub(super) fn made(view: &View, node: &NodeName, layout: &PoolLayout) -> Verdict {
    on_each(
        [node],
        || format!("pool {} of {node} is ONLINE with all its disks", layout.name),
        |node| {
            let pools = view.facet(node, |o| &o.pools)?;
            let pool = pools.iter().find(|pool| pool.name == layout.name.as_str());
            let Some(pool) = pool else {
                return Err(Not::Yet(format!("has no pool {}", layout.name)));
            };
            let disks = view.facet(node, |o| &o.disks)?;
            let is = layout.is(pool, disks);
            is.map_err(|why| Not::Yet(format!("has a pool {} that is not as planned: {why}", layout.name)))
        },
    )
}
