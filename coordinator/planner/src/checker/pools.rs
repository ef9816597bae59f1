//! Pools: nothing is given to one that anything speaks against, no disk is used twice, nothing takes the place of a pool, and nothing is
//! wiped that is in use.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::disk_marks::Mark;
use quorate_model::ids::PoolName;
use quorate_model::observation::disks::{Disk, Disks};
use quorate_model::observation::eligibility::{ReasonKind, Role};
use quorate_model::observation::pools::{Leaf, Pool, VdevClass, VdevState};
use quorate_model::operation::Action;
use quorate_model::plan::Step;
use quorate_model::pool_layout::{DiskIdentity, PoolLayout, disk_of};
use quorate_model::spec::{DiskName, NodeRole, Pick};
use quorate_model::{Facet, NodeName};

use super::Checker;
use crate::disks::across;

impl<'v> Checker<'v> {
    pub(super) fn pool(&mut self, step: &Step, layout: &PoolLayout) {
        let pools = self.view.facet(&step.node, |o| &o.pools);
        let free = pools.is_ok_and(|pools| pools.iter().all(|pool| pool.name != layout.name.as_str()));
        self.demand(step, free, "there is a pool of this name, or it can't be told");
        self.asked_for(step, layout);
        self.unused(step, layout.all_disks());
        self.demand(step, layout.unfit(None).is_empty(), "zpool would refuse its layout");
    }

    pub(super) fn growth(&mut self, step: &Step, layout: &PoolLayout) {
        self.asked_for(step, layout);
        self.unused(step, layout.all_disks());
        self.demand(step, layout.all_disks().next().is_some(), "it adds nothing");
        let Some(pool) = self.the_pool(step, &layout.name) else {
            return;
        };
        let whole = pool.state == VdevState::Online;
        self.demand(step, whole, "it lets a pool grow that is not whole");
        let fits = layout.unfit(Some(pool)).is_empty();
        self.demand(step, fits, "it adds what the pool is not made of");
    }

    pub(super) fn replacement(&mut self, step: &Step, pool: &PoolName, old: &str, with: &DiskIdentity) {
        let asked = self.wish.replace_disk.as_ref();
        let asked = asked.filter(|asked| asked.node == step.node && asked.pool == *pool);
        self.demand(step, asked.is_some(), "nobody asked for a disk to be replaced");
        self.unused(step, [with]);
        let all = across(self.view);
        let disks = all.get(&step.node).and_then(|disks| disks.get().ok());
        let (Some(asked), Some(pool), Some(disks)) = (asked, self.the_pool(step, pool), disks) else {
            return;
        };
        let of_pool = pool
            .vdevs
            .iter()
            .find(|vdev| vdev.leaves.iter().any(|leaf| leaf.name == old));
        let leaf = pool.leaves().find(|leaf| leaf.name == old);
        self.demand(step, leaf.is_some(), "the pool has no such disk");
        let (Some(vdev), Some(leaf)) = (of_pool, leaf) else {
            return;
        };
        let meant = is_called(&asked.old, leaf, disks);
        self.demand(step, meant, "it replaces another disk than the one that was asked for");
        let wanted = asked.with.as_ref().map(|name| name.as_str().parse::<DiskName>());
        let by_that = wanted.is_none_or(|name| {
            let disk = with.find(disks);
            name.is_ok_and(|name| disk.is_ok_and(|disk| name.means(disk)))
        });
        self.demand(step, by_that, "it takes another disk than the one that was asked for");
        let replaceable = !matches!(vdev.class, VdevClass::Cache | VdevClass::Spare);
        self.demand(step, replaceable, "zpool replaces no cache and no spare");
        let large = disk_of(leaf, disks).is_none_or(|old| old.size <= with.size);
        self.demand(step, large, "the new disk is smaller than the old one");
    }

    pub(super) fn wipe(&mut self, step: &Step, planned: &DiskIdentity, carries: &BTreeSet<Mark>) {
        let all = across(self.view);
        let disk = found(&all, step, planned);
        let fine = disk.is_some_and(|disk| disk.against_wiping().is_empty());
        self.demand(step, fine, "what it wipes is in use, or it can't be told");
        let seen = disk.is_some_and(|disk| disk.marks() == *carries);
        self.demand(step, seen, "what it says is on the disk is not what is seen there");
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

    /// The file asks for it, there, and of these disks.
    fn asked_for(&mut self, step: &Step, layout: &PoolLayout) {
        let role = self.file.nodes.get(&step.node).map(|node| node.role);
        self.demand(
            step,
            role == Some(NodeRole::Member),
            "pools are for members of the file",
        );
        let spec = self.file.pools.get(&layout.name);
        self.demand(step, spec.is_some(), "no such pool is asked for");
        let Some(spec) = spec else { return };
        let data = [(&spec.disks, &layout.disks)].into_iter();
        let mut picked: Vec<(Option<&Pick>, &Vec<DiskIdentity>)> =
            data.map(|(choice, disks)| (choice.of(&step.node), disks)).collect();
        for beside in &layout.beside {
            let choice = spec.beside.get(&beside.class);
            picked.push((choice.and_then(|choice| choice.of(&step.node)), &beside.disks));
        }
        let all = across(self.view);
        let meant = picked.into_iter().all(|(pick, planned)| {
            let mut disks = planned.iter().map(|disk| found(&all, step, disk));
            match pick {
                None => planned.is_empty(),
                Some(Pick::Named(names)) => {
                    disks.all(|disk| disk.is_some_and(|disk| names.iter().any(|name| name.value.means(disk))))
                }
                Some(Pick::Matching(selector)) => {
                    let most = selector.count.as_ref().map(|count| usize::from(count.value));
                    disks.all(|disk| disk.is_some_and(|disk| selector.refuses(disk).is_none()))
                        && most.is_none_or(|most| planned.len() <= most)
                }
            }
        });
        self.demand(step, meant, "one of its disks is none that the file means");
    }

    fn the_pool(&mut self, step: &Step, name: &PoolName) -> Option<&'v Pool> {
        let view = self.view;
        let pools = view.facet(&step.node, |o| &o.pools).ok();
        let pool = pools.and_then(|pools| pools.iter().find(|pool| pool.name == name.as_str()));
        self.demand(
            step,
            pool.is_some(),
            "there is no pool of this name, or it can't be told",
        );
        pool
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

/// Does the operator's word name this disk of a pool: as the pool calls it or did, or by what stays with the disk?
fn is_called(word: &str, leaf: &Leaf, disks: &Disks) -> bool {
    let parts = |text: &str| {
        let link = text.trim_start_matches("/dev/disk/by-id/").to_owned();
        link.strip_suffix("-part1").map(str::to_owned).unwrap_or(link)
    };
    let word = parts(word);
    let before = leaf.health.note.as_deref().and_then(|note| note.strip_prefix("was "));
    let by_pool = [Some(leaf.name.as_str()), before].into_iter().flatten();
    let by_disk = disk_of(leaf, disks)
        .is_some_and(|disk| disk.path == word || word.parse::<DiskName>().is_ok_and(|name| name.means(disk)));
    by_disk || by_pool.map(parts).any(|called| called == word)
}

fn found<'d>(all: &'d BTreeMap<NodeName, Facet<Disks>>, step: &Step, planned: &DiskIdentity) -> Option<&'d Disk> {
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
