//! Copies that go, and HA: as long as HA may recover a guest on a server, its copy there stays. Without it the guest would not start, and a
//! maintenance would copy it in full.

use quorate_model::finding::Code;
use quorate_model::guest_ids::Sid;
use quorate_model::observation::ha::HaPlacement;
use quorate_model::operation::Action;
use quorate_model::plan::Step;

use super::guests::called;
use super::{World, guest_subject, told};
use crate::report::Report;

/// The removals among these that may be: each after the steps that bind its guest to other servers. `ha`: the steps about HA.
pub(super) fn after_ha(world: &World<'_>, ha: &[Step], removed: Vec<Step>, report: &mut Report) -> Vec<Step> {
    let mut kept = Vec::new();
    for mut step in removed {
        let Action::RemoveReplication { job, target, .. } = &step.action else {
            continue;
        };
        let Some(guest) = world.guests.iter().find(|there| there.guest.vmid == job.guest) else {
            continue;
        };
        let service = Sid {
            vmid: job.guest,
            kind: guest.guest.kind,
        };
        // A group is made by one step and joined by another one.
        let about = format!("/{service}");
        let own: Vec<&Step> = ha.iter().filter(|step| step.id.as_str().ends_with(&about)).collect();
        let narrows = |step: &&Step| match &step.action {
            Action::SetHaRule { nodes, .. } | Action::SetHaGroup { nodes, .. } => !nodes.contains(target),
            _ => false,
        };
        let by = if own.iter().any(narrows) {
            None
        } else {
            sends(world, &service, target.as_str())
        };
        if let Some(by) = by {
            let message = format!(
                "the copy of guest {} on {target} stays: {by}, and HA may recover it there",
                called(guest)
            );
            let next = format!(
                "bind it to its other servers first (ha-manager), or take it out of HA: ha-manager remove {service}; then again"
            );
            told(
                report,
                Code::HaNodeWithoutCopy,
                guest_subject(job.guest),
                message,
                &next,
            );
            continue;
        }
        step.needs.extend(own.into_iter().map(|step| step.id.clone()));
        kept.push(step);
    }
    kept
}

/// By what HA may send a guest to a server, as it is now; `None`: it does not.
fn sends(world: &World<'_>, service: &Sid, target: &str) -> Option<String> {
    let ha = match world.view.facet(world.speaker, |o| &o.ha) {
        Ok(ha) => ha,
        Err(unknown) => return Some(format!("what is under HA can't be seen ({})", unknown.reason)),
    };
    let (resources, placements) = match (ha.resources.get(), ha.placements.get()) {
        (Ok(resources), Ok(placements)) => (resources, placements),
        // Nothing can be bound where nothing is under HA.
        (Ok(resources), Err(_)) if resources.is_empty() => return None,
        (Err(unknown), _) | (_, Err(unknown)) => {
            return Some(format!("what HA binds it to can't be seen ({})", unknown.reason));
        }
    };
    let sid = service.to_string();
    let resource = resources.get(&sid)?;
    if matches!(resource.state.as_str(), "ignored" | "disabled") {
        return None;
    }
    let mut own = placements
        .iter()
        .filter(|one| one.kind != HaPlacement::TOGETHER_OR_APART && one.is_about(&sid, resource));
    let rules_out = own.clone().any(|one| one.class(target).is_none());
    if rules_out {
        return None;
    }
    Some(match own.find(|one| one.nodes.contains_key(target)) {
        Some(one) => format!("{} names {target}", one.called()),
        None => "no rule keeps it away".to_owned(),
    })
}
