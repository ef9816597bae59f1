//! What stands against giving disks to a pool, or wiping one, on this server now.

use std::collections::BTreeSet;

use quorate_model::disk_marks::Mark;
use quorate_model::ids::{NodeName, PoolName};
use quorate_model::observation::disks::{Disk, Disks};
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
    let more: Vec<String> = disk.marks().difference(carries).map(Mark::to_string).collect();
    (!more.is_empty()).then(|| {
        let message = format!(
            "the disk {name} ({path}) carries what it did not carry when it was planned: {}",
            more.join(", ")
        );
        not_free(node, planned, message)
    })
}
