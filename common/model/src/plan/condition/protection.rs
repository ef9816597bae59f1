//! Copies of guests, and guests under HA: that they are as planned.

use std::collections::BTreeSet;

use super::{Not, Verdict, on_each, row};
use crate::guest_ids::{HaName, JobId, Sid};
use crate::ids::NodeName;
use crate::observation::PveConfig;
use crate::observation::ha::{Ha, HaPlacement};
use crate::observation::replication::ReplicationJob;
use crate::property_string;
use crate::schedule::Schedule;
use crate::spec::ReturningNode;
use crate::view::View;

/// What a job is to be like.
pub(super) struct Wanted<'c> {
    pub(super) other: &'c NodeName,
    pub(super) schedule: &'c Schedule,
    pub(super) rate: Option<u32>,
    pub(super) returning_node: ReturningNode,
    pub(super) enabled: bool,
}

pub(super) fn copy_made(view: &View, node: &NodeName, guest: u32, target: &NodeName) -> Verdict {
    let evidence = || format!("the copy of guest {guest} on {target} was made, says {node}");
    on_each([node], evidence, |node| {
        let config = config(view, node)?;
        owns(config, node, guest)?;
        let job = jobs(config)?
            .iter()
            .find(|job| job.guest == guest && job.target == target.as_str());
        match job {
            None => return Err(Not::Yet(format!("has no job that copies guest {guest} to {target}"))),
            Some(job) if job.removal.is_some() => {
                return Err(Not::Yet(format!(
                    "is about to take the copy on {target} away ({})",
                    job.id
                )));
            }
            Some(job) if job.disabled => return Err(Not::Yet(format!("has the job {} switched off", job.id))),
            Some(_) => {}
        }
        let states = view.facet(node, |o| &o.replication)?;
        let state = states
            .iter()
            .find(|state| state.guest == guest && state.target == target.as_str());
        let Some(state) = state else {
            return Err(Not::Yet(format!("has not begun to copy guest {guest} to {target}")));
        };
        if state.failures > 0 || state.error.is_some() {
            let why = state.error.as_deref().unwrap_or("PVE kept no reason");
            return Err(Not::Yet(format!("could not copy guest {guest} to {target}: {why}")));
        }
        match state.last_sync {
            Some(at) if at.0 > 0 => Ok(()),
            _ => Err(Not::Yet(format!(
                "has not finished the first copy of guest {guest} to {target}"
            ))),
        }
    })
}

pub(super) fn job_set(view: &View, node: &NodeName, job: &JobId, wanted: &Wanted<'_>) -> Verdict {
    let evidence = || format!("job {job} is as planned, says {node}");
    on_each([node], evidence, |node| {
        let id = job.to_string();
        let Some(there) = jobs(config(view, node)?)?.iter().find(|there| there.id == id) else {
            return Err(Not::Yet(format!("knows no job {job}")));
        };
        let differs = differences(there, node, wanted);
        if differs.is_empty() {
            Ok(())
        } else {
            Err(Not::Yet(format!("has the job {job} otherwise: {}", row(differs))))
        }
    })
}

fn differences(there: &ReplicationJob, node: &NodeName, wanted: &Wanted<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if there.other_end(node.as_str()) != Some(wanted.other.as_str()) {
        found.push(format!("its target is {}", there.target));
    }
    if there.removal.is_some() {
        found.push("it is about to be removed".to_owned());
    }
    if !wanted.schedule.is_same_as(&there.schedule) {
        found.push(format!("its schedule is {}", there.schedule));
    }
    if wanted.rate.is_some_and(|rate| !is_rate(there, rate)) {
        found.push(format!(
            "its rate is {}",
            there.rate.as_deref().unwrap_or("without a limit")
        ));
    }
    let says = there.comment.as_deref().and_then(ReturningNode::of_comment);
    if says != Some(wanted.returning_node) {
        found.push("its comment does not say what becomes of a server that returns".to_owned());
    }
    if wanted.enabled && there.disabled {
        found.push("it is switched off".to_owned());
    }
    found
}

/// PVE writes a rate as it was given: `100`, `100.0`.
fn is_rate(job: &ReplicationJob, rate: u32) -> bool {
    let there = job.rate.as_deref().and_then(|rate| rate.parse::<f64>().ok());
    there.is_some_and(|there| (there - f64::from(rate)).abs() < 0.001)
}

pub(super) fn copy_gone(view: &View, node: &NodeName, guest: u32, target: &NodeName) -> Verdict {
    let evidence = || format!("no job copies guest {guest} to {target} any more, says {node}");
    on_each([node], evidence, |node| {
        let config = config(view, node)?;
        owns(config, node, guest)?;
        let ends = |job: &&ReplicationJob| job.guest == guest && job.other_end(node.as_str()) == Some(target.as_str());
        match jobs(config)?.iter().find(ends) {
            None => Ok(()),
            Some(job) if job.removal.is_some() => Err(Not::Yet(format!("has not taken the copy on {target} away yet"))),
            Some(job) => Err(Not::Yet(format!("has the job {} to {target}", job.id))),
        }
    })
}

pub(super) fn migration_set(view: &View, node: &NodeName, migration: &str) -> Verdict {
    let evidence = || format!("migration is {migration}, says {node}");
    on_each([node], evidence, |node| {
        match config(view, node)?.datacenter.get()?.get("migration") {
            // PVE writes it in an order of its own.
            Some(there) if property_string::same(there, migration, "type") => Ok(()),
            Some(there) => Err(Not::Yet(format!("has the setting {there} for migration"))),
            None => Err(Not::Yet("has no setting for migration".to_owned())),
        }
    })
}

pub(super) fn resource_set(
    view: &View,
    node: &NodeName,
    service: Sid,
    (max_restart, max_relocate): (Option<u32>, Option<u32>),
    group: Option<&HaName>,
    no_failback: bool,
) -> Verdict {
    let evidence = || format!("{service} is under HA as planned, says {node}");
    on_each([node], evidence, |node| {
        let ha: &Ha = view.facet(node, |o| &o.ha)?;
        let Some(there) = ha.resources.get()?.get(&service.to_string()) else {
            return Err(Not::Yet(format!("has {service} not under HA")));
        };
        // PVE takes 1 where nothing is written.
        let differs =
            |wanted: Option<u32>, there: Option<u32>| wanted.is_some_and(|wanted| there.unwrap_or(1) != wanted);
        let wrong = if differs(max_restart, there.max_restart) {
            "max_restart"
        } else if differs(max_relocate, there.max_relocate) {
            "max_relocate"
        } else if group.is_some_and(|group| there.group.as_deref() != Some(group.as_str())) {
            "group"
        } else if no_failback && there.failback != Some(false) {
            "failback"
        } else {
            return Ok(());
        };
        Err(Not::Yet(format!("has another {wrong} for {service}")))
    })
}

pub(super) fn bound(
    view: &View,
    node: &NodeName,
    name: &HaName,
    service: Option<Sid>,
    nodes: &BTreeSet<NodeName>,
) -> Verdict {
    let evidence = || format!("{name} binds to {}, says {node}", row(nodes));
    on_each([node], evidence, |node| {
        let ha: &Ha = view.facet(node, |o| &o.ha)?;
        let kind = if service.is_some() {
            HaPlacement::NODES
        } else {
            HaPlacement::GROUP
        };
        let named = |there: &&HaPlacement| there.name == name.as_str() && there.kind == kind;
        let Some(there) = ha.placements.get()?.iter().find(named) else {
            return Err(Not::Yet(format!("knows no {name}")));
        };
        let about = service.is_none_or(|service| there.services.contains(&service.to_string()));
        let stays = service.is_some() || there.no_failback;
        if about && stays && there.binds_to(nodes) {
            Ok(())
        } else {
            Err(Not::Yet(format!("has {name} otherwise")))
        }
    })
}

fn config<'v>(view: &'v View, node: &NodeName) -> Result<&'v PveConfig, Not> {
    Ok(view.facet(node, |o| &o.config)?)
}

fn jobs(config: &PveConfig) -> Result<&[ReplicationJob], Not> {
    Ok(config.replication.get()?)
}

/// A guest that moved away meanwhile is another server's to copy.
fn owns(config: &PveConfig, node: &NodeName, guest: u32) -> Result<(), Not> {
    let guests = config.guests.get()?;
    match guests.iter().find(|there| there.guest.vmid == guest) {
        Some(there) if there.guest.node == node.as_str() => Ok(()),
        Some(there) => Err(Not::Yet(format!(
            "does not own guest {guest} any more: {} does",
            there.guest.node
        ))),
        None => Err(Not::Yet(format!("knows no guest {guest}"))),
    }
}
