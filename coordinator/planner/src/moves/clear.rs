//! Guests are moved off a server that is to fail in a drill, and back afterwards: one by one, also those under HA. A maintenance by HA would
//! take the guest along that is to fail, and disarm the watchdog that the drill leans on.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::View;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::moves::service_id;
use quorate_model::observation::ConfiguredGuest;
use quorate_model::observation::ha::HaPlacement;
use quorate_model::plan::Step;
use quorate_model::spec::ClusterFile;

use super::drain;
use super::fate::Way;
use super::reasons;
use super::scene::Scene;
use super::steps::{Passage, Row};
use crate::report::Report;

/// What is done before the fault and after it.
#[derive(Debug, Default)]
pub(crate) struct Cleared {
    /// Guest → where it is meanwhile, and about how many seconds each way takes.
    pub(crate) moved: BTreeMap<u32, (NodeName, u64)>,
    /// The steps that move them off.
    pub(crate) before: Vec<Step>,
    /// The steps that move them back.
    pub(crate) after: Vec<Step>,
    /// What stands in the way, and what is to be said of those that are moved.
    pub(crate) findings: Vec<Finding>,
}

/// All guests of `node` that run are moved off but those that `stay`.
pub(crate) fn clear(file: &ClusterFile, view: &View, node: &NodeName, stay: &BTreeSet<u32>) -> Cleared {
    let mut report = Report::default();
    let Some(scene) = Scene::see(file, view, &mut report) else {
        return Cleared {
            findings: report.into_findings(),
            ..Cleared::default()
        };
    };
    let placements = scene.online.iter().find_map(|node| {
        let ha = view.facet(node, |o| &o.ha).ok()?;
        ha.placements.get().ok().map(Vec::as_slice)
    });
    let meant = |guest: &ConfiguredGuest| !stay.contains(&guest.guest.vmid);
    let may = |guest: &ConfiguredGuest, target: &NodeName| {
        !scene.is_managed(guest) || allowed(&scene, placements, guest, target)
    };
    let emptied = drain::each(&scene, node, (&BTreeSet::new(), false), &meant, &may, &mut report);
    let mut cleared = Cleared::default();
    let (mut off, mut back) = (Row::new(scene.cluster), Row::new(scene.cluster));
    let by_ha = emptied.by_ha.iter().map(|one| (one, true));
    let all: Vec<_> = by_ha.chain(emptied.by_hand.iter().map(|one| (one, false))).collect();
    for ((guest, way, target), managed) in &all {
        if off
            .migrate(guest, passage("guest.migrate", (node, target), way, *managed))
            .is_some()
        {
            let seconds = way.seconds();
            cleared.moved.insert(guest.guest.vmid, (target.clone(), seconds));
        }
    }
    // Back in the other order: the last to go is the first to return.
    for ((guest, way, target), managed) in all.iter().rev() {
        back.migrate(guest, passage("guest.return", (target, node), way, *managed));
    }
    (cleared.before, cleared.after) = (off.into_steps(), back.into_steps());
    cleared.findings = report.into_findings().into_iter().map(at_risk).collect();
    cleared
}

fn passage<'a>(name: &'a str, (from, to): (&'a NodeName, &'a NodeName), way: &Way, managed: bool) -> Passage<'a> {
    Passage {
        name,
        from,
        to,
        how: way.how,
        managed,
        seconds: way.seconds(),
        why: reasons(way.how, managed),
    }
}

/// May HA have this guest there, by its strict rules? What is not known is not allowed.
fn allowed(scene: &Scene<'_>, placements: Option<&[HaPlacement]>, guest: &ConfiguredGuest, target: &NodeName) -> bool {
    let Some(placements) = placements else { return false };
    let sid = service_id(guest.guest.kind, guest.guest.vmid);
    let group = scene.resources.get(&sid).and_then(|resource| resource.group.as_ref());
    let binds = |one: &&HaPlacement| {
        let named = match one.kind.as_str() {
            HaPlacement::GROUP => group == Some(&one.name),
            _ => one.services.contains(&sid),
        };
        named && one.strict && !one.disabled && one.kind != HaPlacement::TOGETHER_OR_APART
    };
    placements
        .iter()
        .filter(binds)
        .all(|one| one.nodes.contains_key(target.as_str()))
}

/// What keeps a guest where it is puts it at risk, which only a word of its own allows.
fn at_risk(finding: Finding) -> Finding {
    if !finding.refuses() {
        return finding;
    }
    let risk = finding
        .subject
        .strip_prefix("guest ")
        .map(|id| format!("if it may fail with the server: --risk-guest {id}"));
    match (finding.code, risk) {
        (Code::GuestCantMove | Code::MigrationTarget | Code::GuestMustStop, Some(next)) => {
            Finding::new(Code::DrillGuestsAtRisk, finding.subject, finding.message, next)
        }
        (Code::GuestLocked, _) => Finding::new(Code::DrillBusy, finding.subject, finding.message, finding.next),
        (Code::FacetUnknown, _) => Finding::new(Code::DrillUnseen, finding.subject, finding.message, finding.next),
        _ => finding,
    }
}
