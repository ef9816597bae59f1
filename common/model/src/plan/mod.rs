//! A plan: steps with reasons, gates and what must be seen afterwards. It is made by the planner, shown to the
//! operator, and executed as it was shown.

pub mod condition;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::ids::{ClusterName, DiskRef, NodeName, StepId};
use crate::operation::Action;

pub use condition::{Condition, Needs, Verdict};

/// What is to be done, in which order, and why. Identical input gives an identical plan, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The cluster it is about.
    pub cluster: ClusterName,
    /// SHA-256 of the cluster file's text, in hex.
    pub spec_digest: String,
    /// The steps, in an order in which they could be done one after another.
    pub steps: Vec<Step>,
    /// What there is to say: notes, warnings, refusals.
    pub findings: Vec<Finding>,
}

impl Plan {
    /// Is there nothing to do?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Does a finding forbid to execute it?
    #[must_use]
    pub fn refused(&self) -> bool {
        self.findings.iter().any(Finding::refuses)
    }

    /// A step by its id.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|s| &s.id == id)
    }

    /// Whether another plan would do the same: same steps, whatever its findings say.
    #[must_use]
    pub fn same_steps(&self, other: &Plan) -> bool {
        let mut pairs = self.steps.iter().zip(&other.steps);
        self.cluster == other.cluster
            && self.steps.len() == other.steps.len()
            && pairs.all(|(step, other)| step.is_same_as(other))
    }
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Stable across re-plans.
    pub id: StepId,
    /// The node whose agent does it.
    pub node: NodeName,
    /// What is done.
    pub action: Action,
    /// One line for the checklist: "join prox2 to cluster hk1 through prox1".
    pub title: String,
    /// Why it is needed, and what to expect meanwhile.
    pub why: Vec<String>,
    /// Steps that must be verified before.
    pub needs: Vec<StepId>,
    /// What must hold, freshly observed, in the moment before it starts.
    pub gate: Vec<Condition>,
    /// What a fresh observation must show before it counts as done.
    pub done_when: Condition,
    /// What is destroyed by it, by stable identity; needs consent.
    pub destroys: Vec<String>,
    /// Disks of its node that are overwritten by it, each by its stable name; each needs a consent of its own (`--destroy`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub disks: BTreeSet<DiskRef>,
    /// About how long it takes.
    #[serde(with = "whole_seconds")]
    pub estimate: Duration,
    /// How it can be undone, or that only the operator can.
    pub undo: Undo,
    /// This step takes back what that one did for the time of the rollout (arms what was disarmed, withdraws what was admitted): it
    /// is carried out whenever that one may have happened, also after a failure or a cancel, when nothing runs any more that
    /// needs what it takes back. It is skipped where that one certainly never began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<StepId>,
}

impl Step {
    /// Whether another step does the same, whatever its reasons are: they name all that was looked at, such as each disk that is not used.
    #[must_use]
    pub fn is_same_as(&self, other: &Step) -> bool {
        let with_these_reasons = Step {
            why: self.why.clone(),
            ..other.clone()
        };
        *self == with_these_reasons
    }
}

/// How a step can be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "undo")]
pub enum Undo {
    /// Only by hand.
    Operator {
        /// How.
        how: String,
    },
}

impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator { how } => write!(f, "only by hand: {how}"),
        }
    }
}

mod whole_seconds {
    //! Estimates are whole seconds; fractions would only pretend.

    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(duration.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }
}
