//! Fresh connections: TLS first, and nobody gets further whose certificate does not count.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use quorate_identity::{Peer, ServerStream, ServerTls};
use quorate_proto::limits::HANDSHAKE_TIMEOUT;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::errors::chain;
use crate::ledger::Ledger;

/// Handshakes at one time: who only connects holds a place for seconds at most, and costs little memory.
const HANDSHAKES: usize = 32;

/// When the system has no more files or memory to give, it is left alone for a moment.
const BREATHE: Duration = Duration::from_millis(100);

/// Who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whom the certificate names.
    pub peer: Peer,
    /// Where the call comes from.
    pub address: SocketAddr,
}

/// A connection with somebody of this fleet.
#[derive(Debug)]
pub(super) struct Connection {
    stream: ServerStream<TcpStream>,
    caller: Caller,
}

/// The connections that come in, until `stop`.
pub(super) fn incoming(
    listener: TcpListener,
    tls: ServerTls,
    ledger: Ledger,
    stop: CancellationToken,
) -> ReceiverStream<io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let next = async {
                // Never closed: an error can't come.
                let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
                listener
                    .accept()
                    .await
                    .map(|(stream, address)| (place, stream, address))
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = next => accepted,
            };
            match accepted {
                Ok((place, stream, address)) => {
                    let handshake = handshake(tls.clone(), ledger.clone(), stream, address);
                    tokio::spawn(finish(handshake, place, sender.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATHE).await;
                }
            }
        }
    });
    ReceiverStream::new(receiver)
}

async fn finish(
    handshake: impl Future<Output = Option<Connection>>,
    place: OwnedSemaphorePermit,
    sender: mpsc::Sender<io::Result<Connection>>,
) {
    let connection = handshake.await;
    drop(place);
    if let Some(connection) = connection
        && sender.send(Ok(connection)).await.is_err()
    {
        tracing::debug!("a connection came while the server was stopping");
    }
}

async fn handshake(tls: ServerTls, ledger: Ledger, stream: TcpStream, address: SocketAddr) -> Option<Connection> {
    // An IPv4 caller of a socket for both shows as ::ffff:a.b.c.d.
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection went away at once");
        return None;
    }
    match tls.accept(stream, HANDSHAKE_TIMEOUT).await {
        Ok((_, peer)) if ledger.content().revoked.fingerprints.contains(&peer.fingerprint) => {
            tracing::warn!(%address, role = %peer.role, "refused a caller whose certificate was revoked");
            None
        }
        Ok((stream, peer)) => Some(Connection {
            stream,
            caller: Caller { peer, address },
        }),
        Err(refusal) => {
            let reason = chain(&refusal);
            tracing::warn!(%address, %reason, hint = refusal.hint(), "refused a caller");
            None
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
