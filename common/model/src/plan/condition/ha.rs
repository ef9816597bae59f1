//! HA, disarmed before membership changes and armed after them.

use std::collections::BTreeSet;

use super::membership::member_of;
use super::{Not, Verdict, on_each};
use crate::facet::{Facet, UnknownKind};
use crate::ids::{ClusterName, NodeName};
use crate::observation::Ha;
use crate::observation::readiness::ServiceState;
use crate::operation::HaService;
use crate::view::View;

pub(super) fn disarmed(view: &View, nodes: &BTreeSet<NodeName>) -> Verdict {
    let evidence = || format!("no watchdog armed on {} nodes", nodes.len());
    on_each(nodes, evidence, |node| {
        let ha = of(view, node)?;
        if ha.watchdog_armed {
            return Err(Not::Yet("still has an armed watchdog".to_owned()));
        }
        let asleep = |service: &Facet<ServiceState>| match service.get() {
            Ok(state) => Ok(!state.is_running()),
            Err(unknown) => Err(Not::from(unknown)),
        };
        if asleep(&ha.lrm)? && asleep(&ha.crm)? {
            return Ok(());
        }
        let disarm = ha.manager.get()?.as_ref().and_then(|manager| manager.disarm.as_ref());
        match disarm {
            Some(disarm) if disarm.state == "disarmed" => Ok(()),
            Some(disarm) => Err(Not::Yet(format!("says that HA is {}", disarm.state))),
            None if nobody_to_guard(ha)? => Ok(()),
            None => Err(Not::Yet(
                "has HA daemons that may arm the watchdog at any time".to_owned(),
            )),
        }
    })
}

/// Without a guest under HA no daemon ever asks for the watchdog.
fn nobody_to_guard(ha: &Ha) -> Result<bool, Not> {
    Ok(ha.resources.get()?.is_empty())
}

pub(super) fn armed(view: &View, nodes: &BTreeSet<NodeName>) -> Verdict {
    let evidence = || format!("HA is not disarmed, by the word of {} nodes", nodes.len());
    on_each(nodes, evidence, |node| {
        let ha = of(view, node)?;
        // Whether daemons run says nothing of it: one that was stopped before is not for arming to start.
        match ha.manager.get()?.as_ref().and_then(|manager| manager.disarm.as_ref()) {
            None => Ok(()),
            Some(disarm) => Err(Not::Yet(format!("says that HA is {}", disarm.state))),
        }
    })
}

pub(super) fn service(view: &View, node: &NodeName, service: HaService, running: bool) -> Verdict {
    let word = if running { "runs" } else { "is stopped" };
    on_each(
        [node],
        || format!("{} {word} on {node}", service.unit()),
        |node| {
            let ha = of(view, node)?;
            let state = match service {
                HaService::Lrm => ha.lrm.get()?,
                HaService::Crm => ha.crm.get()?,
            };
            if state.is_running() == running {
                Ok(())
            } else {
                Err(Not::Yet(format!(
                    "has {} {} ({})",
                    service.unit(),
                    state.active,
                    state.sub
                )))
            }
        },
    )
}

/// Whoever was switched off for good in between, or taken out, has no daemon to be started.
pub(super) fn service_or_out(
    view: &View,
    cluster: &ClusterName,
    node: &NodeName,
    wanted: HaService,
    seen_by: &NodeName,
) -> Verdict {
    let member = view
        .cluster_of(seen_by)
        .ok()
        .and_then(|seen| member_of(seen, cluster).ok());
    if let Some(member) = member {
        let silent = view
            .cluster_of(node)
            .is_err_and(|unknown| unknown.kind == UnknownKind::Unreachable);
        match member.nodes.iter().find(|n| n.name == node.as_str()) {
            None => return Verdict::Holds(format!("{node} is out, says {seen_by}")),
            Some(seen) if silent && !seen.online => {
                return Verdict::Holds(format!("{node} does not answer; {seen_by} sees it offline"));
            }
            Some(_) => {}
        }
    }
    service(view, node, wanted, true)
}

fn of<'v>(view: &'v View, node: &NodeName) -> Result<&'v Ha, Not> {
    Ok(view.facet(node, |o| &o.ha)?)
}
