//! Why a connection did not come about, in an administrator's words.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError as TlsCertificateError, Error as TlsError, InvalidMessage};
use rustls_pki_types::UnixTime;

use crate::chain::{IssuedBy, LeafError};
use crate::names::Name;
use crate::role::Role;
use crate::time::{UnixSeconds, describe_duration};

/// Why a connection was refused, by us or by the peer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No connection to the address.
    #[error("{address} cannot be reached")]
    Unreachable {
        /// The address that was dialled.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The deadline passed.
    #[error("no {what} within {} ms", after.as_millis())]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// The peer went away during the handshake.
    #[error("the peer closed the connection during the TLS handshake")]
    Closed,
    /// The peer ended the connection directly after the handshake, without a reason.
    #[error("the peer closed the connection right after the TLS handshake")]
    ClosedAfterHandshake,
    /// The connection broke.
    #[error("the connection broke during the TLS handshake")]
    Broken(#[source] io::Error),
    /// Something that is not TLS was received.
    #[error("the peer does not speak TLS")]
    NotTls,
    /// The peer speaks only older versions.
    #[error("the peer does not speak TLS 1.3")]
    TlsVersion,
    /// The peer showed no certificate.
    #[error("the peer presented no certificate")]
    NoCertificate,
    /// The certificate was signed by a CA that we don't know.
    #[error("the peer's certificate was not issued by this fleet's CA")]
    UnknownIssuer,
    /// The certificate is past its end.
    #[error("the peer's certificate expired {} ago, by this host's clock", describe_duration(now.saturating_sub(*not_after)))]
    Expired {
        /// The last second at which it was valid.
        not_after: UnixSeconds,
        /// This host's time.
        now: UnixSeconds,
    },
    /// The certificate is before its start.
    #[error(
        "the peer's certificate is not valid before {} from now, by this host's clock",
        describe_duration(not_before.saturating_sub(*now))
    )]
    NotYetValid {
        /// The first second at which it is valid.
        not_before: UnixSeconds,
        /// This host's time.
        now: UnixSeconds,
    },
    /// Another server answers than the one that was meant.
    #[error("expected {expected}, but the peer is {}", if presented.is_empty() { "nameless".to_owned() } else { presented.join(", ") })]
    WrongName {
        /// The DNS name that was expected.
        expected: String,
        /// The DNS names in the peer's certificate.
        presented: Vec<String>,
    },
    /// A server's certificate used by a client, or the reverse.
    #[error("the peer's certificate is not meant for this side of a connection")]
    WrongPurpose,
    /// The certificate itself is faulty.
    #[error("the peer's certificate is faulty: {reason}")]
    BadCertificate {
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate gives no role, an unknown one, or several.
    #[error("the peer has no role")]
    NoRole(#[from] LeafError),
    /// A certificate of another fleet under our own root.
    #[error("the peer's certificate is of fleet {found}; this is fleet {expected}")]
    WrongFleet {
        /// Our fleet.
        expected: Name,
        /// The certificate's fleet.
        found: Name,
    },
    /// The role may not come from the CA that signed it.
    #[error(
        "the peer claims to be {role}, with a certificate signed by the {issued_by} CA, which may not give that role"
    )]
    RoleFromWrongCa {
        /// What the certificate claims.
        role: Role,
        /// Which CA signed it.
        issued_by: IssuedBy,
    },
    /// The certificate was revoked.
    #[error("the certificate of {role} was revoked")]
    Revoked {
        /// Whose certificate.
        role: Role,
        /// When it was revoked.
        since: UnixSeconds,
    },
    /// The server is not who we wanted, although its DNS name is right.
    #[error("expected {expected}, but the peer is {found}")]
    WrongRole {
        /// Who was dialled.
        expected: Box<Role>,
        /// Who answered.
        found: Box<Role>,
    },
    /// The role never answers connections, so that there is nobody to dial.
    #[error("{role} does not accept connections")]
    NotAServer {
        /// Who was to be dialled.
        role: Role,
    },
    /// The peer refused us.
    #[error("the peer refuses us: {0}")]
    ByPeer(PeerComplaint),
    /// Anything else that TLS can complain about.
    #[error("the TLS handshake failed")]
    Tls(#[source] TlsError),
}

/// What the peer said when it refused us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerComplaint {
    /// It wants a certificate and got none.
    #[error("it demands a certificate, and we presented none")]
    NoCertificate,
    /// It doesn't know our CA.
    #[error("our certificate was not issued by a CA that it trusts")]
    UnknownCa,
    /// By its clock, our certificate is not valid now.
    #[error("our certificate is not valid now, by its clock")]
    NotValidNow {
        /// Is it valid by our own clock?
        valid_by_our_clock: bool,
    },
    /// It holds our certificate for revoked.
    #[error("our certificate was revoked")]
    Revoked,
    /// Our certificate is not meant for our side of the connection.
    #[error("our certificate is not meant for our side of a connection")]
    WrongPurpose,
    /// It speaks no version of TLS that we do.
    #[error("it speaks no common version of TLS")]
    TlsVersion,
    /// Another alert of TLS.
    #[error("TLS alert {0}")]
    Other(String),
}

const CLOCKS: &str = "compare `date -u` on both hosts: if one clock is wrong, set it right";

impl Refusal {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreachable { .. } => "check that the peer runs, its address and port, and firewalls between".into(),
            Self::TimedOut { .. } => {
                "the peer or the network is stuck: check its load and that nothing on the way drops packets".into()
            }
            Self::Closed | Self::Broken(_) => "look into the peer's log for the reason".into(),
            Self::ClosedAfterHandshake => {
                "it has probably refused our role, or our certificate is revoked: look into the peer's log".into()
            }
            Self::NotTls => "another program listens or calls there: check address and port".into(),
            Self::TlsVersion => "the peer is no Quorate program, or something intercepts the connection".into(),
            Self::NoCertificate => {
                "a client needs a certificate of this fleet: a node enrols, an operator uses a bundle".into()
            }
            Self::UnknownIssuer => {
                "the peer belongs to another fleet, or this side missed a change of CA: enrol the node again with \
                 `quorate-agent enroll --replace`"
                    .into()
            }
            Self::Expired { .. } => {
                format!("{CLOCKS}; if both are right, the certificate was not renewed in time and has to be issued again")
            }
            Self::NotYetValid { .. } => format!("certificates start an hour in the past, so the clocks differ: {CLOCKS}"),
            Self::WrongName { .. } | Self::WrongRole { .. } => {
                "the address leads to another server than the one that was meant: correct it with `quorate node set-address`"
                    .into()
            }
            Self::WrongPurpose => {
                "a node's certificate cannot open connections, an operator's cannot accept them: check which files are used"
                    .into()
            }
            Self::BadCertificate { .. } | Self::NoRole(_) | Self::WrongFleet { .. } => {
                "the certificate was not made by this version of Quorate: find out who signed it with the fleet's key".into()
            }
            Self::RoleFromWrongCa { .. } => {
                "somebody has signed with the key of that CA: treat the key as stolen, and replace the CA".into()
            }
            Self::Revoked { .. } => "if the peer is to come back, invite it again with `quorate node invite`".into(),
            Self::NotAServer { .. } => "only the coordinator and nodes can be dialled".into(),
            Self::ByPeer(complaint) => complaint.hint(),
            Self::Tls(_) => "look into the peer's log as well".into(),
        }
    }

    /// Sorts what tokio-rustls reports.
    pub(crate) fn from_io(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
        match (tls, error.kind()) {
            (Some(tls), _) => Self::from_tls(tls.clone()),
            (None, io::ErrorKind::UnexpectedEof) => Self::Closed,
            (None, _) => Self::Broken(error),
        }
    }

    fn from_tls(error: TlsError) -> Self {
        match error {
            TlsError::NoCertificatesPresented => Self::NoCertificate,
            TlsError::InvalidCertificate(error) => Self::from_certificate_error(error),
            TlsError::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
                Self::NotTls
            }
            // Ciphers, groups and signatures are the same in every Quorate program: what differs is the version.
            TlsError::PeerIncompatible(_) => Self::TlsVersion,
            TlsError::AlertReceived(alert) => Self::ByPeer(PeerComplaint::from_alert(alert)),
            other => Self::Tls(other),
        }
    }

    fn from_certificate_error(error: TlsCertificateError) -> Self {
        use TlsCertificateError as E;
        let seconds = |time: UnixTime| time.as_secs();
        match error {
            E::UnknownIssuer | E::BadSignature => Self::UnknownIssuer,
            E::ExpiredContext { time, not_after } => Self::Expired {
                not_after: seconds(not_after),
                now: seconds(time),
            },
            E::NotValidYetContext { time, not_before } => Self::NotYetValid {
                not_before: seconds(not_before),
                now: seconds(time),
            },
            E::NotValidForNameContext { expected, presented } => Self::WrongName {
                expected: expected.to_str().into_owned(),
                presented: presented.iter().filter_map(|name| dns_name(name)).collect(),
            },
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => Self::WrongPurpose,
            // Expired, not yet valid and wrong name come with their context; the bare forms are only for verifiers that
            // know less.
            other => Self::BadCertificate {
                reason: other.to_string(),
            },
        }
    }

    /// Adds what we know of our own certificate to a peer's complaint about its dates.
    pub(crate) fn with_own_validity(self, valid: bool) -> Self {
        match self {
            Self::ByPeer(PeerComplaint::NotValidNow { .. }) => Self::ByPeer(PeerComplaint::NotValidNow {
                valid_by_our_clock: valid,
            }),
            other => other,
        }
    }
}

impl PeerComplaint {
    fn from_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::CertificateRequired => Self::NoCertificate,
            AlertDescription::UnknownCA | AlertDescription::DecryptError => Self::UnknownCa,
            AlertDescription::CertificateExpired => Self::NotValidNow {
                valid_by_our_clock: false,
            },
            AlertDescription::CertificateRevoked => Self::Revoked,
            AlertDescription::UnsupportedCertificate => Self::WrongPurpose,
            AlertDescription::ProtocolVersion => Self::TlsVersion,
            other => Self::Other(format!("{other:?}")),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::NoCertificate => "enrol this node, or use an operator's bundle".into(),
            Self::UnknownCa => {
                "this host and the peer belong to different fleets, or one of them missed a change of CA".into()
            }
            Self::NotValidNow {
                valid_by_our_clock: true,
            } => {
                format!("by this host's clock our certificate is valid, so the clocks differ: {CLOCKS}")
            }
            Self::NotValidNow {
                valid_by_our_clock: false,
            } => {
                format!("{CLOCKS}; if both are right, our certificate has to be issued again")
            }
            Self::Revoked => "if that is wrong, this host has to be invited and enrolled again".into(),
            Self::WrongPurpose => "a node's certificate cannot open connections: check which files are used".into(),
            Self::TlsVersion => "the peer is no Quorate program: check address and port".into(),
            Self::Other(_) => "look into the peer's log for the reason".into(),
        }
    }
}

/// rustls shows the names of a certificate as `DnsName("prox1.…")`, and other kinds alike. Only DNS names are wanted.
fn dns_name(shown: &str) -> Option<String> {
    Some(shown.strip_prefix("DnsName(\"")?.strip_suffix("\")")?.to_owned())
}
