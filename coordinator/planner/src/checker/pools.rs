//! Pools: nothing is given to one that anything speaks against, no disk is used twice, nothing takes the place of a pool, and nothing is
//! wiped that is in use.

use quorate_model::ids::PoolName;
use quorate_model::observation::disks::Disk;
use quorate_model::observation::eligibility::{ReasonKind, Role};
use quorate_model::operation::Action;
use quorate_model::plan::Step;
use quorate_model::pool_layout::{DiskIdentity, PoolLayout};

use super::Checker;
use crate::disks::across;

impl Checker<'_> {
    pub(super) fn pool(&mut self, step: &Step, layout: &PoolLayout) {
        let pools = self.view.facet(&step.node, |o| &o.pools);
        let free = pools.is_ok_and(|pools| pools.iter().all(|pool| pool.name != layout.name.as_str()));
        self.demand(step, free, "there is a pool of this name, or it can't be told");
        self.asked_for(step, layout);
        self.unused(step, layout.all_disks());
        let count = layout
            .raid
            .refuses(layout.disks.len(), usize::from(layout.data_vdevs))
            .is_none();
        self.demand(step, count, "its layout does not take so many disks");
    }

    pub(super) fn growth(&mut self, step: &Step, layout: &PoolLayout) {
        self.has_pool(step, &layout.name);
        self.asked_for(step, layout);
        self.unused(step, layout.all_disks());
        self.demand(step, layout.all_disks().next().is_some(), "it adds nothing");
    }

    pub(super) fn replacement(&mut self, step: &Step, pool: &PoolName, old: &str, with: &DiskIdentity) {
        self.has_pool(step, pool);
        let asked = self.wish.replace_disk.as_ref();
        let asked = asked.is_some_and(|asked| asked.node == step.node && asked.pool == *pool);
        self.demand(step, asked, "nobody asked for a disk to be replaced");
        let pools = self.view.facet(&step.node, |o| &o.pools);
        let there = pools.is_ok_and(|pools| {
            let mut of_name = pools.iter().filter(|seen| seen.name == pool.as_str());
            of_name.any(|seen| seen.leaves().any(|leaf| leaf.name == old))
        });
        self.demand(step, there, "the pool has no such disk");
        self.unused(step, [with]);
    }

    pub(super) fn wipe(&mut self, step: &Step, planned: &DiskIdentity) {
        let all = across(self.view);
        let disk = found(&all, step, planned);
        let fine = disk.is_some_and(|disk| disk.against_wiping().is_empty());
        self.demand(step, fine, "what it wipes is in use, or it can't be told");
        let named = step.disks.iter().any(|disk| disk.disk.as_str() == planned.link);
        self.demand(
            step,
            named && step.disks.len() == 1,
            "it asks for another disk than the one that it wipes",
        );
        self.demand(step, !step.destroys.is_empty(), "it does not say what it destroys");
        let is_needed = self.plan.steps.iter().any(|other| other.needs.contains(&step.id));
        self.demand(step, is_needed, "nothing needs what it wipes");
    }

    fn asked_for(&mut self, step: &Step, layout: &PoolLayout) {
        let asked = self.file.pools.contains_key(&layout.name);
        self.demand(step, asked, "no such pool is asked for");
    }

    fn has_pool(&mut self, step: &Step, name: &PoolName) {
        let pools = self.view.facet(&step.node, |o| &o.pools);
        let there = pools.is_ok_and(|pools| pools.iter().any(|pool| pool.name == name.as_str()));
        self.demand(step, there, "there is no pool of this name, or it can't be told");
    }

    /// Each is seen to be free, or is wiped before, and is used by this step alone.
    fn unused<'d>(&mut self, step: &Step, disks: impl IntoIterator<Item = &'d DiskIdentity>) {
        let all = across(self.view);
        let accepted = match &step.action {
            Action::CreatePool { layout } | Action::GrowPool { layout } => layout.accepted.clone(),
            Action::ReplaceDisk { accepted, .. } => accepted.clone(),
            _ => [].into(),
        };
        for planned in disks {
            let verdict = found(&all, step, planned)
                .and_then(|disk| disk.verdicts.iter().find(|verdict| verdict.role == Role::Zfs).cloned());
            let wiped = self.plan.steps.iter().any(|other| {
                let wipes = matches!(&other.action, Action::WipeDisk { disk, .. } if disk == planned);
                wipes && other.node == step.node && step.needs.contains(&other.id)
            });
            let fine = verdict.is_some_and(|verdict| {
                let undecided = |kind: ReasonKind| kind.may_be_accepted() && accepted.contains(&kind);
                let mut against = verdict.against.iter().map(|reason| reason.kind);
                against.all(|kind| undecided(kind) || (wiped && kind.goes_by_wiping()))
            });
            self.demand(step, fine, "one of its disks is not seen to be free");
            let others = self.plan.steps.iter().filter(|other| other.node == step.node);
            let uses: usize = others.map(|other| times_used(&other.action, planned)).sum();
            self.demand(step, uses == 1, "one of its disks is used twice");
        }
    }
}

fn found<'d>(
    all: &'d std::collections::BTreeMap<
        quorate_model::NodeName,
        quorate_model::Facet<quorate_model::observation::Disks>,
    >,
    step: &Step,
    planned: &DiskIdentity,
) -> Option<&'d Disk> {
    planned.find(all.get(&step.node)?.get().ok()?).ok()
}

fn times_used(action: &Action, planned: &DiskIdentity) -> usize {
    match action {
        Action::CreatePool { layout } | Action::GrowPool { layout } => {
            layout.all_disks().filter(|disk| disk.link == planned.link).count()
        }
        Action::ReplaceDisk { with, .. } => usize::from(with.link == planned.link),
        _ => 0,
    }
}
