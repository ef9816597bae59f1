//! An operator's bundle: everything that a CLI on another host needs, in one file.

use std::path::Path;

use zeroize::Zeroizing;

use crate::certificate::{Certificate, CertificateError};
use crate::chain::{Identity, IdentityError, Roots, RootsError};
use crate::files::{FileError, read_secret_file, write_secret_file};
use crate::key::{KeyError, PrivateKey};
use crate::role::{Holder, Role};

/// The identity of an operator or a viewer, with the fleet's root certificates.
#[derive(Debug, Clone)]
pub struct OperatorBundle {
    identity: Identity,
    roots: Roots,
}

/// Why a bundle is not usable.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// No readable certificates.
    #[error("the bundle's certificates are not readable")]
    Certificate(#[from] CertificateError),
    /// No usable key.
    #[error("the bundle's key is not usable")]
    Key(#[from] KeyError),
    /// The root certificates are not a fleet's.
    #[error("the bundle's root certificates are not usable")]
    Roots(#[from] RootsError),
    /// Certificate and key make no identity.
    #[error("the bundle's certificate is not usable")]
    Identity(#[from] IdentityError),
    /// The certificate is not a person's.
    #[error("a bundle is for an operator or a viewer, not for the role \"{role}\"")]
    NotAPerson {
        /// The role in its certificate.
        role: Role,
    },
}

impl OperatorBundle {
    /// Puts a bundle together.
    ///
    /// # Errors
    /// The identity is neither an operator's nor a viewer's.
    pub fn new(identity: Identity, roots: Roots) -> Result<Self, BundleError> {
        match identity.role() {
            Role::Operator { .. } | Role::Viewer { .. } => Ok(Self { identity, roots }),
            role => Err(BundleError::NotAPerson { role: role.clone() }),
        }
    }

    /// Reads a bundle's text.
    ///
    /// # Errors
    /// Something is missing or malformed, or the parts don't belong together.
    pub fn from_pem(text: &str) -> Result<Self, BundleError> {
        let (roots, chain) = Certificate::all_from_pem(text)?
            .into_iter()
            .partition(|certificate| certificate.ca_of(&Holder::Root).is_some());
        Self::new(Identity::new(chain, PrivateKey::from_pem(text)?)?, Roots::new(roots)?)
    }

    /// The bundle's text: PEM sections under a line for people.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        let title = format!(
            "Quorate: {} of fleet {}. Keep this file secret.\n",
            self.identity.role(),
            self.roots.fleet()
        );
        let (chain, key, roots) = (
            self.identity.chain_pem(),
            self.identity.key().to_pem(),
            self.roots.to_pem(),
        );
        Zeroizing::new([title.as_str(), &chain, &key, &roots].concat())
    }

    /// Reads a bundle's file, which must be the user's own and closed to others.
    ///
    /// # Errors
    /// As [`OperatorBundle::from_pem`]; or the file is missing or exposed.
    pub fn load(path: &Path) -> Result<Self, BundleError> {
        Self::from_pem(&read_secret_file(path)?)
    }

    /// Writes a bundle's file with mode 0600.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn save(&self, path: &Path) -> Result<(), BundleError> {
        Ok(write_secret_file(path, &self.to_pem())?)
    }

    /// Who it is for.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The fleet's root certificates.
    #[must_use]
    pub fn roots(&self) -> &Roots {
        &self.roots
    }
}
