//! What becomes of every guest on the victim.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_model::drill::predict::Stays;
use quorate_model::drill::{DrillKind, GuestFate, GuestFateKind, Phase, Prediction};
use quorate_model::fault::Fault;
use quorate_model::observation::{ConfiguredGuest, GuestRun};
use quorate_model::outlook::{Fate, GuestOutlook};

use super::Request;
use super::scene::Scene;
use crate::moves::clear::Cleared;

/// By id.
pub(super) fn of(scene: &Scene<'_>, request: &Request, cleared: &Cleared) -> Vec<GuestFate> {
    let own = scene
        .guests
        .iter()
        .filter(|guest| guest.guest.node == request.node.as_str());
    let mut fates: Vec<GuestFate> = own
        .map(|guest| GuestFate {
            guest: guest.guest.vmid,
            kind: guest.guest.kind,
            name: guest.config.get().ok().and_then(|config| config.name.clone()),
            canary: Scene::is_canary(guest),
            fate: fate(scene, request, cleared, guest),
        })
        .collect();
    fates.sort_by_key(|fate| fate.guest);
    fates
}

/// Those that are to be started elsewhere.
pub(super) fn recovered(fates: &[GuestFate]) -> BTreeSet<u32> {
    let restarted = |fate: &&GuestFate| matches!(fate.fate, GuestFateKind::Restarted { .. });
    fates.iter().filter(restarted).map(|fate| fate.guest).collect()
}

/// Is the watched guest down until the victim is back, and is it started then?
pub(super) fn stays(scene: &Scene<'_>, request: &Request, fates: &[GuestFate]) -> Option<Stays> {
    let own = fates.iter().find(|fate| fate.guest == request.guest)?;
    let GuestFateKind::StaysDown { why } = &own.fate else {
        return None;
    };
    let waits = scene
        .outlook_of(request.guest)
        .is_some_and(|outlook| matches!(outlook.fate, Fate::Waits { .. }));
    let config = scene.guest(request.guest).and_then(|guest| guest.config.get().ok());
    Some(Stays {
        node: request.node.clone(),
        why: why.clone(),
        starts: waits || config.is_some_and(|config| config.starts_at_boot),
    })
}

/// The others that nobody starts elsewhere, in words.
pub(super) fn others_down(request: &Request, fates: &[GuestFate], predicted: &Prediction) -> Vec<String> {
    let back = match predicted.of(Phase::NodeBack) {
        Some(back) => format!("{} after the fault", back.at.between()),
        None => "when somebody switches it on".to_owned(),
    };
    let down = |fate: &GuestFate| {
        let GuestFateKind::StaysDown { why } = &fate.fate else {
            return None;
        };
        let node = &request.node;
        let told = format!("guest {} is down until {node} is back, {back}: {why}", fate.guest);
        (fate.guest != request.guest).then_some(told)
    };
    fates.iter().filter_map(down).collect()
}

fn fate(scene: &Scene<'_>, request: &Request, cleared: &Cleared, guest: &ConfiguredGuest) -> GuestFateKind {
    let id = guest.guest.vmid;
    if let Some(off) = off(scene, request, guest) {
        return off;
    }
    if let Some((to, seconds)) = cleared.moved.get(&id) {
        return GuestFateKind::MovedOff {
            to: to.clone(),
            seconds: *seconds,
        };
    }
    if request.kind == DrillKind::Blip || !request.fault.isolates() {
        return in_place(request, id);
    }
    match scene.outlook_of(id) {
        Some(outlook) => lost(scene, request, outlook),
        None => GuestFateKind::Unknown {
            reason: format!("{} does not know it", scene.speaker),
        },
    }
}

/// It does not run, and nothing changes for it.
fn off(scene: &Scene<'_>, request: &Request, guest: &ConfiguredGuest) -> Option<GuestFateKind> {
    if guest.config.get().is_ok_and(|config| config.template) {
        return Some(GuestFateKind::Off {
            why: "a template".to_owned(),
        });
    }
    match scene.view.facet(&request.node, |o| &o.running) {
        Err(unknown) => Some(GuestFateKind::Unknown {
            reason: format!("whether it runs is not known: {}", unknown.reason),
        }),
        Ok(running) => {
            let status = running.iter().find(|status| status.vmid == guest.guest.vmid)?;
            (status.run == GuestRun::Stopped).then(|| GuestFateKind::Off {
                why: "it is stopped".to_owned(),
            })
        }
    }
}

/// The server stays in the cluster.
fn in_place(request: &Request, id: u32) -> GuestFateKind {
    let what = match (&request.fault, request.kind) {
        (Fault::Guest { .. }, _) if id == request.guest => {
            return GuestFateKind::Restarted {
                on: vec![request.node.clone()],
                copy_age: None,
                loses_up_to: None,
                shared: true,
            };
        }
        (Fault::Network, _) => format!("cut off for up to {}, and goes on", request.lasts),
        (Fault::StorageNetwork, _) => format!("stands still for up to {} if its disks are there", request.lasts),
        (Fault::Disk { .. }, _) => "its pool works without the disk".to_owned(),
        (Fault::Osd { .. } | Fault::Mon, _) => "may stand still for some seconds if its disks are on Ceph".to_owned(),
        (Fault::Lrm, _) => "HA does not look after it meanwhile".to_owned(),
        _ => "notices nothing".to_owned(),
    };
    GuestFateKind::GoesOn { what }
}

/// The server is lost with it.
fn lost(scene: &Scene<'_>, request: &Request, outlook: &GuestOutlook) -> GuestFateKind {
    match &outlook.fate {
        Fate::Recovered { .. } | Fate::OneOf { .. } => {
            let loses_up_to = scene.copied_every(outlook.vmid);
            GuestFateKind::Restarted {
                on: outlook.fate.nodes().into_iter().collect(),
                copy_age: copy_age(scene, request, outlook),
                loses_up_to,
                shared: loses_up_to.is_none(),
            }
        }
        Fate::MovedOff { on } => GuestFateKind::StaysDown {
            why: format!("HA moves it to {on} and leaves it off"),
        },
        Fate::StaysDown { reason } | Fate::Waits { reason } => GuestFateKind::StaysDown { why: reason.clone() },
        Fate::Unknown { reason } => GuestFateKind::Unknown { reason: reason.clone() },
    }
}

/// The oldest of the copies that it may be started from, at this moment.
fn copy_age(scene: &Scene<'_>, request: &Request, outlook: &GuestOutlook) -> Option<Duration> {
    let seen = scene.view.nodes.get(&request.node)?.observation.as_ref().ok()?;
    let (states, now) = (seen.replication.get().ok()?, seen.replication.collected_at()?);
    let chosen = outlook.fate.nodes();
    let to_chosen = |target: &str| chosen.iter().any(|node| node.as_str() == target);
    let ages = states
        .iter()
        .filter(|state| state.guest == outlook.vmid && to_chosen(&state.target));
    ages.filter_map(|state| state.last_sync).map(|at| at.age(now)).max()
}
