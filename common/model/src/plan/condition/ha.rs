//! HA, disarmed before membership changes and armed after them.

use std::collections::BTreeSet;

use super::{Not, Verdict, on_each};
use crate::facet::Facet;
use crate::ids::NodeName;
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

fn of<'v>(view: &'v View, node: &NodeName) -> Result<&'v Ha, Not> {
    Ok(view.facet(node, |o| &o.ha)?)
}
