//! What a server wrote before it was lost, and never copied, is kept aside there or overwritten; and the copying to it goes on.

use std::collections::BTreeSet;

use quorate_model::finding::{Code, Finding};
use quorate_model::guest_ids::JobId;
use quorate_model::held::{GuestVolume, Held};
use quorate_model::ids::NodeName;
use quorate_model::observation::{ConfiguredGuest, FacetName, GuestRun, ReplicationJob};
use quorate_model::schedule::Schedule;
use quorate_model::spec::ReturningNode;

use super::owner;
use super::scene::Scene;
use super::steps::{Resumed, Row, called};
use crate::report::{Report, Weight, in_a_row};

/// What is asked for: the guest, the server if it is said, and whether its volumes are kept.
pub(super) type Asked<'a> = (u32, Option<&'a NodeName>, bool);

/// So much of a whole copy is sent in a second where nothing else is known.
const BYTES_A_SECOND: u64 = 100_000_000;

/// pvescheduler looks once a minute.
const BEFORE_A_COPY: u64 = 90;

pub(super) fn resolve(
    scene: &Scene<'_>,
    (id, node, keep): Asked<'_>,
    row: &mut Row<'_>,
    report: &mut Report,
) -> Option<()> {
    let subject = format!("guest {id}");
    let Some(guest) = scene.guest(id) else {
        let message = format!("{} has no guest {id}", scene.cluster);
        report.tell(Finding::new(Code::GuestAway, &subject, message, "quorate guests"));
        return None;
    };
    let owner = owner(guest, report)?;
    let (job, held) = match the_one(scene, id, node) {
        Ok(found) => found,
        Err((message, next)) => {
            report.tell(Finding::new(Code::CopyNotHeld, &subject, message, next));
            return None;
        }
    };
    let (back, job_id, schedule) = match is_back(scene, &owner, job, &held) {
        Ok(found) => found,
        Err((message, next)) => {
            report.tell(Finding::new(Code::CopyNotBack, &subject, message, next));
            return None;
        }
    };
    let volumes = if keep {
        let volumes = volumes(scene, guest, (&back, &held), report)?;
        if !volumes.is_empty() {
            row.keep_volumes(guest, (&back, &owner), &volumes, held.since)?;
        }
        Some(volumes)
    } else {
        None
    };
    let bytes: u64 = guest
        .config
        .get()
        .map(|config| {
            config
                .disks
                .iter()
                .filter_map(|disk| disk.size)
                .map(|size| size.0)
                .sum()
        })
        .unwrap_or(0);
    row.resume(
        guest,
        Resumed {
            owner: &owner,
            back: &back,
            job: job_id,
            schedule,
            returning_node: ReturningNode::Hold,
            seconds: BEFORE_A_COPY + bytes / BYTES_A_SECOND,
            kept: volumes,
            held: &held,
        },
    )
}

/// The copy that is held, if it is one; else what to say, and what to type.
fn the_one<'v>(
    scene: &Scene<'v>,
    id: u32,
    node: Option<&NodeName>,
) -> Result<(&'v ReplicationJob, Held), (String, String)> {
    let of_guest = scene.jobs.iter().filter(|job| job.guest == id);
    let all: Vec<(&ReplicationJob, Held)> = of_guest.filter_map(|job| Some((job, job.held()?))).collect();
    let names = || in_a_row(all.iter().map(|(_, held)| held.node.as_str()));
    let look = || format!("quorate replication {id}");
    let chosen: Vec<&(&ReplicationJob, Held)> = all
        .iter()
        .filter(|(_, held)| node.is_none_or(|node| held.node == node.as_str()))
        .collect();
    match (chosen.as_slice(), node) {
        ([(job, held)], _) => Ok((*job, held.clone())),
        ([], None) => Err((
            format!("no copy of guest {id} is held: there is nothing to decide"),
            look(),
        )),
        ([], Some(node)) if all.is_empty() => {
            Err((format!("no copy of guest {id} is held, on {node} or elsewhere"), look()))
        }
        ([], Some(node)) => Err((
            format!("no copy of guest {id} is held on {node}; there are such on {}", names()),
            look(),
        )),
        ([..], _) => Err((
            format!("copies of guest {id} are held on {}", names()),
            "say which is meant: --node NODE".to_owned(),
        )),
    }
}

/// The server that was lost, as a member that is there and answers, and its job.
fn is_back(
    scene: &Scene<'_>,
    owner: &NodeName,
    job: &ReplicationJob,
    held: &Held,
) -> Result<(NodeName, JobId, Schedule), (String, String)> {
    if held.node == owner.as_str() {
        let message = format!(
            "the guest is on {owner} again: what was kept there is in use, or was overwritten when it came, and there is nothing to decide"
        );
        let end = job.other_end(owner.as_str()).unwrap_or("the other server");
        let next = format!("when {end} may be overwritten, on {owner}: pvesr enable {}", job.id);
        return Err((message, next));
    }
    let others = scene.others(owner);
    let Some(back) = others.iter().find(|node| node.as_str() == held.node) else {
        let message = format!(
            "{} is no member that is online and enrolled: what it has is safe there until it is back",
            held.node
        );
        let next = format!("start {0}; when quorate status shows it, decide again", held.node);
        return Err((message, next));
    };
    if job.other_end(owner.as_str()) != Some(back.as_str()) {
        let message = format!("the job {} leads to {}, not to {back}", job.id, job.target);
        return Err((message, format!("on {owner}: pvesr list")));
    }
    let wrong = |what: &str| {
        (
            format!("the {what} of the job {} can't be read", job.id),
            format!("on {owner}: pvesr read {}", job.id),
        )
    };
    let id = job.id.parse::<JobId>().map_err(|_| wrong("id"))?;
    let schedule = job.schedule.parse::<Schedule>().map_err(|_| wrong("schedule"))?;
    Ok((back.clone(), id, schedule))
}

/// What is to get another name: all that the server has of the guest, as far as PVE deals with it. Empty: all of it has it already.
fn volumes(
    scene: &Scene<'_>,
    guest: &ConfiguredGuest,
    (back, held): (&NodeName, &Held),
    report: &mut Report,
) -> Option<BTreeSet<GuestVolume>> {
    let (id, view) = (guest.guest.vmid, scene.view);
    let running = report.facet(view, back, FacetName::Running, Weight::Needed, |o| &o.running)?;
    let pools = report.facet(view, back, FacetName::Pools, Weight::Needed, |o| &o.pools)?;
    let storages = report.facet(view, back, FacetName::Storages, Weight::Needed, |o| &o.storages)?;
    let subject = format!("guest {id}");
    let mut refuse = |message: String, next: String| {
        report.tell(Finding::new(Code::CopyNotBack, &subject, message, next));
    };
    let mut here = running.iter().filter(|status| status.vmid == id);
    if here.any(|status| status.run != GuestRun::Stopped) {
        let message = format!("{} runs on {back}, which does not own it", called(guest));
        refuse(message, format!("on {back}: find out why, and end it"));
        return None;
    }
    let mut found = BTreeSet::new();
    let mut kept = false;
    for pool in pools {
        let names = match pool.volumes.get() {
            Ok(names) => names,
            Err(unknown) => {
                let message = format!(
                    "what is in the pool {} of {back} could not be seen: {}",
                    pool.name, unknown.reason
                );
                refuse(
                    message,
                    format!("on {back}: zfs list -r -t filesystem,volume {}", pool.name),
                );
                return None;
            }
        };
        let own = names
            .iter()
            .filter_map(|name| name.parse::<GuestVolume>().ok())
            .filter(|volume| volume.guest() == id && storages.has_volume(back, volume));
        found.extend(own);
        let stamp = format!("-{id}-");
        kept |= names.iter().any(|name| {
            let ours = name.contains(quorate_model::held::KEPT) && name.contains(&stamp);
            ours && name.ends_with(&held.stamp())
        });
    }
    if found.is_empty() && !kept {
        let message = format!("{back} has no volume of {}: there is nothing to keep", called(guest));
        refuse(
            message,
            format!("have it copied there anew: quorate replication resolve {id} --discard"),
        );
        return None;
    }
    Some(found)
}
