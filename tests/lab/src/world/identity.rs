//! Node certificates and login tickets.

use data_encoding::{BASE64, HEXUPPER};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest, Sha256};

/// A node's web certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) pem: String,
    /// SHA-256 of the DER form, upper-case hex with colons.
    pub(crate) fingerprint: String,
}

impl Certificate {
    /// A fresh one: each call gives another fingerprint, as at a join.
    pub(crate) fn generate(node: &str) -> Result<Self, rcgen::Error> {
        let certified = rcgen::generate_simple_self_signed(vec![node.to_owned(), format!("{node}.lab.example")])?;
        Ok(Self {
            pem: certified.cert.pem(),
            fingerprint: fingerprint(certified.cert.der()),
        })
    }
}

/// Of the first certificate of a PEM text, if it has one.
pub(crate) fn fingerprint_of(pem: &str) -> Option<String> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    Some(fingerprint(&der))
}

fn fingerprint(der: &[u8]) -> String {
    let digest = Sha256::digest(der);
    let pairs: Vec<String> = digest.iter().map(|byte| HEXUPPER.encode(&[*byte])).collect();
    pairs.join(":")
}

/// Seconds a ticket lives.
const LIFETIME: i64 = 7200;
/// Seconds a ticket may lie in the future of the node that checks it.
const AHEAD: i64 = 300;

/// The cluster's ticket key, and the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AuthKeys {
    pub(crate) current: Key,
    pub(crate) previous: Option<Key>,
}

/// One key: its secret and when it was made, by the clock of the node that made it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Key {
    pub(crate) secret: u64,
    pub(crate) made: i64,
}

impl AuthKeys {
    pub(crate) fn new(secret: u64, made: i64) -> Self {
        Self {
            current: Key { secret, made },
            previous: None,
        }
    }

    pub(crate) fn rotate(&mut self, secret: u64, now: i64) {
        let old = std::mem::replace(&mut self.current, Key { secret, made: now });
        self.previous = Some(Key { made: now, ..old });
    }

    /// `PVE:root@pam:<time>::<signature>`, 367 bytes.
    pub(crate) fn ticket(&self, now: i64) -> String {
        let plain = format!("PVE:root@pam:{now:08X}");
        format!("{plain}::{}", sign(&self.current, &plain))
    }

    /// Is this a ticket, and good by a clock that shows `now`?
    pub(crate) fn accepts(&self, ticket: &str, now: i64) -> bool {
        let Some((plain, signature)) = ticket.split_once("::") else {
            return false;
        };
        let Some(made) = plain
            .strip_prefix("PVE:root@pam:")
            .and_then(|hex| i64::from_str_radix(hex, 16).ok())
        else {
            return false;
        };
        let age = now - made;
        let key_age = (now - self.current.made).max(0);
        if sign(&self.current, plain) == signature {
            // A ticket older than its key can't be genuine.
            let oldest = if key_age < LIFETIME { key_age + AHEAD } else { LIFETIME };
            return age >= -AHEAD && age <= oldest;
        }
        self.previous.as_ref().is_some_and(|previous| {
            // The old key made nothing after the rotation.
            sign(previous, plain) == signature && age >= key_age - AHEAD && age <= LIFETIME
        })
    }

    pub(crate) fn public_text(&self) -> String {
        let body = BASE64.encode(&expand(self.current.secret ^ 0x5055_424c, "public", 294));
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
    }

    pub(crate) fn private_text(&self) -> String {
        let body = BASE64.encode(&expand(self.current.secret, "private", 1192));
        format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n")
    }
}

/// Not a signature in any serious sense: 256 bytes that only a holder of the secret can repeat.
fn sign(key: &Key, text: &str) -> String {
    BASE64.encode(&expand(key.secret, text, 256))
}

fn expand(secret: u64, text: &str, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    let mut block = 0_u32;
    while bytes.len() < length {
        let mut hasher = Sha256::new();
        hasher.update(secret.to_be_bytes());
        hasher.update(block.to_be_bytes());
        hasher.update(text.as_bytes());
        bytes.extend_from_slice(&hasher.finalize());
        block += 1;
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_345_632;

    #[test]
    fn a_ticket_has_the_real_length_and_window() {
        let keys = AuthKeys::new(7, NOW - 86_400 / 2);
        assert_eq!(keys.ticket(NOW).len(), 367);
        for (offset, accepted) in [
            (-180 * 60, false),
            (-125 * 60, false),
            (-110 * 60, true),
            (-240, true),
            (0, true),
            (240, true),
            (360, false),
        ] {
            assert_eq!(keys.accepts(&keys.ticket(NOW + offset), NOW), accepted, "{offset} s");
        }
        assert!(!keys.accepts("labpass", NOW));
        assert!(!AuthKeys::new(8, NOW - 9999).accepts(&keys.ticket(NOW), NOW));
    }

    #[test]
    fn after_a_rotation_tickets_before_it_are_refused() {
        let mut keys = AuthKeys::new(7, NOW - 9000);
        keys.rotate(8, NOW);
        assert!(!keys.accepts(&keys.ticket(NOW - 600), NOW + 5));
        assert!(keys.accepts(&keys.ticket(NOW - 240), NOW + 5));
        assert!(keys.accepts(&keys.ticket(NOW), NOW + 5));
    }
}
