//! Signatures of documents that are kept: made with the key of an identity, and checked years later by the certificate that was kept beside them.
//!
//! Whoever checks looks at the certificate as TLS would have looked at it then: it comes from one of the fleet's roots, was valid at that time,
//! and had not been revoked.

use std::iter;

use data_encoding::BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, UnparsedPublicKey};

use crate::certificate::{Certificate, CertificateError};
use crate::chain::{Identity, Peer, Roots, examine};
use crate::key::KeyError;
use crate::revocation::RevocationList;
use crate::time::UnixSeconds;
use crate::tls::Refusal;

/// What is signed: with its kind before it, so that no signature of one kind is taken for one of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signable<'a> {
    /// Its kind, such as `quorate drill record`.
    pub kind: &'a str,
    /// Its content, or a digest of it.
    pub content: &'a str,
}

impl Signable<'_> {
    fn bytes(&self) -> Vec<u8> {
        [self.kind.as_bytes(), b"\n", self.content.as_bytes()].concat()
    }
}

/// By whom a signature is accepted, and since when no more.
#[derive(Debug, Clone, Copy)]
pub struct Accepted<'a> {
    /// The fleet's roots, those of today first.
    pub roots: &'a [Roots],
    /// What was revoked.
    pub revocations: &'a RevocationList,
}

/// Why a signature is none that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The certificates beside it can't be read.
    #[error("the certificate beside the signature is not readable")]
    Certificate(#[from] CertificateError),
    /// The signature is another certificate's, of another content, or none at all.
    #[error("the signature does not fit the content and the certificate beside it")]
    Wrong,
    /// The certificate is not one of this fleet's, has no role, or was revoked by then.
    #[error("the certificate beside the signature does not count: {reason}")]
    NotOurs {
        /// Why.
        reason: String,
    },
    /// The certificate was not valid when it was signed.
    #[error("the certificate beside the signature was not valid at that time")]
    NotThen,
}

impl Identity {
    /// Signs with its key: ECDSA P-256 over SHA-256, in base64.
    ///
    /// # Errors
    /// The system's random source failed.
    pub fn sign(&self, what: Signable<'_>) -> Result<String, KeyError> {
        let random = SystemRandom::new();
        let pkcs8 = self.key().pkcs8();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, &random);
        let pair = pair.map_err(|error| KeyError::NotP256 {
            reason: error.to_string(),
        })?;
        let signature = pair.sign(&random, &what.bytes()).map_err(|_| KeyError::Random)?;
        Ok(BASE64.encode(signature.as_ref()))
    }
}

/// Who signed this, by the certificates (PEM, the signer's first) that were kept beside it. `at`: when that was, as the content says.
///
/// # Errors
/// The signature does not fit, or whoever made it does not count.
pub fn signer(
    what: Signable<'_>,
    signature: &str,
    chain: &str,
    accepted: Accepted<'_>,
    at: UnixSeconds,
) -> Result<Peer, SignatureError> {
    let chain = Certificate::all_from_pem(chain)?;
    let leaf = chain.first().ok_or(CertificateError::NoPem)?;
    let bytes = BASE64.decode(signature.as_bytes()).map_err(|_| SignatureError::Wrong)?;
    let point = leaf.key_point().ok_or(SignatureError::Wrong)?;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
    key.verify(&what.bytes(), &bytes).map_err(|_| SignatureError::Wrong)?;
    let presented: Vec<_> = chain.iter().map(Certificate::to_tls).collect();
    // Revocations count from their own time on: what was signed before stays signed.
    let none = RevocationList::default();
    let tries = accepted.roots.iter().map(|roots| examine(&presented, roots, &none));
    let first = |tried: Result<Peer, Refusal>, next: Result<Peer, Refusal>| tried.or(next);
    let peer = tries.reduce(first).unwrap_or(Err(Refusal::UnknownIssuer));
    let not_ours = |reason: String| SignatureError::NotOurs { reason };
    let peer = peer.map_err(|refusal| not_ours(refusal.to_string()))?;
    for certificate in iter::once(leaf).chain(chain.iter().skip(1)) {
        if at < certificate.not_before() || at > certificate.not_after() {
            return Err(SignatureError::NotThen);
        }
        let revoked = accepted
            .revocations
            .find(certificate.serial(), certificate.fingerprint());
        if revoked.is_some_and(|revoked| revoked.revoked_at <= at) {
            return Err(not_ours("it had been revoked".to_owned()));
        }
    }
    Ok(peer)
}
