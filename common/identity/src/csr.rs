//! Requests for a certificate. The key is made where it will be used; only its public half travels.

use rcgen::{CertificateParams, DistinguishedName, PublicKeyData, SubjectPublicKeyInfo};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use crate::key::{KeyError, PrivateKey};

/// The largest request that is looked at, in bytes. Ours are about 250.
pub const MAX_CSR: usize = 4096;

/// A public key whose holder has proved to have the private one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(pub(crate) SubjectPublicKeyInfo);

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum CsrError {
    /// Larger than [`MAX_CSR`].
    #[error("the request has {size} bytes; the limit is {MAX_CSR}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// Not the DER of a PKCS#10 request.
    #[error("not a readable certificate request: {reason}")]
    Malformed {
        /// What the reader says.
        reason: String,
    },
    /// Whoever sent it doesn't have the key in it.
    #[error("the request is not signed with the key that it carries")]
    BadSignature,
    /// Not an ECDSA P-256 key.
    #[error("the request's key is not of the kind ECDSA P-256")]
    WrongKind,
    /// The request could not be made.
    #[error("the request could not be made")]
    Key(#[from] KeyError),
}

/// Makes a key and a DER request for it. The request carries no names: whoever signs it decides about those.
///
/// # Errors
/// The system's random source failed.
pub fn make_key_and_csr() -> Result<(PrivateKey, Vec<u8>), CsrError> {
    let key = PrivateKey::generate()?;
    let mut request = CertificateParams::default();
    request.distinguished_name = DistinguishedName::new();
    let csr = request
        .serialize_request(&key.pair()?)
        .map_err(|error| CsrError::Malformed {
            reason: error.to_string(),
        })?;
    Ok((key, csr.der().to_vec()))
}

/// Takes the public key out of a DER request, after checking that the sender has the private one. Nothing else in the
/// request is looked at.
///
/// # Errors
/// Too large, malformed, signed with another key, or a key of another kind.
pub fn public_key_of(csr: &[u8]) -> Result<PublicKey, CsrError> {
    if csr.len() > MAX_CSR {
        return Err(CsrError::TooLarge { size: csr.len() });
    }
    let malformed = |reason: String| CsrError::Malformed { reason };
    let (rest, request) = X509CertificationRequest::from_der(csr).map_err(|e| malformed(e.to_string()))?;
    if !rest.is_empty() {
        return Err(malformed(format!("{} bytes follow it", rest.len())));
    }
    let key = SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw)
        .map_err(|_| CsrError::WrongKind)?;
    if key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
        return Err(CsrError::WrongKind);
    }
    request.verify_signature().map_err(|_| CsrError::BadSignature)?;
    Ok(PublicKey(key))
}

impl PrivateKey {
    /// The public half.
    ///
    /// # Errors
    /// The key is damaged.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        let bad = |error: rcgen::Error| KeyError::NotP256 {
            reason: error.to_string(),
        };
        SubjectPublicKeyInfo::from_der(&self.pair()?.subject_public_key_info())
            .map(PublicKey)
            .map_err(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_request_is_the_key_that_was_made() {
        let (key, csr) = make_key_and_csr().unwrap();
        assert_eq!(public_key_of(&csr).unwrap(), key.public_key().unwrap());
    }

    #[test]
    fn a_request_signed_with_another_key_is_refused() {
        let (_, mine) = make_key_and_csr().unwrap();
        let (_, theirs) = make_key_and_csr().unwrap();
        // Same lengths in both (the names are empty), so their key can be put in the place of mine.
        let point = |csr: &[u8]| {
            let (_, parsed) = X509CertificationRequest::from_der(csr).unwrap();
            parsed
                .certification_request_info
                .subject_pki
                .subject_public_key
                .data
                .to_vec()
        };
        let (from, to) = (point(&mine), point(&theirs));
        let at = mine.windows(from.len()).position(|window| window == from).unwrap();
        let mut forged = mine.clone();
        forged[at..at + to.len()].copy_from_slice(&to);
        assert!(matches!(public_key_of(&forged), Err(CsrError::BadSignature)));
    }

    #[test]
    fn junk_and_other_kinds_of_keys_are_refused() {
        assert!(matches!(public_key_of(b"junk"), Err(CsrError::Malformed { .. })));
        assert!(matches!(
            public_key_of(&[0; MAX_CSR + 1]),
            Err(CsrError::TooLarge { size: 4097 })
        ));
        let (_, mut csr) = make_key_and_csr().unwrap();
        csr.push(0);
        assert!(matches!(public_key_of(&csr), Err(CsrError::Malformed { .. })));

        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let csr = CertificateParams::default().serialize_request(&p384).unwrap();
        assert!(matches!(public_key_of(csr.der()), Err(CsrError::WrongKind)));
    }
}
