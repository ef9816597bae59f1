//! Servers restart one after another: each is emptied, restarts, is back and in order, and gets its guests back before the next one begins.

use std::collections::BTreeSet;

use quorate_model::finding::{Code, Finding, known};
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::plan::{Condition, Verdict};
use quorate_model::spec::ClusterFile;

use super::drain::{self, account, empty};
use super::reasons;
use super::scene::Scene;
use super::steps::{Passage, Row};
use crate::report::{Report, Weight};

pub(super) fn roll(
    scene: &Scene<'_>,
    file: &ClusterFile,
    (nodes, stop): (&BTreeSet<NodeName>, &BTreeSet<u32>),
    row: &mut Row<'_>,
    report: &mut Report,
) -> Option<()> {
    let mut order: Vec<&NodeName> = if nodes.is_empty() {
        file.members().map(|(node, _)| node).collect()
    } else {
        nodes.iter().collect()
    };
    // The master hands its work over once, at the end; and the coordinator's own server is the last to find out that it does not work.
    let master = scene.manager.map(|manager| manager.master.as_str());
    order.sort_by_key(|node| {
        let own = scene.view.coordinator_on.as_ref() == Some(*node);
        (own, master == Some(node.as_str()), *node)
    });
    drain::unknown_stops(scene, order.iter().copied(), stop, report)?;
    // All of them first: what stands in the way of the last one is not found out when the first ones have restarted.
    let mut all = Vec::new();
    let before = report.refusals();
    for node in order {
        let via = drain::via(scene, node, report);
        let others = scene.others(node);
        spare(scene, node, &others, row, report);
        let boot = report.facet(scene.view, node, FacetName::System, Weight::Needed, |o| &o.system);
        let emptied = account(scene, node, (stop, true), report);
        if let (Some(via), Some(boot), Some(emptied)) = (via, boot, emptied) {
            all.push((node, via, others, boot.boot_id.as_str(), emptied));
        }
    }
    if let Err(unknown) = scene.view.findings.get() {
        let message = format!(
            "what there is to say of {} can't be told, so that it could not be seen whether something gets worse: {}",
            scene.cluster, unknown.reason
        );
        report.tell(Finding::new(
            Code::FacetUnknown,
            scene.cluster.as_str(),
            message,
            "quorate status",
        ));
    }
    if report.refusals() > before {
        return None;
    }
    for (node, via, others, boot, emptied) in &all {
        let node: &NodeName = node;
        let first = row.len();
        let begun = empty(scene, (node, via), emptied, row)?;
        if row.len() > first {
            let spare = row.spare(node, others);
            row.gate_at(first, spare);
        }
        let as_before: Vec<Condition> = links(scene).into_iter().chain([nothing_worse(scene)]).collect();
        if row.len() > first {
            as_before
                .iter()
                .for_each(|condition| row.gate_at(first, condition.clone()));
        }
        let at = row.len();
        row.reboot(node, boot, others)?;
        as_before.into_iter().for_each(|condition| row.gate_at(at, condition));
        if let Some(maintenance) = begun.maintenance {
            row.maintenance((node, via), false, 0, Some(maintenance))?;
        }
        for (guest, stopped) in begun.stopped {
            row.run(guest, node, true, Some(stopped))?;
        }
        for (guest, way, target) in &emptied.by_hand {
            row.migrate(
                guest,
                Passage {
                    name: "guest.return",
                    from: target,
                    to: node,
                    how: way.how,
                    managed: false,
                    seconds: way.seconds(),
                    why: reasons(way.how, false),
                },
            )?;
        }
    }
    Some(())
}

/// Links that are all well now must be so before each server's turn: what got worse by a restart ends the roll. One that was down before is no
/// reason to restart nothing at all.
fn links(scene: &Scene<'_>) -> Option<Condition> {
    let nodes = scene.online.iter().filter(|node| scene.view.nodes.contains_key(*node));
    let links = Condition::LinksUp {
        cluster: scene.cluster.clone(),
        nodes: nodes.cloned().collect(),
    };
    links.judge(scene.view).holds().then_some(links)
}

/// What is said of the cluster now may go on being said; what is new, or worse, ends the roll before the next server's turn. While a server is
/// away nothing is asked: what its restart explains has to be over when it is back.
fn nothing_worse(scene: &Scene<'_>) -> Condition {
    let nodes = scene.online.iter().filter(|node| scene.view.nodes.contains_key(*node));
    let said = scene.view.findings.get();
    Condition::NothingWorse {
        cluster: scene.cluster.clone(),
        nodes: nodes.cloned().collect(),
        known: said.map(|said| known(said)).unwrap_or_default(),
    }
}

/// Can the cluster do without it, as it is now? It is asked again before its turn.
fn spare(scene: &Scene<'_>, node: &NodeName, others: &BTreeSet<NodeName>, row: &Row<'_>, report: &mut Report) {
    let (code, why) = match row.spare(node, others).judge(scene.view) {
        Verdict::Holds(_) => return,
        Verdict::NotYet(why) => (Code::NodeNotSpare, why),
        Verdict::Unknown(why) => (Code::FacetUnknown, why),
    };
    let message = format!("{} can't do without {node} now: {why}", scene.cluster);
    report.tell(Finding::new(
        code,
        node.as_str(),
        message,
        "quorate status, quorate replication, ha-manager status",
    ));
}
