//! The certificates of operators and viewers, so that they can be revoked: made by `quorate operator add`, a process of its own, and
//! revoked by the daemon. Each reads the list when it needs it and changes it under a lock.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};
use quorate_identity::{FileError, Fingerprint, Identity, Role, Scope, Serial, UnixSeconds};
use quorate_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::documents::{self, DocumentError};
use crate::fleet::registry::Issued;
use crate::state_dir::StateDir;

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperatorCertificate {
    pub(crate) name: String,
    pub(crate) viewer: bool,
    /// None: the whole fleet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) clusters: Vec<String>,
    pub(crate) serial: Serial,
    pub(crate) fingerprint: Fingerprint,
    /// The root that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) root: Option<Fingerprint>,
    pub(crate) made_at: Timestamp,
    pub(crate) not_after: UnixSeconds,
    /// Missing: it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) removed_at: Option<Timestamp>,
}

impl OperatorCertificate {
    fn of(identity: &Identity, root: Fingerprint, made_at: Timestamp) -> Option<Self> {
        let (name, viewer, scope) = match identity.role() {
            Role::Operator { name, scope } => (name, false, scope),
            Role::Viewer { name, scope } => (name, true, scope),
            Role::Coordinator | Role::Node { .. } => return None,
        };
        let clusters = match scope {
            Scope::Fleet => Vec::new(),
            Scope::Clusters(clusters) => clusters.iter().map(ToString::to_string).collect(),
        };
        let certificate = identity.certificate();
        Some(Self {
            name: name.to_string(),
            viewer,
            clusters,
            serial: certificate.serial().clone(),
            fingerprint: certificate.fingerprint(),
            root: Some(root),
            made_at,
            not_after: certificate.not_after(),
            removed_at: None,
        })
    }

    /// What is needed to revoke it.
    pub(crate) fn issued(&self) -> Issued {
        Issued {
            serial: self.serial.clone(),
            fingerprint: self.fingerprint,
            not_after: self.not_after,
            renewal_due_at: self.not_after,
        }
    }
}

/// The list of them.
#[derive(Debug, Clone)]
pub(crate) struct Operators {
    path: PathBuf,
    lock: PathBuf,
}

impl Operators {
    pub(crate) fn of(state: &StateDir) -> Self {
        Self {
            path: state.operators(),
            lock: state.operators_lock(),
        }
    }

    /// All certificates, the oldest first.
    pub(crate) fn list(&self) -> Result<Vec<OperatorCertificate>, DocumentError> {
        Ok(documents::load_kept(&self.path)?.unwrap_or_default())
    }

    /// Takes note of a new one.
    pub(crate) fn add(&self, identity: &Identity, root: Fingerprint, now: Timestamp) -> Result<(), DocumentError> {
        self.change(|list| list.extend(OperatorCertificate::of(identity, root, now)))
    }

    /// Takes note that these are revoked.
    pub(crate) fn removed(&self, revoked: &[Fingerprint], now: Timestamp) -> Result<(), DocumentError> {
        self.change(|list| {
            for certificate in list.iter_mut().filter(|one| revoked.contains(&one.fingerprint)) {
                certificate.removed_at.get_or_insert(now);
            }
        })
    }

    fn change(&self, change: impl FnOnce(&mut Vec<OperatorCertificate>)) -> Result<(), DocumentError> {
        let unlocked = |source: std::io::Error| {
            DocumentError::File(FileError::Io {
                what: "lock",
                path: self.lock.clone(),
                source,
            })
        };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.lock)
            .map_err(unlocked)?;
        let _held = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| unlocked(error.into()))?;
        let mut list = self.list()?;
        change(&mut list);
        documents::save_kept(&self.path, &list)
    }
}

#[cfg(test)]
mod tests {
    use quorate_identity::{Name, RootCa};

    use super::*;

    #[test]
    fn what_was_made_can_be_revoked_and_stays_in_the_list() {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::create(&home.path().join("state")).unwrap();
        let operators = Operators::of(&state);
        assert!(operators.list().unwrap().is_empty());
        let name = |text: &str| Name::parse(text).unwrap();
        let root = RootCa::create(&name("home"), 1_800_000_000).unwrap();
        let anna = Role::Operator {
            name: name("anna"),
            scope: Scope::of([name("hk1")]),
        };
        for _ in 0..2 {
            let identity = root.issue(&anna, 1_800_000_000).unwrap();
            operators
                .add(&identity, root.certificate().fingerprint(), Timestamp(5))
                .unwrap();
        }
        let list = operators.list().unwrap();
        assert_eq!(
            (list.len(), list[0].clusters.as_slice()),
            (2, ["hk1".to_owned()].as_slice())
        );
        operators.removed(&[list[1].fingerprint], Timestamp(9)).unwrap();
        operators.removed(&[list[1].fingerprint], Timestamp(11)).unwrap();
        let list = operators.list().unwrap();
        assert_eq!((list[0].removed_at, list[1].removed_at), (None, Some(Timestamp(9))));
    }
}
