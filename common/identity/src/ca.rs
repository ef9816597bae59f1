//! The fleet's two CAs: the root, and the online one that signs nodes.

use rcgen::Issuer;

use crate::certificate::{Certificate, CertificateError};
use crate::chain::{Identity, IdentityError, IssuedBy};
use crate::csr::PublicKey;
use crate::issue::{self, ProfileError};
use crate::key::{KeyError, PrivateKey};
use crate::names::Name;
use crate::role::{Holder, Role};
use crate::time::{UnixSeconds, describe_duration};

/// The root CA with its key. Signs the issuing CA, the coordinator, operators and viewers.
#[derive(Debug, Clone)]
pub struct RootCa {
    fleet: Name,
    certificate: Certificate,
    key: PrivateKey,
}

/// The online CA with its key. Signs nodes and nothing else: whoever steals its key cannot command anybody.
#[derive(Debug, Clone)]
pub struct IssuingCa {
    fleet: Name,
    certificate: Certificate,
    key: PrivateKey,
}

/// Why a CA could not be made, taken over or used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A key could not be made or read.
    #[error("the CA's key is not usable")]
    Key(#[source] KeyError),
    /// The certificate could not be written.
    #[error("the certificate could not be written: {reason}")]
    Encoding {
        /// What the writer says.
        reason: String,
    },
    /// What was written could not be read back.
    #[error("the new certificate is not readable")]
    Certificate(#[from] CertificateError),
    /// The new certificate and the key don't make an identity.
    #[error("the new certificate is not usable")]
    Identity(#[from] IdentityError),
    /// Not the certificate of the wanted CA.
    #[error("the certificate is not that of a Quorate {wanted} CA")]
    WrongCertificate {
        /// `root` or `issuing`.
        wanted: &'static str,
    },
    /// Certificate and key don't belong together.
    #[error("the CA's certificate and key do not belong together")]
    KeyMismatch,
    /// The CA may not give that role.
    #[error("the {ca} CA does not sign certificates for the role \"{role}\"")]
    NotItsRole {
        /// The CA that was asked.
        ca: IssuedBy,
        /// What it was asked for.
        role: Role,
    },
    /// The CA is no longer valid.
    #[error("the {ca} CA expired {} ago; if that can't be, look at this host's clock", describe_duration(*ago))]
    Expired {
        /// The CA that was asked.
        ca: IssuedBy,
        /// Seconds since its end.
        ago: u64,
    },
}

impl From<ProfileError> for CaError {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::Key(error) => Self::Key(error),
            ProfileError::Encoding(error) => Self::Encoding {
                reason: error.to_string(),
            },
        }
    }
}

impl From<rcgen::Error> for CaError {
    fn from(error: rcgen::Error) -> Self {
        Self::Encoding {
            reason: error.to_string(),
        }
    }
}

impl From<KeyError> for CaError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl RootCa {
    /// Makes the root of a new fleet, valid for ten years.
    ///
    /// # Errors
    /// The system's random source failed.
    pub fn create(fleet: &Name, now: UnixSeconds) -> Result<Self, CaError> {
        let key = PrivateKey::generate()?;
        let certificate = issue::root(fleet, now)?.self_signed(&key.pair()?)?;
        Ok(Self {
            fleet: fleet.clone(),
            certificate: Certificate::from_der(certificate.der())?,
            key,
        })
    }

    /// Takes a root that was kept in files.
    ///
    /// # Errors
    /// The certificate is no root's, or the key is another one's.
    pub fn from_parts(certificate: Certificate, key: PrivateKey) -> Result<Self, CaError> {
        let fleet = certificate
            .ca_of(&Holder::Root)
            .filter(|_| certificate.signed_by(&certificate))
            .ok_or(CaError::WrongCertificate { wanted: "root" })?;
        check_pair(&certificate, &key)?;
        Ok(Self {
            fleet,
            certificate,
            key,
        })
    }

    /// Makes an issuing CA below this root, valid as long as the root.
    ///
    /// # Errors
    /// The root expired, or the system's random source failed.
    pub fn create_issuing(&self, now: UnixSeconds) -> Result<IssuingCa, CaError> {
        check_valid(IssuedBy::Root, &self.certificate, now)?;
        let key = PrivateKey::generate()?;
        let params = issue::issuing(&self.fleet, now, self.certificate.not_after())?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate.to_tls(), self.key.pair()?)?;
        let certificate = params.signed_by(&key.public_key()?.0, &issuer)?;
        Ok(IssuingCa {
            fleet: self.fleet.clone(),
            certificate: Certificate::from_der(certificate.der())?,
            key,
        })
    }

    /// Signs a key for the coordinator, an operator or a viewer.
    ///
    /// # Errors
    /// The role is a node's, the root expired, or the certificate could not be written.
    pub fn sign(&self, role: &Role, key: &PublicKey, now: UnixSeconds) -> Result<Certificate, CaError> {
        sign(
            IssuedBy::Root,
            (&self.fleet, &self.certificate, &self.key),
            role,
            key,
            now,
        )
    }

    /// Makes a key and signs it: for the coordinator itself, and for bundles that are handed to operators.
    ///
    /// # Errors
    /// As [`RootCa::sign`].
    pub fn issue(&self, role: &Role, now: UnixSeconds) -> Result<Identity, CaError> {
        let key = PrivateKey::generate()?;
        let leaf = self.sign(role, &key.public_key()?, now)?;
        Ok(Identity::new(vec![leaf], key)?)
    }

    /// The fleet's name.
    #[must_use]
    pub fn fleet(&self) -> &Name {
        &self.fleet
    }

    /// The root certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(crate) fn key(&self) -> &PrivateKey {
        &self.key
    }
}

impl IssuingCa {
    /// Takes an issuing CA that was kept in files.
    ///
    /// # Errors
    /// The certificate is no issuing CA's, or the key is another one's.
    pub fn from_parts(certificate: Certificate, key: PrivateKey) -> Result<Self, CaError> {
        let fleet = certificate
            .ca_of(&Holder::Issuing)
            .ok_or(CaError::WrongCertificate { wanted: "issuing" })?;
        check_pair(&certificate, &key)?;
        Ok(Self {
            fleet,
            certificate,
            key,
        })
    }

    /// Signs a node's key for 90 days. Returns what the node presents: its certificate, then this CA's.
    ///
    /// # Errors
    /// The role is not a node's, this CA expired, or the certificate could not be written.
    pub fn sign(&self, role: &Role, key: &PublicKey, now: UnixSeconds) -> Result<Vec<Certificate>, CaError> {
        let leaf = sign(
            IssuedBy::Issuing,
            (&self.fleet, &self.certificate, &self.key),
            role,
            key,
            now,
        )?;
        Ok(vec![leaf, self.certificate.clone()])
    }

    /// The fleet's name.
    #[must_use]
    pub fn fleet(&self) -> &Name {
        &self.fleet
    }

    /// This CA's certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(crate) fn key(&self) -> &PrivateKey {
        &self.key
    }
}

fn sign(
    ca: IssuedBy,
    (fleet, certificate, signer): (&Name, &Certificate, &PrivateKey),
    role: &Role,
    key: &PublicKey,
    now: UnixSeconds,
) -> Result<Certificate, CaError> {
    if role.signer() != ca {
        return Err(CaError::NotItsRole { ca, role: role.clone() });
    }
    check_valid(ca, certificate, now)?;
    let params = issue::leaf(fleet, role, now, certificate.not_after())?;
    let issuer = Issuer::from_ca_cert_der(&certificate.to_tls(), signer.pair()?)?;
    Ok(Certificate::from_der(params.signed_by(&key.0, &issuer)?.der())?)
}

fn check_valid(ca: IssuedBy, certificate: &Certificate, now: UnixSeconds) -> Result<(), CaError> {
    match now.checked_sub(certificate.not_after()) {
        Some(ago) if ago > 0 => Err(CaError::Expired { ca, ago }),
        _ => Ok(()),
    }
}

fn check_pair(certificate: &Certificate, key: &PrivateKey) -> Result<(), CaError> {
    if key.belongs_to(certificate)? {
        Ok(())
    } else {
        Err(CaError::KeyMismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csr::{make_key_and_csr, public_key_of};
    use crate::role::Scope;
    use std::collections::BTreeSet;

    const NOW: UnixSeconds = 1_800_000_000;
    const DAY: u64 = 86_400;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn node() -> Role {
        Role::Node {
            cluster: name("hk1"),
            node: name("prox1"),
        }
    }

    #[test]
    fn lives_are_as_promised_and_start_an_hour_back() {
        let root = RootCa::create(&name("home"), NOW).unwrap();
        let issuing = root.create_issuing(NOW).unwrap();
        let (_, csr) = make_key_and_csr().unwrap();
        let key = public_key_of(&csr).unwrap();
        let node = issuing.sign(&node(), &key, NOW).unwrap().remove(0);
        let coordinator = root.sign(&Role::Coordinator, &key, NOW).unwrap();
        for (certificate, days) in [
            (root.certificate(), 3653),
            (issuing.certificate(), 3653),
            (&node, 90),
            (&coordinator, 365),
        ] {
            assert_eq!(certificate.not_before(), NOW - 3600, "{certificate:?}");
            assert_eq!(certificate.not_after(), NOW + days * DAY, "{certificate:?}");
        }
        let due = NOW - 3600 + (90 * DAY + 3600) * 2 / 3;
        assert!(!node.renewal_due(due - 1));
        assert!(node.renewal_due(due));
    }

    #[test]
    fn each_ca_gives_only_its_own_roles() {
        let root = RootCa::create(&name("home"), NOW).unwrap();
        let issuing = root.create_issuing(NOW).unwrap();
        let key = PrivateKey::generate().unwrap().public_key().unwrap();
        assert!(matches!(root.sign(&node(), &key, NOW), Err(CaError::NotItsRole { .. })));
        for role in [
            Role::Coordinator,
            Role::Operator {
                name: name("anna"),
                scope: Scope::Fleet,
            },
            Role::Viewer {
                name: name("tv"),
                scope: Scope::Fleet,
            },
        ] {
            let refused = issuing.sign(&role, &key, NOW).unwrap_err();
            assert_eq!(
                refused.to_string(),
                format!("the issuing CA does not sign certificates for the role \"{role}\"")
            );
        }
    }

    #[test]
    fn the_signer_copies_nothing_from_a_request_but_the_key() {
        let root = RootCa::create(&name("home"), NOW).unwrap();
        let issuing = root.create_issuing(NOW).unwrap();
        let greedy = PrivateKey::generate().unwrap();
        let mut request = rcgen::CertificateParams::new(vec!["evil.example.org".to_owned()]).unwrap();
        let wish = "quorate://home/operator/eve".try_into().unwrap();
        request.subject_alt_names.push(rcgen::SanType::URI(wish));
        request
            .extended_key_usages
            .push(rcgen::ExtendedKeyUsagePurpose::ClientAuth);
        request.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let csr = request.serialize_request(&greedy.pair().unwrap()).unwrap();

        let signed = issuing
            .sign(&node(), &public_key_of(csr.der()).unwrap(), NOW)
            .unwrap()
            .remove(0);
        let der = signed.der().to_vec();
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
        assert!(!parsed.is_ca());
        let names = &parsed.subject_alternative_name().unwrap().unwrap().value.general_names;
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names.iter().all(|name| name.contains("prox1")), "{names:?}");
        let purposes = parsed.extended_key_usage().unwrap().unwrap().value;
        assert!(purposes.server_auth && !purposes.client_auth);
        assert!(greedy.belongs_to(&signed).unwrap());
    }

    #[test]
    fn nothing_outlives_its_issuer_and_an_expired_ca_signs_nothing() {
        let root = RootCa::create(&name("home"), NOW).unwrap();
        let issuing = root.create_issuing(NOW).unwrap();
        let key = PrivateKey::generate().unwrap().public_key().unwrap();
        let end = issuing.certificate().not_after();
        let late = issuing.sign(&node(), &key, end - DAY).unwrap();
        assert_eq!(late[0].not_after(), end);
        let refused = issuing.sign(&node(), &key, end + 7200).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the issuing CA expired 2 h ago; if that can't be, look at this host's clock"
        );
    }

    #[test]
    fn serials_are_sixteen_random_bytes() {
        let root = RootCa::create(&name("home"), NOW).unwrap();
        let key = PrivateKey::generate().unwrap().public_key().unwrap();
        let serials: BTreeSet<_> = (0..50)
            .map(|_| root.sign(&Role::Coordinator, &key, NOW).unwrap().serial().clone())
            .collect();
        assert_eq!(serials.len(), 50);
        assert!(serials.iter().all(|serial| serial.as_bytes().len() == 16));
    }

    #[test]
    fn a_ca_is_not_put_together_from_wrong_parts() {
        let root = RootCa::create(&name("home"), NOW).unwrap();
        let issuing = root.create_issuing(NOW).unwrap();
        let parts = |from: &RootCa| (from.certificate().clone(), from.key().clone());
        let (certificate, key) = parts(&root);
        assert!(RootCa::from_parts(certificate.clone(), key).is_ok());
        assert!(matches!(
            RootCa::from_parts(certificate.clone(), PrivateKey::generate().unwrap()),
            Err(CaError::KeyMismatch)
        ));
        assert!(matches!(
            RootCa::from_parts(issuing.certificate().clone(), issuing.key().clone()),
            Err(CaError::WrongCertificate { wanted: "root" })
        ));
        assert!(matches!(
            IssuingCa::from_parts(certificate, root.key().clone()),
            Err(CaError::WrongCertificate { wanted: "issuing" })
        ));
    }
}
