//! HA that an earlier rollout of ours put to rest and did not wake: it could not be reached any more, or its journal was lost. Nobody
//! else will do it.

use std::collections::BTreeSet;

use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::operation::HaService;
use quorate_model::view::{Rest, View};

use super::ha::Ha;
use super::members::Standing;
use crate::report::{Report, Weight};

/// What is to be woken. What the plan itself puts to rest and wakes is not in it.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// HA as a whole is disarmed.
    pub(super) whole: bool,
    /// Daemons that are stopped.
    pub(super) daemons: BTreeSet<(HaService, NodeName)>,
    /// Nodes that are in maintenance.
    pub(super) maintenance: BTreeSet<NodeName>,
}

/// Only what the members say now is at rest: somebody may have woken it since.
pub(super) fn of(view: &View, standing: &Standing<'_>, ha: &Ha, report: &mut Report) -> Left {
    let mut left = Left::default();
    if view.at_rest.is_empty() || !standing.quorate() {
        return left;
    }
    for (node, _) in standing
        .staying()
        .filter(|(node, _)| standing.seen_online(node.as_str()))
    {
        let Some(seen) = report.facet(view, node, FacetName::Ha, Weight::Told, |o| &o.ha) else {
            continue;
        };
        for rest in view.at_rest.iter().filter(|rest| rest.is_so(node, seen) == Some(true)) {
            match rest {
                Rest::Whole => left.whole |= !matches!(ha, Ha::Disarm),
                Rest::Daemon { service, .. } => drop(left.daemons.insert((*service, node.clone()))),
                Rest::Maintenance { node } => drop(left.maintenance.insert(node.clone())),
            }
        }
    }
    left
}
