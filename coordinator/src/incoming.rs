//! Who is at the other end of a connection; and the check, before each call, whether that one may make it. What the table does
//! not allow is denied.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use quorate_identity::{Peer, Role, Scope, ServerTls};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::{Code, Finding};
use quorate_proto::authz::{self, Caller};
use quorate_proto::refuse;
use tonic::body::Body;
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
    /// Where they may.
    pub(crate) scope: Scope,
}

/// How it is known who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// By this certificate.
    Certificate(Box<Peer>),
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
        let scope = match &peer.role {
            Role::Operator { scope, .. } | Role::Viewer { scope, .. } => scope.clone(),
            Role::Coordinator | Role::Node { .. } => Scope::Fleet,
        };
        Self {
            caller,
            scope,
            name: peer.role.to_string(),
            from: Some(from),
            proof: Proof::Certificate(Box::new(peer.clone())),
        }
    }

    /// Somebody without, at the enrolment listener.
    pub(crate) fn anyone(from: SocketAddr) -> Self {
        Self {
            caller: Caller::Anyone,
            name: from.ip().to_string(),
            from: Some(from),
            proof: Proof::None,
            scope: Scope::Fleet,
        }
    }

    /// Lets a call about a cluster through, or says that it is not theirs.
    pub(crate) fn within(&self, cluster: &str) -> Result<(), Failure> {
        if self.scope.holds(cluster) {
            return Ok(());
        }
        Err(self.elsewhere(format!("{} is for {}, not for {cluster}", self.name, self.scope)))
    }

    /// Lets a call about everything through, or says that not everything is theirs.
    pub(crate) fn fleet_wide(&self, what: &str) -> Result<(), Failure> {
        match self.scope {
            Scope::Fleet => Ok(()),
            Scope::Clusters(_) => {
                let message = format!(
                    "{} is for {}, and {what} concerns the whole fleet",
                    self.name, self.scope
                );
                Err(self.elsewhere(message))
            }
        }
    }

    fn elsewhere(&self, message: String) -> Failure {
        let next =
            "ask somebody who may; or have a certificate made for it: quorate operator add NAME --cluster CLUSTER";
        let finding = Finding::new(Code::RoleNotAllowed, self.name.as_str(), message, next);
        Failure::new(ExitCode::Denied, format!("refused by {}", finding.code.as_str())).with(vec![finding])
    }
}

/// Puts the table before every service of a server.
#[derive(Debug, Clone)]
pub(crate) struct Authorise {
    tls: Option<ServerTls>,
}

impl Authorise {
    /// Whether a caller's certificate still counts is for `tls` to say.
    pub(crate) fn by(tls: ServerTls) -> Self {
        Self { tls: Some(tls) }
    }

    /// Where nobody comes with a certificate.
    pub(crate) fn without_certificates() -> Self {
        Self { tls: None }
    }

    fn check(&self, path: &str, who: Option<&Who>) -> Result<(), Box<Finding>> {
        // Without a name there is nobody to be let in.
        let (caller, name) = who.map_or((Caller::Anyone, "unknown"), |who| (who.caller, who.name.as_str()));
        if let (Some(tls), Some(Proof::Certificate(peer))) = (&self.tls, who.map(|who| &who.proof))
            && let Err(refusal) = tls.check(peer)
            && let Some(finding) = quorate_reception::finding(name, &refusal)
        {
            return Err(Box::new(finding));
        }
        authz::authorise(path, caller, name).map(drop)
    }
}

impl<S> Layer<S> for Authorise {
    type Service = Authorised<S>;

    fn layer(&self, service: S) -> Authorised<S> {
        Authorised(service, self.clone())
    }
}

/// A service behind the table.
#[derive(Debug, Clone)]
pub(crate) struct Authorised<S>(S, Authorise);

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
        let (who, path) = (request.extensions().get::<Who>(), request.uri().path());
        match self.1.check(path, who) {
            Ok(()) => Box::pin(self.0.call(request)),
            Err(finding) => {
                let who = who.map_or("unknown", |who| who.name.as_str());
                tracing::warn!(who, path, code = finding.code.as_str(), "refused a call");
                Box::pin(async move { Ok(refuse(*finding).into_http()) })
            }
        }
    }
}
