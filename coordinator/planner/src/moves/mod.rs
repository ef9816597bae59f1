//! Guests are moved because an operator says so: one of them, or all of a server that is drained or restarted. Every guest is accounted for
//! before anything is done.

mod canary;
mod canary_disc;
pub(crate) mod clear;
mod drain;
mod fate;
mod reboot;
mod recover;
mod resolve;
mod scene;
mod steps;

use std::collections::BTreeMap;

use quorate_model::View;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::moves::{MoveKind, Moves};
use quorate_model::observation::{ConfiguredGuest, GuestRun};
use quorate_model::plan::Step;
use quorate_model::spec::ClusterFile;

use crate::report::{Report, in_a_row};
use fate::Way;
use scene::Scene;
use steps::{Passage, Row};

pub(crate) fn plan(file: &ClusterFile, what: &Moves, view: &View, report: &mut Report) -> Vec<Step> {
    if let Moves::Recover {
        lost,
        guests,
        expected_votes,
        seen_off,
        ..
    } = what
    {
        // It may have to do without quorum.
        let asked = recover::Asked {
            lost,
            guests,
            votes: *expected_votes,
            seen_off: *seen_off,
        };
        return recover::plan(file, asked, view, report);
    }
    let Some(scene) = Scene::see(file, view, report) else {
        return Vec::new();
    };
    let mut row = Row::new(scene.cluster);
    let planned = match what {
        Moves::Migrate { guest, target } => one(&scene, *guest, target, &mut row, report),
        Moves::Drain { node, stop } => drain::drain(&scene, node, stop, &mut row, report),
        Moves::Undrain { node } => drain::undrain(&scene, node, &mut row, report),
        Moves::Reboot { nodes, stop } => reboot::roll(&scene, file, (nodes, stop), &mut row, report),
        Moves::Resolve { guest, node, keep } => {
            resolve::resolve(&scene, (*guest, node.as_ref(), *keep), &mut row, report)
        }
        Moves::ClearCanary { guest } => canary_disc::clear(&scene, *guest, &mut row, report),
        Moves::CreateCanary(new) => return canary::create(&scene, new, report).unwrap_or_default(),
        Moves::RemoveCanary { guest, destroy } => {
            return canary::remove(&scene, *guest, *destroy, report).unwrap_or_default();
        }
        // Planned above.
        Moves::Recover { .. } => None,
    };
    planned.map(|()| row.into_steps()).unwrap_or_default()
}

/// One guest to one server.
fn one(scene: &Scene<'_>, id: u32, target: &NodeName, row: &mut Row<'_>, report: &mut Report) -> Option<()> {
    let subject = format!("guest {id}");
    let refuse = |report: &mut Report, code, message: String, next: &str| {
        report.tell(Finding::new(code, &subject, message, next));
    };
    let Some(guest) = scene.guest(id) else {
        refuse(
            report,
            Code::GuestAway,
            format!("{} has no guest {id}", scene.cluster),
            "quorate guests",
        );
        return None;
    };
    let owner = owner(guest, report)?;
    if owner == *target {
        let message = format!("guest {id} is on {target} already");
        refuse(report, Code::PartDone, message, "");
        return Some(());
    }
    let others = scene.others(&owner);
    if !others.contains(target) {
        let message = format!(
            "{target} is no member that is online and enrolled; these are: {}",
            in_a_row(&others)
        );
        refuse(report, Code::MigrationTarget, message, "quorate status");
        return None;
    }
    let (config, status) = match (guest.config.get(), scene.status(guest)) {
        (Ok(config), Ok(status)) => (config, status),
        (Err(unknown), _) => {
            let message = format!("its configuration can't be read: {}", unknown.reason);
            refuse(report, Code::FacetUnknown, message, "quorate guests");
            return None;
        }
        (_, Err(unknown)) => {
            refuse(report, Code::FacetUnknown, unknown.reason, "quorate guests");
            return None;
        }
    };
    let before = report.refusals();
    if config.template {
        let message = "it is a template: clones may hang on its disks".to_owned();
        refuse(
            report,
            Code::GuestCantMove,
            message,
            "clone it to the other server instead",
        );
    }
    if let Some(lock) = status.lock.as_ref().or(config.lock.as_ref()) {
        let next = format!("wait until that is done; see: pvenode task list --vmid {id}");
        refuse(report, Code::GuestLocked, format!("it is locked ({lock})"), &next);
    }
    if let GuestRun::Held(word) = &status.run {
        let message = format!("it is {word}, neither running nor stopped");
        refuse(
            report,
            Code::GuestCantMove,
            message,
            "let it go on, or stop it; then again",
        );
    }
    let storages = scene.view.facet(&owner, |o| &o.storages).ok();
    if let Some(fate::Tie { why, mend }) = fate::bound(guest, config, storages) {
        refuse(report, Code::GuestCantMove, why, &format!("{mend}; then again"));
    }
    let managed = scene.is_managed(guest);
    if managed && let Some((code, why, next)) = against_ha(scene, guest, target) {
        refuse(report, code, why, next);
    }
    let how = MoveKind::of(guest.guest.kind, status.run == GuestRun::Running);
    let copied = match fate::takes(scene, guest, config, (target, how), &BTreeMap::new()) {
        Ok(copied) => copied,
        Err(why) => {
            refuse(report, Code::MigrationTarget, why, "choose another server");
            return None;
        }
    };
    if report.refusals() > before {
        return None;
    }
    let way = Way {
        how,
        managed,
        copied,
        memory: config.memory,
    };
    for finding in fate::told(scene, guest, &way, (Some(target), false)) {
        report.tell(finding);
    }
    canary_disc::on_its_way(scene, guest, (&owner, target), row, report)?;
    row.migrate(
        guest,
        Passage {
            name: "guest.migrate",
            from: &owner,
            to: target,
            how,
            managed,
            seconds: way.seconds(),
            why: reasons(how, managed),
        },
    )?;
    Some(())
}

/// Why HA would not carry the command out now, or would undo it.
fn against_ha(scene: &Scene<'_>, guest: &ConfiguredGuest, target: &NodeName) -> Option<(Code, String, &'static str)> {
    if let Some(why) = fate::ha_does_not_move(scene, guest) {
        return Some((Code::GuestCantMove, why, "ha-manager status"));
    }
    let (code, why) = scene.sent_back(guest, target, None)?;
    Some((code, why, "choose one of these servers, or change the rule"))
}

/// What is to be expected meanwhile.
fn reasons(how: MoveKind, managed: bool) -> Vec<String> {
    let mut why = vec![
        match how {
            MoveKind::Live => "it goes on running, and stands still for a moment at the end",
            MoveKind::Restart => "containers can't be moved while they run: it is shut down, moved and started again",
            MoveKind::Offline => "it does not run, before or after",
        }
        .to_owned(),
    ];
    if managed {
        why.push(
            "it is under HA, which is told and does it in its own rounds; it counts when HA and both servers say so"
                .to_owned(),
        );
    }
    why
}

/// The server that owns a guest.
fn owner(guest: &ConfiguredGuest, report: &mut Report) -> Option<NodeName> {
    match NodeName::new(guest.guest.node.as_str()) {
        Ok(owner) => Some(owner),
        Err(error) => {
            let subject = format!("guest {}", guest.guest.vmid);
            let message = format!("its server {} can't be asked: {error}", guest.guest.node);
            report.tell(Finding::new(Code::FacetUnknown, subject, message, "quorate guests"));
            None
        }
    }
}
