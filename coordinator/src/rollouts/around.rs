//! What is kept around a rollout: the servers' files before it, and the cluster file that it applies.

use quorate_engine::ports::Journal;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::maintenance::MaintenanceWindow;
use quorate_model::observation::config::KeptSpec;
use quorate_model::plan::Plan;
use quorate_model::rollout::Record;
use quorate_model::{ClusterName, RolloutId, Timestamp};

use super::{Rollouts, before, no_such, touched, unusable};
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

    /// A rollout's plan, and when it began.
    pub(crate) async fn created(&self, id: &RolloutId) -> Result<(Plan, Timestamp), Failure> {
        let entries = self.store.load(id).await.map_err(|error| unusable(&error))?;
        let created = entries.into_iter().find_map(|entry| match entry.record {
            Record::Created { plan, .. } => Some((*plan, entry.at)),
            _ => None,
        });
        created.ok_or_else(|| no_such(id))
    }

    /// Takes note of the file that is applied, and tells the agents in which windows they may be disturbed.
    pub(crate) async fn decide(
        &self,
        cluster: &ClusterName,
        spec: KeptSpec,
        windows: Vec<MaintenanceWindow>,
    ) -> Result<(), Failure> {
        let decided = self.clusters.change(cluster, |decided| {
            decided.spec = Some(spec);
            decided.hold.windows = windows;
        });
        let decided = decided.map_err(|error| unkept(&error))?;
        for (node, reason) in self.fleet.hold(&self.seat.driver(), cluster, &decided.hold).await {
            tracing::warn!(%node, reason, "an agent could not be told what holds its cluster up");
        }
        Ok(())
    }

    /// Keeps the applied file in /etc/pve as well, if all of it was done.
    pub(crate) async fn keep_spec(&self, cluster: &ClusterName) {
        let spec = match self.clusters.decided(cluster) {
            Ok(decided) => decided.spec,
            Err(error) => {
                tracing::error!(%cluster, error = sentence(&error), "what was applied can't be read");
                return;
            }
        };
        let Some(spec) = spec else { return };
        match self.fleet.keep_spec(&self.seat.driver(), cluster, &spec).await {
            Ok(node) => tracing::info!(%cluster, %node, "the applied cluster file is kept in /etc/pve"),
            // It is a hint for whoever comes after us, and nothing depends on it.
            Err(reason) => tracing::warn!(%cluster, reason, "the applied cluster file could not be kept in /etc/pve"),
        }
    }
}

fn unkept(error: &DocumentError) -> Failure {
    Failure::new(
        ExitCode::Failed,
        "what the servers and the cluster file are before the rollout can't be kept; nothing was begun",
    )
    .because(error)
    .hint("look at the disk that holds the coordinator's state")
}
