//! What is done for the time of the rollout only is taken back, exactly once, and after everything that was done under it.

use quorate_model::operation::{Action, ActionKind, HaService, rules};
use quorate_model::plan::Step;
use quorate_model::view::Rest;

use super::Checker;

/// What takes this back, if it has to be.
fn taken_back_by(action: &Action) -> Option<ActionKind> {
    match action {
        Action::DisarmHa { .. } => Some(ActionKind::ArmHa),
        Action::StopHa { .. } => Some(ActionKind::StartHa),
        Action::AdmitKeys { .. } => Some(ActionKind::WithdrawKeys),
        _ => None,
    }
}

fn service(action: &Action) -> Option<HaService> {
    match action {
        Action::StopHa { service, .. } | Action::StartHa { service, .. } => Some(*service),
        _ => None,
    }
}

impl Checker<'_> {
    pub(super) fn restores(&mut self) {
        let plan = self.plan;
        for step in &plan.steps {
            if let Some(kind) = taken_back_by(&step.action) {
                let back: Vec<&Step> = plan
                    .steps
                    .iter()
                    .filter(|s| s.restores.as_ref() == Some(&step.id))
                    .collect();
                self.demand(step, back.len() == 1, "it is not taken back by exactly one step");
                for restoring in back {
                    self.demand(
                        restoring,
                        restoring.action.kind() == kind,
                        "it is not what takes that step back",
                    );
                    self.under(step, restoring);
                }
            }
            let restored = step.restores.as_ref().map(|id| plan.step(id));
            match restored {
                Some(None) => self.demand(step, false, "it restores a step that there is not"),
                Some(Some(restored)) => {
                    let fits = taken_back_by(&restored.action) == Some(step.action.kind())
                        && service(&restored.action) == service(&step.action);
                    self.demand(step, fits, "it restores a step that it does not take back");
                    let same = restored.action.kind() != ActionKind::StopHa || restored.node == step.node;
                    self.demand(step, same, "it restores a step of another node");
                }
                None => {
                    if let Some((rest, true)) = Rest::by(&step.node, &step.action) {
                        let ours = self.view.at_rest.contains(&rest);
                        self.demand(step, ours, "it wakes HA that the plan did not put to rest");
                        let disruptive = plan.steps.iter().filter(|s| rules(s.action.kind()).disruptive);
                        let over = disruptive.filter(|s| !self.order.is_after(step, &s.id)).count() == 0;
                        self.demand(step, over, "it wakes HA before all is done that disturbs");
                    }
                }
            }
        }
        self.lrms_first();
    }

    /// Everything that is done under a step is over when it is taken back.
    fn under(&mut self, step: &Step, restoring: &Step) {
        let plan = self.plan;
        let under = plan
            .steps
            .iter()
            .filter(|s| s.restores.is_none() && self.order.is_after(s, &step.id));
        let over = under.filter(|s| !self.order.is_after(restoring, &s.id)).count() == 0;
        self.demand(
            restoring,
            over,
            "it may run before all is done under what it takes back",
        );
        let after = self.order.is_after(restoring, &step.id);
        self.demand(restoring, after, "it does not need what it takes back");
    }

    /// A CRM that stops while LRMs are active leaves them without a master: they are stopped everywhere first.
    fn lrms_first(&mut self) {
        let plan = self.plan;
        let of = |wanted: HaService| {
            let stops = plan.steps.iter().filter(|s| matches!(s.action, Action::StopHa { .. }));
            stops.filter(move |s| service(&s.action) == Some(wanted))
        };
        for crm in of(HaService::Crm) {
            let all = of(HaService::Lrm).all(|lrm| self.order.is_after(crm, &lrm.id));
            self.demand(crm, all, "pve-ha-crm is stopped before pve-ha-lrm is everywhere");
        }
    }
}
