//! Baselines as files: one each cluster, and beside it the one before.

use std::path::PathBuf;

use quorate_model::ClusterName;
use quorate_model::measurement::Baseline;
use serde::{Deserialize, Serialize};

use crate::documents::{self, DocumentError};
use crate::state_dir::StateDir;

/// The form of the file. Another one is not understood, rather than half.
const VERSION: u32 = 1;

/// Ends the name of the file with the measurements that new ones are compared with.
const REFERENCE: &str = ".reference";

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    baseline: Baseline,
}

/// Why a kept baseline is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    #[error("the measurements that are kept can't be used")]
    Document(#[from] DocumentError),
    #[error("{} is of version {version}, which this version does not know", path.display())]
    Version { path: PathBuf, version: u32 },
    #[error("can't keep measurements in {}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
}

/// Where baselines lie.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
}

impl Kept {
    pub(super) fn new(state: &StateDir) -> Self {
        Self {
            folder: state.path().join("measurements"),
        }
    }

    fn path(&self, cluster: &ClusterName, which: &str) -> PathBuf {
        self.folder.join(format!("{cluster}{which}.json"))
    }

    /// What was measured last; empty: nothing ever was.
    pub(super) fn load(&self, cluster: &ClusterName) -> Result<Baseline, KeptError> {
        self.read(cluster, "")
    }

    /// What new measurements are compared with; empty: there is nothing yet.
    pub(super) fn reference(&self, cluster: &ClusterName) -> Result<Baseline, KeptError> {
        self.read(cluster, REFERENCE)
    }

    fn read(&self, cluster: &ClusterName, which: &str) -> Result<Baseline, KeptError> {
        let path = self.path(cluster, which);
        match documents::load::<Document>(&path)? {
            None => Ok(Baseline::default()),
            Some(Document { version, .. }) if version != VERSION => Err(KeptError::Version { path, version }),
            Some(Document { baseline, .. }) => Ok(baseline),
        }
    }

    /// Keeps what new measurements are compared with.
    pub(super) fn save_reference(&self, cluster: &ClusterName, reference: &Baseline) -> Result<(), KeptError> {
        let document = Document {
            version: VERSION,
            baseline: reference.clone(),
        };
        Ok(documents::save(&self.path(cluster, REFERENCE), &document)?)
    }

    /// Puts a baseline in the place of the one before, which is set aside, also if it can't be read any more.
    pub(super) fn save(&self, cluster: &ClusterName, baseline: &Baseline) -> Result<(), KeptError> {
        let folder = |source| KeptError::Folder {
            path: self.folder.clone(),
            source,
        };
        quorate_identity::create_private_dir(&self.folder).map_err(|error| folder(std::io::Error::other(error)))?;
        let path = self.path(cluster, "");
        match std::fs::rename(&path, self.path(cluster, ".before")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(folder(error)),
            _ => {}
        }
        let document = Document {
            version: VERSION,
            baseline: baseline.clone(),
        };
        Ok(documents::save(&path, &document)?)
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::facet::{Facet, UnknownKind};
    use quorate_model::measurement::{Ends, Pair};

    use super::*;

    fn baseline(reason: &str) -> Baseline {
        Baseline::of([Pair {
            ends: Ends::of(0, "prox1".parse().unwrap(), "prox2".parse().unwrap()),
            measured: Facet::unknown(UnknownKind::Failed, reason),
        }])
    }

    #[test]
    fn the_one_before_is_kept_and_damage_is_no_emptiness() {
        let home = tempfile::tempdir().unwrap();
        let kept = Kept::new(&StateDir::create(&home.path().join("state")).unwrap());
        let cluster: ClusterName = "hk1".parse().unwrap();
        assert_eq!(kept.load(&cluster).unwrap(), Baseline::default());
        kept.save(&cluster, &baseline("one")).unwrap();
        kept.save(&cluster, &baseline("two")).unwrap();
        assert_eq!(kept.load(&cluster).unwrap(), baseline("two"));
        let before: Document = documents::load(&kept.path(&cluster, ".before")).unwrap().unwrap();
        assert_eq!(before.baseline, baseline("one"));

        let path = kept.path(&cluster, "");
        quorate_identity::write_secret_file(&path, "{\"version\": 1, \"base").unwrap();
        assert!(kept.load(&cluster).is_err());
        quorate_identity::write_secret_file(&path, "{\"version\": 2, \"baseline\": {\"pairs\": []}}").unwrap();
        assert!(matches!(
            kept.load(&cluster),
            Err(KeptError::Version { version: 2, .. })
        ));
        kept.save(&cluster, &baseline("three")).unwrap();
        assert_eq!(
            kept.load(&cluster).unwrap(),
            baseline("three"),
            "measuring anew mends it"
        );
    }
}
