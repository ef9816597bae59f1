//! What is done for the time of the rollout only is taken back, exactly once, and after everything that was done under it.

use quorate_model::moves::Moves;
use quorate_model::operation::{Action, ActionKind, HaService, rules};
use quorate_model::plan::{Condition, Step};
use quorate_model::view::Rest;

use super::Checker;

/// What takes this back, if it has to be: exactly one step of each kind.
fn taken_back_by(action: &Action) -> &'static [ActionKind] {
    match action {
        Action::DisarmHa { .. } => &[ActionKind::ArmHa],
        Action::StopHa { .. } => &[ActionKind::StartHa],
        Action::AdmitKeys { .. } => &[ActionKind::WithdrawKeys],
        Action::RemoveQdevice { .. } => &[ActionKind::AdmitKeys, ActionKind::SetUpQdevice],
        Action::SetMaintenance { on: true, .. } => &[ActionKind::SetMaintenance],
        Action::RunGuest { run: false, .. } => &[ActionKind::RunGuest],
        _ => &[],
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
            // A QDevice that the file does not name any more goes for good.
            let for_good = matches!(step.action, Action::RemoveQdevice { .. }) && self.file.qnetd().is_none();
            // So does what an operator drains a server of.
            let for_good = for_good || self.drains_for_good(&step.action);
            let back: Vec<&Step> = plan
                .steps
                .iter()
                .filter(|s| s.restores.as_ref() == Some(&step.id))
                .collect();
            for kind in taken_back_by(&step.action).iter().filter(|_| !for_good) {
                let of_kind = back.iter().filter(|s| s.action.kind() == *kind).count();
                self.demand(step, of_kind == 1, "it is not taken back by exactly one step");
            }
            for restoring in back {
                self.under(step, restoring);
            }
            let off = plan
                .steps
                .iter()
                .any(|s| matches!(s.action, Action::RemoveQdevice { .. }));
            let wakes = matches!(step.action, Action::ArmHa { .. } | Action::StartHa { .. });
            if wakes && step.restores.is_some() && off && self.file.qnetd().is_some() {
                let asks = step.gate.iter().any(|c| matches!(c, Condition::NotTwoVotes { .. }));
                self.demand(
                    step,
                    asks,
                    "it may wake HA in a cluster of two votes whose third did not come back",
                );
            }
            let restored = step.restores.as_ref().map(|id| plan.step(id));
            match restored {
                Some(None) => self.demand(step, false, "it restores a step that there is not"),
                Some(Some(restored)) => {
                    let fits = taken_back_by(&restored.action).contains(&step.action.kind())
                        && service(&restored.action) == service(&step.action);
                    self.demand(step, fits, "it restores a step that it does not take back");
                    let same = restored.action.kind() != ActionKind::StopHa || restored.node == step.node;
                    self.demand(step, same, "it restores a step of another node");
                }
                None => {
                    if let Some((rest, true)) = Rest::by(&step.node, &step.action) {
                        let undrains = matches!(self.wish.moves, Some(Moves::Undrain { .. }));
                        let ours = undrains || self.view.at_rest.contains(&rest);
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
        // What waits until it is taken back is not done under it: the next server's turn, when one after another restarts.
        let under = under.filter(|s| !self.order.is_after(s, &restoring.id));
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
