//! What stands against giving disks to a pool, or wiping one, on this server now.

use std::collections::BTreeSet;

use quorate_model::disk_marks::{Mark, beyond};
use quorate_model::ids::{NodeName, PoolName};
use quorate_model::observation::disks::{Disk, Disks, HolderKind};
use quorate_model::observation::eligibility::{ReasonKind, Role};
use quorate_model::observation::pools::Pool;
use quorate_model::pool_layout::DiskIdentity;
use quorate_model::{Code, Finding, Observation};

use super::precheck;

const NEXT: &str = "look at quorate disks; then plan again";

/// Both, or what to say as long as they can't be seen.
pub(super) fn disks_and_pools<'o>(
    node: &NodeName,
    seen: &'o Observation,
) -> Result<(&'o Disks, &'o [Pool]), Vec<Finding>> {
    match (seen.disks.get(), seen.pools.get()) {
        (Ok(disks), Ok(pools)) => Ok((disks, pools)),
        (disks, pools) => {
            let unknown = |what, reason| precheck::unknown(node, what, reason);
            let disks = disks.err().map(|reason| unknown("disks", reason));
            let pools = pools.err().map(|reason| unknown("pools", reason));
            Err(disks.into_iter().chain(pools).collect())
        }
    }
}

/// The pool of this name, or that there is none.
pub(super) fn pool_of<'o>(node: &NodeName, pools: &'o [Pool], name: &PoolName) -> Result<&'o Pool, Finding> {
    let found = pools.iter().find(|pool| pool.name == name.as_str());
    found.ok_or_else(|| {
        Finding::new(
            Code::PlanChanged,
            node.as_str(),
            format!("there is no pool {name} (any more)"),
            format!("look at it on {node}: zpool status, zpool import; then plan again"),
        )
    })
}

/// The disk that was planned, or that it is not there.
fn find<'o>(node: &NodeName, planned: &DiskIdentity, disks: &'o Disks) -> Result<&'o Disk, Finding> {
    planned.find(disks).map_err(|why| {
        Finding::new(
            Code::DiskNotThere,
            format!("{node}/{}", planned.link),
            format!("the disk {} {why}", planned.link),
            NEXT,
        )
    })
}

fn not_free(node: &NodeName, planned: &DiskIdentity, message: String) -> Finding {
    Finding::new(Code::DiskNotFree, format!("{node}/{}", planned.link), message, NEXT)
}

/// Why a disk may not be given to a pool: it is gone, another one, or something is on it.
pub(super) fn against_use(
    node: &NodeName,
    planned: &DiskIdentity,
    disks: &Disks,
    accepted: &BTreeSet<ReasonKind>,
) -> Option<Finding> {
    let disk = match find(node, planned, disks) {
        Ok(disk) => disk,
        Err(finding) => return Some(finding),
    };
    let verdict = disk.verdicts.iter().find(|verdict| verdict.role == Role::Zfs);
    let texts: Vec<&str> = match verdict {
        Some(verdict) => {
            let reasons = verdict
                .against
                .iter()
                .filter(|reason| !reason.kind.is_accepted(accepted));
            reasons.map(|reason| reason.text.as_str()).collect()
        }
        None => vec!["nobody has judged it"],
    };
    (!texts.is_empty()).then(|| {
        let texts = texts.join("; ");
        not_free(
            node,
            planned,
            format!(
                "the disk {} ({}) is not free (any more): {texts}",
                planned.link, disk.path
            ),
        )
    })
}

/// Why a disk may not be wiped: it is gone, another one, in use, or carries what nobody said yes to.
pub(super) fn against_wiping(
    node: &NodeName,
    planned: &DiskIdentity,
    carries: &BTreeSet<Mark>,
    disks: &Disks,
) -> Option<Finding> {
    let disk = match find(node, planned, disks) {
        Ok(disk) => disk,
        Err(finding) => return Some(finding),
    };
    let (name, path) = (&planned.link, &disk.path);
    let against = disk.against_wiping();
    if !against.is_empty() {
        let message = format!("the disk {name} ({path}) must not be wiped: {}", against.join("; "));
        return Some(not_free(node, planned, message));
    }
    let marks = disk.marks();
    let more: Vec<String> = beyond(&marks, carries).map(Mark::to_string).collect();
    (!more.is_empty()).then(|| {
        let message = format!(
            "the disk {name} ({path}) carries what it did not carry when it was planned: {}",
            more.join(", ")
        );
        not_free(node, planned, message)
    })
}

/// Why none of these disks may be touched: a guest of the cluster is given one, or nobody knows whether one is. A guest that is shut down
/// claims nothing from the kernel.
pub(super) fn given_to_guests<'d>(
    node: &NodeName,
    seen: &Observation,
    planned: impl IntoIterator<Item = &'d DiskIdentity>,
    disks: &Disks,
) -> Vec<Finding> {
    let devices = seen.config.get().and_then(|config| config.guest_devices.get());
    let devices = match devices {
        Ok(devices) => devices,
        Err(unknown) => return vec![precheck::unknown(node, "config", unknown)],
    };
    let found = planned
        .into_iter()
        .filter_map(|planned| Some((planned, planned.find(disks).ok()?)));
    let given = found.flat_map(|(planned, disk)| {
        let texts = devices.iter().filter_map(|device| device.names(node.as_str(), disk));
        texts.map(|text| {
            not_free(
                node,
                planned,
                format!("the disk {} ({}): {text}", planned.link, disk.path),
            )
        })
    });
    given.collect()
}

/// Another disk of this server that carries the label of a pool of this name: with two of them, it would depend on luck which one is
/// imported at boot.
pub(super) fn labels_of<'d>(
    node: &NodeName,
    name: &PoolName,
    planned: impl IntoIterator<Item = &'d DiskIdentity>,
    disks: &Disks,
) -> Option<Finding> {
    let own: BTreeSet<&str> = planned
        .into_iter()
        .filter_map(|planned| Some(planned.find(disks).ok()?.path.as_str()))
        .collect();
    let labelled = |disk: &&Disk| {
        let mut holders = disk.holders.iter();
        holders.any(|holder| holder.kind == HolderKind::ZfsLabel && holder.name == name.as_str())
    };
    let others = disks.disks.iter().filter(|disk| !own.contains(disk.path.as_str()));
    let other = others.into_iter().find(labelled)?;
    let shown = other.stable_name().unwrap_or(&other.path);
    Some(Finding::new(
        Code::PlanChanged,
        node.as_str(),
        format!(
            "{shown} ({}) carries the ZFS label of a pool {name}, which is not imported",
            other.path
        ),
        format!("look at it on {node}: zpool import; give the new pool another name, or wipe that disk first"),
    ))
}

/// That its own server says never to touch a disk which is to leave a pool.
pub(super) fn against_taking_out(node: &NodeName, disk: &Disk) -> Option<Finding> {
    let mut reasons = disk.verdicts.iter().flat_map(|verdict| &verdict.against);
    let reason = reasons.find(|reason| reason.kind == ReasonKind::NeverTouch)?;
    let shown = disk.stable_name().unwrap_or(&disk.path);
    Some(Finding::new(
        Code::DiskNotFree,
        format!("{node}/{shown}"),
        format!(
            "the disk {shown} ({}) must stay where it is: {}",
            disk.path, reason.text
        ),
        NEXT,
    ))
}

#[cfg(test)]
#[path = "disks_tests.rs"]
mod tests;
