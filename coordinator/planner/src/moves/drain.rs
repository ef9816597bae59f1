//! A server is emptied: HA moves what it looks after by maintenance mode, the others are moved one by one. And the way back.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::{ConfiguredGuest, GuestKind};

use super::fate::{self, Fate, Way};
use super::reasons;
use super::scene::{Scene, sid};
use super::steps::{Passage, Row, called};
use crate::report::{Report, in_a_row};

/// What becomes of all guests of a server.
pub(super) struct Emptied<'v> {
    /// Those that HA moves, with about how long that takes, and a server that could take them: HA chooses by itself in a maintenance.
    pub(super) by_ha: Vec<(&'v ConfiguredGuest, Way, NodeName)>,
    /// Those that are moved one by one, with where to.
    pub(super) by_hand: Vec<(&'v ConfiguredGuest, Way, NodeName)>,
    /// Those that are shut down.
    pub(super) stopped: Vec<&'v ConfiguredGuest>,
}

/// Accounts for every guest of a server, and tells all of it. `restarts`: the server restarts, and gets its guests back. `None`: something stands
/// in the way.
pub(super) fn account<'v>(
    scene: &Scene<'v>,
    node: &NodeName,
    (stop, restarts): (&BTreeSet<u32>, bool),
    report: &mut Report,
) -> Option<Emptied<'v>> {
    let before = report.refusals();
    let emptied = each(scene, node, (stop, restarts), &|_| true, &|_, _| true, report);
    for (guest, _, _) in &emptied.by_ha {
        if let Some(finding) = fate::held_from_ha(scene, guest, node) {
            report.tell(finding);
        }
    }
    (report.refusals() == before).then_some(emptied)
}

/// The same of those guests that are `meant`, each only to a server that it `may` go to.
pub(super) fn each<'v>(
    scene: &Scene<'v>,
    node: &NodeName,
    (stop, restarts): (&BTreeSet<u32>, bool),
    meant: &dyn Fn(&ConfiguredGuest) -> bool,
    may: &dyn Fn(&ConfiguredGuest, &NodeName) -> bool,
    report: &mut Report,
) -> Emptied<'v> {
    let others = scene.others(node);
    let mut emptied = Emptied {
        by_ha: vec![],
        by_hand: vec![],
        stopped: vec![],
    };
    let mut room: BTreeMap<NodeName, u64> = BTreeMap::new();
    for guest in scene.guests_of(node).filter(|guest| meant(guest)) {
        let id = guest.guest.vmid;
        let subject = format!("guest {id}");
        let mut bound = |why: String, mend: Option<String>, report: &mut Report| {
            if stop.contains(&id) {
                let message = format!("{} is shut down: {why}", called(guest));
                report.tell(Finding::new(Code::GuestMustStop, &subject, message, ""));
                emptied.stopped.push(guest);
            } else {
                let message = format!("{} must be shut down: {why}", called(guest));
                let mend = mend.map_or_else(String::new, |mend| format!("{mend}; or, "));
                let next = format!("{mend}if it may be: --stop {id}");
                report.tell(Finding::new(Code::GuestCantMove, &subject, message, next));
            }
        };
        match fate::of(scene, guest) {
            Fate::Stays(why) => {
                let message = format!("{} stays on {node}: {why}", called(guest));
                report.tell(Finding::new(Code::GuestStays, &subject, message, ""));
                if restarts {
                    starts_by_itself(scene, guest, node)
                        .into_iter()
                        .for_each(|finding| report.tell(finding));
                }
            }
            Fate::Blocked(code, why, next) => {
                let message = format!("{} stands in the way: {why}", called(guest));
                report.tell(Finding::new(code, &subject, message, next));
            }
            Fate::Bound(fate::Tie { why, mend }) => bound(why, Some(mend), report),
            Fate::Moves(mut way) => {
                let Ok(config) = guest.config.get() else { continue };
                let tried = others.iter().filter(|other| may(guest, other)).map(|other| {
                    let taken = fate::takes(scene, guest, config, (other, way.how), &room);
                    // HA chooses among those that its rules leave.
                    let sent = scene.sent_back(guest, other, Some(node)).filter(|_| way.managed);
                    (other, sent.map_or(taken, |(_, why)| Err(why)))
                });
                let (able, unable): (Vec<_>, Vec<_>) = tried.partition(|(_, taken)| taken.is_ok());
                // The least is copied, then the most memory is left, then by name.
                let best = able.into_iter().filter_map(|(other, taken)| Some((taken.ok()?, other)));
                let best =
                    best.min_by_key(|(copied, other)| (copied.0, std::cmp::Reverse(left(scene, other, &room)), *other));
                let Some((copied, target)) = best else {
                    let why: Vec<String> = unable.into_iter().filter_map(|(_, taken)| taken.err()).collect();
                    let why = if why.is_empty() {
                        "there is no other server".to_owned()
                    } else {
                        why.join("; ")
                    };
                    if way.managed {
                        let message = format!("{} stands in the way: {why}", called(guest));
                        let next = format!(
                            "make room elsewhere, or take it out of HA: ha-manager remove {}",
                            sid(guest)
                        );
                        report.tell(Finding::new(Code::GuestCantMove, &subject, message, next));
                    } else {
                        bound(why, None, report);
                    }
                    continue;
                };
                way.copied = copied;
                *room.entry(target.clone()).or_default() += way.memory.0;
                let known = Some(target).filter(|_| !way.managed);
                for finding in fate::told(scene, guest, &way, (known, restarts || way.managed)) {
                    report.tell(finding);
                }
                if way.managed {
                    emptied.by_ha.push((guest, way, target.clone()));
                } else {
                    emptied.by_hand.push((guest, way, target.clone()));
                }
            }
        }
    }
    emptied
}

/// PVE starts it when its server is back, whoever stopped it and why.
fn starts_by_itself(scene: &Scene<'_>, guest: &ConfiguredGuest, node: &NodeName) -> Option<Finding> {
    let config = guest.config.get().ok()?;
    if !config.starts_at_boot || config.template || scene.is_managed(guest) {
        return None;
    }
    let id = guest.guest.vmid;
    let message = format!(
        "{} is stopped, and PVE starts it when {node} is back (onboot)",
        called(guest)
    );
    let tool = if guest.guest.kind == GuestKind::Vm { "qm" } else { "pct" };
    let next = format!("if it is to stay off, on {node}: {tool} set {id} --onboot 0");
    Some(Finding::new(
        Code::GuestStartsAtBoot,
        format!("guest {id}"),
        message,
        next,
    ))
}

fn left(scene: &Scene<'_>, node: &NodeName, room: &BTreeMap<NodeName, u64>) -> u64 {
    let available = scene
        .view
        .facet(node, |o| &o.system)
        .map_or(0, |system| system.memory.available.0);
    available.saturating_sub(room.get(node).copied().unwrap_or(0))
}

/// Is it a member that can be asked? And who tells HA for it.
pub(super) fn via(scene: &Scene<'_>, node: &NodeName, report: &mut Report) -> Option<NodeName> {
    let known = scene.online.contains(node) && scene.view.nodes.contains_key(node);
    let others = scene.others(node);
    if !known {
        let message = format!(
            "{node} is no member that is online and enrolled; these are: {}",
            in_a_row(&others)
        );
        report.tell(Finding::new(
            Code::MigrationTarget,
            node.as_str(),
            message,
            "quorate status",
        ));
        return None;
    }
    let first = others.into_iter().next();
    if first.is_none() {
        let message = format!("no other member of {} is online: there is nowhere to go", scene.cluster);
        report.tell(Finding::new(
            Code::MigrationTarget,
            node.as_str(),
            message,
            "quorate status",
        ));
    }
    first
}

/// The steps that empty a server; the one that begins the maintenance, and those that shut guests down.
pub(super) struct Begun<'v> {
    pub(super) maintenance: Option<quorate_model::StepId>,
    pub(super) stopped: Vec<(&'v ConfiguredGuest, quorate_model::StepId)>,
}

pub(super) fn empty<'v>(
    scene: &Scene<'v>,
    (node, via): (&NodeName, &NodeName),
    emptied: &Emptied<'v>,
    row: &mut Row<'_>,
) -> Option<Begun<'v>> {
    let mut begun = Begun {
        maintenance: None,
        stopped: vec![],
    };
    // First, so that HA puts nothing here meanwhile.
    if scene.has_ha() && !scene.in_maintenance(node) {
        let seconds: u64 = emptied.by_ha.iter().map(|(_, way, _)| way.seconds()).sum();
        begun.maintenance = Some(row.maintenance((node, via), true, seconds, None)?);
    }
    for (guest, way, target) in &emptied.by_hand {
        row.migrate(
            guest,
            Passage {
                name: "guest.migrate",
                from: node,
                to: target,
                how: way.how,
                managed: false,
                seconds: way.seconds(),
                why: reasons(way.how, false),
            },
        )?;
    }
    for guest in emptied.stopped.iter().copied() {
        begun.stopped.push((guest, row.run(guest, node, false, None)?));
    }
    Some(begun)
}

pub(super) fn drain(
    scene: &Scene<'_>,
    node: &NodeName,
    stop: &BTreeSet<u32>,
    row: &mut Row<'_>,
    report: &mut Report,
) -> Option<()> {
    let via = via(scene, node, report)?;
    unknown_stops(scene, std::iter::once(node), stop, report)?;
    let emptied = account(scene, node, (stop, false), report)?;
    if !scene.has_ha() {
        let message = format!(
            "nothing is under HA in {}, so {node} is in no maintenance: what is started on it later runs there",
            scene.cluster
        );
        report.tell(Finding::new(Code::MaintenanceNotNeeded, node.as_str(), message, ""));
    }
    empty(scene, (node, &via), &emptied, row)?;
    Some(())
}

/// A word about a guest that is not there was meant for another one.
pub(super) fn unknown_stops<'n>(
    scene: &Scene<'_>,
    nodes: impl Iterator<Item = &'n NodeName>,
    stop: &BTreeSet<u32>,
    report: &mut Report,
) -> Option<()> {
    let there: BTreeSet<u32> = nodes
        .flat_map(|node| scene.guests_of(node))
        .map(|guest| guest.guest.vmid)
        .collect();
    let mut fine = Some(());
    for id in stop.difference(&there) {
        let message = format!("--stop {id}: no guest of this id is on a server that is to be emptied");
        report.tell(Finding::new(
            Code::GuestAway,
            format!("guest {id}"),
            message,
            "quorate guests",
        ));
        fine = None;
    }
    fine
}

pub(super) fn undrain(scene: &Scene<'_>, node: &NodeName, row: &mut Row<'_>, report: &mut Report) -> Option<()> {
    let via = via(scene, node, report)?;
    if !scene.in_maintenance(node) {
        let message =
            format!("{node} is in no maintenance by HA; guests that were moved one by one stay where they are");
        report.tell(Finding::new(
            Code::PartDone,
            node.as_str(),
            message,
            "quorate migrate GUEST NODE",
        ));
        return Some(());
    }
    row.maintenance((node, &via), false, 0, None)?;
    Some(())
}
