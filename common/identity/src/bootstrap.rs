//! How a node that knows nothing but a token comes to trust the fleet's root.
//!
//! The enrolment listener answers a one-line request in plain text with the fleet's root certificates, and TLS with a
//! server-authenticated handshake. The first byte tells them apart: a TLS record of a handshake starts with 0x16. What
//! comes in plain text is worth nothing until its SHA-256 is the one in the token, which came by another way.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::certificate::{Certificate, CertificateError};
use crate::chain::{Roots, RootsError};
use crate::fingerprint::Fingerprint;
use crate::time::TimeSource;
use crate::tls::{self, Material, MaterialError, Refusal, ServerStream};
use crate::token::Token;

/// The whole plain-text request.
const REQUEST: &[u8] = b"quorate-root\n";
/// Two root certificates have about 1.5 KiB.
const MAX_ANSWER: u64 = 16 * 1024;
/// Content type of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// The coordinator's listener for nodes that have no certificate yet.
#[derive(Clone)]
pub struct EnrolmentTls {
    config: Arc<ServerConfig>,
    roots: Arc<str>,
}

/// What a fresh connection to the enrolment listener wanted.
#[derive(Debug)]
pub enum FirstContact {
    /// The root certificates. It got them, and the connection is closed.
    Roots,
    /// To enrol.
    Tls(Box<ServerStream<TcpStream>>),
}

/// Why the fleet's root could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// No connection to the address.
    #[error("{address} cannot be reached")]
    Unreachable {
        /// The address that was dialled.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to {address} broke")]
    Broken {
        /// The address that was dialled.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The deadline passed.
    #[error("{address} sent no root certificate within {} ms", after.as_millis())]
    TimedOut {
        /// The address that was dialled.
        address: SocketAddr,
        /// The deadline.
        after: Duration,
    },
    /// The peer closed without an answer.
    #[error("{address} closed the connection without an answer: it is not a Quorate enrolment listener")]
    NoAnswer {
        /// The address that was dialled.
        address: SocketAddr,
    },
    /// More than certificates of a root can be.
    #[error("{address} sent more than {MAX_ANSWER} bytes: it is not a Quorate enrolment listener")]
    TooLarge {
        /// The address that was dialled.
        address: SocketAddr,
    },
    /// Not certificates.
    #[error("{address} sent no readable certificate: it is not a Quorate enrolment listener")]
    NotCertificates {
        /// The address that was dialled.
        address: SocketAddr,
        /// What is wrong with the answer.
        source: CertificateError,
    },
    /// Another fleet, or somebody in between.
    #[error(
        "the root certificate that {address} sent is not the one that the token names (token: {expected}; sent: {}): \
         the token is of another coordinator, or somebody intercepts the connection",
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    WrongRoot {
        /// The address that was dialled.
        address: SocketAddr,
        /// The fingerprint in the token.
        expected: Fingerprint,
        /// The fingerprints of what was sent.
        found: Vec<Fingerprint>,
    },
    /// The right certificate, but not a root's.
    #[error("the certificate that the token names is not a fleet's root")]
    NotARoot(#[source] RootsError),
}

impl EnrolmentTls {
    /// Answers with `material`, verifying at the times that `time` tells. Made anew when the material changes.
    ///
    /// # Errors
    /// As [`crate::ServerTls::new`].
    pub fn new(material: &Material, time: &TimeSource) -> Result<Self, MaterialError> {
        Ok(Self {
            config: Arc::new(tls::anonymous(material, time)?),
            roots: material.roots.to_pem().into(),
        })
    }

    /// Serves a fresh connection, within `deadline`: hands out the roots, or does a TLS handshake that asks the client
    /// for no certificate.
    ///
    /// # Errors
    /// Neither was asked for, or the handshake failed.
    pub async fn accept(&self, mut stream: TcpStream, deadline: Duration) -> Result<FirstContact, Refusal> {
        let end = Instant::now() + deadline;
        let timed_out = || Refusal::TimedOut {
            what: "request",
            after: deadline,
        };
        let mut first = [0];
        match timeout_at(end, stream.peek(&mut first))
            .await
            .map_err(|_| timed_out())?
        {
            Ok(0) => return Err(Refusal::Closed),
            Ok(_) => {}
            Err(error) => return Err(Refusal::Broken(error)),
        }
        if first == [TLS_HANDSHAKE] {
            let left = end.saturating_duration_since(Instant::now());
            let stream = tls::handshake(Arc::clone(&self.config), stream, left).await?;
            return Ok(FirstContact::Tls(Box::new(stream)));
        }
        timeout_at(end, self.hand_out(&mut stream))
            .await
            .map_err(|_| timed_out())?
    }

    async fn hand_out(&self, stream: &mut TcpStream) -> Result<FirstContact, Refusal> {
        let mut request = [0; REQUEST.len()];
        match stream.read_exact(&mut request).await {
            Ok(_) if request == REQUEST => {}
            Ok(_) => return Err(Refusal::NotTls),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Refusal::NotTls),
            Err(error) => return Err(Refusal::Broken(error)),
        }
        stream.write_all(self.roots.as_bytes()).await.map_err(Refusal::Broken)?;
        stream.shutdown().await.map_err(Refusal::Broken)?;
        Ok(FirstContact::Roots)
    }
}

impl std::fmt::Debug for EnrolmentTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolmentTls").finish_non_exhaustive()
    }
}

/// Fetches the root certificate that `token` names from the enrolment listener at `address`. Everything else that is
/// sent is dropped, a second root included: it will come over the authenticated channel.
///
/// # Errors
/// Why there is no root to trust.
pub async fn fetch_root(address: SocketAddr, token: &Token, deadline: Duration) -> Result<Roots, BootstrapError> {
    let answer = timeout(deadline, ask(address))
        .await
        .map_err(|_| BootstrapError::TimedOut {
            address,
            after: deadline,
        })??;
    if answer.is_empty() {
        return Err(BootstrapError::NoAnswer { address });
    }
    // Whatever is not text is no PEM either.
    let sent = Certificate::all_from_pem(&String::from_utf8_lossy(&answer))
        .map_err(|source| BootstrapError::NotCertificates { address, source })?;
    let found = sent.iter().map(Certificate::fingerprint).collect();
    let root = sent
        .into_iter()
        .find(|certificate| certificate.fingerprint() == token.root())
        .ok_or(BootstrapError::WrongRoot {
            address,
            expected: token.root(),
            found,
        })?;
    Roots::new(vec![root]).map_err(BootstrapError::NotARoot)
}

async fn ask(address: SocketAddr) -> Result<Vec<u8>, BootstrapError> {
    let broken = |source| BootstrapError::Broken { address, source };
    let mut stream = TcpStream::connect(address)
        .await
        .map_err(|source| BootstrapError::Unreachable { address, source })?;
    stream.write_all(REQUEST).await.map_err(broken)?;
    let mut answer = Vec::new();
    (&mut stream)
        .take(MAX_ANSWER + 1)
        .read_to_end(&mut answer)
        .await
        .map_err(broken)?;
    if answer.len() as u64 > MAX_ANSWER {
        return Err(BootstrapError::TooLarge { address });
    }
    Ok(answer)
}
