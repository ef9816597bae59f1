//! What every step must have, whatever it does.

use std::collections::BTreeSet;

use quorate_model::Code;
use quorate_model::ids::StepId;
use quorate_model::operation::{Action, rules};
use quorate_model::plan::{Step, Undo};

use super::Checker;

impl Checker<'_> {
    pub(super) fn shape(&mut self) {
        let mut earlier: BTreeSet<&StepId> = BTreeSet::new();
        let plan = self.plan;
        for step in &plan.steps {
            self.demand(step, !earlier.contains(&step.id), "its id is not unique");
            self.demand(
                step,
                step.needs.iter().all(|n| earlier.contains(n)),
                "it needs a step that does not come before it",
            );
            let known = self.file.nodes.contains_key(&step.node) || self.view.nodes.contains_key(&step.node);
            self.demand(step, known, "its node is neither in the cluster file nor enrolled");
            self.demand(step, !step.gate.is_empty() || needs_no_gate(step), "it has no gate");
            self.demand(
                step,
                step.done_when.nodes().contains(&step.node),
                "its done_when does not ask the node itself",
            );
            self.demand(
                step,
                !step.title.is_empty() && !step.why.is_empty(),
                "it does not say what it does and why",
            );
            self.demand(step, !step.estimate.is_zero(), "it has no estimate");
            // Where that is what refuses the plan, nothing is done.
            let refused = plan
                .findings
                .iter()
                .any(|f| f.refuses() && f.code == Code::DestroyNotConsented);
            let consented = refused || step.disks.iter().all(|disk| self.wish.destroy.contains(disk));
            self.demand(step, consented, "nobody consented to what it does to a disk");
            // Which guest goes, or whose copy, is said by the action itself.
            let of_guests = matches!(
                step.action,
                Action::RemoveReplication { .. } | Action::DestroyCanary { .. }
            );
            let names_it = !rules(step.action.kind()).destroys || !step.disks.is_empty() || of_guests;
            self.demand(
                step,
                names_it,
                "it destroys what is on a disk, and does not say of which",
            );
            let own = step.disks.iter().all(|disk| disk.node == step.node);
            self.demand(step, own, "it overwrites a disk of another server");
            let Undo::Operator { how } = &step.undo;
            self.demand(step, !how.is_empty(), "it does not say how it is undone");
            earlier.insert(&step.id);
        }
        self.disruptive();
    }

    /// Never two disruptive steps beside each other.
    fn disruptive(&mut self) {
        let plan = self.plan;
        let disruptive: Vec<&Step> = plan
            .steps
            .iter()
            .filter(|s| rules(s.action.kind()).disruptive)
            .collect();
        // Needs pass on: where each comes after the one before it, each comes after all before it.
        for pair in disruptive.windows(2) {
            let [before, step] = pair else { continue };
            let after = self.order.is_after(step, &before.id);
            self.demand(step, after, "it may run beside another disruptive step");
        }
    }
}

/// Nothing may keep what restores from being done; and what only adds to a host outside of the cluster asks nobody.
fn needs_no_gate(step: &Step) -> bool {
    step.restores.is_some()
        || matches!(
            step.action,
            Action::InstallPackages { .. } | Action::WithdrawKeys { .. }
        )
}
