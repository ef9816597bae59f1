//! A certificate, and the facts in it that we use.

use std::fmt;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::fingerprint::{Fingerprint, Serial};
use crate::pem;
use crate::role::{self, Holder};
use crate::time::UnixSeconds;

/// A well-formed certificate. That it can be read says nothing about whether it is to be trusted.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    serial: Serial,
    fingerprint: Fingerprint,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
    uris: Vec<String>,
    is_ca: bool,
}

/// Why bytes are not a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not the DER of an X.509 certificate.
    #[error("not a readable certificate: {reason}")]
    Malformed {
        /// What the reader says.
        reason: String,
    },
    /// No `CERTIFICATE` section in a PEM text.
    #[error("no PEM section \"BEGIN CERTIFICATE\"")]
    NoPem,
}

fn malformed(reason: impl fmt::Display) -> CertificateError {
    CertificateError::Malformed {
        reason: reason.to_string(),
    }
}

impl Certificate {
    /// Reads a DER certificate.
    ///
    /// # Errors
    /// It is malformed, or valid before 1970.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, parsed) = X509Certificate::from_der(der).map_err(malformed)?;
        if !rest.is_empty() {
            return Err(malformed(format_args!("{} bytes follow it", rest.len())));
        }
        let names = parsed.subject_alternative_name().map_err(malformed)?;
        let uris = names
            .iter()
            .flat_map(|names| &names.value.general_names)
            .filter_map(|name| match name {
                GeneralName::URI(uri) => Some((*uri).to_owned()),
                _ => None,
            })
            .collect();
        let seconds = |timestamp: i64| u64::try_from(timestamp).map_err(|_| malformed("it is dated before 1970"));
        Ok(Self {
            serial: Serial::from_der(parsed.raw_serial()),
            fingerprint: Fingerprint::of(der),
            not_before: seconds(parsed.validity().not_before.timestamp())?,
            not_after: seconds(parsed.validity().not_after.timestamp())?,
            uris,
            is_ca: parsed.is_ca(),
            der: der.to_vec().into(),
        })
    }

    /// Reads every certificate of a PEM text, in order. Other sections are passed over.
    ///
    /// # Errors
    /// There is none, or one of them is malformed.
    pub fn all_from_pem(text: &str) -> Result<Vec<Self>, CertificateError> {
        let all = CertificateDer::pem_slice_iter(text.as_bytes())
            .map(|section| Self::from_der(&section.map_err(malformed)?))
            .collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() {
            Err(CertificateError::NoPem)
        } else {
            Ok(all)
        }
    }

    /// The certificate as a PEM text.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(pem::CERTIFICATE, &self.der).to_string()
    }

    /// Its DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its serial number.
    #[must_use]
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// The SHA-256 of its DER.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The first second at which it is valid.
    #[must_use]
    pub fn not_before(&self) -> UnixSeconds {
        self.not_before
    }

    /// The last second at which it is valid.
    #[must_use]
    pub fn not_after(&self) -> UnixSeconds {
        self.not_after
    }

    /// When it should be renewed: after two thirds of its life.
    #[must_use]
    pub fn renewal_due_at(&self) -> UnixSeconds {
        let life = self.not_after.saturating_sub(self.not_before);
        self.not_before.saturating_add(life / 3 * 2 + life % 3 * 2 / 3)
    }

    /// Should it be renewed by now?
    #[must_use]
    pub fn renewal_due(&self, now: UnixSeconds) -> bool {
        now >= self.renewal_due_at()
    }

    pub(crate) fn to_tls(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    /// Its URI names of our scheme.
    pub(crate) fn quorate_uris(&self) -> impl Iterator<Item = &str> {
        self.uris
            .iter()
            .map(String::as_str)
            .filter(|uri| role::is_quorate_uri(uri))
    }

    /// Is it a CA of ours of the given kind? Only what it says of itself: the signature is another question.
    pub(crate) fn ca_of(&self, kind: &Holder) -> Option<crate::names::Name> {
        let mut uris = self.quorate_uris();
        let (Some(uri), None, true) = (uris.next(), uris.next(), self.is_ca) else {
            return None;
        };
        role::parse_uri(uri)
            .ok()
            .filter(|(_, holder)| holder == kind)
            .map(|(fleet, _)| fleet)
    }

    /// Was it signed with the key of `issuer`?
    pub(crate) fn signed_by(&self, issuer: &Self) -> bool {
        let (Ok((_, this)), Ok((_, issuer))) = (
            X509Certificate::from_der(&self.der),
            X509Certificate::from_der(&issuer.der),
        ) else {
            return false;
        };
        this.verify_signature(Some(issuer.public_key())).is_ok()
    }

    /// Its public key, as the DER of a `SubjectPublicKeyInfo`.
    pub(crate) fn public_key(&self) -> Option<Vec<u8>> {
        let (_, parsed) = X509Certificate::from_der(&self.der).ok()?;
        Some(parsed.public_key().raw.to_vec())
    }

    /// Its public key as the point alone, with which signatures are checked.
    pub(crate) fn key_point(&self) -> Option<Vec<u8>> {
        let (_, parsed) = X509Certificate::from_der(&self.der).ok()?;
        Some(parsed.public_key().subject_public_key.data.to_vec())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("uris", &self.uris)
            .field("serial", &self.serial)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}
