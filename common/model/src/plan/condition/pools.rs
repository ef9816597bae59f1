//! Pools: that their disks are free, and that they are there.

use std::collections::BTreeSet;

use super::{Not, Verdict, on_each};
use crate::held::GuestVolume;
use crate::ids::{NodeName, PoolName};
use crate::observation::disks::Disks;
use crate::observation::eligibility::{ReasonKind, Role};
use crate::observation::pools::{Pool, VdevState};
use crate::pool_layout::{DiskIdentity, PoolLayout};
use crate::time::Timestamp;
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
            layout
                .all_disks()
                .try_for_each(|planned| free(planned, disks, &layout.accepted))
        },
    )
}

/// Is it the disk that was planned, and does nothing speak against using it?
fn free(planned: &DiskIdentity, disks: &Disks, accepted: &BTreeSet<ReasonKind>) -> Result<(), Not> {
    let disk = planned
        .find(disks)
        .map_err(|why| Not::Yet(format!("has a disk {} that {why}", planned.link)))?;
    let verdict = disk.verdicts.iter().find(|verdict| verdict.role == Role::Zfs);
    let Some(verdict) = verdict else {
        return Err(Not::Known(format!("nobody has judged {}", planned.link)));
    };
    match verdict.against.iter().find(|reason| !reason.kind.is_accepted(accepted)) {
        Some(reason) => Err(Not::Yet(format!("has something on {}: {}", planned.link, reason.text))),
        None => Ok(()),
    }
}

fn pool_of<'v>(view: &'v View, node: &NodeName, name: &PoolName) -> Result<&'v Pool, Not> {
    let pools = view.facet(node, |o| &o.pools)?;
    let found = pools.iter().find(|pool| pool.name == name.as_str());
    found.ok_or_else(|| Not::Yet(format!("has no pool {name}")))
}

fn well(pool: &Pool) -> Result<(), Not> {
    pool.may_be_changed()
        .map_err(|why| Not::Yet(format!("has a pool {} {why}", pool.name)))
}

pub(super) fn can_grow(view: &View, node: &NodeName, layout: &PoolLayout) -> Verdict {
    on_each(
        [node],
        || {
            format!(
                "pool {} of {node} is ONLINE, and nothing is on its new disks",
                layout.name
            )
        },
        |node| {
            well(pool_of(view, node, &layout.name)?)?;
            let disks = view.facet(node, |o| &o.disks)?;
            layout
                .all_disks()
                .try_for_each(|planned| free(planned, disks, &layout.accepted))
        },
    )
}

pub(super) fn has(view: &View, node: &NodeName, layout: &PoolLayout) -> Verdict {
    on_each(
        [node],
        || format!("pool {} of {node} is ONLINE with its new disks", layout.name),
        |node| {
            let pool = pool_of(view, node, &layout.name)?;
            let disks = view.facet(node, |o| &o.disks)?;
            let is = layout.is_part_of(pool, disks);
            is.map_err(|why| Not::Yet(format!("has a pool {} that is not as planned: {why}", layout.name)))
        },
    )
}

pub(super) fn can_replace(
    view: &View,
    node: &NodeName,
    (name, old): (&PoolName, &str),
    with: &DiskIdentity,
    accepted: &BTreeSet<ReasonKind>,
) -> Verdict {
    on_each(
        [node],
        || format!("pool {name} of {node} has {old}, and nothing is on {}", with.link),
        |node| {
            let pool = pool_of(view, node, name)?;
            match pool.leaves().find(|leaf| leaf.name == old) {
                None => return Err(Not::Yet(format!("has no {old} in pool {name}"))),
                Some(leaf) if leaf.is_being_replaced() => {
                    return Err(Not::Yet(format!("replaces {old} in pool {name} already")));
                }
                Some(_) => {}
            }
            free(with, view.facet(node, |o| &o.disks)?, accepted)
        },
    )
}

pub(super) fn replaced(view: &View, node: &NodeName, (name, old): (&PoolName, &str), with: &DiskIdentity) -> Verdict {
    on_each(
        [node],
        || format!("pool {name} of {node} has {} in place of {old}", with.link),
        |node| {
            let pool = pool_of(view, node, name)?;
            let disks = view.facet(node, |o| &o.disks)?;
            let new = pool.leaves().find(|leaf| with.is_at(leaf, disks));
            let Some(new) = new else {
                return Err(Not::Yet(format!("has no {} in pool {name}", with.link)));
            };
            let state = new.health.state;
            if state != VdevState::Online {
                return Err(Not::Yet(format!(
                    "has {} in pool {name}, which is {}",
                    with.link,
                    state.as_str()
                )));
            }
            match pool.leaves().find(|leaf| leaf.name == old && leaf.name != new.name) {
                Some(left) if !left.is_being_replaced() => Err(Not::Yet(format!("has {old} in pool {name} as before"))),
                _ => Ok(()),
            }
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
            let is = layout.is_made(pool, disks);
            is.map_err(|why| Not::Yet(format!("has a pool {} that is not as planned: {why}", layout.name)))
        },
    )
}

pub(super) fn volumes_kept(view: &View, node: &NodeName, volumes: &BTreeSet<GuestVolume>, since: Timestamp) -> Verdict {
    let names: Vec<String> = volumes.iter().map(|volume| volume.kept(since)).collect();
    let evidence = || format!("{node} has {}", names.join(", "));
    on_each([node], evidence, |node| {
        let pools = view.facet(node, |o| &o.pools)?;
        names.iter().try_for_each(|name| {
            let of_pool = name.split('/').next().unwrap_or_default();
            let Some(pool) = pools.iter().find(|pool| pool.name == of_pool) else {
                return Err(Not::Yet(format!("has no pool {of_pool}")));
            };
            if pool.volumes.get()?.contains(name) {
                Ok(())
            } else {
                Err(Not::Yet(format!("has no {name}")))
            }
        })
    })
}

pub(super) fn volume_gone(view: &View, node: &NodeName, volume: &GuestVolume) -> Verdict {
    on_each(
        [node],
        || format!("{node} has no {volume}"),
        |node| {
            let of_pool = volume.as_str().split('/').next().unwrap_or_default();
            let pools = view.facet(node, |o| &o.pools)?;
            // Of a pool that is not imported nobody can say what is in it.
            let Some(pool) = pools.iter().find(|pool| pool.name == of_pool) else {
                return Err(Not::Yet(format!("has no pool {of_pool}")));
            };
            if pool.volumes.get()?.iter().any(|name| name == volume.as_str()) {
                Err(Not::Yet(format!("has {volume}")))
            } else {
                Ok(())
            }
        },
    )
}
