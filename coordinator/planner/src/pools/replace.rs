//! A disk of a pool that is replaced because the operator says so.

use std::collections::BTreeSet;

use quorate_model::ByteSize;
use quorate_model::finding::{Code, Finding, Place};
use quorate_model::ids::StepId;
use quorate_model::observation::FacetName;
use quorate_model::observation::disks::{Disk, Disks};
use quorate_model::observation::pools::{Leaf, Pool, VdevClass};
use quorate_model::plan::Step;
use quorate_model::pool_layout::disk_of;
use quorate_model::spec::{ClusterFile, DiskName, Located, Pick, Selector};
use quorate_model::wish::DiskReplacement;

use super::picking::Picking;
use super::spoken_for::SpokenFor;
use super::{Server, steps};
use crate::report::{Report, Weight};

/// `taken`: disks that are chosen for something else.
pub(super) fn plan(
    server: &Server<'_>,
    what: &DiskReplacement,
    file: &ClusterFile,
    taken: &mut SpokenFor,
    report: &mut Report,
) -> Vec<Step> {
    let (node, place) = (server.node, &file.cluster.name.place);
    match server.view.nodes.get(node).map(|seen| &seen.observation) {
        Some(Ok(_)) => {}
        Some(Err(unknown)) => {
            let message = format!(
                "a disk of {node} is to be replaced, and nothing is known of it: {}",
                unknown.reason
            );
            let next = format!("on {node}: systemctl status quorate-agent");
            report.tell(Finding::new(Code::NodeUnreachable, node.as_str(), message, next));
            return Vec::new();
        }
        None => {
            let cluster = &file.cluster.name.value;
            let message = format!("a disk of {node} is to be replaced, which is not enrolled in {cluster}");
            let next = format!(
                "write the server's name as `quorate node list` shows it, or: quorate node invite {cluster}/{node} --address ADDRESS"
            );
            report.tell(Finding::new(Code::NodeNotEnrolled, node.as_str(), message, next));
            return Vec::new();
        }
    }
    let pools = report.facet(server.view, node, FacetName::Pools, Weight::Needed, |o| &o.pools);
    let (Some(pools), Some(disks)) = (pools, server.seen_disks(report)) else {
        return Vec::new();
    };
    let refuse = |report: &mut Report, code, message: String, next: String| {
        report.tell(Finding::new(code, format!("{node}/{}", what.pool), message, next));
        Vec::new()
    };
    let Some(pool) = pools.iter().find(|pool| pool.name == what.pool.as_str()) else {
        let there: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
        let message = format!("{node} has no pool {}; it has {}", what.pool, or_none(&there));
        return refuse(report, Code::DiskNotThere, message, format!("quorate zfs list {node}"));
    };
    let meant: Vec<(VdevClass, &Leaf)> = pool
        .vdevs
        .iter()
        .flat_map(|vdev| vdev.leaves.iter().map(|leaf| (vdev.class, leaf)))
        .filter(|(_, leaf)| means(&what.old, leaf, disks))
        .collect();
    let [(class, leaf)] = meant[..] else {
        // The same command again, when all is done, is no mistake.
        let already = what
            .with
            .as_ref()
            .is_some_and(|with| pool.leaves().any(|leaf| means(with.as_str(), leaf, disks)));
        if already && meant.is_empty() {
            let message = format!(
                "{} is not in pool {} of {node} any more, and its successor is",
                what.old, what.pool
            );
            let next = format!("quorate zfs list {node} shows whether its data is made anew already");
            report.tell(Finding::new(
                Code::PartDone,
                format!("{node}/{}", what.pool),
                message,
                next,
            ));
            return Vec::new();
        }
        let names: Vec<&str> = pool.leaves().map(|leaf| leaf.name.as_str()).collect();
        let count = if meant.is_empty() {
            "no disk is"
        } else {
            "several disks are"
        };
        let message = format!(
            "{count} called {} in pool {} of {node}; it has {}",
            what.old,
            what.pool,
            or_none(&names)
        );
        let next = if meant.is_empty() {
            format!(
                "if it was replaced already, that is done; if not, write it as the pool has it: quorate zfs list {node}"
            )
        } else {
            format!("write it as the pool has it: quorate zfs list {node}")
        };
        return refuse(report, Code::DiskNotThere, message, next);
    };
    if matches!(class, VdevClass::Cache | VdevClass::Spare) {
        let (of, word) = (
            class.as_str(),
            if class == VdevClass::Spare { "spare" } else { "cache" },
        );
        let message = format!(
            "{} is one of the {of} of pool {} of {node}, and zpool replaces none of those",
            what.old, what.pool
        );
        let next = format!(
            "on {node}: zpool remove {0} {1}; zpool add {0} {word} NEW; nothing is on it that is needed",
            what.pool, leaf.name
        );
        return refuse(report, Code::DiskNotFree, message, next);
    }
    if leaf.is_being_replaced() {
        let message = format!("{} is being replaced in pool {} of {node} already", what.old, what.pool);
        report.tell(Finding::new(
            Code::PoolResilvers,
            format!("{node}/{}", what.pool),
            message,
            String::new(),
        ));
        return Vec::new();
    }
    if leaf.whole_disk().is_none() {
        let message = format!(
            "{} in pool {} of {node} is a partition among others, as on a disk that PVE boots from",
            leaf.name, what.pool
        );
        let next = format!(
            "on {node}, by hand: sgdisk of a good disk onto the new one, zpool replace, proxmox-boot-tool format and init; see PVE's guide"
        );
        return refuse(report, Code::DiskNotFree, message, next);
    }
    let least = least(pool, leaf, disks);
    let pick = match &what.with {
        Some(name) => {
            let Ok(named) = name.as_str().parse::<DiskName>() else {
                let message = format!("{name} is no disk's stable name");
                return refuse(
                    report,
                    Code::DiskNotThere,
                    message,
                    format!("quorate disks {node} --role zfs"),
                );
            };
            Pick::Named(vec![located(named, place)])
        }
        None => Pick::Matching(Box::new(Selector {
            count: Some(located(1, place)),
            min_size: Some(located(least, place)),
            ..Selector::default()
        })),
    };
    let picking = Picking {
        what: format!("the place of {} in pool {}", what.old, what.pool),
        subject: format!("{node}/{}", what.pool),
        place: None,
    };
    let mut accepted = BTreeSet::new();
    let Some(picked) = server.pick(&picking, &pick, disks, taken, &mut accepted, report) else {
        return Vec::new();
    };
    let Some(with) = picked.identities.first() else {
        return Vec::new();
    };
    if with.size < least {
        let message = format!(
            "{} of {node} has {}, less than the {least} that it would replace",
            with.link, with.size
        );
        return refuse(
            report,
            Code::DiskNotFree,
            message,
            "choose one that is as large".to_owned(),
        );
    }
    let Some(wipes) = server.wipes(&picking, &picked, disks, &[], report) else {
        return Vec::new();
    };
    let before: Vec<StepId> = wipes.iter().map(|step| step.id.clone()).collect();
    let mut why = picked.why.clone();
    why.push("what was on the old disk is made anew from the others, which may take hours; until then the pool survives less".to_owned());
    let replacement = steps::Replacement {
        node,
        pool: &what.pool,
        old: &leaf.name,
        called: &what.old,
        with,
        accepted,
    };
    wipes
        .into_iter()
        .chain(steps::replace(&replacement, why, before))
        .collect()
}

fn located<T>(value: T, place: &Place) -> Located<T> {
    Located {
        value,
        place: place.clone(),
    }
}

fn or_none(names: &[&str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// Does the operator's word mean this disk of the pool? It may be what the pool calls it, now or before (`was /dev/…`), or any of the disk's own names.
fn means(word: &str, leaf: &Leaf, disks: &Disks) -> bool {
    let bare = |path: &str| {
        let name = path.strip_prefix("/dev/disk/by-id/").unwrap_or(path);
        name.strip_suffix("-part1").unwrap_or(name).to_owned()
    };
    let word = bare(word);
    let was = leaf.health.note.as_deref().and_then(|note| note.strip_prefix("was "));
    let called = bare(&leaf.name) == word || was.is_some_and(|was| bare(was) == word);
    let by_disk = |disk: &Disk| {
        let named = word.parse::<DiskName>().is_ok_and(|name| name.means(disk));
        named || disk.path == word
    };
    called || disk_of(leaf, disks).is_some_and(by_disk)
}

/// The room that the new disk must have: that of the old one or, where it is gone, of the smallest beside it.
fn least(pool: &Pool, leaf: &Leaf, disks: &Disks) -> ByteSize {
    if let Some(disk) = disk_of(leaf, disks) {
        return disk.size;
    }
    let beside = pool
        .vdevs
        .iter()
        .filter(|vdev| vdev.leaves.iter().any(|other| other.name == leaf.name))
        .flat_map(|vdev| &vdev.leaves);
    let sizes = beside.filter_map(|other| disk_of(other, disks)).map(|disk| disk.size);
    sizes.min().unwrap_or(ByteSize(0))
}
