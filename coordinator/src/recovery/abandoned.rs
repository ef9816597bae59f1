//! A rollout whose journal was lost, made out from agents' ledgers: an operation's id names its rollout, step and attempt.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::operation::Outcome;
use quorate_model::rollout::{RolloutResult, StepState, StopKind, Summary};
use quorate_model::view::Rest;
use quorate_model::{ClusterName, NodeRef, OperationId, RolloutId, StepId, Timestamp};
use serde::{Deserialize, Serialize};

/// What an agent's ledger holds of one operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Remembered {
    pub(crate) operation: OperationId,
    pub(crate) accepted_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    /// `None`: it runs.
    pub(crate) outcome: Option<Outcome>,
    /// What of HA it put to rest, or woke (`true`).
    pub(crate) ha: Option<(Rest, bool)>,
}

/// What is known of such a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Abandoned {
    cluster: ClusterName,
    /// By number in the plan.
    steps: BTreeMap<u32, Traces>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Traces {
    step: StepId,
    node: NodeRef,
    /// The newest attempt.
    attempt: u32,
    accepted_at: Timestamp,
    ended_at: Option<Timestamp>,
    state: StepState,
    /// What of HA it put to rest, or woke (`true`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ha: Option<(Rest, bool)>,
}

impl Traces {
    /// May it have had its effect? What is known to have failed has not.
    fn may_be_done(&self) -> bool {
        !matches!(self.state, StepState::Stopped { kind: StopKind::Failed })
    }
}

/// Where an operation belongs, as its id says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    number: u32,
    /// With hyphens where the step's id had slashes, and perhaps shortened.
    step: String,
    attempt: u32,
}

/// Takes an operation's id apart: `ROLLOUT.NUMBER-STEP.ATTEMPT`. `None`: it is not one that rollouts make.
pub(crate) fn rollout_of(operation: &OperationId) -> Option<(RolloutId, Place)> {
    let (head, attempt) = operation.as_str().rsplit_once('.')?;
    // A rollout's id has no dot: it is a cluster's name, a time and a number.
    let (rollout, rest) = head.split_once('.')?;
    let (number, step) = rest.split_once('-')?;
    let place = Place {
        number: number.parse().ok()?,
        step: step.to_owned(),
        attempt: attempt.parse().ok()?,
    };
    Some((RolloutId::new(rollout).ok()?, place))
}

impl Abandoned {
    pub(super) fn new(cluster: ClusterName) -> Self {
        let steps = BTreeMap::new();
        Self { cluster, steps }
    }

    /// Takes note of one operation; of several attempts at a step, the newest counts.
    pub(super) fn note(&mut self, place: &Place, node: &NodeRef, remembered: &Remembered) {
        let known = self.steps.get(&place.number);
        if known.is_some_and(|known| known.attempt > place.attempt) {
            return;
        }
        // Steps that are about a node end in its name, after a slash that the operation's id could not have.
        let tail = format!("-{}", node.node);
        let step = place
            .step
            .strip_suffix(&tail)
            .map(|head| format!("{head}/{}", node.node));
        let Ok(step) = StepId::new(step.unwrap_or_else(|| place.step.clone())) else {
            return;
        };
        let first = known.map_or(remembered.accepted_at, |known| {
            known.accepted_at.min(remembered.accepted_at)
        });
        let traces = Traces {
            step,
            node: node.clone(),
            attempt: place.attempt,
            accepted_at: first,
            ended_at: remembered.ended_at,
            state: state(remembered.outcome.as_ref()),
            ha: remembered.ha.clone(),
        };
        self.steps.insert(place.number, traces);
    }

    /// As lists show it. Steps of which no server knows are not among its steps: nobody can tell which they were.
    pub(super) fn summary(&self, id: &RolloutId) -> Summary {
        let running = self.steps.values().any(|traces| traces.state == StepState::Running);
        let ended = self.steps.values().filter_map(|traces| traces.ended_at).max();
        Summary {
            id: id.clone(),
            cluster: self.cluster.clone(),
            created_at: self
                .steps
                .values()
                .map(|traces| traces.accepted_at)
                .min()
                .unwrap_or_default(),
            by: "?".to_owned(),
            result: Some(RolloutResult::Abandoned),
            finished_at: ended.filter(|_| !running),
            steps: self
                .steps
                .values()
                .map(|traces| (traces.step.clone(), traces.state.clone()))
                .collect(),
            not_restored: self.not_restored(),
        }
    }

    pub(super) fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// What it put to rest of HA and woke (`true`), oldest first, as far as servers remember.
    pub(super) fn rests(&self) -> Vec<(Timestamp, Rest, bool)> {
        let done = self.steps.values().filter(|traces| traces.may_be_done());
        let mut all: Vec<_> = done
            .filter_map(|traces| {
                let (rest, wakes) = traces.ha.clone()?;
                // One that only runs has not woken anything yet.
                (!wakes || traces.state == StepState::Ended).then_some((traces.accepted_at, rest, wakes))
            })
            .collect();
        all.sort();
        all
    }

    /// The steps that should have woken it, by the names that plans give them.
    fn not_restored(&self) -> Vec<StepId> {
        let mut open: BTreeSet<Rest> = BTreeSet::new();
        for (_, rest, wakes) in self.rests() {
            if wakes {
                open.remove(&rest);
            } else {
                open.insert(rest);
            }
        }
        let of = |traces: &&Traces| {
            traces
                .ha
                .as_ref()
                .is_some_and(|(rest, wakes)| !wakes && open.contains(rest))
        };
        let steps = self.steps.values().filter(of).map(|traces| traces.step.as_str());
        steps
            .filter_map(|step| {
                let back = step.replace("ha.disarm", "ha.arm").replace("ha.stop-", "ha.start-");
                StepId::new(back).ok()
            })
            .collect()
    }
}

fn state(outcome: Option<&Outcome>) -> StepState {
    match outcome {
        None => StepState::Running,
        Some(Outcome::Done { .. }) => StepState::Ended,
        Some(Outcome::Failed { .. }) => StepState::Stopped { kind: StopKind::Failed },
        Some(Outcome::Unknown { .. }) => StepState::Stopped { kind: StopKind::Stuck },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operations_id_tells_where_it_belongs() {
        let place = |text: &str| rollout_of(&text.parse().unwrap());
        let (rollout, found) = place("hk1-20261122-110932-beef.2-cluster.join-prox2.13").unwrap();
        assert_eq!(rollout.as_str(), "hk1-20261122-110932-beef");
        assert_eq!(
            found,
            Place {
                number: 2,
                step: "cluster.join-prox2".to_owned(),
                attempt: 13
            }
        );
        for other in ["op-1", "a.b", "a.b.c", "a.1-x.y", "a.x-y.1"] {
            assert_eq!(place(other), None, "{other}");
        }
    }

    #[test]
    fn the_engine_names_operations_in_just_that_way() {
        let file = quorate_planner::testkit::file(3, &["10.10.10.0/24"]);
        let plan = quorate_planner::plan(
            &file,
            &quorate_model::Wish::default(),
            &quorate_planner::testkit::Servers::bare(3).view,
        );
        for (index, step) in plan.steps.iter().enumerate() {
            let id = quorate_engine::operation_id(&"hk1-7".parse().unwrap(), &plan, step, 4).unwrap();
            let (rollout, place) = rollout_of(&id).unwrap();
            assert_eq!(
                (rollout.as_str(), place.number as usize, place.attempt),
                ("hk1-7", index + 1, 4)
            );
        }
    }
}
