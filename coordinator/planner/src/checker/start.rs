//! A plan that nothing forbids must fit what is seen at this moment.

use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step};

use super::Checker;

impl Checker<'_> {
    pub(super) fn fit_to_start(&mut self) {
        let plan = self.plan;
        for step in &plan.steps {
            let mut asked = step.gate.iter().chain([&step.done_when]).flat_map(Condition::nodes);
            let all = asked.all(|node| self.view.nodes.contains_key(&node));
            self.demand(step, all, "it asks a server that is not enrolled");
            for condition in &step.gate {
                // What an earlier step brings about can't be seen yet.
                let joins = matches!(step.action, Action::JoinCluster { .. });
                let now = step.needs.is_empty() || (joins && matches!(condition, Condition::Standalone { .. }));
                self.demand(
                    step,
                    !now || condition.judge(self.view).holds(),
                    "its gate does not hold on what is seen",
                );
            }
            match &step.action {
                Action::CreateCluster { links, .. } | Action::JoinCluster { links, .. } => {
                    let own = self.addresses_of(&step.node);
                    let there = links.values().all(|a| own.contains(a));
                    self.demand(step, there, "its node does not have the address of a link");
                    self.ready_to_join(step);
                }
                Action::AddLink { addresses, .. } => {
                    let there = addresses.iter().all(|(node, a)| self.addresses_of(node).contains(a));
                    self.demand(step, there, "a node does not have its address of the link");
                }
                _ => {}
            }
        }
    }

    fn ready_to_join(&mut self, step: &Step) {
        let guests = self.view.facet(&step.node, |o| &o.guests);
        let may_have_guests = matches!(step.action, Action::CreateCluster { .. });
        self.demand(
            step,
            guests.is_ok_and(|g| may_have_guests || g.is_empty()),
            "its node has guests, or nobody knows",
        );
        let offset = self.view.nodes.get(&step.node).and_then(|n| n.clock_offset);
        self.demand(step, offset.is_some(), "nobody knows how far its node's clock is off");
    }
}
