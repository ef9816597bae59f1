//! What the coordinator talks to: gRPC over mutually authenticated TLS.

mod accept;
mod authz;
mod events;
mod measure;
mod package;
mod probe;
mod service;
mod watch;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use quorate_identity::ServerTls;
use quorate_proto::limits;
use quorate_proto::v1::agent_server::AgentServer;
use quorate_reception::{Large, Limits, Reception, receive};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server as Grpc;

use crate::events::Recorders;
use crate::host::Host;
use crate::ledger::Ledger;
use crate::liveness::Looks;
use crate::operations::{Operations, Supervisor};
use crate::renewal::Renewal;
use authz::AuthzLayer;
use service::Service;

pub use accept::Caller;

/// How long calls that are being answered may take once the agent is to stop. Streams end at once.
const DRAIN: Duration = Duration::from_secs(5);

/// What requests are answered with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The machine.
    pub host: Arc<Host>,
    /// The name under which it is enrolled.
    pub node: quorate_model::ids::NodeName,
    /// What is written down.
    pub ledger: Ledger,
    /// What can be changed.
    pub operations: Operations,
    /// How processes of this program are started.
    pub supervisor: Supervisor,
    /// What is measured between nodes.
    pub echo: crate::measure::Echo,
    /// The agent's certificate.
    pub renewal: Arc<Renewal>,
    /// Looks at the machine that are going on.
    pub looks: Looks,
    /// What is watched for drills.
    pub events: Arc<Recorders>,
    /// Its TLS.
    pub tls: ServerTls,
    /// Who may have how many connections.
    pub reception: Reception,
}

/// Packages come in calls of their own kind.
const PACKAGES: Large = Large {
    calls: &limits::PACKAGE_CALLS,
    request: limits::PACKAGE_TIMEOUT,
    memory: limits::PACKAGES_HELD,
};

/// What an agent grants: one coordinator calls it, and at times a second one that wants to take over.
#[must_use]
pub fn reception() -> Reception {
    Reception::new(Limits {
        large: PACKAGES,
        ..Limits::usual(limits::HANDSHAKE_TIMEOUT)
    })
}

/// Why the agent can't serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can't be had.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The server broke.
    #[error("the server broke")]
    Transport(#[from] tonic::transport::Error),
}

/// `[::]` is for IPv4 as well, whatever the system's default for that is; where there is no IPv6, it is for IPv4 alone.
async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        return TcpListener::bind(address).await;
    }
    let both = || {
        let socket = TcpSocket::new_v6()?;
        setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // As `TcpListener::bind` has it.
        socket.listen(1024)
    };
    match both() {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            tracing::debug!(%error, "there is no IPv6 here; listening for IPv4 alone");
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

/// A server that listens, and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// It can't be had.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Listen { address, source };
        let listener = listen(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`, then ends its streams, finishes what it is answering, and returns.
    ///
    /// # Errors
    /// The server broke.
    pub async fn serve(self, parts: Parts, stop: CancellationToken) -> Result<(), ServeError> {
        let reception = parts.reception.clone();
        let (tls, ledger) = (parts.tls.clone(), parts.ledger.clone());
        let handshake = move |stream, address| accept::handshake(tls.clone(), ledger.clone(), stream, address);
        let incoming = receive(reception.clone(), self.listener, handshake, stop.clone());
        let authz = AuthzLayer::new(parts.ledger.clone(), parts.tls.clone());
        let service = AgentServer::new(Service::new(parts, stop.clone()))
            .max_decoding_message_size(limits::MAX_MESSAGE)
            .max_encoding_message_size(limits::MAX_MESSAGE);
        let serving = Grpc::builder()
            .max_concurrent_streams(limits::MAX_STREAMS)
            .http2_keepalive_interval(Some(limits::KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(limits::KEEPALIVE_TIMEOUT))
            .http2_max_header_list_size(limits::MAX_HEADERS)
            .layer(reception.calls::<Caller>())
            .layer(authz)
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            ended = &mut serving => return Ok(ended?),
            () = stop.cancelled() => {}
        }
        match tokio::time::timeout(DRAIN, serving).await {
            Ok(ended) => Ok(ended?),
            Err(_) => {
                tracing::warn!("a call did not end in time and was broken off");
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_usual_address_is_for_ipv4_and_ipv6() {
        let server = Server::bind("[::]:0".parse().unwrap()).await.unwrap();
        let port = server.address().port();
        TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // Not every machine that builds this has IPv6.
        if TcpListener::bind("[::1]:0").await.is_ok() {
            TcpStream::connect(("::1", port)).await.unwrap();
        }
    }
}
