//! What was decided about each cluster: the file that was applied last, whether it is frozen, its maintenance windows. One document a
//! cluster, kept twice; none of it could be observed again.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use quorate_engine::ports::Permit;
use quorate_model::maintenance::MaintenanceWindow;
use quorate_model::observation::config::KeptSpec;
use quorate_model::{ClusterName, Code, Finding, Frozen, Hold, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::documents::{self, DocumentError};

/// `specs/CLUSTER.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Decided {
    /// The file that was applied last.
    pub(crate) spec: Option<KeptSpec>,
    /// What holds disruptive steps up.
    pub(crate) hold: Hold,
}

/// What was decided about every cluster. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Clusters {
    dir: PathBuf,
    turn: Arc<Mutex<()>>,
}

impl Clusters {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            turn: Arc::default(),
        }
    }

    fn path(&self, cluster: &ClusterName) -> PathBuf {
        self.dir.join(format!("{cluster}.json"))
    }

    /// What was decided; nothing: nobody has applied or frozen anything.
    pub(crate) fn decided(&self, cluster: &ClusterName) -> Result<Decided, DocumentError> {
        Ok(documents::load_kept(&self.path(cluster))?.unwrap_or_default())
    }

    /// Changes it, durably.
    pub(crate) fn change(
        &self,
        cluster: &ClusterName,
        change: impl FnOnce(&mut Decided),
    ) -> Result<Decided, DocumentError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut decided = self.decided(cluster)?;
        change(&mut decided);
        documents::save_kept(&self.path(cluster), &decided)?;
        Ok(decided)
    }

    /// Freezes a cluster, or lets it go.
    pub(crate) fn freeze(&self, cluster: &ClusterName, frozen: Option<Frozen>) -> Result<Hold, DocumentError> {
        let decided = self.change(cluster, |decided| decided.hold.frozen = frozen)?;
        Ok(decided.hold)
    }

    /// For whoever looks at a cluster or plans for it: that it is frozen, or that none of these windows is open. A warning: nothing is
    /// refused for it, but what disturbs would wait.
    pub(crate) fn held(
        &self,
        cluster: &ClusterName,
        windows: Vec<MaintenanceWindow>,
        now: Timestamp,
    ) -> Option<Finding> {
        let hold = match self.decided(cluster) {
            Ok(decided) => Hold {
                windows,
                ..decided.hold
            },
            Err(error) => return Some(warning(unreadable(cluster, &error), cluster)),
        };
        let finding = hold.disruptive(cluster.as_str(), now).err()?;
        Some(warning(*finding, cluster))
    }

    /// Whether a cluster may be disturbed, for the engine.
    pub(crate) fn permit(&self, cluster: &ClusterName) -> Arc<dyn Permit> {
        Arc::new(ClusterPermit {
            clusters: self.clone(),
            cluster: cluster.clone(),
        })
    }
}

#[derive(Debug)]
struct ClusterPermit {
    clusters: Clusters,
    cluster: ClusterName,
}

impl Permit for ClusterPermit {
    fn disruptive(&self, now: Timestamp) -> Result<(), Box<Finding>> {
        match self.clusters.decided(&self.cluster) {
            Ok(decided) => decided.hold.disruptive(self.cluster.as_str(), now),
            // Whether it is frozen can't be told: then it is.
            Err(error) => Err(Box::new(unreadable(&self.cluster, &error))),
        }
    }
}

fn unreadable(cluster: &ClusterName, error: &DocumentError) -> Finding {
    Finding::new(
        Code::ClusterFrozen,
        cluster.as_str(),
        format!(
            "whether it is frozen can't be read, and counts as if it were: {}",
            crate::trust::sentence(error)
        ),
        "restore the coordinator's state from its backup: quorate init --restore",
    )
}

fn warning(finding: Finding, cluster: &ClusterName) -> Finding {
    Finding {
        severity: Severity::Warning,
        message: format!("{}; steps that disturb {cluster} wait for that", finding.message),
        next: finding.next.replace("CLUSTER", cluster.as_str()),
        ..finding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freeze_survives_a_restart_and_damage_counts_as_frozen() {
        let dir = tempfile::tempdir().unwrap();
        let cluster: ClusterName = "hk1".parse().unwrap();
        let clusters = Clusters::new(dir.path().to_owned());
        let permit = clusters.permit(&cluster);
        assert!(permit.disruptive(Timestamp(0)).is_ok());
        let frozen = Frozen {
            by: "root".into(),
            since: Timestamp(0),
            reason: String::new(),
        };
        clusters.freeze(&cluster, Some(frozen)).unwrap();
        assert!(permit.disruptive(Timestamp(0)).is_err());
        let again = Clusters::new(dir.path().to_owned()).permit(&cluster);
        assert!(again.disruptive(Timestamp(0)).is_err());
        let told = clusters.held(&cluster, vec![], Timestamp(0)).unwrap();
        assert_eq!((told.code, told.severity), (Code::ClusterFrozen, Severity::Warning));
        assert!(told.next.ends_with("quorate freeze hk1 --off"), "{told}");
        clusters.freeze(&cluster, None).unwrap();
        assert!(clusters.held(&cluster, vec![], Timestamp(0)).is_none());
        let night = vec!["22:00-23:00".parse().unwrap()];
        assert_eq!(
            clusters.held(&cluster, night, Timestamp(0)).unwrap().code,
            Code::OutsideWindow
        );
        assert!(
            again.disruptive(Timestamp(0)).is_ok(),
            "a running rollout sees it at once"
        );
        for name in ["hk1.json", "hk1.copy"] {
            std::fs::write(dir.path().join(name), "{").unwrap();
        }
        assert!(again.disruptive(Timestamp(0)).is_err());
    }
}
