//! The accepting side.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::certificate::Certificate;
use crate::chain::{self, Identity, Peer};
use crate::time::TimeSource;
use crate::tls::material::{Material, MaterialError, VERSIONS, provider};
use crate::tls::shared::Shared;
use crate::tls::{ALPN, Refusal};

/// An encrypted stream, seen from the server.
pub type ServerStream<S> = tokio_rustls::server::TlsStream<S>;

/// Accepts connections from holders of the fleet's certificates. Clones share the material: when it is replaced, every
/// later handshake uses the new one, and running connections go on.
#[derive(Debug, Clone)]
pub struct ServerTls(Arc<Shared<ServerConfig>>);

impl ServerTls {
    /// Serves with `material`, verifying at the times that `time` tells.
    ///
    /// # Errors
    /// The material has no identity, one that every peer would refuse, or one whose role never serves.
    pub fn new(material: Material, time: TimeSource) -> Result<Self, MaterialError> {
        Shared::new(material, time, mutual).map(Self)
    }

    /// Uses other material for every handshake from now on.
    ///
    /// # Errors
    /// As [`ServerTls::new`], or its list of revocations is a step back. The old material then stays.
    pub fn replace(&self, material: Material) -> Result<(), MaterialError> {
        self.0.replace(material)
    }

    /// The material in use.
    #[must_use]
    pub fn material(&self) -> Material {
        self.0.state().material.clone()
    }

    /// Is the certificate of this peer revoked by now? For connections that were accepted before it was.
    #[must_use]
    pub fn is_revoked(&self, peer: &Peer) -> bool {
        self.0.is_revoked(peer)
    }

    /// Does the certificate of this peer, which counted when it was accepted, still count? A connection may outlive it.
    ///
    /// # Errors
    /// It was revoked or is past its end, or its CA is no longer trusted.
    pub fn check(&self, peer: &Peer) -> Result<(), Refusal> {
        let state = self.0.state();
        let material = &state.material;
        if let Some(revocation) = material.revocations.find(&peer.serial, peer.fingerprint) {
            return Err(Refusal::Revoked {
                role: peer.role.clone(),
                since: revocation.revoked_at,
            });
        }
        let (now, not_after) = (self.0.time().now(), peer.not_after);
        if now > not_after {
            return Err(Refusal::Expired { not_after, now });
        }
        if !material.roots.holds(peer.root) {
            return Err(Refusal::UnknownIssuer);
        }
        Ok(())
    }

    /// Does the handshake on a fresh connection and says who is at the other end. All of it within `deadline`.
    ///
    /// # Errors
    /// Why the peer was refused.
    pub async fn accept<S>(&self, stream: S, deadline: Duration) -> Result<(ServerStream<S>, Peer), Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let state = self.0.state();
        let stream = handshake(Arc::clone(&state.config), stream, deadline).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = chain::examine(chain, &state.material.roots, &state.material.revocations)?;
        Ok((stream, peer))
    }
}

/// The handshake alone.
pub(crate) async fn handshake<S>(
    config: Arc<ServerConfig>,
    stream: S,
    deadline: Duration,
) -> Result<ServerStream<S>, Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match timeout(deadline, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Refusal::from_io(error)),
        Err(_) => Err(Refusal::TimedOut {
            what: "TLS handshake",
            after: deadline,
        }),
    }
}

fn mutual(material: &Material, time: &TimeSource) -> Result<ServerConfig, MaterialError> {
    let identity = server_identity(material)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(material.root_store()?, provider()).build()?;
    let config = ServerConfig::builder_with_details(provider(), Arc::new(time.clone()))
        .with_protocol_versions(VERSIONS)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            identity.chain().map(Certificate::to_tls).collect(),
            identity.key().to_tls(),
        )?;
    Ok(settled(config))
}

/// A configuration that asks the client for no certificate: for enrolment only.
pub(crate) fn anonymous(material: &Material, time: &TimeSource) -> Result<ServerConfig, MaterialError> {
    let identity = server_identity(material)?;
    let config = ServerConfig::builder_with_details(provider(), Arc::new(time.clone()))
        .with_protocol_versions(VERSIONS)?
        .with_no_client_auth()
        .with_single_cert(
            identity.chain().map(Certificate::to_tls).collect(),
            identity.key().to_tls(),
        )?;
    Ok(settled(config))
}

fn server_identity(material: &Material) -> Result<&Identity, MaterialError> {
    material.check()?;
    let identity = material.identity.as_ref().ok_or(MaterialError::NoIdentity)?;
    if !identity.role().serves() {
        return Err(MaterialError::WrongSide {
            role: identity.role().clone(),
            what: "accept connections",
        });
    }
    Ok(identity)
}

/// No resumption: a resumed session would skip the check of the certificate, and with it expiry and the present roots.
fn settled(mut config: ServerConfig) -> ServerConfig {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config
}
