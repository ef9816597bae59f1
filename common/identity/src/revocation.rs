//! Certificates that no longer count although they have not expired.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::certificate::Certificate;
use crate::fingerprint::{Fingerprint, Serial};
use crate::time::UnixSeconds;

/// One revoked certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Its serial number.
    pub serial: Serial,
    /// The SHA-256 of its DER.
    pub fingerprint: Fingerprint,
    /// When it was revoked.
    pub revoked_at: UnixSeconds,
}

/// All revoked certificates of a fleet. The generation rises with every change, so that an agent that was handed a list
/// can refuse an older one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct RevocationList {
    generation: u64,
    entries: BTreeMap<Serial, Revocation>,
}

/// Why a list is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// Older than the one that is in force.
    #[error("revocation list {offered} is older than list {current}, which is in force")]
    Older {
        /// Generation of the offered list.
        offered: u64,
        /// Generation of the list in force.
        current: u64,
    },
    /// Same generation, other content: two coordinators write lists.
    #[error("there are two different revocation lists of generation {generation}")]
    Conflict {
        /// Their generation.
        generation: u64,
    },
    /// A serial number stands in the list twice.
    #[error("serial number {serial} is listed twice")]
    Twice {
        /// The serial number.
        serial: Serial,
    },
}

impl RevocationList {
    /// Counts the changes since the empty list, which has generation 0.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The revoked certificates, ordered by serial number.
    pub fn entries(&self) -> impl Iterator<Item = &Revocation> {
        self.entries.values()
    }

    /// Adds a certificate and raises the generation. Returns whether it was new; the date of a known one is kept.
    pub fn revoke(&mut self, serial: Serial, fingerprint: Fingerprint, now: UnixSeconds) -> bool {
        if self.entries.contains_key(&serial) {
            return false;
        }
        self.entries.insert(
            serial.clone(),
            Revocation {
                serial,
                fingerprint,
                revoked_at: now,
            },
        );
        self.generation += 1;
        true
    }

    /// [`RevocationList::revoke`] for a certificate at hand.
    pub fn revoke_certificate(&mut self, certificate: &Certificate, now: UnixSeconds) -> bool {
        self.revoke(certificate.serial().clone(), certificate.fingerprint(), now)
    }

    /// The entry that revokes a certificate, if any. The serial number or the fingerprint is enough.
    #[must_use]
    pub fn find(&self, serial: &Serial, fingerprint: Fingerprint) -> Option<&Revocation> {
        self.entries
            .get(serial)
            .or_else(|| self.entries.values().find(|entry| entry.fingerprint == fingerprint))
    }

    /// The SHA-256 of the content, generation included: tells without sending the list whether a peer has the same.
    #[must_use]
    pub fn digest(&self) -> Fingerprint {
        let mut text = format!("quorate revocations {}\n", self.generation);
        for entry in self.entries.values() {
            text.push_str(&format!(
                "{} {} {}\n",
                entry.serial, entry.fingerprint, entry.revoked_at
            ));
        }
        Fingerprint::of(text.as_bytes())
    }

    /// May this list take the place of `current`?
    ///
    /// # Errors
    /// It is older, or of the same generation with another content.
    pub fn check_replaces(&self, current: &Self) -> Result<(), RevocationError> {
        if self.generation < current.generation {
            return Err(RevocationError::Older {
                offered: self.generation,
                current: current.generation,
            });
        }
        if self.generation == current.generation && self != current {
            return Err(RevocationError::Conflict {
                generation: self.generation,
            });
        }
        Ok(())
    }
}

/// The form in files and messages.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    generation: u64,
    revoked: Vec<Revocation>,
}

impl From<RevocationList> for Stored {
    fn from(list: RevocationList) -> Self {
        Self {
            generation: list.generation,
            revoked: list.entries.into_values().collect(),
        }
    }
}

impl TryFrom<Stored> for RevocationList {
    type Error = RevocationError;

    fn try_from(stored: Stored) -> Result<Self, RevocationError> {
        let mut entries = BTreeMap::new();
        for entry in stored.revoked {
            let serial = entry.serial.clone();
            if entries.insert(serial.clone(), entry).is_some() {
                return Err(RevocationError::Twice { serial });
            }
        }
        Ok(Self {
            generation: stored.generation,
            entries,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(serials: &[&str]) -> RevocationList {
        let mut list = RevocationList::default();
        for serial in serials {
            assert!(list.revoke(serial.parse().unwrap(), Fingerprint::of(serial.as_bytes()), 7));
        }
        list
    }

    #[test]
    fn finds_by_either_name_and_counts_changes() {
        let mut list = list(&["0a", "0b"]);
        assert_eq!(list.generation(), 2);
        assert!(!list.revoke("0a".parse().unwrap(), Fingerprint::of(b"0a"), 9));
        assert_eq!((list.generation(), list.entries().next().unwrap().revoked_at), (2, 7));
        let other = Fingerprint::of(b"other");
        assert!(list.find(&"0a".parse().unwrap(), other).is_some());
        assert!(list.find(&"0c".parse().unwrap(), Fingerprint::of(b"0b")).is_some());
        assert!(list.find(&"0c".parse().unwrap(), other).is_none());
    }

    #[test]
    fn survives_storage_and_refuses_a_doubled_entry() {
        let list = list(&["0a", "0b"]);
        let text = serde_json::to_string(&list).unwrap();
        let back: RevocationList = serde_json::from_str(&text).unwrap();
        assert_eq!((back.digest(), &back), (list.digest(), &list));
        let doubled = text.replace("\"0b\"", "\"0a\"");
        let error = serde_json::from_str::<RevocationList>(&doubled)
            .unwrap_err()
            .to_string();
        assert!(error.contains("listed twice"), "{error}");
    }

    #[test]
    fn an_older_or_conflicting_list_does_not_replace() {
        let (old, new, other) = (list(&["0a"]), list(&["0a", "0b"]), list(&["0a", "0c"]));
        assert_eq!(new.check_replaces(&old), Ok(()));
        assert_eq!(new.check_replaces(&new), Ok(()));
        assert_eq!(
            old.check_replaces(&new),
            Err(RevocationError::Older { offered: 1, current: 2 })
        );
        assert_eq!(
            other.check_replaces(&new),
            Err(RevocationError::Conflict { generation: 2 })
        );
        assert_ne!(other.digest(), new.digest());
    }
}
