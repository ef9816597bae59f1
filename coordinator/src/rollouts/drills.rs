//! A drill and a rollout do not come between one another: one of them holds a cluster at a time. The rollouts that move guests out of a drill's way
//! are its own.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use quorate_model::failure::Failure;
use quorate_model::{ClusterName, Code, Finding};

use super::{Rollouts, refused};

impl Rollouts {
    /// Holds a cluster for a drill, if nothing else does.
    pub(crate) async fn hold_for_drill(&self, cluster: &ClusterName, name: &str) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        self.seat.check().map_err(|finding| refused(*finding))?;
        self.must_be_free_of_drills(cluster)?;
        self.must_be_free(cluster).await?;
        self.drills().insert(cluster.clone(), name.to_owned());
        Ok(())
    }

    /// The same for one that went on before this process was started: it holds the cluster whatever else there is.
    pub(crate) fn still_held_by_drill(&self, cluster: &ClusterName, name: &str) {
        self.drills().insert(cluster.clone(), name.to_owned());
    }

    /// The drill is over.
    pub(crate) fn let_go_of_drill(&self, cluster: &ClusterName) {
        self.drills().remove(cluster);
    }

    /// Refuses what would come into a drill.
    pub(super) fn must_be_free_of_drills(&self, cluster: &ClusterName) -> Result<(), Failure> {
        let Some(name) = self.drills().get(cluster).cloned() else {
            return Ok(());
        };
        Err(refused(Finding::new(
            Code::DrillRunning,
            cluster.as_str(),
            format!("{name} holds cluster {cluster}"),
            "wait for its end: quorate drill list; or end it: quorate drill abort",
        )))
    }

    fn drills(&self) -> MutexGuard<'_, BTreeMap<ClusterName, String>> {
        self.drills.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
