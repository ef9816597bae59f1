//! Private keys: ECDSA P-256 and nothing else.

use std::fmt;

use pkcs8::pkcs5::{pbes2, scrypt};
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo, SecretDocument};
use rcgen::PublicKeyData;
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::passphrase::Passphrase;
use crate::pem;

/// PEM label of a PKCS#8 key under a passphrase (RFC 7468).
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// scrypt's N = 2^14, r = 8, p = 5: 16 MiB and five passes. A larger N goes past the memory that OpenSSL allows itself,
/// and the root key has to stay readable with `openssl pkcs8` if this program is ever lost.
const SCRYPT: (u8, u32, u32) = (14, 8, 5);

/// A private key. Wiped when dropped, never shown.
pub struct PrivateKey(Zeroizing<Vec<u8>>);

/// Why there is no usable private key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system gave no random bytes, or the key could not be made of them.
    #[error("no key could be made: the system's random source failed")]
    Random,
    /// No section with the wanted label.
    #[error("no PEM section \"BEGIN {label}\"")]
    NoPem {
        /// The label that was looked for.
        label: &'static str,
    },
    /// Not a key of the one kind in use.
    #[error("not an ECDSA P-256 key in PKCS#8 form: {reason}")]
    NotP256 {
        /// What the key reader says.
        reason: String,
    },
    /// The passphrase does not open the key.
    #[error("the passphrase does not open this key")]
    WrongPassphrase,
    /// Not encrypted as we do it (PBES2).
    #[error("the encrypted key is damaged or of another kind: {reason}")]
    BadEncryption {
        /// What the reader says.
        reason: String,
    },
}

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// The system's random source failed.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|_| KeyError::Random)?;
        Ok(Self::of(pair))
    }

    /// Reads the first `PRIVATE KEY` section of a PEM text.
    ///
    /// # Errors
    /// There is none, or it is no ECDSA P-256 key.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| KeyError::NoPem {
            label: pem::PRIVATE_KEY,
        })?;
        let der = Zeroizing::new(der.secret_pkcs8_der().to_vec());
        Self::from_pkcs8(der)
    }

    /// The key as a PEM text, unprotected.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::encode(pem::PRIVATE_KEY, &self.0)
    }

    /// Reads an `ENCRYPTED PRIVATE KEY` section. Takes a noticeable fraction of a second, on purpose.
    ///
    /// # Errors
    /// There is no such section, the passphrase is wrong, or the content is no ECDSA P-256 key.
    pub fn from_encrypted_pem(text: &str, passphrase: &Passphrase) -> Result<Self, KeyError> {
        let start = text
            .find("-----BEGIN ENCRYPTED PRIVATE KEY-----")
            .ok_or(KeyError::NoPem { label: ENCRYPTED })?;
        let section = text.get(start..).unwrap_or_default();
        let bad = |reason: String| KeyError::BadEncryption { reason };
        let (_, document) = SecretDocument::from_pem(section.trim_end()).map_err(|e| bad(e.to_string()))?;
        let encrypted = EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|e| bad(e.to_string()))?;
        // A wrong passphrase shows as bad padding or, by chance, as bytes that are no key: both mean the same to whoever
        // typed it.
        let plain = encrypted
            .decrypt(passphrase.as_bytes())
            .map_err(|_| KeyError::WrongPassphrase)?;
        Self::from_pkcs8(Zeroizing::new(plain.as_bytes().to_vec()))
    }

    /// The key as a PEM text under a passphrase: PKCS#8, PBES2 with scrypt and AES-256-CBC.
    ///
    /// # Errors
    /// The system's random source failed.
    pub fn to_encrypted_pem(&self, passphrase: &Passphrase) -> Result<Zeroizing<String>, KeyError> {
        let salt: [u8; 16] = random()?;
        let iv: [u8; 16] = random()?;
        let bad = |reason: String| KeyError::BadEncryption { reason };
        let (log_n, r, p) = SCRYPT;
        let cost = scrypt::Params::new(log_n, r, p, 32).map_err(|e| bad(e.to_string()))?;
        let scheme = pbes2::Parameters::scrypt_aes256cbc(cost, &salt, &iv).map_err(|e| bad(e.to_string()))?;
        let key = PrivateKeyInfo::try_from(self.0.as_slice()).map_err(|e| bad(e.to_string()))?;
        let encrypted = key
            .encrypt_with_params(scheme, passphrase.as_bytes())
            .map_err(|e| bad(e.to_string()))?;
        encrypted
            .to_pem(ENCRYPTED, LineEnding::LF)
            .map_err(|e| bad(e.to_string()))
    }

    fn from_pkcs8(der: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let key = Self(der);
        key.pair()?;
        Ok(key)
    }

    fn of(pair: rcgen::KeyPair) -> Self {
        Self(Zeroizing::new(
            PrivatePkcs8KeyDer::from(pair).secret_pkcs8_der().to_vec(),
        ))
    }

    /// The key in the form that signs certificates and requests.
    pub(crate) fn pair(&self) -> Result<rcgen::KeyPair, KeyError> {
        let der = PrivatePkcs8KeyDer::from(self.0.as_slice());
        rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ECDSA_P256_SHA256).map_err(|error| {
            KeyError::NotP256 {
                reason: error.to_string(),
            }
        })
    }

    /// The key as PKCS#8, for what signs with it.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.0
    }

    /// Is this the private half of the key in `certificate`?
    pub(crate) fn belongs_to(&self, certificate: &Certificate) -> Result<bool, KeyError> {
        Ok(certificate.public_key() == Some(self.pair()?.subject_public_key_info()))
    }

    /// The key in the form that TLS takes.
    pub(crate) fn to_tls(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.to_vec()).into()
    }
}

impl Clone for PrivateKey {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(hidden)")
    }
}

/// Random bytes from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_its_text() {
        let key = PrivateKey::generate().unwrap();
        let text = key.to_pem();
        assert!(
            text.lines().all(|line| line.len() <= 64),
            "{} lines",
            text.lines().count()
        );
        assert_eq!(
            PrivateKey::from_pem(&text).unwrap().public_key().unwrap(),
            key.public_key().unwrap()
        );
    }

    #[test]
    fn other_kinds_of_keys_and_damaged_ones_are_refused() {
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)
            .unwrap()
            .serialize_pem();
        let damaged = pem::encode(pem::PRIVATE_KEY, b"no key");
        for text in [p384.as_str(), damaged.as_str()] {
            assert!(
                matches!(PrivateKey::from_pem(text), Err(KeyError::NotP256 { .. })),
                "{text}"
            );
        }
        assert!(matches!(
            PrivateKey::from_pem("hello"),
            Err(KeyError::NoPem { label: "PRIVATE KEY" })
        ));
    }
}
