//! What is moved was asked for, goes to a member that is online, and is seen there afterwards; a server restarts empty, and one at a time.

use std::collections::BTreeSet;

use quorate_model::ids::NodeName;
use quorate_model::moves::Moves;
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step};

use super::Checker;

impl Checker<'_> {
    pub(super) fn moves_guest(&mut self, step: &Step, guest: u32, target: &NodeName) {
        let asked = match &self.wish.moves {
            Some(Moves::Migrate { guest: id, target: to }) => *id == guest && to == target,
            Some(Moves::Drain { node, .. }) => step.node == *node,
            Some(Moves::Reboot { .. }) => self.restarts(&step.node) || self.restarts(target),
            _ => false,
        };
        self.demand(step, asked, "nobody asked to move this guest there");
        let online = self.online_members();
        self.demand(step, online.contains(target), "its target is no member that is online");
        self.demand(step, step.node != *target, "it goes where it is");
        let there = matches!(
            &step.done_when,
            Condition::GuestAt { guest: id, node, seen_by, .. } if *id == guest && node == target && seen_by.contains(&step.node)
        );
        self.demand(
            step,
            there,
            "it is done without being seen on its target, by both servers",
        );
    }

    pub(super) fn runs_guest(&mut self, step: &Step, guest: u32, run: bool) {
        let recovers = matches!(self.wish.moves, Some(Moves::Recover { .. }));
        if recovers {
            self.starts_taken(step, guest);
        }
        let consented = match &self.wish.moves {
            Some(Moves::Recover { .. }) => run,
            Some(Moves::Drain { stop, .. } | Moves::Reboot { stop, .. }) => stop.contains(&guest),
            _ => false,
        };
        self.demand(step, consented, "nobody said that this guest may be shut down");
        let seen =
            matches!(&step.done_when, Condition::GuestAt { guest: id, running, .. } if *id == guest && *running == run);
        self.demand(step, seen, "it is done without being seen so");
    }

    pub(super) fn sets_maintenance(&mut self, step: &Step, of: &NodeName, on: bool) {
        let asked = match &self.wish.moves {
            Some(Moves::Drain { node, .. }) => on && of == node,
            Some(Moves::Undrain { node }) => !on && of == node,
            Some(Moves::Reboot { .. }) => self.restarts(of),
            _ => false,
        };
        let rest = quorate_model::view::Rest::Maintenance { node: of.clone() };
        let left = !on && self.view.at_rest.contains(&rest);
        self.demand(step, asked || left, "nobody asked for it");
        let seen = matches!(&step.done_when, Condition::Maintenance { node, on: so, .. } if node == of && *so == on);
        self.demand(step, seen, "it is done without being seen so");
    }

    pub(super) fn reboots(&mut self, step: &Step, boot: &str) {
        let node = &step.node;
        self.demand(step, self.restarts(node), "nobody asked for it");
        let now = self.view.facet(node, |o| &o.system);
        let now = now.is_ok_and(|system| system.boot_id == boot);
        self.demand(step, now, "it ends another boot than the one that is seen");
        let drained = step
            .gate
            .iter()
            .any(|c| matches!(c, Condition::Drained { node: of } if of == node));
        self.demand(step, drained, "its gate does not see that nothing runs there");
        let mut others = self.online_members();
        others.remove(node);
        let spare = step.gate.iter().any(
            |c| matches!(c, Condition::Spare { node: of, others: seen, .. } if of == node && others.is_subset(seen)),
        );
        self.demand(step, spare, "its gate does not see that the cluster can do without it");
        let worse = step.gate.iter().any(
            |c| matches!(c, Condition::NothingWorse { nodes, .. } if others.is_subset(nodes) && nodes.contains(node)),
        );
        self.demand(step, worse, "its gate does not see that nothing got worse");
        let anew =
            matches!(&step.done_when, Condition::Rebooted { node: of, boot: old, .. } if of == node && old == boot);
        self.demand(step, anew, "it is done without being seen to have started anew");
        // Whatever is still to come on another server waits until this one is back.
        let plan = self.plan;
        let later = plan.steps.iter().skip_while(|s| s.id != step.id).skip(1);
        let waits = later.filter(|s| !self.order.is_after(s, &step.id)).count() == 0;
        self.demand(step, waits, "something after it does not wait until it is back");
    }

    fn restarts(&self, node: &NodeName) -> bool {
        match &self.wish.moves {
            Some(Moves::Reboot { nodes, .. }) if nodes.is_empty() => self.file.members().any(|(name, _)| name == node),
            Some(Moves::Reboot { nodes, .. }) => nodes.contains(node),
            _ => false,
        }
    }

    /// As any member sees them that is quorate.
    fn online_members(&self) -> BTreeSet<NodeName> {
        let speakers = self.members().filter(|(_, member)| member.quorate);
        let names = speakers.flat_map(|(_, member)| member.online());
        names.filter_map(|name| NodeName::new(name).ok()).collect()
    }

    /// Is it for good that a node is put into maintenance?
    pub(super) fn drains_for_good(&self, action: &Action) -> bool {
        let drains = matches!(self.wish.moves, Some(Moves::Drain { .. }));
        drains && matches!(action, Action::SetMaintenance { .. } | Action::RunGuest { .. })
    }
}
