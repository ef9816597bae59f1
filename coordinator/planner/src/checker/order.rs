//! Which step surely comes after which.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::ids::StepId;
use quorate_model::plan::{Plan, Step};

/// For each step, all that it needs, directly or through others.
pub(super) struct Order(BTreeMap<StepId, BTreeSet<StepId>>);

impl Order {
    /// Steps stand in an order in which each comes after what it needs; one that does not has been complained about, and what it
    /// needs too early counts for nothing.
    pub(super) fn of(plan: &Plan) -> Self {
        let mut all: BTreeMap<StepId, BTreeSet<StepId>> = BTreeMap::new();
        for step in &plan.steps {
            let mut before: BTreeSet<StepId> = step.needs.iter().cloned().collect();
            for need in &step.needs {
                before.extend(all.get(need).into_iter().flatten().cloned());
            }
            all.insert(step.id.clone(), before);
        }
        Self(all)
    }

    pub(super) fn is_after(&self, later: &Step, earlier: &StepId) -> bool {
        self.0.get(&later.id).is_some_and(|before| before.contains(earlier))
    }
}
