//! The steps as they are put one after another, with who is in at each point.

use std::collections::BTreeSet;

use quorate_model::ids::{ClusterName, NodeName, StepId};
use quorate_model::plan::{Condition, Step};

use super::Intent;
pub(super) use crate::draft::Draft;

/// The plan as far as it has come.
pub(super) struct Line<'i> {
    pub(super) intent: &'i Intent<'i>,
    steps: Vec<Step>,
    /// What goes on beside each other before all else.
    prepared: Vec<StepId>,
    last: Option<StepId>,
    /// Members that are in and online by then.
    pub(super) online: BTreeSet<NodeName>,
    /// Who is counted and not in.
    pub(super) offline: BTreeSet<NodeName>,
    /// Who was in when the plan began.
    pub(super) at_first: BTreeSet<NodeName>,
    /// Do those that are in have quorum?
    pub(super) quorate: bool,
}

impl<'i> Line<'i> {
    pub(super) fn new(intent: &'i Intent<'i>) -> Self {
        let standing = intent.standing;
        let named = |online: bool| {
            let roster = standing
                .roster
                .iter()
                .filter(|name| standing.seen_online(name) == online);
            roster
                .filter_map(|name| NodeName::new(*name).ok())
                .collect::<BTreeSet<NodeName>>()
        };
        Self {
            intent,
            steps: Vec::new(),
            prepared: Vec::new(),
            last: None,
            at_first: named(true),
            online: named(true),
            offline: named(false),
            quorate: standing.quorate(),
        }
    }

    pub(super) fn cluster(&self) -> ClusterName {
        self.intent.file.cluster.name.value.clone()
    }

    pub(super) fn via(&self) -> NodeName {
        self.intent.via.clone()
    }

    /// Exactly who is in now, and who is counted without being in.
    pub(super) fn members(&self) -> Condition {
        Condition::Members {
            cluster: self.cluster(),
            nodes: self.online.clone(),
            offline: self.offline.clone(),
        }
    }

    /// No watchdog on any of those that are in.
    pub(super) fn at_rest(&self) -> Condition {
        Condition::HaDisarmed {
            cluster: self.cluster(),
            nodes: self.online.clone(),
        }
    }

    pub(super) fn quorate_via(&self) -> Condition {
        Condition::Quorate {
            cluster: self.cluster(),
            node: self.via(),
        }
    }

    /// Puts a step beside all others that prepare.
    pub(super) fn beside(&mut self, draft: Draft) -> Option<StepId> {
        let id = self.put(draft, Vec::new())?;
        self.prepared.push(id.clone());
        Some(id)
    }

    /// Puts a step after everything so far.
    pub(super) fn next(&mut self, draft: Draft) -> Option<StepId> {
        let needs = match &self.last {
            Some(last) => vec![last.clone()],
            None => self.prepared.clone(),
        };
        let id = self.put(draft, needs)?;
        self.last = Some(id.clone());
        Some(id)
    }

    fn put(&mut self, draft: Draft, needs: Vec<StepId>) -> Option<StepId> {
        let step = draft.after(needs)?;
        let id = step.id.clone();
        self.steps.push(step);
        Some(id)
    }

    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}
