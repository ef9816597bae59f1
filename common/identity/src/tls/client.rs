//! The dialling side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::certificate::Certificate;
use crate::chain::{self, Peer};
use crate::role::Role;
use crate::time::{TimeSource, UnixSeconds};
use crate::tls::material::{Material, MaterialError, VERSIONS, provider};
use crate::tls::shared::Shared;
use crate::tls::{ALPN, Refusal};

/// An encrypted stream, seen from the client.
pub type ClientStream<S> = tokio_rustls::client::TlsStream<S>;

/// Opens connections to servers of the fleet. Clones share the material: when it is replaced, every later handshake
/// uses the new one, and running connections go on.
#[derive(Debug, Clone)]
pub struct ClientTls(Arc<Shared<ClientConfig>>);

impl ClientTls {
    /// Dials with `material`, verifying at the times that `time` tells. Without an identity, only enrolment listeners
    /// answer.
    ///
    /// # Errors
    /// Every peer would refuse the material's identity, or its role never dials.
    pub fn new(material: Material, time: TimeSource) -> Result<Self, MaterialError> {
        Shared::new(material, time, configuration).map(Self)
    }

    /// Uses other material for every handshake from now on.
    ///
    /// # Errors
    /// As [`ClientTls::new`], or its list of revocations is a step back. The old material then stays.
    pub fn replace(&self, material: Material) -> Result<(), MaterialError> {
        self.0.replace(material)
    }

    /// The material in use.
    #[must_use]
    pub fn material(&self) -> Material {
        self.0.state().material.clone()
    }

    /// Is the certificate of this peer revoked by now? For connections that were opened before it was.
    #[must_use]
    pub fn is_revoked(&self, peer: &Peer) -> bool {
        self.0.is_revoked(peer)
    }

    /// Dials `address` and returns when `expected` has answered there *and accepted us*. All of it within `deadline`.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn connect(
        &self,
        address: SocketAddr,
        expected: &Role,
        deadline: Duration,
    ) -> Result<(ClientStream<TcpStream>, Peer), Refusal> {
        let end = Instant::now() + deadline;
        let stream = match timeout_at(end, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(source)) => return Err(Refusal::Unreachable { address, source }),
            Err(_) => {
                return Err(Refusal::TimedOut {
                    what: "connection",
                    after: deadline,
                });
            }
        };
        stream.set_nodelay(true).map_err(Refusal::Broken)?;
        self.connect_over(stream, expected, end.saturating_duration_since(Instant::now()))
            .await
    }

    /// The same over a connection that already exists.
    ///
    /// In TLS 1.3 the client is done before the server has looked at its certificate, so that a refusal would show only
    /// at the first use. Hence this waits for the first bytes of the server, which in HTTP/2 speaks unasked; they stay
    /// in the stream.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn connect_over<S>(
        &self,
        stream: S,
        expected: &Role,
        deadline: Duration,
    ) -> Result<(ClientStream<S>, Peer), Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let end = Instant::now() + deadline;
        let state = self.0.state();
        let timed_out = |what| Refusal::TimedOut { what, after: deadline };
        let refused = |error| Refusal::from_io(error).with_own_validity(valid_at(&state.material, self.0.time().now()));

        let not_a_server = || Refusal::NotAServer { role: expected.clone() };
        let name = expected
            .dns_name(state.material.roots.fleet())
            .ok_or_else(not_a_server)?;
        let name = ServerName::try_from(name).map_err(|_| not_a_server())?;

        let handshake = TlsConnector::from(Arc::clone(&state.config)).connect(name, stream);
        let mut stream = timeout_at(end, handshake)
            .await
            .map_err(|_| timed_out("TLS handshake"))?
            .map_err(refused)?;

        let peer = examine(&stream, &state.material, expected)?;
        let first = timeout_at(end, stream.fill_buf())
            .await
            .map_err(|_| timed_out("answer after the TLS handshake"))?;
        match first {
            Ok([]) => Err(Refusal::ClosedAfterHandshake),
            Ok(_) => Ok((stream, peer)),
            Err(error) => match refused(error) {
                Refusal::Closed | Refusal::Broken(_) => Err(Refusal::ClosedAfterHandshake),
                refusal => Err(refusal),
            },
        }
    }
}

fn valid_at(material: &Material, now: UnixSeconds) -> bool {
    material.identity.as_ref().is_some_and(|identity| {
        let certificate = identity.certificate();
        (certificate.not_before()..=certificate.not_after()).contains(&now)
    })
}

fn examine<S>(stream: &ClientStream<S>, material: &Material, expected: &Role) -> Result<Peer, Refusal> {
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = chain::examine(chain, &material.roots, &material.revocations)?;
    if peer.role == *expected {
        Ok(peer)
    } else {
        Err(Refusal::WrongRole {
            expected: Box::new(expected.clone()),
            found: Box::new(peer.role),
        })
    }
}

fn configuration(material: &Material, time: &TimeSource) -> Result<ClientConfig, MaterialError> {
    material.check()?;
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(time.clone()))
        .with_protocol_versions(VERSIONS)?
        .with_root_certificates(material.root_store()?);
    let mut config = match &material.identity {
        None => builder.with_no_client_auth(),
        Some(identity) if identity.role().connects() => builder.with_client_auth_cert(
            identity.chain().map(Certificate::to_tls).collect(),
            identity.key().to_tls(),
        )?,
        Some(identity) => {
            return Err(MaterialError::WrongSide {
                role: identity.role().clone(),
                what: "open connections",
            });
        }
    };
    // A resumed session would skip the check of the certificate.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}
