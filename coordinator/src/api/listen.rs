//! Where the API is answered: the Unix socket for this host, mutual TLS for others.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User, geteuid};
use quorate_identity::{Scope, ServerStream, ServerTls};
use quorate_proto::authz::Caller;
use quorate_proto::limits;
use quorate_proto::v1::coordinator_server::CoordinatorServer;
use quorate_reception::{Arrival, Connection, Large, Limits, Reception, note, receive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::Service;
use crate::incoming::{Authorise, Proof, Who};
use crate::trust::sentence;

/// Members of this group are local administrators.
const GROUP: &str = "quorate";

/// Connections that may wait for their server at once.
const WAITING: usize = 64;

/// After an accept that failed: usually too many open files, which passes.
const PAUSE: Duration = Duration::from_millis(200);

/// Packages come in calls of their own kind.
const PACKAGES: Large = Large {
    calls: &limits::PACKAGE_CALLS,
    request: limits::PACKAGE_TIMEOUT,
    memory: limits::PACKAGES_HELD,
};

/// Makes the Unix socket. Whoever holds the state directory's lock may take the place of a socket that is left over.
pub(crate) fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    let group = Group::from_name(GROUP).ok().flatten();
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    if let Some(group) = group {
        // Who may come in is decided by whom the kernel says is there; this only spares others the try.
        if let Err(error) = chown(path, None, Some(group.gid.as_raw())) {
            tracing::warn!(%error, "can't give the socket to the group {GROUP}");
        }
    }
    Ok(listener)
}

/// Answers on the Unix socket until it is told to stop.
pub(crate) async fn over_socket(listener: UnixListener, service: Service, stop: CancellationToken) {
    let (admitted, connections) = mpsc::channel(WAITING);
    // Many commands may run on this host at once, and watch.
    let reception = Reception::new(Limits {
        connections: 256,
        per_caller: 128,
        large: PACKAGES,
        ..Limits::usual(limits::HANDSHAKE_TIMEOUT)
    });
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let who = local(&stream);
                    let caller = who.name.clone();
                    let Some(connection) = reception.seat(stream, who, &caller) else {
                        tracing::warn!(who = caller, "too many connections to the socket at once");
                        continue;
                    };
                    if admitted.send(Ok(connection)).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection on the socket");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = serve(ReceiverStream::new(connections), (reception.clone(), Authorise::without_certificates()), service, stop.clone()) => {}
        () = accepting => {}
    }
}

/// What is granted over the network. Operators work by hand; what watches by program keeps one connection.
pub(crate) fn reception() -> Reception {
    Reception::new(Limits {
        connections: 256,
        large: PACKAGES,
        ..Limits::usual(limits::HANDSHAKE_TIMEOUT)
    })
}

/// Answers callers with a certificate until it is told to stop.
pub(crate) async fn over_tls(
    listener: TcpListener,
    (reception, tls): (Reception, ServerTls),
    service: Service,
    stop: CancellationToken,
) {
    let check = Authorise::by(tls.clone());
    let handshake = move |stream, from| greet(tls.clone(), stream, from);
    let connections = receive(reception.clone(), listener, handshake, stop.clone());
    serve(connections, (reception, check), service, stop).await;
}

async fn greet(tls: ServerTls, stream: TcpStream, from: SocketAddr) -> Option<Arrival<ServerStream<TcpStream>, Who>> {
    match tls.accept(stream, limits::HANDSHAKE_TIMEOUT).await {
        Ok((stream, peer)) => Some(Arrival {
            stream,
            caller: peer.fingerprint.to_string(),
            who: Who::of(&peer, from),
        }),
        Err(refusal) => {
            note(from, &refusal);
            None
        }
    }
}

async fn serve<S>(
    connections: ReceiverStream<io::Result<Connection<S, Who>>>,
    (reception, check): (Reception, Authorise),
    service: Service,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = CoordinatorServer::new(service)
        .max_decoding_message_size(limits::MAX_MESSAGE)
        .max_encoding_message_size(limits::MAX_MESSAGE);
    let served = Server::builder()
        .layer(reception.calls::<Who>())
        .layer(check)
        .max_concurrent_streams(Some(limits::MAX_STREAMS))
        .http2_max_header_list_size(Some(limits::MAX_HEADERS))
        .http2_keepalive_interval(Some(limits::KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(limits::KEEPALIVE_TIMEOUT))
        .add_service(service)
        .serve_with_incoming_shutdown(connections, stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(error = sentence(&error), "the API's server failed");
    }
}

/// Who is at the other end of the socket, as the kernel says.
fn local(stream: &UnixStream) -> Who {
    let stranger = |name: String| Who {
        caller: Caller::Anyone,
        name,
        from: None,
        proof: Proof::None,
        scope: Scope::Fleet,
    };
    let Ok(credentials) = stream.peer_cred() else {
        return stranger("unknown".to_owned());
    };
    let user = User::from_uid(Uid::from_raw(credentials.uid())).ok().flatten();
    let name = user
        .as_ref()
        .map_or_else(|| format!("uid {}", credentials.uid()), |user| user.name.clone());
    let group = Group::from_name(GROUP).ok().flatten();
    let own = [Uid::from_raw(0), geteuid()].contains(&Uid::from_raw(credentials.uid()));
    let gid = Gid::from_raw(credentials.gid());
    if own || group.is_some_and(|group| belongs(&group, gid, user.as_ref())) {
        Who {
            caller: Caller::Socket,
            name,
            from: None,
            proof: Proof::Process {
                uid: credentials.uid(),
                pid: credentials.pid(),
            },
            scope: Scope::Fleet,
        }
    } else {
        stranger(name)
    }
}

/// Is that process or its user in the group? The kernel tells only the process's main group.
fn belongs(group: &Group, gid: Gid, user: Option<&User>) -> bool {
    gid == group.gid || user.is_some_and(|user| user.gid == group.gid || group.mem.contains(&user.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_admits_its_members_however_they_are_members() {
        let group = |mem: &[&str]| Group {
            name: GROUP.to_owned(),
            passwd: Default::default(),
            gid: Gid::from_raw(900),
            mem: mem.iter().map(|name| (*name).to_owned()).collect(),
        };
        let root = User::from_uid(Uid::from_raw(0)).unwrap().unwrap();
        let anna = User {
            name: "anna".to_owned(),
            gid: Gid::from_raw(1000),
            ..root.clone()
        };
        let other = Gid::from_raw(1000);
        assert!(belongs(&group(&[]), Gid::from_raw(900), None));
        assert!(belongs(&group(&["anna"]), other, Some(&anna)));
        assert!(belongs(
            &group(&[]),
            other,
            Some(&User {
                gid: Gid::from_raw(900),
                ..anna.clone()
            })
        ));
        assert!(!belongs(&group(&["bert"]), other, Some(&anna)));
        assert!(!belongs(&group(&["anna"]), other, None));
    }

    #[tokio::test]
    async fn the_socket_is_closed_to_others_and_takes_the_place_of_a_leftover() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run/q.sock");
        for _ in 0..2 {
            let listener = bind_socket(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o007, 0);
            let (client, server) = tokio::join!(UnixStream::connect(&path), listener.accept());
            client.unwrap();
            let who = local(&server.unwrap().0);
            assert_eq!(who.caller, Caller::Socket, "{who:?}: we are ourselves");
        }
    }
}
