//! Storages: nothing takes the id of another one, what is there is only added to, and nothing is defined on a pool that is not there.

use quorate_model::ids::NodeName;
use quorate_model::observation::storages::DefinedStorage;
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step};
use quorate_model::storage::{Property, Remedy, StorageDefinition, StorageKind};

use super::Checker;

impl Checker<'_> {
    pub(super) fn adds_storage(&mut self, step: &Step, storage: &StorageDefinition) {
        let free = self.speakers().all(|node| {
            let storages = self.view.facet(node, |o| &o.storages);
            storages.is_ok_and(|storages| storages.defined(storage.name.as_str()).is_none())
        });
        self.demand(step, free, "the id is taken, or that can't be told");
        self.any_storage(step, storage);
    }

    pub(super) fn extends_storage(&mut self, step: &Step, storage: &StorageDefinition) {
        let adds = self.speakers().all(|node| {
            let Ok(storages) = self.view.facet(node, |o| &o.storages) else {
                return false;
            };
            let there: Option<&DefinedStorage> = storages.defined(storage.name.as_str());
            there.is_some_and(|there| {
                let all = storage.differences(there);
                !all.is_empty() && all.iter().all(|difference| difference.remedy == Remedy::Extend)
            })
        });
        self.demand(step, adds, "it does more than add to the storage that is there");
        self.any_storage(step, storage);
    }

    /// By whose word storages are defined.
    fn speakers(&self) -> impl Iterator<Item = &NodeName> {
        let quorate: Vec<&NodeName> = self
            .members()
            .filter(|(_, m)| m.quorate)
            .map(|(node, _)| node)
            .collect();
        let founds = |step: &&Step| matches!(step.action, Action::CreateCluster { .. });
        let founder = self.plan.steps.iter().filter(founds).map(|step| &step.node);
        let seen = quorate
            .into_iter()
            .filter(|node| self.file.nodes.contains_key(*node))
            .take(1);
        seen.chain(founder)
    }

    fn any_storage(&mut self, step: &Step, storage: &StorageDefinition) {
        let name = storage.name.as_str();
        let asked = self.file.storages.keys().any(|known| known.as_str() == name)
            || self
                .file
                .pools
                .iter()
                .any(|(pool, spec)| spec.storage && pool.as_str() == name);
        self.demand(step, asked, "no such storage is asked for");
        self.demand(step, storage.check().is_ok(), "pvesm would not take it so");
        self.demand(step, storage.is_on(&step.node), "it is not tried where it is changed");
        let same = |other: &&Step| match &other.action {
            Action::AddStorage { storage, .. } | Action::ExtendStorage { storage, .. } => storage.name.as_str() == name,
            _ => false,
        };
        let once = self.plan.steps.iter().filter(same).count() == 1;
        self.demand(step, once, "it is changed twice");
        let members: Vec<&NodeName> = self.file.members().map(|(node, _)| node).collect();
        let Condition::StorageReady { storage: seen, nodes } = &step.done_when else {
            return self.demand(step, false, "it is done without being seen active");
        };
        let pool = storage.properties.get(&Property::Pool);
        let pool = pool.filter(|_| storage.kind == StorageKind::Zfspool);
        let pool = pool.and_then(|pool| pool.split('/').next());
        // A pool's storage is not expected where there is no pool: PVE's file may have said nothing about nodes, or more than there are pools.
        let added = matches!(step.action, Action::AddStorage { .. });
        let expected = |node: &NodeName| {
            let beyond = pool.is_some() && (storage.nodes.is_none() || !added);
            storage.is_on(node) && (!beyond || pool.is_some_and(|pool| self.pool_by_then(step, node, pool)))
        };
        let everywhere = members
            .iter()
            .filter(|node| expected(node))
            .all(|node| nodes.contains(*node));
        self.demand(
            step,
            seen == storage && everywhere && !nodes.is_empty(),
            "it is done without being seen active everywhere",
        );
        for (node, pool) in nodes.iter().filter_map(|node| Some((node, pool?))) {
            let has = self.pool_by_then(step, node, pool);
            self.demand(step, has, "a node that is to have it has no pool for it by then");
        }
    }

    /// Has a node this pool by the time of a step?
    fn pool_by_then(&self, step: &Step, node: &NodeName, pool: &str) -> bool {
        let pools = self.view.facet(node, |o| &o.pools);
        let there = pools.is_ok_and(|pools| pools.iter().any(|seen| seen.name == pool));
        there
            || self.plan.steps.iter().any(|other| {
                let makes = matches!(&other.action, Action::CreatePool { layout } if layout.name.as_str() == pool);
                makes && other.node == *node && step.needs.contains(&other.id)
            })
    }
}
