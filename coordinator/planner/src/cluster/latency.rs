//! What was measured between the servers, against what corosync needs.

use std::net::IpAddr;

use quorate_model::measurement::{About, Baseline, Pair, Verdict, not_measured, silent, verdict_findings};
use quorate_model::passage::{Direction, Passage};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;
use quorate_model::{Facet, NodeName, UnknownKind};

use super::Changes;
use super::ends::{LinkEnds, link_ends};
use super::firewall::measure_ports;
use super::members::Standing;
use crate::report::{Report, Weight};

/// Tells what is wrong. It holds up what makes a cluster larger or gives it links; one that runs as it is, runs.
pub(super) fn judge(file: &ClusterFile, view: &View, standing: &Standing<'_>, changes: Changes, report: &mut Report) {
    let Some(measured) = &view.measurements else { return };
    let needed = changes.joins || changes.unfinished || changes.links;
    let about = About {
        cluster: file.cluster.name.value.as_str(),
        // Links that are to be are in the file only.
        file: needed.then_some(file.cluster.name.place.file.as_str()),
    };
    let leaves = |pair: &Pair| {
        [&pair.ends.from, &pair.ends.to]
            .iter()
            .any(|n| standing.leaving.contains(n.as_str()))
    };
    let ends = link_ends(Some(file), view);
    let concerned = measured.pairs.iter().filter(|pair| !leaves(pair)).cloned();
    let concerned = Baseline::of(concerned.map(|pair| excused(pair, &ends, view)));
    // That the interfaces' MTUs differ is told from what the servers say of them, measured or not.
    let told = |verdict| !matches!(verdict, Verdict::EndsDiffer { .. });
    for finding in verdict_findings(about, &concerned, told)
        .into_iter()
        .chain(silent(about, &concerned))
    {
        report.weigh(Weight::needed_if(needed), finding);
    }
    if needed {
        for finding in not_measured(about, &concerned) {
            report.tell(finding);
        }
    }
}

/// Where nothing came back and a firewall of PVE is known to stand in the way of the measuring, nothing is known of the link: PVE's own
/// rules let corosync through where they drop everything else.
fn excused(mut pair: Pair, ends: &LinkEnds, view: &View) -> Pair {
    let Facet::Unknown(unknown) = &mut pair.measured else {
        return pair;
    };
    if unknown.kind != UnknownKind::NoAnswer {
        return pair;
    }
    let address = |node: &NodeName| ends.get(node)?.get(&pair.ends.link)?.as_ref().ok().copied();
    let (from, to) = (&pair.ends.from, &pair.ends.to);
    let shut = [
        (to, Direction::In, address(from), to),
        (from, Direction::Out, address(to), to),
    ]
    .into_iter()
    .find_map(|(node, direction, peer, port_of)| {
        let passage = Passage::udp(direction, &measure_ports(view, port_of));
        (!lets(view, node, passage, peer?)).then_some((node, passage))
    });
    if let Some((node, passage)) = shut {
        unknown.kind = UnknownKind::Failed;
        unknown.reason = format!("{}: {node}'s firewall may keep out {passage}", unknown.reason);
    }
    pair
}

/// A firewall that is not known is no excuse.
fn lets(view: &View, node: &NodeName, passage: Passage, peer: IpAddr) -> bool {
    let Ok(config) = view.facet(node, |o| &o.config) else {
        return true;
    };
    let firewall = config.firewall.get();
    firewall.map_or(true, |firewall| firewall.lets(passage, peer))
}
