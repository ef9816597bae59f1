//! What a TLS handle works with, and the rustls settings that both sides share.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{RootCertStore, SupportedProtocolVersion, version};

use crate::chain::{self, Identity, Roots};
use crate::names::Name;
use crate::revocation::{RevocationError, RevocationList};
use crate::role::Role;
use crate::tls::Refusal;

/// TLS 1.3 and nothing older.
pub(super) const VERSIONS: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// What is trusted, what is presented, what no longer counts.
#[derive(Debug, Clone)]
pub struct Material {
    /// The fleet's root certificates.
    pub roots: Roots,
    /// What we present. `None` only for a client that has no certificate yet and wants to enrol.
    pub identity: Option<Identity>,
    /// Certificates that are refused although they are valid otherwise.
    pub revocations: RevocationList,
}

/// Why material cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// A server without a certificate.
    #[error("a server needs a certificate of its own")]
    NoIdentity,
    /// The identity's role never takes this side of a connection.
    #[error("the role \"{role}\" does not {what}")]
    WrongSide {
        /// The identity's role.
        role: Role,
        /// `accept connections` or `open connections`.
        what: &'static str,
    },
    /// The identity is of another fleet than the roots.
    #[error("the certificate is of fleet {found}, the root certificate of fleet {expected}")]
    WrongFleet {
        /// The roots' fleet.
        expected: Name,
        /// The identity's fleet.
        found: Name,
    },
    /// The peers would refuse the identity.
    #[error("our own certificate would be refused by every peer")]
    Refused(#[source] Box<Refusal>),
    /// The list of revocations is a step back.
    #[error("the list of revoked certificates cannot be taken over")]
    Revocations(#[from] RevocationError),
    /// rustls does not take it.
    #[error("the TLS library does not take the certificates")]
    Tls(#[from] rustls::Error),
    /// rustls does not take the roots.
    #[error("the TLS library does not take the root certificates")]
    Roots(#[from] rustls::server::VerifierBuilderError),
}

impl Material {
    /// Refuses material with which every handshake would fail.
    pub(super) fn check(&self) -> Result<(), MaterialError> {
        let Some(identity) = &self.identity else { return Ok(()) };
        if identity.fleet() != self.roots.fleet() {
            return Err(MaterialError::WrongFleet {
                expected: self.roots.fleet().clone(),
                found: identity.fleet().clone(),
            });
        }
        // Whether it is revoked or expired is for the peers to say: a running daemon has to keep its console.
        let chain: Vec<_> = identity.chain().map(crate::Certificate::to_tls).collect();
        chain::examine(&chain, &self.roots, &RevocationList::default())
            .map(drop)
            .map_err(|refusal| MaterialError::Refused(Box::new(refusal)))
    }

    pub(super) fn root_store(&self) -> Result<Arc<RootCertStore>, MaterialError> {
        let mut store = RootCertStore::empty();
        for root in self.roots.certificates() {
            store.add(root.to_tls())?;
        }
        Ok(Arc::new(store))
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
