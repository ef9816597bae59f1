//! The accepting side.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::{Accept, TlsAcceptor};

use crate::certificate::Certificate;
use crate::chain::{self, Identity, Peer};
use crate::time::TimeSource;
use crate::tls::material::{Material, MaterialError, VERSIONS, provider};
use crate::tls::{ALPN, Refusal};

/// An encrypted stream, seen from the server.
pub type ServerStream<S> = tokio_rustls::server::TlsStream<S>;

/// Accepts connections from holders of the fleet's certificates. Clones share the material: when it is replaced, every
/// later handshake uses the new one, and running connections go on.
#[derive(Clone)]
pub struct ServerTls {
    time: TimeSource,
    state: Arc<RwLock<Arc<State>>>,
}

struct State {
    material: Material,
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Serves with `material`, verifying at the times that `time` tells.
    ///
    /// # Errors
    /// The material has no identity, one that every peer would refuse, or one whose role never serves.
    pub fn new(material: Material, time: TimeSource) -> Result<Self, MaterialError> {
        let state = State::new(material, &time)?;
        Ok(Self { time, state: Arc::new(RwLock::new(Arc::new(state))) })
    }

    /// Uses other material for every handshake from now on.
    ///
    /// # Errors
    /// As [`ServerTls::new`], or its list of revocations is a step back. The old material then stays.
    pub fn replace(&self, material: Material) -> Result<(), MaterialError> {
        let new = Arc::new(State::new(material, &self.time)?);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        new.material.revocations.check_replaces(&state.material.revocations)?;
        *state = new;
        Ok(())
    }

    /// The material in use.
    #[must_use]
    pub fn material(&self) -> Material {
        self.state().material.clone()
    }

    /// Is the certificate of this peer revoked by now? For connections that were accepted before it was.
    #[must_use]
    pub fn is_revoked(&self, peer: &Peer) -> bool {
        self.state().material.revocations.find(&peer.serial, peer.fingerprint).is_some()
    }

    /// Does the handshake on a fresh connection and says who is at the other end. All of it within `deadline`.
    ///
    /// # Errors
    /// Why the peer was refused.
    pub async fn accept<S>(&self, stream: S, deadline: Duration) -> Result<(ServerStream<S>, Peer), Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let state = self.state();
        let handshake = TlsAcceptor::from(Arc::clone(&state.config)).accept(stream);
        let mut stream = finish(handshake, deadline).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        match chain::examine(chain, &state.material.roots, &state.material.revocations) {
            Ok(peer) => Ok((stream, peer)),
            Err(refusal) => {
                // The client is told that it is over and not left waiting for an answer; whether it hears so is its affair.
                drop(timeout(deadline, stream.shutdown()).await);
                Err(refusal)
            }
        }
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("material", &self.state().material).finish_non_exhaustive()
    }
}

impl State {
    fn new(material: Material, time: &TimeSource) -> Result<Self, MaterialError> {
        material.check()?;
        let identity = server_identity(&material)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(material.root_store()?, provider()).build()?;
        let config = ServerConfig::builder_with_details(provider(), Arc::new(time.clone()))
            .with_protocol_versions(VERSIONS)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(identity.chain().map(Certificate::to_tls).collect(), identity.key().to_tls())?;
        Ok(Self { config: settled(config), material })
    }
}

/// A configuration that asks the client for no certificate: for enrolment only.
pub(crate) fn anonymous_config(material: &Material, time: &TimeSource) -> Result<Arc<ServerConfig>, MaterialError> {
    material.check()?;
    let identity = server_identity(material)?;
    let config = ServerConfig::builder_with_details(provider(), Arc::new(time.clone()))
        .with_protocol_versions(VERSIONS)?
        .with_no_client_auth()
        .with_single_cert(identity.chain().map(Certificate::to_tls).collect(), identity.key().to_tls())?;
    Ok(settled(config))
}

/// The handshake with a client that has no certificate yet.
pub(crate) async fn accept_anonymous<S>(
    config: Arc<ServerConfig>,
    stream: S,
    deadline: Duration,
) -> Result<ServerStream<S>, Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    finish(TlsAcceptor::from(config).accept(stream), deadline).await
}

async fn finish<S>(handshake: Accept<S>, deadline: Duration) -> Result<ServerStream<S>, Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match timeout(deadline, handshake).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Refusal::from_io(error)),
        Err(_) => Err(Refusal::TimedOut { what: "TLS handshake", after: deadline }),
    }
}

fn server_identity(material: &Material) -> Result<&Identity, MaterialError> {
    let identity = material.identity.as_ref().ok_or(MaterialError::NoIdentity)?;
    if !identity.role().serves() {
        return Err(MaterialError::WrongSide { role: identity.role().clone(), what: "accept connections" });
    }
    Ok(identity)
}

/// No resumption: a resumed session would skip the check of the certificate, and with it expiry and the present roots.
fn settled(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Arc::new(config)
}

