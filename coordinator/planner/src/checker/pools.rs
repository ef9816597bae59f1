//! Pools: nothing is made on a disk that anything speaks against, none is used twice, and nothing takes the place of a pool.

use quorate_model::observation::eligibility::{ReasonKind, Role};
use quorate_model::operation::Action;
use quorate_model::plan::Step;
use quorate_model::pool_layout::PoolLayout;

use super::Checker;
use crate::disks::across;

impl Checker<'_> {
    pub(super) fn pool(&mut self, step: &Step, layout: &PoolLayout) {
        let pools = self.view.facet(&step.node, |o| &o.pools);
        let free = pools.is_ok_and(|pools| pools.iter().all(|pool| pool.name != layout.name.as_str()));
        self.demand(step, free, "there is a pool of this name, or it can't be told");
        self.demand(
            step,
            self.file.pools.contains_key(&layout.name),
            "no such pool is asked for",
        );
        let all = across(self.view);
        let disks = all.get(&step.node).and_then(|disks| disks.get().ok());
        for planned in layout.all_disks() {
            let disk = disks.and_then(|disks| planned.find(disks).ok());
            let verdict = disk.and_then(|disk| disk.verdicts.iter().find(|verdict| verdict.role == Role::Zfs));
            let unused = verdict.is_some_and(|verdict| {
                let undecided = |kind: ReasonKind| kind.may_be_accepted() && layout.accepted.contains(&kind);
                verdict.against.iter().all(|reason| undecided(reason.kind))
            });
            self.demand(step, unused, "one of its disks is not seen to be free");
            let others = self.plan.steps.iter().filter(|other| other.node == step.node);
            let uses = others.flat_map(|other| match &other.action {
                Action::CreatePool { layout } => layout.all_disks().collect(),
                _ => Vec::new(),
            });
            let once = uses.filter(|other| other.link == planned.link).count() == 1;
            self.demand(step, once, "one of its disks is used twice");
        }
        let count = layout.raid.refuses(layout.disks.len()).is_none();
        self.demand(step, count, "its layout does not take so many disks");
    }
}
