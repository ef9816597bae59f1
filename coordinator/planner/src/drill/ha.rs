//! HA: does it work, is the watchdog armed, who is master, and has it room?

use std::time::Duration;

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::Ha;
use quorate_model::outlook::Answer;
use quorate_model::time::spoken;
use quorate_model::{Timestamp, Unknown};

use super::Request;
use super::scene::{Scene, unseen};
use crate::report::Report;

/// PVE itself calls a status old from then on (pve-ha-manager, Status.pm).
const OLD: Duration = Duration::from_secs(30);

/// States in which HA is in the middle of something.
const BUSY: [&str; 7] = [
    "fence",
    "recovery",
    "migrate",
    "relocate",
    "request_stop",
    "request_start",
    "request_start_balance",
];

pub(super) fn rails(scene: &Scene<'_>, request: &Request, report: &mut Report) {
    if request.fails_guests() {
        at_work(scene, request, report);
        speaks(scene, report);
        busy(scene, report);
    }
    if request.fails_over() {
        master(scene, request, report);
        armed(scene, request, report);
        room(scene, report);
    }
}

fn at_work(scene: &Scene<'_>, request: &Request, report: &mut Report) {
    let victim = &request.node;
    let mut refuse = |subject: &str, message: String, next: &str| {
        report.tell(Finding::new(Code::DrillHaAtRest, subject, message, next));
    };
    let Some(manager) = scene.manager else {
        refuse(scene.cluster, "HA has never decided anything".to_owned(), "quorate ha");
        return;
    };
    if let Some(disarm) = &manager.disarm {
        let message = format!("HA is {} ({})", disarm.state, disarm.mode);
        refuse(scene.cluster, message, "ha-manager crm-command arm-ha");
    }
    for node in &scene.members {
        let state = manager.nodes.get(node.as_str()).map(String::as_str);
        let asked = manager.maintenance.contains(node.as_str());
        if asked || state == Some("maintenance") {
            let message = format!("{node} is in maintenance by HA");
            refuse(node.as_str(), message, &format!("quorate node undrain {node}"));
        }
    }
    match daemon(scene, victim) {
        Ok(true) => {}
        Ok(false) => refuse(
            victim.as_str(),
            format!("pve-ha-lrm does not run on {victim}"),
            "quorate ha; systemctl status pve-ha-lrm there",
        ),
        Err(unknown) => unseen(report, victim, "whether pve-ha-lrm runs", &unknown),
    }
}

fn daemon(scene: &Scene<'_>, node: &NodeName) -> Result<bool, Unknown> {
    let ha = scene.view.facet(node, |o| &o.ha)?;
    ha.lrm.get().map(|unit| unit.is_running()).map_err(Clone::clone)
}

/// Everybody has spoken a short time ago, each by its own clock.
fn speaks(scene: &Scene<'_>, report: &mut Report) {
    for node in &scene.members {
        let Ok((ha, seen)) = own(scene, node) else {
            // That it is not seen is told with the armed watchdog, or the members.
            continue;
        };
        match ha.lrm_status.get() {
            Err(unknown) => unseen(report, node, "what its local manager last said", unknown),
            Ok(None) => silent(
                report,
                node,
                &format!("the local manager of {node} has never said anything"),
            ),
            Ok(Some(status)) => {
                let ago = status.at.age(seen);
                if ago > OLD {
                    silent(
                        report,
                        node,
                        &format!("the local manager of {node} last spoke {} ago", spoken(ago)),
                    );
                }
            }
        }
    }
    let Some(manager) = scene.manager else { return };
    let Ok(master) = manager.master.parse::<NodeName>() else {
        return;
    };
    match own(scene, &master) {
        Ok((_, seen)) => {
            let ago = manager.at.age(seen);
            if ago > OLD {
                silent(
                    report,
                    &master,
                    &format!("HA's master, {master}, last spoke {} ago", spoken(ago)),
                );
            }
        }
        Err(unknown) => unseen(report, &master, "whether HA's master works", &unknown),
    }
}

fn silent(report: &mut Report, node: &NodeName, message: &str) {
    let next = "ha-manager status; systemctl status pve-ha-lrm pve-ha-crm there";
    report.tell(Finding::new(Code::DrillHaSilent, node.as_str(), message, next));
}

/// What a node says of HA, and when by its own clock.
fn own<'v>(scene: &Scene<'v>, node: &NodeName) -> Result<(&'v Ha, Timestamp), Unknown> {
    let ha = scene.view.facet(node, |o| &o.ha)?;
    let seen = scene
        .view
        .nodes
        .get(node)
        .and_then(|seen| seen.observation.as_ref().ok());
    let at = seen.and_then(|seen| seen.ha.collected_at());
    Ok((ha, at.unwrap_or_default()))
}

fn busy(scene: &Scene<'_>, report: &mut Report) {
    let Some(manager) = scene.manager else { return };
    for (sid, place) in &manager.services {
        let state = place.state.as_str();
        let moves = place.target.is_some() || place.command.is_some();
        if BUSY.contains(&state) || moves {
            let message = format!("HA has {sid} in state {state}: it is not at rest");
            report.tell(Finding::new(
                Code::HaBusy,
                scene.cluster,
                message,
                "ha-manager status; wait until it is started",
            ));
        }
    }
    for (node, state) in &manager.nodes {
        if !matches!(state.as_str(), "online" | "maintenance") {
            let message = format!("HA counts {node} as {state}");
            report.tell(Finding::new(Code::HaBusy, scene.cluster, message, "ha-manager status"));
        }
    }
}

fn master(scene: &Scene<'_>, request: &Request, report: &mut Report) {
    let Some(manager) = scene.manager else { return };
    if manager.master == request.node.as_str() {
        let message = format!("{} is HA's master: all takes about a minute longer", request.node);
        let next = "nothing has to be done; a drill of another server is over sooner";
        report.tell(Finding::new(Code::DrillHaMaster, request.node.as_str(), message, next));
    }
}

fn armed(scene: &Scene<'_>, request: &Request, report: &mut Report) {
    if !request.fault.leads_to_reset() {
        return;
    }
    match scene.view.facet(&request.node, |o| &o.ha) {
        Ok(ha) if ha.watchdog_armed => {}
        Ok(_) => {
            let message = format!("the watchdog of {} is not armed", request.node);
            let next = "it is armed while a guest under HA is on that server: quorate ha";
            report.tell(Finding::new(
                Code::DrillWatchdogOff,
                request.node.as_str(),
                message,
                next,
            ));
        }
        Err(unknown) => unseen(report, &request.node, "whether the watchdog is armed", &unknown),
    }
}

/// N-1: what the others have to carry.
fn room(scene: &Scene<'_>, report: &mut Report) {
    for (node, room) in &scene.outlook.rooms {
        let (code, next) = match &room.answer {
            Answer::Yes(_) => continue,
            Answer::No(_) => (Code::DrillNoRoom, "stop or move guests first".to_owned()),
            // Known, and more than it should be.
            Answer::Unproven(_) if room.memory.is_some() && room.own.is_some() => (
                Code::DrillLittleRoom,
                format!("move guests first, or --accept {}", Code::DrillLittleRoom.as_str()),
            ),
            Answer::Unproven(_) => (Code::DrillUnseen, "quorate status".to_owned()),
        };
        let message = format!("{node}: {}", room.answer.reason());
        report.tell(Finding::new(code, node.as_str(), message, next));
    }
}
