//! Connections that have been let in, with who is at their other end; and the check, before each call, whether that one
//! may make it. What the table does not allow is denied.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use quorate_identity::{Peer, Role};
use quorate_proto::authz::{self, Caller};
use quorate_proto::refuse;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::body::Body;
use tonic::transport::server::Connected;
use tower::{Layer, Service};

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    /// What counts for the table.
    pub(crate) caller: Caller,
    /// By name, for findings, logs and the journal.
    pub(crate) name: String,
    /// From where; nothing for the socket.
    pub(crate) from: Option<SocketAddr>,
    /// How that is known.
    pub(crate) proof: Proof,
}

/// How it is known who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// By a certificate with this SHA-256.
    Certificate(String),
    /// By what the kernel says of the process at the other end of the socket.
    Process { uid: u32, pid: Option<i32> },
    /// It is not.
    None,
}

impl Who {
    /// Somebody with a certificate.
    pub(crate) fn of(peer: &Peer, from: SocketAddr) -> Self {
        let caller = match &peer.role {
            Role::Coordinator => Caller::Coordinator,
            Role::Node { .. } => Caller::Node,
            Role::Operator { .. } => Caller::Operator,
            Role::Viewer { .. } => Caller::Viewer,
        };
        Self {
            caller,
            name: peer.role.to_string(),
            from: Some(from),
            proof: Proof::Certificate(peer.fingerprint.to_string()),
        }
    }

    /// Somebody without, at the enrolment listener.
    pub(crate) fn anyone(from: SocketAddr) -> Self {
        Self {
            caller: Caller::Anyone,
            name: from.ip().to_string(),
            from: Some(from),
            proof: Proof::None,
        }
    }
}

/// A connection that has been let in.
#[derive(Debug)]
pub(crate) struct Incoming<S> {
    stream: S,
    who: Who,
}

impl<S> Incoming<S> {
    pub(crate) fn new(stream: S, who: Who) -> Self {
        Self { stream, who }
    }
}

impl<S> Connected for Incoming<S> {
    type ConnectInfo = Who;

    fn connect_info(&self) -> Who {
        self.who.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Incoming<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Incoming<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Puts the table before every service of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Authorise;

impl<S> Layer<S> for Authorise {
    type Service = Authorised<S>;

    fn layer(&self, service: S) -> Authorised<S> {
        Authorised(service)
    }
}

/// A service behind the table.
#[derive(Debug, Clone)]
pub(crate) struct Authorised<S>(S);

impl<S, B> Service<http::Request<B>> for Authorised<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let who = request.extensions().get::<Who>();
        // Without a name there is nobody to be let in.
        let (caller, name) = who.map_or((Caller::Anyone, "unknown"), |who| (who.caller, who.name.as_str()));
        match authz::authorise(request.uri().path(), caller, name) {
            Ok(_) => Box::pin(self.0.call(request)),
            Err(finding) => {
                tracing::warn!(who = name, path = request.uri().path(), "denied");
                Box::pin(async move { Ok(refuse(*finding).into_http()) })
            }
        }
    }
}
