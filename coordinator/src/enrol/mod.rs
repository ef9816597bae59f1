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
use quorate_reception::{Arrival, Limits, Reception, note, receive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

pub(crate) use self::desk::Desk;
use crate::ca::Ca;
use crate::fleet::Fleet;
use crate::incoming::{Authorise, Who};
use crate::trust;

/// Connections that may be in their handshake at once.
const HANDSHAKES: usize = 16;

/// Connections at once: whoever enrols has one question.
const CONNECTIONS: usize = 32;

/// Connections of one address at once.
const PER_ADDRESS: usize = 4;

/// After its question, nobody has a reason to stay.
const IDLE: Duration = Duration::from_secs(5);

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
    ca: Arc<Ca>,
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
                attend(&fleet, &desk, &ca, listener).await;
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
async fn attend(fleet: &Fleet, desk: &Arc<Desk>, ca: &Arc<Ca>, listener: TcpListener) {
    let reception = Reception::new(Limits {
        handshakes: HANDSHAKES,
        connections: CONNECTIONS,
        per_caller: PER_ADDRESS,
        idle: IDLE,
        memory: LARGEST_REQUEST * CONNECTIONS,
        ..Limits::usual(limits::HANDSHAKE_TIMEOUT)
    });
    let (stop, ca) = (CancellationToken::new(), Arc::clone(ca));
    let handshake = move |stream, from| greet(ca.now().enrolment.clone(), stream, from);
    let connections = receive(reception.clone(), listener, handshake, stop.clone());
    let service = EnrolmentServer::from_arc(Arc::clone(desk)).max_decoding_message_size(LARGEST_REQUEST);
    let server = Server::builder()
        .layer(reception.calls::<Who>())
        .layer(Authorise::without_certificates())
        .timeout(limits::QUICK_CALL_TIMEOUT)
        .max_concurrent_streams(Some(4))
        .http2_max_header_list_size(Some(limits::MAX_HEADERS))
        .http2_keepalive_interval(Some(limits::KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(limits::KEEPALIVE_TIMEOUT))
        .add_service(service)
        .serve_with_incoming(connections);
    let watching = async {
        let mut look = tokio::time::interval(LOOK);
        let mut changes = fleet.registry.changes();
        while expecting(fleet) {
            tokio::select! {
                _ = look.tick() => {}
                _ = changes.changed() => {}
            }
        }
        stop.cancel();
    };
    let (served, ()) = tokio::join!(server, watching);
    if let Err(error) = served {
        tracing::error!(error = trust::sentence(&error), "the enrolment server failed");
    }
}

async fn greet(
    tls: EnrolmentTls,
    stream: TcpStream,
    from: SocketAddr,
) -> Option<Arrival<Box<ServerStream<TcpStream>>, Who>> {
    match tls.accept(stream, limits::HANDSHAKE_TIMEOUT).await {
        Ok(FirstContact::Roots) => tracing::debug!(%from, "gave the root certificates"),
        Ok(FirstContact::Tls(stream)) => {
            return Some(Arrival {
                stream,
                caller: from.ip().to_string(),
                who: Who::anyone(from),
            });
        }
        Err(refusal) => note(from, &refusal),
    }
    None
}
