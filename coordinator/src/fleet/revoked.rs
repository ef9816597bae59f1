//! The certificates that no longer count: kept, obeyed here at once, and handed to every agent.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use quorate_identity::{ClientTls, MaterialError, RevocationList, ServerTls, UnixSeconds};
use quorate_reception::Reception;

use super::registry::Issued;
use crate::documents::{self, DocumentError};

/// The list in force.
#[derive(Debug)]
pub(crate) struct Revoked {
    path: PathBuf,
    list: Mutex<RevocationList>,
    client: ClientTls,
    server: ServerTls,
    /// Where connections are that were accepted before.
    reception: Reception,
}

/// A revocation did not come into force here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevokeError {
    /// It can't be kept.
    #[error("the list of revoked certificates can't be written")]
    Keep(#[from] DocumentError),
    /// TLS does not take it.
    #[error("the list of revoked certificates can't be put in force")]
    Material(#[from] MaterialError),
}

impl Revoked {
    /// Reads the list that is kept; none is empty.
    pub(crate) fn load(path: &Path) -> Result<RevocationList, DocumentError> {
        Ok(documents::load_kept(path)?.unwrap_or_default())
    }

    /// Takes care of the list with which `client` and `server` were made.
    pub(crate) fn new(
        path: &Path,
        list: RevocationList,
        (client, server): (ClientTls, ServerTls),
        reception: Reception,
    ) -> Self {
        Self {
            path: path.to_owned(),
            list: Mutex::new(list),
            client,
            server,
            reception,
        }
    }

    /// The list in force.
    pub(crate) fn list(&self) -> RevocationList {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes something of the list in force, while nobody else changes it.
    pub(crate) fn with_list<T>(&self, make: impl FnOnce(&RevocationList) -> T) -> T {
        make(&self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Revokes certificates: on disk first, then in force here.
    pub(crate) fn revoke(&self, certificates: &[Issued], now: UnixSeconds) -> Result<(), RevokeError> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let mut longer = list.clone();
        for issued in certificates {
            longer.revoke(issued.serial.clone(), issued.fingerprint, now);
        }
        documents::save_kept(&self.path, &longer)?;
        *list = longer.clone();
        let mut material = self.client.material();
        material.revocations = longer.clone();
        self.client.replace(material)?;
        let mut material = self.server.material();
        material.revocations = longer;
        self.server.replace(material)?;
        // In this order: nobody comes back.
        for issued in certificates {
            self.reception.expel(&issued.fingerprint.to_string());
        }
        Ok(())
    }
}
