//! What canaries have shown of the way to guests, kept for each server, bridge and VLAN.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use quorate_model::reach::Reach;
use serde::{Deserialize, Serialize};

use crate::documents::{self, DocumentError};

/// The form of the file. Another one is not understood, rather than half.
const VERSION: u32 = 1;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    version: u32,
    reach: Vec<Reach>,
}

/// Why what is kept is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReachError {
    #[error("what canaries have shown can't be used")]
    Document(#[from] DocumentError),
    #[error("{} is of version {version}, which this version does not know", path.display())]
    Version { path: PathBuf, version: u32 },
}

/// Where it is kept. Clones keep the same.
#[derive(Debug, Clone)]
pub(crate) struct Reaches {
    path: PathBuf,
    turn: Arc<Mutex<()>>,
}

impl Reaches {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            turn: Arc::default(),
        }
    }

    /// All that was seen last.
    pub(crate) fn all(&self) -> Result<Vec<Reach>, ReachError> {
        match documents::load::<Document>(&self.path)? {
            None => Ok(Vec::new()),
            Some(Document { version, .. }) if version != VERSION => Err(ReachError::Version {
                path: self.path.clone(),
                version,
            }),
            Some(Document { reach, .. }) => Ok(reach),
        }
    }

    /// Keeps one, in place of what was seen before of the same.
    pub(crate) fn keep(&self, reach: Reach) -> Result<(), ReachError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.all()?;
        all.retain(|one| !one.is_like(&reach));
        all.push(reach);
        let document = Document {
            version: VERSION,
            reach: all,
        };
        Ok(documents::save(&self.path, &document)?)
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::Timestamp;

    use super::*;

    fn reach(node: &str, at: i64) -> Reach {
        Reach {
            cluster: "hk1".parse().unwrap(),
            node: node.parse().unwrap(),
            bridge: "vmbr0".to_owned(),
            vlan: Some(5),
            guest: 900,
            at: Timestamp(at),
            failed: None,
        }
    }

    #[test]
    fn the_newest_of_each_is_kept_and_damage_is_no_emptiness() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("reach.json");
        let kept = Reaches::new(path.clone());
        assert_eq!(kept.all().unwrap(), []);
        kept.keep(reach("prox1", 1)).unwrap();
        kept.keep(reach("prox2", 2)).unwrap();
        kept.keep(reach("prox1", 3)).unwrap();
        assert_eq!(kept.all().unwrap(), [reach("prox2", 2), reach("prox1", 3)]);
        std::fs::write(&path, "{").unwrap();
        assert!(kept.all().is_err());
    }
}
