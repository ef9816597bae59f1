//! What is known after a journal was lost: which servers have told what they were asked to do, what of it still runs, and
//! the rollouts that can be made out from it. Kept in a file of its own: the journal is what was lost.

mod abandoned;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use quorate_model::rollout::Summary;
use quorate_model::view::Rest;
use quorate_model::{ClusterName, Code, Finding, JournalId, NodeName, NodeRef, OperationId, RolloutId, Timestamp};
use serde::{Deserialize, Serialize};

use self::abandoned::Abandoned;
pub(crate) use self::abandoned::{Remembered, rollout_of};
use crate::documents;
use crate::trust::sentence;

/// `recovery.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// Journals that are known to be lost: agents may still name them.
    lost: BTreeSet<JournalId>,
    /// A loss that is not yet made up for.
    loss: Option<Loss>,
    /// Rollouts of lost journals, as far as agents remember them.
    abandoned: BTreeMap<RolloutId, Abandoned>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Loss {
    at: Timestamp,
    reason: String,
    /// Servers that have not told yet.
    waiting_for: BTreeSet<NodeRef>,
}

/// The state of recovery. Nothing here asks anybody.
#[derive(Debug)]
pub(crate) struct Recovery {
    path: PathBuf,
    document: Mutex<Document>,
    /// Operations that run and that the journal does not know, as each server said last.
    running: Mutex<BTreeMap<NodeRef, BTreeSet<OperationId>>>,
}

impl Recovery {
    /// Reads what is known; none is nothing lost. A damaged file only costs what can be asked again.
    pub(crate) fn open(path: &Path) -> Self {
        let document = documents::load_kept(path).unwrap_or_else(|error| {
            tracing::error!(error = sentence(&error), "what was known of lost rollouts is lost, too");
            None
        });
        Self {
            path: path.to_owned(),
            document: Mutex::new(document.unwrap_or_default()),
            running: Mutex::default(),
        }
    }

    /// A journal was lost. `waiting_for`: the servers that have to tell what they were asked to do.
    pub(crate) fn begin(
        &self,
        at: Timestamp,
        reason: &str,
        journal: Option<JournalId>,
        waiting_for: BTreeSet<NodeRef>,
    ) {
        self.change(|document| {
            document.lost.extend(journal);
            match &mut document.loss {
                Some(loss) => loss.waiting_for.extend(waiting_for),
                none => {
                    *none = Some(Loss {
                        at,
                        reason: reason.to_owned(),
                        waiting_for,
                    });
                }
            }
        });
    }

    /// Is it known that this journal was lost?
    pub(crate) fn knows(&self, journal: &JournalId) -> bool {
        self.document().lost.contains(journal)
    }

    /// A server has told what it remembers of rollouts that the journal does not have.
    pub(crate) fn collect(&self, node: &NodeRef, remembered: &[Remembered]) {
        let running: BTreeSet<OperationId> = remembered
            .iter()
            .filter(|one| one.outcome.is_none())
            .map(|one| one.operation.clone())
            .collect();
        if running.is_empty() {
            self.running().remove(node);
        } else {
            self.running().insert(node.clone(), running);
        }
        self.change(|document| {
            for one in remembered {
                if let Some((rollout, step)) = rollout_of(&one.operation) {
                    document
                        .abandoned
                        .entry(rollout)
                        .or_insert_with(|| Abandoned::new(node.cluster.clone()))
                        .note(&step, node, one);
                }
            }
            if let Some(loss) = &mut document.loss {
                loss.waiting_for.remove(node);
            }
        });
    }

    /// Ends a loss for which every enrolled server has told and nothing runs any more. Returns what had been lost, and how
    /// many rollouts were made out.
    pub(crate) fn close(&self, enrolled: &BTreeSet<NodeRef>) -> Option<(String, usize)> {
        let runs = self.running().keys().any(|node| enrolled.contains(node));
        let over = |loss: &Loss| !runs && loss.waiting_for.is_disjoint(enrolled);
        if !self.document().loss.as_ref().is_some_and(over) {
            return None;
        }
        let mut ended = None;
        self.change(|document| {
            ended = document.loss.take().map(|loss| (loss.reason, document.abandoned.len()));
        });
        ended
    }

    /// Has this server to be asked (again)?
    pub(crate) fn wants(&self, node: &NodeRef) -> bool {
        let waiting = self
            .document()
            .loss
            .as_ref()
            .is_some_and(|loss| loss.waiting_for.contains(node));
        waiting || self.running().contains_key(node)
    }

    /// May a rollout begin that touches these nodes?
    pub(crate) fn check(&self, cluster: &ClusterName, touched: &BTreeSet<NodeName>) -> Result<(), Box<Finding>> {
        if let Some((node, operations)) = self.running().iter().find(|(node, _)| node.cluster == *cluster) {
            return Err(Box::new(still_runs(node, operations)));
        }
        let document = self.document();
        let Some(loss) = &document.loss else { return Ok(()) };
        let silent = loss
            .waiting_for
            .iter()
            .find(|node| node.cluster == *cluster && touched.contains(&node.node));
        silent.map_or(Ok(()), |node| {
            Err(Box::new(Finding::new(
                Code::RecoveryPending,
                node.to_string(),
                format!("the rollout journal was lost, and {node} has not told yet what it was asked to do before"),
                format!("see whether its agent can be reached: quorate node show {node}"),
            )))
        })
    }

    /// What is to be said of it.
    pub(crate) fn findings(&self, enrolled: &BTreeSet<NodeRef>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self
            .running()
            .iter()
            .filter(|(node, _)| enrolled.contains(node))
            .map(|(node, operations)| still_runs(node, operations))
            .collect();
        if let Some(loss) = &self.document().loss {
            let waiting: Vec<String> = loss
                .waiting_for
                .intersection(enrolled)
                .map(ToString::to_string)
                .collect();
            let waiting = if waiting.is_empty() {
                "every server has told; what still runs is waited for".to_owned()
            } else {
                format!("still to be asked: {}", waiting.join(", "))
            };
            findings.push(Finding::new(
                Code::JournalDamaged,
                "",
                format!(
                    "the rollout journal was lost at {} ({}); what was done is found out from the servers; {waiting}",
                    loss.at, loss.reason
                ),
                "wait until the servers have told (quorate rollout list shows what is known); then plan and apply again",
            ));
        }
        findings
    }

    /// The lost rollouts, oldest first.
    pub(crate) fn summaries(&self) -> Vec<Summary> {
        let mut all: Vec<Summary> = self
            .document()
            .abandoned
            .iter()
            .map(|(id, abandoned)| abandoned.summary(id))
            .collect();
        all.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        all
    }

    /// What lost rollouts put to rest of a cluster's HA and woke (`true`), as far as servers remember.
    pub(crate) fn rests(&self, cluster: &ClusterName) -> Vec<(Timestamp, RolloutId, Rest, bool)> {
        let document = self.document();
        let of_cluster = document.abandoned.iter().filter(|(_, lost)| lost.cluster() == cluster);
        of_cluster
            .flat_map(|(id, lost)| {
                let rests = lost.rests().into_iter();
                rests.map(|(at, rest, wakes)| (at, id.clone(), rest, wakes))
            })
            .collect()
    }

    /// The lost rollouts as they are kept, for the backup.
    pub(crate) fn export(&self) -> Vec<serde_json::Value> {
        let document = self.document();
        let line = |(id, abandoned)| serde_json::json!({ "rollout": id, "abandoned": abandoned });
        document.abandoned.iter().map(line).collect()
    }

    fn change(&self, change: impl FnOnce(&mut Document)) {
        let mut document = self.document();
        let mut changed = document.clone();
        change(&mut changed);
        if changed == *document {
            return;
        }
        if let Err(error) = documents::save_kept(&self.path, &changed) {
            // The servers remember; after a restart they are asked again.
            tracing::error!(error = sentence(&error), "can't keep what is known of lost rollouts");
        }
        *document = changed;
    }

    fn document(&self) -> MutexGuard<'_, Document> {
        self.document.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<NodeRef, BTreeSet<OperationId>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn still_runs(node: &NodeRef, operations: &BTreeSet<OperationId>) -> Finding {
    let names: Vec<&str> = operations.iter().map(OperationId::as_str).collect();
    Finding::new(
        Code::OperationUnknown,
        node.to_string(),
        format!(
            "{node} still runs {}, of which this coordinator's journal knows nothing; it is followed to its end",
            names.join(", ")
        ),
        format!("wait for its end; on {}: journalctl -u quorate-agent", node.node),
    )
}

#[cfg(test)]
mod tests {
    use quorate_model::operation::Outcome;
    use quorate_model::rollout::{RolloutResult, StepState};

    use super::*;

    fn node(name: &str) -> NodeRef {
        name.parse().unwrap()
    }

    fn remembered(operation: &str, at: i64, outcome: Option<Outcome>) -> Remembered {
        Remembered {
            operation: operation.parse().unwrap(),
            accepted_at: Timestamp(at),
            ended_at: outcome.is_some().then_some(Timestamp(at + 5)),
            outcome,
            ha: None,
        }
    }

    fn done() -> Option<Outcome> {
        Some(Outcome::Done {
            evidence: "seen".to_owned(),
        })
    }

    #[test]
    fn a_loss_is_over_when_all_have_told_and_nothing_runs() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("recovery.json");
        let (one, two) = (node("hk1/prox1"), node("hk1/prox2"));
        let all: BTreeSet<_> = [one.clone(), two.clone()].into();
        let touched = ["prox1", "prox2"].map(|name| name.parse().unwrap()).into();
        let cluster = "hk1".parse().unwrap();
        let recovery = Recovery::open(&path);
        assert!(recovery.check(&cluster, &touched).is_ok() && recovery.findings(&all).is_empty());

        recovery.begin(Timestamp(1), "no head file", None, all.clone());
        recovery.collect(&one, &[remembered("hk1-7.1-cluster.create.1", 10, done())]);
        assert_eq!(
            recovery.check(&cluster, &touched).unwrap_err().code,
            Code::RecoveryPending
        );
        let only_one = ["prox1".parse().unwrap()].into();
        assert!(
            recovery.check(&cluster, &only_one).is_ok(),
            "who has told may be touched"
        );
        assert_eq!(recovery.close(&all), None);

        // The next process goes on where this one was.
        let recovery = Recovery::open(&path);
        recovery.collect(&two, &[remembered("hk1-7.2-cluster.join-prox2.1", 20, None)]);
        assert_eq!(
            recovery.check(&cluster, &only_one).unwrap_err().code,
            Code::OperationUnknown
        );
        assert!(recovery.wants(&two) && !recovery.wants(&one));
        let codes: Vec<Code> = recovery.findings(&all).iter().map(|f| f.code).collect();
        assert_eq!(codes, [Code::OperationUnknown, Code::JournalDamaged]);
        assert!(recovery.check(&"hk2".parse().unwrap(), &touched).is_ok());

        recovery.collect(&two, &[remembered("hk1-7.2-cluster.join-prox2.1", 20, done())]);
        assert_eq!(recovery.close(&all), Some(("no head file".to_owned(), 1)));
        assert!(recovery.check(&cluster, &touched).is_ok() && recovery.findings(&all).is_empty());
    }

    #[test]
    fn a_lost_rollout_stays_visible_with_what_each_server_remembers() {
        let home = tempfile::tempdir().unwrap();
        let recovery = Recovery::open(&home.path().join("recovery.json"));
        let failed = Some(Outcome::Failed {
            findings: vec![],
            unchanged: true,
        });
        recovery.collect(
            &node("hk1/prox1"),
            &[remembered("hk1-7.1-cluster.create.1", 10, done())],
        );
        recovery.collect(
            &node("hk1/prox2"),
            &[
                remembered("hk1-7.2-cluster.join-prox2.1", 20, failed),
                remembered("hk1-7.2-cluster.join-prox2.2", 30, None),
            ],
        );
        let summaries = recovery.summaries();
        assert_eq!(summaries.len(), 1);
        let lost = &summaries[0];
        assert_eq!(
            (lost.id.as_str(), lost.result),
            ("hk1-7", Some(RolloutResult::Abandoned))
        );
        let steps: Vec<_> = lost
            .steps
            .iter()
            .map(|(id, state)| (id.as_str(), state.clone()))
            .collect();
        assert_eq!(
            steps,
            [
                ("cluster.create", StepState::Ended),
                ("cluster.join/prox2", StepState::Running)
            ]
        );
    }

    #[test]
    fn ha_that_a_lost_rollout_disarmed_and_did_not_arm_is_not_restored() {
        let home = tempfile::tempdir().unwrap();
        let recovery = Recovery::open(&home.path().join("recovery.json"));
        let ha = |operation: &str, at, outcome, wakes| Remembered {
            ha: Some((Rest::Whole, wakes)),
            ..remembered(operation, at, outcome)
        };
        let prox1 = node("hk1/prox1");
        recovery.collect(
            &prox1,
            &[
                ha("hk1-6.1-ha.disarm.1", 1, done(), false),
                ha("hk1-6.3-ha.arm.1", 2, done(), true),
                ha("hk1-7.1-ha.disarm.1", 10, done(), false),
            ],
        );
        let names = |number: usize| {
            let summaries = recovery.summaries();
            let steps = summaries[number].not_restored.iter().map(ToString::to_string);
            steps.collect::<Vec<_>>()
        };
        assert_eq!((names(0), names(1)), (vec![], vec!["ha.arm".to_owned()]));
        let rests = recovery.rests(&"hk1".parse().unwrap());
        assert_eq!(rests.len(), 3);
        assert!(
            rests
                .iter()
                .any(|(_, id, rest, wakes)| id.as_str() == "hk1-7" && *rest == Rest::Whole && !wakes)
        );
        assert!(recovery.rests(&"hk2".parse().unwrap()).is_empty());

        // It comes to be known that it was armed; what failed to be armed is not.
        let failed = Some(Outcome::Failed {
            findings: vec![],
            unchanged: true,
        });
        recovery.collect(&prox1, &[ha("hk1-7.3-ha.arm.1", 20, failed, true)]);
        assert_eq!(names(1), ["ha.arm"]);
        recovery.collect(&prox1, &[ha("hk1-7.3-ha.arm.2", 30, done(), true)]);
        assert_eq!(names(1), [""; 0]);
    }

    #[test]
    fn a_removed_server_is_not_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let recovery = Recovery::open(&home.path().join("recovery.json"));
        recovery.begin(Timestamp(1), "gone", None, [node("hk1/prox1")].into());
        assert!(recovery.close(&[node("hk1/prox1")].into()).is_none());
        assert!(recovery.close(&BTreeSet::new()).is_some());
    }
}
