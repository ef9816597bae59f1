//! What is kept around a rollout: the servers' files before it, and the cluster file that it applies.

use quorate_engine::ports::Journal;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::maintenance::MaintenanceWindow;
use quorate_model::observation::config::KeptSpec;
use quorate_model::plan::Plan;
use quorate_model::rollout::Record;
use quorate_model::{ClusterName, Hold, RolloutId, Timestamp};

use super::{Rollouts, before, no_such, refused, touched, unusable};
use crate::audit::{Act, By, What};
use crate::documents::DocumentError;
use crate::trust::sentence;

impl Rollouts {
    /// Keeps what the files of the servers are before the first change. Whoever has to undo it by hand needs them.
    pub(super) async fn keep_before(&self, id: &RolloutId, plan: &Plan) -> Result<(), Failure> {
        let names = before::names(&plan.cluster, &touched(plan));
        let snapshots: before::Snapshots = self
            .fleet
            .snapshots(&names)
            .await
            .into_iter()
            .map(|(name, files)| {
                let files = files.map(|files| files.into_iter().map(Into::into).collect());
                (name.node, files)
            })
            .collect();
        before::keep(&self.before_dir, id, &snapshots).map_err(|error| unkept(&error))
    }

    /// What was kept of the files before a rollout; `None`: it is older than that, or nothing was.
    pub(crate) fn before(&self, id: &RolloutId) -> Result<Option<before::Snapshots>, DocumentError> {
        before::kept(&self.before_dir, id)
    }

    /// A rollout's plan, and when it began; `None`: its journal was lost.
    pub(crate) async fn created(&self, id: &RolloutId) -> Result<Option<(Plan, Timestamp)>, Failure> {
        let entries = self.store.load(id).await.map_err(|error| unusable(&error))?;
        let created = entries.into_iter().find_map(|entry| match entry.record {
            Record::Created { plan, .. } => Some((*plan, entry.at)),
            _ => None,
        });
        let kept = || self.before(id).is_ok_and(|before| before.is_some());
        if created.is_none() && !self.recovery.summaries().iter().any(|lost| lost.id == *id) && !kept() {
            return Err(no_such(id));
        }
        Ok(created)
    }

    /// A plan without steps was applied: all that the file asks for is so. It is the applied one from now on, and its windows count.
    pub(crate) async fn take_as_applied(
        &self,
        cluster: &ClusterName,
        spec: KeptSpec,
        windows: Vec<MaintenanceWindow>,
        by: By,
    ) -> Result<(), Failure> {
        self.examine_unsettled(cluster).await;
        let _turn = self.turn.lock().await;
        self.seat.check().map_err(|finding| refused(*finding))?;
        self.must_be_free_of_drills(cluster)?;
        self.must_be_free(cluster).await?;
        let what = What::TakeAsApplied {
            spec: spec.digest.clone(),
        };
        self.audit.note(Act::new(by, what).in_cluster(cluster)).await?;
        let hold = self
            .clusters
            .applied(cluster, spec.clone(), windows)
            .map_err(|error| unkept(&error))?;
        self.tell_hold(cluster, &hold).await;
        self.keep_spec(cluster, &spec).await;
        Ok(())
    }

    /// Tells the agents of a cluster what holds it up. Those that are away hear of it before their next operation.
    pub(super) async fn tell_hold(&self, cluster: &ClusterName, hold: &Hold) {
        for (node, reason) in self.fleet.hold(&self.seat.driver(), cluster, hold).await {
            tracing::warn!(%node, reason, "an agent could not be told what holds its cluster up");
        }
    }

    /// A rollout was done to its end: if all of its file was, the cluster keeps it in /etc/pve.
    pub(super) async fn keep_applied(&self, cluster: &ClusterName, id: &RolloutId) {
        match self.clusters.finish(cluster, id) {
            Ok(Some(spec)) => self.keep_spec(cluster, &spec).await,
            Ok(None) => {
                tracing::info!(%cluster, rollout = %id, "only a part of the cluster file was applied: it does not count as applied yet")
            }
            Err(error) => {
                tracing::error!(%cluster, error = sentence(&error), "that the file was applied can't be kept; apply it again");
            }
        }
    }

    async fn keep_spec(&self, cluster: &ClusterName, spec: &KeptSpec) {
        match self.fleet.keep_spec(&self.seat.driver(), cluster, spec).await {
            Ok(node) => {
                tracing::info!(%cluster, %node, "the applied cluster file is kept in /etc/pve");
                if let Err(error) = self.clusters.kept(cluster, &spec.digest) {
                    tracing::error!(%cluster, error = sentence(&error), "what lies in /etc/pve can't be noted");
                }
            }
            // It is a hint for whoever comes after us, and nothing depends on it.
            Err(reason) => tracing::warn!(%cluster, reason, "the applied cluster file could not be kept in /etc/pve"),
        }
    }
}

pub(super) fn unkept(error: &DocumentError) -> Failure {
    Failure::new(
        ExitCode::Failed,
        "what the servers and the cluster file are before the rollout can't be kept; nothing was begun",
    )
    .because(error)
    .hint("look at the disk that holds the coordinator's state")
}
