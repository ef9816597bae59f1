//! From a verified chain to a peer with a role; and the two things that are needed to have one: the fleet's roots, and
//! an identity of one's own.

use std::fmt;

use rustls_pki_types::CertificateDer;

use crate::certificate::{Certificate, CertificateError};
use crate::fingerprint::{Fingerprint, Serial};
use crate::key::{KeyError, PrivateKey};
use crate::names::Name;
use crate::revocation::RevocationList;
use crate::role::{Holder, Role, RoleError, parse_uri};
use crate::time::UnixSeconds;
use crate::tls::Refusal;

/// Which CA's key signed a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IssuedBy {
    /// The fleet's root, directly.
    Root,
    /// The online CA, which may sign nodes only.
    Issuing,
}

impl fmt::Display for IssuedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Issuing => "issuing",
        })
    }
}

/// Who is at the other end of an authenticated connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// What the peer is.
    pub role: Role,
    /// The SHA-256 of its certificate.
    pub fingerprint: Fingerprint,
    /// Its certificate's serial number.
    pub serial: Serial,
    /// The last second at which its certificate is valid.
    pub not_after: UnixSeconds,
    /// The CA that signed its certificate; always the one that the role demands.
    pub issued_by: IssuedBy,
    /// The root that its chain ends in. While the CA is exchanged there are two.
    pub root: Fingerprint,
}

/// The fleet's root certificates: one, or two while the CA is being replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    fleet: Name,
    certificates: Vec<Certificate>,
}

/// Why certificates are not the roots of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootsError {
    /// None, or more than a rotation needs.
    #[error("{count} root certificates were given; a fleet has one, or two while its CA is being replaced")]
    Count {
        /// How many were given.
        count: usize,
    },
    /// Not a self-signed CA with a Quorate root's name.
    #[error("certificate {fingerprint} is not a fleet's root")]
    NotARoot {
        /// Which one.
        fingerprint: Fingerprint,
    },
    /// The two are of different fleets.
    #[error("root certificates of two fleets, {one} and {other}, cannot be trusted together")]
    TwoFleets {
        /// The first one's fleet.
        one: Name,
        /// The other one's fleet.
        other: Name,
    },
    /// The text holds no readable certificates.
    #[error("the root certificates are not readable")]
    Unreadable(#[from] CertificateError),
}

impl Roots {
    /// Trusts these certificates; the first is the one that signs now.
    ///
    /// # Errors
    /// None or more than two, not roots, or not of one fleet.
    pub fn new(certificates: Vec<Certificate>) -> Result<Self, RootsError> {
        let mut fleet: Option<Name> = None;
        for certificate in &certificates {
            let of = certificate
                .ca_of(&Holder::Root)
                .filter(|_| certificate.signed_by(certificate))
                .ok_or(RootsError::NotARoot {
                    fingerprint: certificate.fingerprint(),
                })?;
            match fleet {
                Some(one) if one != of => return Err(RootsError::TwoFleets { one, other: of }),
                _ => fleet = Some(of),
            }
        }
        match fleet {
            Some(fleet) if certificates.len() <= 2 => Ok(Self { fleet, certificates }),
            _ => Err(RootsError::Count {
                count: certificates.len(),
            }),
        }
    }

    /// Reads them from a PEM text.
    ///
    /// # Errors
    /// As [`Roots::new`]; or the text is malformed.
    pub fn from_pem(text: &str) -> Result<Self, RootsError> {
        Self::new(Certificate::all_from_pem(text)?)
    }

    /// As a PEM text.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.certificates.iter().map(Certificate::to_pem).collect()
    }

    /// The fleet that they are the roots of.
    #[must_use]
    pub fn fleet(&self) -> &Name {
        &self.fleet
    }

    /// The certificates; the first is the one that signs now.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The root that signed this certificate.
    fn signed(&self, certificate: &Certificate) -> Option<Fingerprint> {
        let root = self.certificates.iter().find(|root| certificate.signed_by(root));
        root.map(Certificate::fingerprint)
    }

    /// Is this one of them?
    pub(crate) fn holds(&self, root: Fingerprint) -> bool {
        self.certificates.iter().any(|known| known.fingerprint() == root)
    }
}

/// A certificate chain to present, and its key.
#[derive(Clone)]
pub struct Identity {
    fleet: Name,
    role: Role,
    leaf: Certificate,
    issuers: Vec<Certificate>,
    key: PrivateKey,
}

/// Why a chain and a key are not an identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No certificate at all.
    #[error("no certificate was given")]
    Empty,
    /// The certificate names no role, an unknown one, or several.
    #[error("the certificate gives no role")]
    Role(#[from] LeafError),
    /// The key is damaged.
    #[error("the key is not usable")]
    Key(#[from] KeyError),
    /// The key is another certificate's.
    #[error("the certificate and the key do not belong together")]
    KeyMismatch,
    /// The text holds no readable certificates.
    #[error("the certificate is not readable")]
    Certificate(#[from] CertificateError),
}

impl Identity {
    /// Puts a chain (the holder's certificate first, then its issuers below the root) and its key together.
    ///
    /// # Errors
    /// The chain is empty, its first certificate gives no role, or the key is another one's.
    pub fn new(chain: Vec<Certificate>, key: PrivateKey) -> Result<Self, IdentityError> {
        let mut chain = chain.into_iter();
        let leaf = chain.next().ok_or(IdentityError::Empty)?;
        let (fleet, role) = role_of(&leaf)?;
        if !key.belongs_to(&leaf)? {
            return Err(IdentityError::KeyMismatch);
        }
        Ok(Self {
            fleet,
            role,
            leaf,
            issuers: chain.collect(),
            key,
        })
    }

    /// Reads it from a PEM text for the chain and one for the key.
    ///
    /// # Errors
    /// As [`Identity::new`]; or a text is malformed.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, IdentityError> {
        Self::new(Certificate::all_from_pem(chain)?, PrivateKey::from_pem(key)?)
    }

    /// The chain as a PEM text.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain().map(Certificate::to_pem).collect()
    }

    /// The fleet that the holder belongs to.
    #[must_use]
    pub fn fleet(&self) -> &Name {
        &self.fleet
    }

    /// What the holder is.
    #[must_use]
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The holder's certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.leaf
    }

    /// The certificates to present, the holder's first.
    pub fn chain(&self) -> impl Iterator<Item = &Certificate> {
        std::iter::once(&self.leaf).chain(&self.issuers)
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificate", &self.leaf)
            .finish_non_exhaustive()
    }
}

/// Why a certificate gives its holder no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// No `quorate://` name.
    #[error("the certificate has no quorate:// name")]
    NoRole,
    /// More than one: which one counts must never be a matter of order.
    #[error("the certificate has {} quorate:// names ({}); exactly one is allowed", uris.len(), uris.join(", "))]
    SeveralRoles {
        /// All of them.
        uris: Vec<String>,
    },
    /// A name that means nothing to this version.
    #[error("the certificate's name means nothing to this version of Quorate")]
    UnknownRole(#[from] RoleError),
    /// The name of a CA.
    #[error("{uri:?} is the name of a CA, not of a peer")]
    Ca {
        /// The name.
        uri: String,
    },
}

fn role_of(leaf: &Certificate) -> Result<(Name, Role), LeafError> {
    let uris: Vec<&str> = leaf.quorate_uris().collect();
    let uri = match *uris.as_slice() {
        [] => return Err(LeafError::NoRole),
        [uri] => uri,
        _ => {
            return Err(LeafError::SeveralRoles {
                uris: uris.into_iter().map(str::to_owned).collect(),
            });
        }
    };
    match parse_uri(uri)? {
        (fleet, Holder::Leaf(role)) => Ok((fleet, role)),
        (_, Holder::Root | Holder::Issuing) => Err(LeafError::Ca { uri: uri.to_owned() }),
    }
}

/// Says who presented this chain. TLS has verified by now that it leads to one of `roots`, is valid at this time, fits
/// the purpose and that the peer has the key; what is decided here is the role, whose CA it must come from, and
/// revocation.
pub(crate) fn examine(
    chain: &[CertificateDer<'_>],
    roots: &Roots,
    revocations: &RevocationList,
) -> Result<Peer, Refusal> {
    let chain = chain
        .iter()
        .map(|der| Certificate::from_der(der))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Refusal::BadCertificate {
            reason: error.to_string(),
        })?;
    let (leaf, others) = chain.split_first().ok_or(Refusal::NoCertificate)?;
    let (fleet, role) = role_of(leaf)?;
    if fleet != roots.fleet {
        return Err(Refusal::WrongFleet {
            expected: roots.fleet.clone(),
            found: fleet,
        });
    }

    // Not "which chain did TLS build" but "which key made this signature": a chain can be presented in several ways, a
    // signature has one maker.
    let issuing = others.iter().find_map(|ca| {
        let is_ours = ca.ca_of(&Holder::Issuing).as_ref() == Some(&roots.fleet) && leaf.signed_by(ca);
        Some((ca, roots.signed(ca).filter(|_| is_ours)?))
    });
    let (issued_by, root) = match (roots.signed(leaf), issuing) {
        (Some(root), _) => (IssuedBy::Root, root),
        (None, Some((_, root))) => (IssuedBy::Issuing, root),
        (None, None) => return Err(Refusal::UnknownIssuer),
    };
    let issuing = issuing.map(|(ca, _)| ca);
    if role.signer() != issued_by {
        return Err(Refusal::RoleFromWrongCa { role, issued_by });
    }

    for certificate in std::iter::once(leaf).chain(issuing) {
        if let Some(revocation) = revocations.find(certificate.serial(), certificate.fingerprint()) {
            return Err(Refusal::Revoked {
                role,
                since: revocation.revoked_at,
            });
        }
    }
    Ok(Peer {
        role,
        fingerprint: leaf.fingerprint(),
        serial: leaf.serial().clone(),
        not_after: leaf.not_after(),
        issued_by,
        root,
    })
}
