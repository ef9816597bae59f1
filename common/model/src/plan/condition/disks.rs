//! A disk that is to be wiped, before and after.

use std::collections::BTreeSet;

use super::{Not, Verdict, on_each, row};
use crate::disk_marks::{Mark, beyond};
use crate::ids::NodeName;
use crate::observation::disks::{Disk, Edges};
use crate::observation::eligibility::ReasonKind;
use crate::pool_layout::DiskIdentity;
use crate::view::View;

pub(super) fn carries(view: &View, node: &NodeName, disk: &DiskIdentity, carries: &BTreeSet<Mark>) -> Verdict {
    on_each(
        [node],
        || format!("{} of {node} carries what was planned, and nobody uses it", disk.link),
        |node| {
            let seen = find(view, node, disk)?;
            let against = seen.against_wiping();
            if !against.is_empty() {
                return Err(Not::Yet(format!(
                    "has a disk {} that must not be wiped: {}",
                    disk.link,
                    against.join("; ")
                )));
            }
            let marks = seen.marks();
            match beyond(&marks, carries).next() {
                Some(more) => Err(Not::Yet(format!(
                    "has a disk {} that carries {more}, which was not planned",
                    disk.link
                ))),
                None => Ok(()),
            }
        },
    )
}

pub(super) fn empty(view: &View, node: &NodeName, disk: &DiskIdentity) -> Verdict {
    on_each(
        [node],
        || format!("{} of {node} carries nothing", disk.link),
        |node| {
            let seen = find(view, node, disk)?;
            let marks = seen.marks();
            let left = seen
                .verdicts
                .iter()
                .flat_map(|verdict| &verdict.against)
                .find(|reason| reason.kind.goes_by_wiping());
            match left {
                _ if !marks.is_empty() => Err(Not::Yet(format!(
                    "has a disk {} that carries {}",
                    disk.link,
                    row(&marks)
                ))),
                Some(reason) => Err(Not::Yet(format!("has a disk {}: {}", disk.link, reason.text))),
                None => seen_empty(seen, disk),
            }
        },
    )
}

/// That nothing shows on a disk is no proof that it is empty: it must have been possible to look, and both its ends must have been read.
fn seen_empty(seen: &Disk, disk: &DiskIdentity) -> Result<(), Not> {
    let untold = seen
        .verdicts
        .iter()
        .flat_map(|verdict| &verdict.against)
        .find(|reason| {
            let kind = reason.kind;
            matches!(kind, ReasonKind::SignaturesUnseen | ReasonKind::EdgesUnseen)
        });
    if let Some(reason) = untold {
        return Err(Not::Known(format!("of {}, {}", disk.link, reason.text)));
    }
    match seen.edges.get() {
        Ok(Edges { claimed: true, .. }) => Err(Not::Yet(format!("has a disk {} that is in use", disk.link))),
        Ok(Edges {
            first: None,
            last: None,
            ..
        }) => Ok(()),
        Ok(_) => Err(Not::Yet(format!(
            "has a disk {} whose first or last MiB is not empty",
            disk.link
        ))),
        Err(unknown) => Err(Not::Known(format!(
            "whether the first and last MiB of {} are empty: {}",
            disk.link, unknown.reason
        ))),
    }
}

fn find<'v>(view: &'v View, node: &NodeName, disk: &DiskIdentity) -> Result<&'v Disk, Not> {
    let disks = view.facet(node, |o| &o.disks)?;
    disk.find(disks)
        .map_err(|why| Not::Yet(format!("has a disk {} that {why}", disk.link)))
}
