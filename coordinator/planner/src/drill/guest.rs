//! The guest that is watched: is it there, is it ours, would it be started, and with how old a copy?

use std::collections::BTreeSet;

use quorate_model::copies::{CopyState, judge};
use quorate_model::fault::Fault;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::moves::service_id;
use quorate_model::observation::ha::HaPlacement;
use quorate_model::observation::{ConfiguredGuest, GuestRun};
use quorate_model::outlook::{Answer, Asks, Fate, GuestOutlook};

use super::Request;
use super::scene::{Scene, unseen};
use crate::report::{Report, in_a_row};

pub(super) fn rails(scene: &Scene<'_>, request: &Request, report: &mut Report) {
    locks(scene, report);
    let Some(guest) = there(scene, request, report) else {
        return;
    };
    if request.fails_guests() {
        ours(request, guest, report);
        if matches!(request.fault, Fault::Guest { .. }) {
            managed(scene, request, guest, report);
        }
    }
    if request.fails_over() {
        started(scene, request, guest, report);
    }
}

fn subject(id: u32) -> String {
    format!("guest {id}")
}

/// Something holds a guest: a backup, a snapshot, a migration.
fn locks(scene: &Scene<'_>, report: &mut Report) {
    for guest in scene.guests {
        let id = guest.guest.vmid;
        match guest.config.get() {
            Ok(config) => {
                if let Some(lock) = &config.lock {
                    let message = format!("guest {id} on {} is locked ({lock})", guest.guest.node);
                    let next = format!("wait until that is done; see: pvenode task list --vmid {id}");
                    report.tell(Finding::new(Code::DrillBusy, subject(id), message, next));
                }
            }
            Err(unknown) => {
                let message = format!("the configuration of guest {id} can't be read: {}", unknown.reason);
                let next = format!("quorate guests {id}");
                report.tell(Finding::new(Code::DrillUnseen, subject(id), message, next));
            }
        }
    }
}

/// It is on the victim, and runs.
fn there<'v>(scene: &Scene<'v>, request: &Request, report: &mut Report) -> Option<&'v ConfiguredGuest> {
    let (id, victim) = (request.guest, &request.node);
    let next = format!("quorate guests; to move it: quorate migrate {id} {victim}");
    let mut refuse = |message: String| {
        report.tell(Finding::new(
            Code::DrillGuestElsewhere,
            subject(id),
            message,
            next.clone(),
        ));
    };
    let Some(guest) = scene.guest(id) else {
        refuse(format!("{} has no guest {id}", scene.cluster));
        return None;
    };
    if guest.guest.node != victim.as_str() {
        refuse(format!(
            "guest {id} is on {}, and {victim} is to fail",
            guest.guest.node
        ));
        return None;
    }
    let running = match scene.view.facet(victim, |o| &o.running) {
        Ok(running) => running,
        Err(unknown) => {
            unseen(report, victim, "what runs", &unknown);
            return Some(guest);
        }
    };
    match running
        .iter()
        .find(|status| status.vmid == id)
        .map(|status| &status.run)
    {
        Some(GuestRun::Running) => {}
        Some(run) => refuse(format!("guest {id} is {}: nobody would miss it", run.as_str())),
        None => refuse(format!("{victim} does not say whether guest {id} runs")),
    }
    Some(guest)
}

fn ours(request: &Request, guest: &ConfiguredGuest, report: &mut Report) {
    let id = request.guest;
    if Scene::is_canary(guest) {
        return;
    }
    let name = guest
        .config
        .get()
        .ok()
        .and_then(|config| config.name.clone())
        .unwrap_or_default();
    if request.scheduled {
        let message = format!("guest {id} ({name}) is no canary");
        let next = "quorate guest create-canary, and name that one in the cluster file";
        report.tell(Finding::new(Code::DrillNotScheduled, subject(id), message, next));
    } else if !request.risked.contains(&id) {
        let message = format!("guest {id} ({name}) is no canary of ours");
        let next = format!("quorate guest create-canary; if this one is to fail: --risk-guest {id}");
        report.tell(Finding::new(Code::DrillNotCanary, subject(id), message, next));
    }
}

/// HA's local manager starts a guest again that has died.
fn managed(scene: &Scene<'_>, request: &Request, guest: &ConfiguredGuest, report: &mut Report) {
    let sid = service_id(guest.guest.kind, guest.guest.vmid);
    let started = scene
        .resources
        .get(&sid)
        .is_some_and(|one| matches!(one.state.as_str(), "started" | "enabled"));
    if !started {
        let message = format!(
            "guest {} is not under HA as started: nobody would start it again",
            request.guest
        );
        let next = "quorate ha";
        report.tell(Finding::new(
            Code::DrillGuestNotInHa,
            subject(request.guest),
            message,
            next,
        ));
    }
}

/// Elsewhere, and from what.
fn started(scene: &Scene<'_>, request: &Request, guest: &ConfiguredGuest, report: &mut Report) {
    let id = request.guest;
    let Some(outlook) = scene.outlook_of(id) else {
        let message = format!("what becomes of guest {id} can't be told");
        report.tell(Finding::new(
            Code::DrillUnseen,
            subject(id),
            message,
            "quorate ha --if-lost all",
        ));
        return;
    };
    let next = format!("quorate ha --if-lost {}", request.node);
    match &outlook.fate {
        Fate::Recovered { .. } | Fate::OneOf { .. } => {}
        Fate::MovedOff { .. } => {
            let message = format!("HA would move guest {id} and leave it off, as is wanted of it");
            report.tell(Finding::new(Code::DrillGuestNotInHa, subject(id), message, next));
            return;
        }
        Fate::StaysDown { reason } | Fate::Waits { reason } => {
            let message = format!("guest {id} would not be started elsewhere: {reason}");
            report.tell(Finding::new(Code::DrillGuestNotInHa, subject(id), message, next));
            return;
        }
        Fate::Unknown { reason } => {
            let message = format!("what becomes of guest {id} can't be told: {reason}");
            report.tell(Finding::new(Code::DrillUnseen, subject(id), message, next));
            return;
        }
    }
    fit(scene, request, guest, outlook, report);
    fresh(scene, request, outlook, report);
}

/// The nodes that HA may choose: bound strictly, or any.
fn may_get_it(scene: &Scene<'_>, request: &Request, guest: &ConfiguredGuest) -> (bool, BTreeSet<NodeName>) {
    let sid = service_id(guest.guest.kind, guest.guest.vmid);
    let group = scene.resources.get(&sid).and_then(|resource| resource.group.as_ref());
    let mut nodes: BTreeSet<NodeName> = scene.others(&request.node).cloned().collect();
    let mut strict = false;
    for one in scene.placements.iter().filter(|one| one.strict && !one.disabled) {
        let named = match one.kind.as_str() {
            HaPlacement::GROUP => group == Some(&one.name),
            HaPlacement::NODES => one.services.contains(&sid),
            _ => false,
        };
        if named {
            strict = true;
            nodes.retain(|node| one.nodes.contains_key(node.as_str()));
        }
    }
    (strict, nodes)
}

/// What the nodes have that may get it.
fn fit(scene: &Scene<'_>, request: &Request, guest: &ConfiguredGuest, outlook: &GuestOutlook, report: &mut Report) {
    let id = request.guest;
    let chosen = outlook.fate.nodes();
    let lacks = |node: &NodeName| {
        let no = outlook
            .checks
            .iter()
            .filter(|check| check.node == *node && check.asks != Asks::Memory);
        let mut no = no.filter_map(|check| match &check.answer {
            Answer::No(reason) => Some(reason.clone()),
            _ => None,
        });
        no.next()
    };
    let unfit: Vec<(&NodeName, String)> = chosen.iter().filter_map(|node| Some((node, lacks(node)?))).collect();
    let reasons: Vec<String> = unfit.iter().map(|(node, why)| format!("{node}: {why}")).collect();
    let next = format!("quorate ha --if-lost {}; quorate replication", request.node);
    if !chosen.is_empty() && unfit.len() == chosen.len() {
        let message = format!(
            "guest {id} could not start where HA would put it: {}",
            reasons.join("; ")
        );
        report.tell(Finding::new(Code::DrillNoCopy, subject(id), message, next));
        return;
    }
    let (strict, may) = may_get_it(scene, request, guest);
    let has_jobs = scene.jobs_of(id).next().is_some();
    let copied: BTreeSet<NodeName> = scene
        .jobs_of(id)
        .filter(|job| job.removal.is_none())
        .filter_map(|job| job.other_end(request.node.as_str())?.parse().ok())
        .collect();
    let without: Vec<String> = may
        .iter()
        .filter(|node| has_jobs && !copied.contains(*node))
        .map(ToString::to_string)
        .collect();
    let accept = |code: Code| format!("put it right first (quorate plan), or --accept {}", code.as_str());
    if has_jobs && !strict {
        let message = format!(
            "no strict rule binds guest {id} to the servers with a copy of it: {}",
            in_a_row(&copied)
        );
        report.tell(Finding::new(
            Code::DrillNoStrictRule,
            subject(id),
            message,
            accept(Code::DrillNoStrictRule),
        ));
    }
    if !without.is_empty() || !unfit.is_empty() {
        let message = if unfit.is_empty() {
            format!(
                "HA may put guest {id} on {}, which has no copy of it",
                in_a_row(&without)
            )
        } else {
            format!("guest {id} may be put where it could not start: {}", reasons.join("; "))
        };
        report.tell(Finding::new(
            Code::DrillCopyMissing,
            subject(id),
            message,
            accept(Code::DrillCopyMissing),
        ));
    }
    looked_at(scene, &chosen, report);
}

/// Whether a VLAN reaches the switch, and whether a processor has all that is asked for, only a start shows. But somebody must have looked.
fn looked_at(scene: &Scene<'_>, chosen: &BTreeSet<NodeName>, report: &mut Report) {
    if let Err(unknown) = scene.view.facet(scene.speaker, |o| &o.storages) {
        unseen(report, scene.speaker, "the storages", &unknown);
    }
    for node in chosen {
        if let Err(unknown) = scene.view.facet(node, |o| &o.network) {
            unseen(report, node, "the network", &unknown);
        }
        match scene.view.facet(node, |o| &o.storages) {
            Ok(storages) => {
                if let Err(unknown) = storages.status.get() {
                    unseen(report, node, "how the storages are", unknown);
                }
            }
            Err(unknown) => unseen(report, node, "the storages", &unknown),
        }
    }
}

/// How old the copies are that it may be started from.
fn fresh(scene: &Scene<'_>, request: &Request, outlook: &GuestOutlook, report: &mut Report) {
    let (id, owner) = (request.guest, &request.node);
    let chosen = outlook.fate.nodes();
    let jobs: Vec<_> = scene
        .jobs_of(id)
        .filter(|job| {
            job.other_end(owner.as_str())
                .is_some_and(|end| chosen.iter().any(|node| node.as_str() == end))
        })
        .collect();
    if jobs.is_empty() {
        return;
    }
    let seen = match scene.view.facet(owner, |o| &o.replication) {
        Ok(seen) => seen,
        Err(unknown) => return unseen(report, owner, "how the copying goes", &unknown),
    };
    let observation = scene
        .view
        .nodes
        .get(owner)
        .and_then(|node| node.observation.as_ref().ok());
    let Some(now) = observation.and_then(|seen| seen.replication.collected_at()) else {
        return;
    };
    for job in jobs {
        let mut of_job = seen
            .iter()
            .filter(|state| state.guest == id && state.target == job.target);
        let said = match judge(job, owner.as_str(), of_job.next(), now) {
            CopyState::Fresh | CopyState::Syncing => continue,
            // That there is none is told with what the servers lack.
            CopyState::Never => continue,
            CopyState::Late => "is older than its schedule promises".to_owned(),
            CopyState::Failing { error, .. } => format!("grows older, since its job fails: {error}"),
            CopyState::Off => "grows older, since its job is switched off".to_owned(),
            CopyState::Held(held) => format!(
                "is held since {}: what that server wrote last is kept until you decide",
                held.since
            ),
            CopyState::Leaving => "is being removed".to_owned(),
            CopyState::Turning => "can't be judged: its job is being turned round".to_owned(),
        };
        let message = format!("the copy of guest {id} on {} {said}", job.target);
        let next = format!(
            "on {owner}: pvesr schedule-now {}; if more may be lost: --accept {}",
            job.id,
            Code::DrillCopyStale.as_str()
        );
        report.tell(Finding::new(Code::DrillCopyStale, subject(id), message, next));
    }
}
