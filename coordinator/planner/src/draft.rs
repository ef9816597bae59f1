//! A step before it has its place among the others.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_model::ids::{NodeName, StepId};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step, Undo};

/// All of a step but what it comes after.
pub(crate) struct Draft {
    pub(crate) id: String,
    pub(crate) node: NodeName,
    pub(crate) action: Action,
    pub(crate) title: String,
    pub(crate) why: Vec<String>,
    pub(crate) gate: Vec<Condition>,
    pub(crate) done_when: Condition,
    /// About how long it takes; at least one second.
    pub(crate) seconds: u64,
    /// How it is undone by hand.
    pub(crate) undo: String,
    pub(crate) destroys: Vec<String>,
    pub(crate) restores: Option<StepId>,
}

impl Draft {
    /// The step, which comes after these, and after what it takes back. It touches no disk. `None`: its id can't be.
    pub(crate) fn after(self, mut needs: Vec<StepId>) -> Option<Step> {
        let id = StepId::new(self.id).ok()?;
        if let Some(restored) = self.restores.as_ref().filter(|restored| !needs.contains(restored)) {
            needs.push(restored.clone());
        }
        Some(Step {
            id,
            node: self.node,
            action: self.action,
            title: self.title,
            why: self.why,
            needs,
            gate: self.gate,
            done_when: self.done_when,
            destroys: self.destroys,
            disks: BTreeSet::new(),
            estimate: Duration::from_secs(self.seconds),
            undo: Undo::Operator { how: self.undo },
            restores: self.restores,
        })
    }
}
