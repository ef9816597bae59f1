//! From a listener to connections with somebody who is known.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::Reception;
use crate::connection::Connection;

/// When the system has no more files or memory to give, it is left alone for a moment.
const BREATHE: Duration = Duration::from_millis(100);

/// Who came through a handshake.
#[derive(Debug)]
pub struct Arrival<S, C> {
    /// The stream after it.
    pub stream: S,
    /// Who is at its other end.
    pub who: C,
    /// What its connections are counted by.
    pub caller: String,
}

/// The connections that come in, until `stop`. `handshake` says who calls; with nothing, it has said why not by itself.
pub fn receive<S, C, F>(
    reception: Reception,
    listener: TcpListener,
    handshake: impl Fn(TcpStream, SocketAddr) -> F + Send + Sync + 'static,
    stop: CancellationToken,
) -> ReceiverStream<io::Result<Connection<S, C>>>
where
    S: Send + 'static,
    C: Send + 'static,
    F: Future<Output = Option<Arrival<S, C>>> + Send,
{
    let (sender, receiver) = mpsc::channel(1);
    let handshake = Arc::new(handshake);
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                () = sender.closed() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let (reception, handshake, sender) = (reception.clone(), Arc::clone(&handshake), sender.clone());
                    // An IPv4 caller of a socket for both shows as ::ffff:a.b.c.d.
                    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                    tokio::spawn(async move {
                        if let Some(connection) = admit(&reception, &*handshake, stream, address).await
                            && sender.send(Ok(connection)).await.is_err()
                        {
                            tracing::debug!("a connection came while the server was stopping");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATHE).await;
                }
            }
        }
        // In this order: whoever sees the end of the connections finds the address free.
        drop(listener);
        drop(sender);
    });
    ReceiverStream::new(receiver)
}

async fn admit<S, C, F>(
    reception: &Reception,
    handshake: &(impl Fn(TcpStream, SocketAddr) -> F + Send + Sync),
    stream: TcpStream,
    address: SocketAddr,
) -> Option<Connection<S, C>>
where
    F: Future<Output = Option<Arrival<S, C>>> + Send,
{
    let place = reception.lobby().enter(address.ip());
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection went away at once");
        return None;
    }
    // The handshake has the same deadline and says what was missing; this one is for what it might forget.
    let ample = reception.limits().handshake + Duration::from_secs(1);
    let arrived = tokio::select! {
        () = place.leave.cancelled() => {
            tracing::debug!(%address, "too many handshakes at once: the oldest was broken off");
            return None;
        }
        arrived = timeout(ample, handshake(stream, address)) => arrived.ok()??,
    };
    drop(place);
    let Arrival { stream, who, caller } = arrived;
    let seated = reception.seat(stream, who, &caller);
    if seated.is_none() {
        tracing::warn!(%address, %caller, "refused a connection: there are too many, and each asks something");
    }
    seated
}
