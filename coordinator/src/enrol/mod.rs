//! Enrolment: a listener of its own, which is there only while somebody is expected.

mod admission;
mod desk;
mod rate;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quorate_identity::{EnrolmentTls, FirstContact, ServerStream};
use quorate_proto::limits;
use quorate_proto::v1::enrolment_server::EnrolmentServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

pub(crate) use self::desk::Desk;
use crate::fleet::Fleet;
use crate::incoming::{Authorise, Incoming, Who};
use crate::trust;

/// Connections that may be in their handshake at once.
const HANDSHAKES: usize = 16;

/// The largest request that is taken, in bytes: a signing request and some names.
const LARGEST_REQUEST: usize = 16 * 1024;

/// How often it is looked whether anybody is still expected: invitations expire without a word.
const LOOK: Duration = Duration::from_secs(1);

/// After a failure to listen.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// How the listener stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Door {
    /// Nobody is expected.
    Closed,
    /// Somebody is, and may come here.
    Open(SocketAddr),
    /// Somebody is, but it can't be listened.
    Stuck(String),
}

/// Opens and closes the listener as the books say, for ever. Whoever started it cancels it.
pub(crate) async fn keep_door(
    fleet: Arc<Fleet>,
    desk: Arc<Desk>,
    tls: EnrolmentTls,
    listen: SocketAddr,
    door: watch::Sender<Door>,
) {
    let mut changes = fleet.registry.changes();
    loop {
        if !expecting(&fleet) {
            door.send_replace(Door::Closed);
            if changes.changed().await.is_err() {
                return;
            }
            continue;
        }
        let opened = match TcpListener::bind(listen).await {
            Ok(listener) => listener.local_addr().map(|address| (listener, address)),
            Err(error) => Err(error),
        };
        match opened {
            Ok((listener, address)) => {
                tracing::info!(%address, "enrolment is open");
                door.send_replace(Door::Open(address));
                attend(&fleet, &desk, &tls, listener).await;
                tracing::info!("enrolment is closed");
            }
            Err(error) => {
                tracing::error!(%listen, %error, "can't listen for enrolment");
                door.send_replace(Door::Stuck(format!("can't listen on {listen}: {error}")));
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
    }
}

fn expecting(fleet: &Fleet) -> bool {
    fleet.registry.expecting_until(trust::now(&fleet.clock)).is_some()
}

/// Serves as long as anybody is expected.
async fn attend(fleet: &Fleet, desk: &Arc<Desk>, tls: &EnrolmentTls, listener: TcpListener) {
    let (admitted, connections) = mpsc::channel(HANDSHAKES);
    let service = EnrolmentServer::from_arc(Arc::clone(desk)).max_decoding_message_size(LARGEST_REQUEST);
    let server = Server::builder()
        .layer(Authorise)
        .timeout(limits::QUICK_CALL_TIMEOUT)
        .max_concurrent_streams(Some(4))
        .http2_max_header_list_size(Some(limits::MAX_HEADERS))
        .http2_keepalive_interval(Some(limits::KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(limits::KEEPALIVE_TIMEOUT))
        .add_service(service)
        .serve_with_incoming(ReceiverStream::new(connections));
    let accepting = async {
        let places = Arc::new(Semaphore::new(HANDSHAKES));
        let mut look = tokio::time::interval(LOOK);
        let mut changes = fleet.registry.changes();
        while expecting(fleet) {
            tokio::select! {
                _ = look.tick() => {}
                _ = changes.changed() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, from)) => {
                        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                            tracing::warn!(%from, "too many connections to the enrolment listener at once");
                            continue;
                        };
                        let (tls, admitted) = (tls.clone(), admitted.clone());
                        tokio::spawn(async move {
                            greet(&tls, stream, from, admitted).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "can't accept a connection for enrolment");
                        tokio::time::sleep(LOOK).await;
                    }
                },
            }
        }
        drop((listener, admitted));
    };
    let (served, ()) = tokio::join!(server, accepting);
    if let Err(error) = served {
        tracing::error!(error = trust::sentence(&error), "the enrolment server failed");
    }
}

type Admitted = mpsc::Sender<Result<Incoming<Box<ServerStream<TcpStream>>>, std::io::Error>>;

async fn greet(tls: &EnrolmentTls, stream: TcpStream, from: SocketAddr, admitted: Admitted) {
    match tls.accept(stream, limits::HANDSHAKE_TIMEOUT).await {
        Ok(FirstContact::Roots) => tracing::debug!(%from, "gave the root certificates"),
        // If the server has ended, so has the enrolment.
        Ok(FirstContact::Tls(stream)) => drop(admitted.send(Ok(Incoming::new(stream, Who::anyone(from)))).await),
        Err(refusal) => tracing::debug!(%from, reason = trust::sentence(&refusal), "no enrolment"),
    }
}
