//! Whose /etc/pve is shown, where several have the same.

use quorate_model::observation::Membership;
use quorate_model::{NodeName, View};

/// Those whose /etc/pve is shown: one member for all of them, and each server that is in no cluster yet. A member without quorum may have
/// an old one, so it speaks only where nobody else does.
pub(super) fn speakers(view: &View) -> Vec<&NodeName> {
    let membership = |node: &&NodeName| view.facet(node, |o| &o.cluster).ok().map(|cluster| &cluster.membership);
    let alone = |node: &&NodeName| matches!(membership(node), Some(Membership::Standalone));
    let quorate = |node: &&NodeName| matches!(membership(node), Some(Membership::Member(member)) if member.quorate);
    let sees = |node: &&NodeName| view.facet(node, |o| &o.config).is_ok();
    let members = || view.nodes.keys().filter(|node| !alone(node));
    let one = members()
        .find(|node| quorate(node) && sees(node))
        .or_else(|| members().find(sees))
        .or_else(|| members().next());
    let mut speakers: Vec<&NodeName> = view.nodes.keys().filter(alone).collect();
    speakers.extend(one);
    speakers
}
