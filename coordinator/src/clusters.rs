//! What was decided about each cluster: the file that was applied last and the one that is to be, whether it is frozen, its maintenance
//! windows. One document a cluster, kept twice; none of it could be observed again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_engine::ports::Permit;
use quorate_model::maintenance::MaintenanceWindow;
use quorate_model::observation::config::KeptSpec;
use quorate_model::{ClusterName, Code, Finding, Frozen, Hold, NodeRef, RolloutId, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::documents::{self, DocumentError};

/// `specs/CLUSTER.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Decided {
    /// The file that was applied last, to its end.
    pub(crate) spec: Option<KeptSpec>,
    /// The file whose application began last, and has not come to its end: a rollout runs, failed, was cancelled, or was for a part.
    pub(crate) wanted: Option<Wanted>,
    /// The digest of the file that was last put into /etc/pve from here.
    pub(crate) kept: Option<String>,
    /// What holds disruptive steps up.
    pub(crate) hold: Hold,
    /// The document was lost, or comes from a backup, and nobody has decided anything since: what agents were told before may be newer,
    /// and counts as well.
    pub(crate) unsettled: bool,
    /// When HA was last seen awake that a rollout had left at rest: what rests since then, somebody else put to rest.
    pub(crate) awake: Option<Timestamp>,
}

/// A file that is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The file; its rollout is the one that is to apply it.
    pub(crate) spec: KeptSpec,
    /// Does that rollout do all that the file asks for? Not if only a part was asked for.
    pub(crate) whole: bool,
    /// The windows that it names: they count from the rollout's beginning on.
    pub(crate) windows: Vec<MaintenanceWindow>,
}

impl Decided {
    /// What the operator wanted last, whether it has come about or not.
    pub(crate) fn newest(&self) -> Option<&KeptSpec> {
        self.wanted.as_ref().map(|wanted| &wanted.spec).or(self.spec.as_ref())
    }

    /// Is this the digest of a file that may lie in /etc/pve because we put it there?
    pub(crate) fn is_ours(&self, digest: &str) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.digest == digest) || self.kept.as_deref() == Some(digest)
    }

    /// A rollout was begun: from now on the windows of its file count.
    fn begin(&mut self, rollout: &RolloutId) {
        if let Some(wanted) = self.wanted.as_ref().filter(|wanted| wanted.is_of(rollout)) {
            self.hold.windows.clone_from(&wanted.windows);
        }
    }

    /// A rollout was done to its end. Returns the file, if all of it is applied by that.
    fn finish(&mut self, rollout: &RolloutId) -> Option<KeptSpec> {
        let wanted = self.wanted.take_if(|wanted| wanted.is_of(rollout) && wanted.whole)?;
        self.spec = Some(wanted.spec.clone());
        Some(wanted.spec)
    }
}

impl Wanted {
    fn is_of(&self, rollout: &RolloutId) -> bool {
        self.spec.rollout == rollout.as_str()
    }
}

/// What was decided about every cluster. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Clusters {
    dir: PathBuf,
    turn: Arc<Mutex<()>>,
    /// Servers that have not told yet what they were told to hold, since all documents were lost.
    asking: Arc<Mutex<BTreeSet<NodeRef>>>,
}

impl Clusters {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            turn: Arc::default(),
            asking: Arc::default(),
        }
    }

    /// All documents are gone: whether a cluster is frozen must be asked of these servers, which were told.
    pub(crate) fn lost(&self, ask: BTreeSet<NodeRef>) {
        *self.asking() = ask;
    }

    /// Writes damaged documents again from their copies. At start only, when nobody else reads or writes them.
    pub(crate) fn mend(&self) {
        for path in self.documents() {
            // One that can't be mended is told by whoever needs it.
            if let Err(error) = documents::load_kept::<Decided>(&path) {
                tracing::error!(path = %path.display(), error = crate::trust::sentence(&error), "what was decided about a cluster can't be read");
            }
        }
    }

    /// The documents that there are.
    pub(crate) fn documents(&self) -> BTreeSet<PathBuf> {
        let files = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let named = files.map(|file| file.path()).filter(|path| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("json" | "copy"))
        });
        named.map(|path| path.with_extension("json")).collect()
    }

    /// All of it comes from a backup, and may be older than what servers were told.
    pub(crate) fn restored(&self) -> Result<(), DocumentError> {
        for path in self.documents() {
            if let Some(decided) = documents::load_kept::<Decided>(&path)? {
                let unsettled = true;
                documents::save_kept(&path, &Decided { unsettled, ..decided })?;
            }
        }
        Ok(())
    }

    /// What makes a backup worth making anew: by cluster, the applied file's digest and what holds it up.
    pub(crate) fn essence(&self) -> Vec<(String, String)> {
        let each = |path: PathBuf| {
            let cluster = path.file_stem()?.to_string_lossy().into_owned();
            let decided: Decided = documents::read_kept(&path).ok()??;
            let digest = decided.spec.map(|spec| spec.digest).unwrap_or_default();
            let hold = serde_json::to_string(&decided.hold).unwrap_or_default();
            Some((cluster, format!("{digest} {hold}")))
        };
        self.documents().into_iter().filter_map(each).collect()
    }

    /// A server has told what holds its cluster up. If nobody decided anything here since the record was lost or restored, the cluster
    /// is frozen if any server says so.
    pub(crate) fn told(&self, node: &NodeRef, hold: &Hold) -> Result<(), DocumentError> {
        let cluster = &node.cluster;
        {
            let _turn = self.turn();
            let known: Option<Decided> = documents::read_kept(&self.path(cluster))?;
            if known.as_ref().is_none_or(|decided| decided.unsettled) && *hold != Hold::default() {
                let mut decided = known.unwrap_or_default();
                decided.unsettled = true;
                let merged = Hold {
                    frozen: decided.hold.frozen.clone().or_else(|| hold.frozen.clone()),
                    windows: if decided.hold.windows.is_empty() {
                        hold.windows.clone()
                    } else {
                        decided.hold.windows.clone()
                    },
                };
                if merged != decided.hold {
                    tracing::warn!(%node, "what holds {cluster} up is not known here any more, and was taken over from the server");
                    decided.hold = merged;
                    documents::save_kept(&self.path(cluster), &decided)?;
                }
            }
        }
        self.asking().remove(node);
        Ok(())
    }

    /// Was nothing decided about the cluster since its record was lost or restored? Then an agent is asked before it is told.
    pub(crate) fn is_unsettled(&self, cluster: &ClusterName) -> Result<bool, DocumentError> {
        let known: Option<Decided> = documents::read_kept(&self.path(cluster))?;
        Ok(known.is_none_or(|decided| decided.unsettled))
    }

    /// What is to be said of records that were lost.
    pub(crate) fn findings(&self, enrolled: &BTreeSet<NodeRef>) -> Vec<Finding> {
        let silent: Vec<String> = self.asking().intersection(enrolled).map(ToString::to_string).collect();
        if silent.is_empty() {
            return vec![];
        }
        vec![Finding::new(
            Code::StateDamaged,
            "",
            format!(
                "{} is gone: whether a cluster is frozen, and which file was applied. The servers are asked what they were told; still to be \
                 asked: {}",
                self.dir.display(),
                silent.join(", ")
            ),
            "wait until they have told; then: quorate freeze CLUSTER, if it is to stay frozen; and apply the cluster file again",
        )]
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asking(&self) -> MutexGuard<'_, BTreeSet<NodeRef>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, cluster: &ClusterName) -> PathBuf {
        self.dir.join(format!("{cluster}.json"))
    }

    /// What was decided; nothing: nobody has applied or frozen anything.
    pub(crate) fn decided(&self, cluster: &ClusterName) -> Result<Decided, DocumentError> {
        Ok(documents::read_kept(&self.path(cluster))?.unwrap_or_default())
    }

    /// Changes it, durably.
    pub(crate) fn change(
        &self,
        cluster: &ClusterName,
        change: impl FnOnce(&mut Decided),
    ) -> Result<Decided, DocumentError> {
        let _turn = self.turn();
        let mut decided = self.decided(cluster)?;
        change(&mut decided);
        documents::save_kept(&self.path(cluster), &decided)?;
        Ok(decided)
    }

    /// A file is to be applied by a rollout that is about to be created. Nothing else changes by that.
    pub(crate) fn want(&self, cluster: &ClusterName, wanted: Wanted) -> Result<(), DocumentError> {
        let settled = |decided: &mut Decided| {
            decided.wanted = Some(wanted);
            // The agents were asked before.
            decided.unsettled = false;
        };
        self.change(cluster, settled).map(drop)
    }

    /// The rollout exists.
    pub(crate) fn begin(&self, cluster: &ClusterName, rollout: &RolloutId) -> Result<Hold, DocumentError> {
        let decided = self.change(cluster, |decided| decided.begin(rollout))?;
        Ok(decided.hold)
    }

    /// The rollout was done to its end. Returns the file, if all of it is applied by that.
    pub(crate) fn finish(&self, cluster: &ClusterName, rollout: &RolloutId) -> Result<Option<KeptSpec>, DocumentError> {
        let mut applied = None;
        self.change(cluster, |decided| applied = decided.finish(rollout))?;
        Ok(applied)
    }

    /// A file was found to be applied already.
    pub(crate) fn applied(
        &self,
        cluster: &ClusterName,
        spec: KeptSpec,
        windows: Vec<MaintenanceWindow>,
    ) -> Result<Hold, DocumentError> {
        let decided = self.change(cluster, |decided| {
            (decided.spec, decided.wanted) = (Some(spec), None);
            decided.hold.windows = windows;
            decided.unsettled = false;
        })?;
        Ok(decided.hold)
    }

    /// This file lies in /etc/pve now, put there by us.
    pub(crate) fn kept(&self, cluster: &ClusterName, digest: &str) -> Result<(), DocumentError> {
        self.change(cluster, |decided| decided.kept = Some(digest.to_owned()))
            .map(drop)
    }

    /// Freezes a cluster, or lets it go.
    pub(crate) fn freeze(&self, cluster: &ClusterName, frozen: Option<Frozen>) -> Result<Hold, DocumentError> {
        let decided = self.change(cluster, |decided| {
            decided.hold.frozen = frozen;
            decided.unsettled = false;
        })?;
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

    fn spec(rollout: &str, digest: &str) -> KeptSpec {
        KeptSpec {
            digest: digest.to_owned(),
            applied_at: Timestamp(0),
            rollout: rollout.to_owned(),
            text: format!("# {digest}"),
        }
    }

    fn wanted(rollout: &str, digest: &str, whole: bool) -> Wanted {
        Wanted {
            spec: spec(rollout, digest),
            whole,
            windows: vec!["22:00-23:00".parse().unwrap()],
        }
    }

    #[test]
    fn a_file_counts_as_applied_only_when_all_of_it_was_done() {
        let dir = tempfile::tempdir().unwrap();
        let clusters = Clusters::new(dir.path().to_owned());
        let cluster: ClusterName = "hk1".parse().unwrap();
        let ids = ["hk1-1", "hk1-2", "hk1-3"].map(|id| id.parse::<RolloutId>().unwrap());
        clusters.applied(&cluster, spec("", "first"), vec![]).unwrap();
        clusters.kept(&cluster, "first").unwrap();

        clusters.want(&cluster, wanted("hk1-1", "second", true)).unwrap();
        let before = clusters.decided(&cluster).unwrap();
        assert_eq!(before.newest().unwrap().digest, "second");
        assert!(
            before.hold.windows.is_empty(),
            "nothing changes before the rollout is there"
        );
        assert_eq!(clusters.begin(&cluster, &ids[0]).unwrap().windows.len(), 1);
        let under_way = clusters.decided(&cluster).unwrap();
        assert!(under_way.is_ours("first") && !under_way.is_ours("second"));
        assert_eq!(under_way.spec.unwrap().digest, "first");

        // A part of it is done.
        clusters.want(&cluster, wanted("hk1-2", "second", false)).unwrap();
        assert_eq!(clusters.finish(&cluster, &ids[1]).unwrap(), None);
        // Another rollout than the one that was begun last ends.
        clusters.want(&cluster, wanted("hk1-3", "third", true)).unwrap();
        assert_eq!(clusters.finish(&cluster, &ids[1]).unwrap(), None);
        assert_eq!(clusters.decided(&cluster).unwrap().spec.unwrap().digest, "first");
        // All of it. As long as it could not be put there, the older one lies in /etc/pve by our hand.
        assert_eq!(clusters.finish(&cluster, &ids[2]).unwrap().unwrap().digest, "third");
        let done = clusters.decided(&cluster).unwrap();
        assert!(done.wanted.is_none() && done.is_ours("third") && done.is_ours("first"));
        clusters.kept(&cluster, "third").unwrap();
        assert!(!clusters.decided(&cluster).unwrap().is_ours("first"));
    }

    #[test]
    fn a_freeze_whose_record_was_lost_is_taken_over_from_the_servers() {
        let dir = tempfile::tempdir().unwrap();
        let clusters = Clusters::new(dir.path().to_owned());
        let cluster: ClusterName = "hk1".parse().unwrap();
        let (one, two): (NodeRef, NodeRef) = ("hk1/prox1".parse().unwrap(), "hk1/prox2".parse().unwrap());
        let all: BTreeSet<_> = [one.clone(), two.clone()].into();
        let frozen = Hold {
            frozen: Some(Frozen {
                by: "anna".into(),
                since: Timestamp(0),
                reason: String::new(),
            }),
            windows: vec![],
        };
        clusters.lost(all.clone());
        assert_eq!(clusters.findings(&all).len(), 1);
        clusters.told(&one, &Hold::default()).unwrap();
        assert!(clusters.is_unsettled(&cluster).unwrap());
        clusters.told(&two, &frozen).unwrap();
        assert!(clusters.findings(&all).is_empty());
        assert!(clusters.permit(&cluster).disruptive(Timestamp(1)).is_err());
        // Whoever was away when it was frozen does not let it go.
        clusters.told(&one, &Hold::default()).unwrap();
        assert!(clusters.decided(&cluster).unwrap().hold.frozen.is_some());

        // Once somebody has decided here, servers' words count no more.
        clusters.freeze(&cluster, None).unwrap();
        clusters.told(&two, &frozen).unwrap();
        assert!(clusters.permit(&cluster).disruptive(Timestamp(1)).is_ok());
        // A backup may be older than a freeze.
        clusters.change(&cluster, |decided| decided.unsettled = true).unwrap();
        clusters.told(&two, &frozen).unwrap();
        assert!(clusters.permit(&cluster).disruptive(Timestamp(1)).is_err());
    }

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
