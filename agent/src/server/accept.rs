//! Fresh connections: TLS first, and nobody gets further whose certificate does not count.

use std::net::SocketAddr;

use quorate_identity::{Peer, ServerStream, ServerTls};
use quorate_proto::limits::HANDSHAKE_TIMEOUT;
use quorate_reception::{Arrival, note};
use tokio::net::TcpStream;

use crate::ledger::Ledger;

/// Who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whom the certificate names.
    pub peer: Peer,
    /// Where the call comes from.
    pub address: SocketAddr,
}

/// The handshake, and whether the certificate still counts.
pub(super) async fn handshake(
    tls: ServerTls,
    ledger: Ledger,
    stream: TcpStream,
    address: SocketAddr,
) -> Option<Arrival<ServerStream<TcpStream>, Caller>> {
    match tls.accept(stream, HANDSHAKE_TIMEOUT).await {
        Ok((_, peer)) if ledger.content().revoked.fingerprints.contains(&peer.fingerprint) => {
            let code = quorate_model::Code::TlsRevoked.as_str();
            tracing::warn!(%address, code, role = %peer.role, reason = "its certificate was revoked", "refused a caller");
            None
        }
        Ok((stream, peer)) => Some(Arrival {
            stream,
            caller: peer.fingerprint.to_string(),
            who: Caller { peer, address },
        }),
        Err(refusal) => {
            note(address, &refusal);
            None
        }
    }
}
