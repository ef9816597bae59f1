//! The steps of pools and their disks.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_model::disk_marks::Mark;
use quorate_model::ids::{DiskRef, NodeName, PoolName, StepId};
use quorate_model::observation::disks::Disk;
use quorate_model::observation::eligibility::ReasonKind;
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step, Undo};
use quorate_model::pool_layout::{DiskIdentity, PoolLayout};

use crate::report::in_a_row;

/// zpool create took 0.3 to 2 s where it was seen; large disks and slow controllers take some more.
const CREATE_TAKES: Duration = Duration::from_secs(5);

/// 200 MB of zeros at the beginning, a few at each end, and udev.
const WIPE_TAKES: Duration = Duration::from_secs(10);

/// Until the new disk is in the pool; what was on the old one is made anew after that.
const REPLACE_TAKES: Duration = Duration::from_secs(10);

/// A disk that is to be wiped before it is used.
pub(super) fn wipe(node: &NodeName, disk: &Disk, identity: &DiskIdentity, before: &[StepId]) -> Option<Step> {
    let carries = disk.marks();
    let told = in_a_row(carries.iter().map(Mark::to_string));
    let what = if carries.is_empty() {
        "what is on it".to_owned()
    } else {
        told
    };
    let model = disk.model.as_deref().unwrap_or("no model");
    let serial = disk.serial.as_deref().unwrap_or("no serial number");
    let name = &identity.link;
    Some(Step {
        id: StepId::new(format!("zfs.wipe/{node}/{}", in_an_id(name))).ok()?,
        node: node.clone(),
        action: Action::WipeDisk {
            disk: identity.clone(),
            carries: carries.clone(),
        },
        title: format!("wipe disk {name} of {node}: {what}"),
        why: vec![format!(
            "{name} ({model}, {serial}, {}; now {}) is to be used, and carries {what}",
            disk.size, disk.path
        )],
        needs: before.to_vec(),
        gate: vec![Condition::DiskCarries {
            node: node.clone(),
            disk: identity.clone(),
            carries,
        }],
        done_when: Condition::DiskEmpty {
            node: node.clone(),
            disk: identity.clone(),
        },
        destroys: vec![format!("{what}, on {name} ({model}, {serial}) of {node}")],
        disks: disk_ref(node, name).into_iter().collect(),
        estimate: WIPE_TAKES,
        undo: Undo::Operator {
            how: "what was on it is gone; only a backup brings it back".to_owned(),
        },
        restores: None,
    })
}

/// A disk's name in the id of a step. udev leaves characters in it that no id has; each is written as its number, as in a URL, and so no two names
/// become one.
fn in_an_id(name: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let written = |c: char| {
        if fine(c) {
            c.to_string()
        } else {
            format!(":{:02x}", u32::from(c))
        }
    };
    name.chars().map(written).collect()
}

pub(super) fn disk_ref(node: &NodeName, name: &str) -> Option<DiskRef> {
    Some(DiskRef {
        node: node.clone(),
        disk: name.parse().ok()?,
    })
}

pub(super) fn create(node: &NodeName, layout: &PoolLayout, why: Vec<String>, before: Vec<StepId>) -> Option<Step> {
    let name = &layout.name;
    let (count, beside) = (layout.disks.len(), layout.all_disks().count() - layout.disks.len());
    let and_beside = if beside == 0 {
        String::new()
    } else {
        format!(", and {beside} beside")
    };
    Some(Step {
        id: StepId::new(format!("zfs.create/{node}/{name}")).ok()?,
        node: node.clone(),
        action: Action::CreatePool { layout: layout.clone() },
        title: format!(
            "create pool {name} on {node}: {} of {count} disks{and_beside}",
            layout.raid
        ),
        why,
        needs: before,
        gate: vec![Condition::DisksFree {
            node: node.clone(),
            layout: layout.clone(),
        }],
        done_when: Condition::PoolMade {
            node: node.clone(),
            layout: layout.clone(),
        },
        destroys: vec![],
        disks: BTreeSet::new(),
        estimate: CREATE_TAKES,
        undo: Undo::Operator {
            how: format!("on {node}, while nothing is on it: zpool destroy {name}; its disks then carry an old label"),
        },
        restores: None,
    })
}

pub(super) fn grow(node: &NodeName, layout: &PoolLayout, why: Vec<String>, before: Vec<StepId>) -> Option<Step> {
    let name = &layout.name;
    let count = layout.all_disks().count();
    Some(Step {
        id: StepId::new(format!("zfs.grow/{node}/{name}")).ok()?,
        node: node.clone(),
        action: Action::GrowPool { layout: layout.clone() },
        title: format!("add {count} disks to pool {name} on {node}"),
        why,
        needs: before,
        gate: vec![Condition::PoolCanGrow {
            node: node.clone(),
            layout: layout.clone(),
        }],
        done_when: Condition::PoolHas {
            node: node.clone(),
            layout: layout.clone(),
        },
        destroys: vec![],
        disks: BTreeSet::new(),
        estimate: CREATE_TAKES,
        undo: Undo::Operator {
            how: format!(
                "spares, caches and logs: on {node}, zpool remove {name} DISK; further disks of the data stay for as long as the pool"
            ),
        },
        restores: None,
    })
}

/// What is replaced, and by what.
pub(super) struct Replacement<'a> {
    pub(super) node: &'a NodeName,
    pub(super) pool: &'a PoolName,
    /// As the pool calls it.
    pub(super) old: &'a str,
    /// As the operator called it.
    pub(super) called: &'a str,
    pub(super) with: &'a DiskIdentity,
    pub(super) accepted: BTreeSet<ReasonKind>,
}

pub(super) fn replace(what: &Replacement<'_>, why: Vec<String>, before: Vec<StepId>) -> Option<Step> {
    let Replacement {
        node,
        pool,
        old,
        called,
        with,
        accepted,
    } = what;
    let (node, pool, old) = (*node, *pool, (*old).to_owned());
    Some(Step {
        id: StepId::new(format!("zfs.replace/{node}/{pool}")).ok()?,
        node: node.clone(),
        action: Action::ReplaceDisk {
            pool: pool.clone(),
            old: old.clone(),
            with: (*with).clone(),
            accepted: accepted.clone(),
        },
        title: format!("replace {called} in pool {pool} of {node} by {}", with.link),
        why,
        needs: before,
        gate: vec![Condition::DiskCanReplace {
            node: node.clone(),
            pool: pool.clone(),
            old: old.clone(),
            with: (*with).clone(),
            accepted: accepted.clone(),
        }],
        done_when: Condition::DiskReplaced {
            node: node.clone(),
            pool: pool.clone(),
            old,
            with: (*with).clone(),
        },
        destroys: vec![],
        disks: BTreeSet::new(),
        estimate: REPLACE_TAKES,
        undo: Undo::Operator {
            how: format!(
                "while its data is being made anew, on {node}: zpool detach {pool} {}",
                with.link
            ),
        },
        restores: None,
    })
}
