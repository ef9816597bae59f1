//! Journals of rollouts that contradict themselves. Nobody can tell what was done and what still runs, so such a rollout is not taken up,
//! and it holds its cluster until an operator has looked at the servers and lets go of it.

use std::sync::{MutexGuard, PoisonError};

use quorate_engine::IllegalRecord;
use quorate_engine::ports::Journal;
use quorate_model::failure::Failure;
use quorate_model::rollout::{Entry, Record, RolloutResult, Summary};
use quorate_model::{ClusterName, Code, Finding, RolloutId};

use super::{Rollouts, has_ended, unusable};
use crate::audit::{Act, By, What};
use crate::incoming::Who;
use crate::trust::sentence;

/// What is known of such a journal.
#[derive(Debug, Clone)]
pub(super) struct Nonsense {
    /// `None`: not even that can be told, and every cluster is held.
    cluster: Option<ClusterName>,
    why: String,
    let_go: bool,
}

impl Nonsense {
    fn of(id: &RolloutId, entries: &[Entry], error: &IllegalRecord) -> Self {
        let created = entries.iter().find_map(|entry| match &entry.record {
            Record::Created { plan, .. } => Some(plan.cluster.clone()),
            _ => None,
        });
        Self {
            cluster: created.or_else(|| cluster_in(id)),
            why: sentence(error),
            let_go: is_let_go(entries),
        }
    }

    fn holds(&self, cluster: &ClusterName) -> bool {
        !self.let_go && self.cluster.as_ref().is_none_or(|own| own == cluster)
    }
}

/// The engine never ends a rollout so: this record is the operator's word.
fn is_let_go(entries: &[Entry]) -> bool {
    let last = entries.last().map(|entry| &entry.record);
    matches!(
        last,
        Some(Record::Finished {
            result: RolloutResult::Abandoned
        })
    )
}

/// An id is the cluster's name, day, time and a number.
fn cluster_in(id: &RolloutId) -> Option<ClusterName> {
    let mut parts = id.as_str().rsplitn(4, '-');
    parts.nth(3).and_then(|name| ClusterName::new(name).ok())
}

/// What to type when a rollout's journal makes no sense.
fn next(id: &RolloutId) -> String {
    format!(
        "look at the servers: quorate status --fresh; when nothing of it runs there any more: quorate rollout cancel {id}; then plan and \
         apply again"
    )
}

/// As lists show it: as far as its records make sense.
pub(super) fn summary(id: &RolloutId, entries: &[Entry], error: &IllegalRecord) -> Option<Summary> {
    let sound = usize::try_from(error.sequence).unwrap_or(usize::MAX);
    let summary = quorate_engine::summary(id, entries.get(..sound)?).ok()??;
    let let_go = is_let_go(entries);
    Some(Summary {
        result: let_go.then_some(RolloutResult::Abandoned),
        finished_at: entries.last().filter(|_| let_go).map(|last| last.at),
        ..summary
    })
}

impl Rollouts {
    fn nonsense(&self) -> MutexGuard<'_, std::collections::BTreeMap<RolloutId, Nonsense>> {
        self.nonsense.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a journal that can't be replayed.
    pub(super) fn note_nonsense(&self, id: &RolloutId, entries: &[Entry], error: &IllegalRecord) {
        let nonsense = Nonsense::of(id, entries, error);
        let why = nonsense.why.clone();
        if self.nonsense().insert(id.clone(), nonsense).is_none() {
            tracing::error!(rollout = %id, error = why, "a journal contradicts itself");
        }
    }

    /// The rollout whose journal makes no sense and that holds a cluster, if there is one.
    pub(super) fn nonsensical_holder(&self, cluster: &ClusterName) -> Option<RolloutId> {
        let nonsense = self.nonsense();
        let holder = nonsense.iter().find(|(_, one)| one.holds(cluster));
        holder.map(|(id, _)| id.clone())
    }

    /// What to type about a rollout that holds its cluster.
    pub(crate) fn next_about(&self, holder: &RolloutId) -> String {
        if self.nonsense().contains_key(holder) {
            next(holder)
        } else {
            format!(
                "watch it: quorate rollout watch {holder}; or stop it between steps: quorate rollout cancel {holder}"
            )
        }
    }

    /// Why a rollout is not taken up, if its journal makes no sense and nobody has let go of it.
    pub(super) fn contradiction(&self, id: &RolloutId) -> Option<(String, String)> {
        let nonsense = self.nonsense();
        let one = nonsense.get(id).filter(|one| !one.let_go)?;
        Some((format!("its journal contradicts itself: {}", one.why), next(id)))
    }

    /// Ends a rollout whose journal makes no sense, durably, by somebody's word; `false`: it is not such a one.
    pub(super) async fn let_go_of(&self, id: &RolloutId, who: &Who) -> Result<bool, Failure> {
        let _turn = self.turn.lock().await;
        self.states().await?;
        let Some(one) = self.nonsense().get(id).cloned() else {
            return Ok(false);
        };
        if one.let_go {
            return Err(has_ended(id));
        }
        let rollout = id.to_string();
        let act = Act::new(By::caller(who), What::Cancel { rollout });
        let act = match &one.cluster {
            Some(cluster) => act.in_cluster(cluster),
            None => act,
        };
        self.audit.note(act).await?;
        let record = Record::Finished {
            result: RolloutResult::Abandoned,
        };
        self.store.append(id, record).await.map_err(|error| unusable(&error))?;
        self.nonsense().insert(id.clone(), Nonsense { let_go: true, ..one });
        Ok(true)
    }

    /// What is to be said of such journals.
    pub(super) fn nonsense_findings(&self) -> Vec<Finding> {
        let nonsense = self.nonsense();
        let held = nonsense.iter().filter(|(_, one)| !one.let_go);
        held.map(|(id, one)| {
            let why = &one.why;
            Finding::new(
                Code::RolloutNotDriven,
                id.as_str(),
                format!("the journal of rollout {id} contradicts itself, so it is not taken up, and holds its cluster: {why}"),
                next(id),
            )
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollouts_id_tells_its_cluster() {
        let of = |id: &str| cluster_in(&id.parse().unwrap()).map(|name| name.to_string());
        assert_eq!(of("hk1-20261122-110932-00ff").as_deref(), Some("hk1"));
        assert_eq!(of("hk-1-20261122-110932-00ff").as_deref(), Some("hk-1"));
        assert_eq!(of("hk1-7"), None);
    }
}
