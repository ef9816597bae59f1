//! The agent's certificate: asked for anew over the authenticated channel, and exchanged while connections come and go.

use std::sync::{Mutex, PoisonError};

use quorate_identity::{
    Certificate, CertificateError, Identity, Material, NodeStore, PrivateKey, Roots, ServerTls, TimeSource,
    make_key_and_csr,
};
use quorate_model::Timestamp;
use quorate_model::failure::{ExitCode, Failure};

/// Exchanges the certificate.
#[derive(Debug)]
pub struct Renewal {
    store: NodeStore,
    tls: ServerTls,
    time: TimeSource,
    /// The key of the last request. It is worth nothing before its certificate comes, so it is not kept on disk.
    pending: Mutex<Option<PrivateKey>>,
}

impl Renewal {
    /// For the identity in `store`, which `tls` presents.
    #[must_use]
    pub fn new(store: NodeStore, tls: ServerTls, time: TimeSource) -> Self {
        Self {
            store,
            tls,
            time,
            pending: Mutex::default(),
        }
    }

    /// A signing request with a new key.
    ///
    /// # Errors
    /// No key could be made.
    pub fn request(&self) -> Result<Vec<u8>, Failure> {
        let (key, csr) = make_key_and_csr()
            .map_err(|error| Failure::new(ExitCode::Failed, "no new key could be made").because(&error))?;
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(csr)
    }

    /// Takes the certificate made for the last request, and from now on these roots, if any are given. What would not
    /// work is refused, and the old certificate stays.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn install(&self, chain_der: &[Vec<u8>], roots_der: &[Vec<u8>]) -> Result<Timestamp, Failure> {
        let refused = |message: &str| Failure::new(ExitCode::Refused, message);
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let key = pending.ok_or_else(|| {
            refused("no certificate was asked for since the agent was started").hint("ask for a signing request again")
        })?;
        let bad = |error: CertificateError| refused("a certificate can't be read").because(&error);
        let identity = Identity::new(certificates(chain_der).map_err(bad)?, key)
            .map_err(|error| refused("the certificate is not for the key that was asked with").because(&error))?;
        let present = self.tls.material();
        let roots = if roots_der.is_empty() {
            present.roots.clone()
        } else {
            Roots::new(certificates(roots_der).map_err(bad)?)
                .map_err(|error| refused("the root certificates can't be used").because(&error))?
        };
        if present
            .identity
            .as_ref()
            .is_some_and(|old| old.role() != identity.role() || old.fleet() != identity.fleet())
        {
            return Err(refused("the certificate is for another node"));
        }

        let not_after = identity.certificate().not_after();
        let material = Material {
            roots: roots.clone(),
            identity: Some(identity.clone()),
            revocations: present.revocations,
        };
        // Tried before anything is kept: what the next start could not use must not lie on disk.
        ServerTls::new(material.clone(), self.time.clone())
            .map_err(|error| refused("the certificate can't be used").because(&error))?;
        let unwritten = |error| Failure::new(ExitCode::Failed, "the certificate can't be kept").because(&error);
        self.store
            .save_roots(&roots)
            .map_err(|error: quorate_identity::StoreError| unwritten(error))?;
        self.store
            .save_identity(&identity)
            .map_err(|error: quorate_identity::StoreError| unwritten(error))?;
        self.tls
            .replace(material)
            .map_err(|error| refused("the certificate can't be used").because(&error))?;
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = None;
        tracing::info!(not_after, "took a renewed certificate");
        Ok(Timestamp::from_seconds(i64::try_from(not_after).unwrap_or(i64::MAX)))
    }
}

fn certificates(der: &[Vec<u8>]) -> Result<Vec<Certificate>, CertificateError> {
    der.iter().map(|der| Certificate::from_der(der)).collect()
}
