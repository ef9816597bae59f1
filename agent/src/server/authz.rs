//! Who may call what: the table of the protocol, asked before every call. What does not stand in it is denied.

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use quorate_identity::{Role, ServerTls};
use quorate_model::{Code, Finding};
use quorate_proto::authz;
use quorate_proto::status::refuse;
use quorate_proto::v1::agent_server::SERVICE_NAME;
use tonic::body::Body;
use tower::{Layer, Service};

use super::Caller;
use crate::ledger::Ledger;

/// Puts the question before a service.
#[derive(Debug, Clone)]
pub(super) struct AuthzLayer {
    ledger: Ledger,
    tls: ServerTls,
}

impl AuthzLayer {
    pub(super) fn new(ledger: Ledger, tls: ServerTls) -> Self {
        Self { ledger, tls }
    }
}

impl<S> Layer<S> for AuthzLayer {
    type Service = Authz<S>;

    fn layer(&self, inner: S) -> Authz<S> {
        Authz {
            inner,
            ledger: self.ledger.clone(),
            tls: self.tls.clone(),
        }
    }
}

/// A service that only answers those who may ask.
#[derive(Debug, Clone)]
pub(super) struct Authz<S> {
    inner: S,
    ledger: Ledger,
    tls: ServerTls,
}

impl<S> Authz<S> {
    fn check<B>(&self, request: &http::Request<B>) -> Result<(), Box<Finding>> {
        let path = request.uri().path();
        let Some(caller) = request.extensions().get::<Caller>() else {
            return authz::authorise(path, authz::Caller::Anyone, "a caller without certificate").map(drop);
        };
        let subject = caller.peer.role.to_string();
        // Whoever was let in may have been revoked since.
        if self
            .ledger
            .content()
            .revoked
            .fingerprints
            .contains(&caller.peer.fingerprint)
        {
            let message = format!("the certificate {} was revoked", caller.peer.fingerprint);
            let next = "if that is wrong, have a new certificate made for it";
            return Err(Box::new(Finding::new(Code::TlsRevoked, subject, message, next)));
        }
        // Or its certificate may have come to its end, or its CA to be trusted no more.
        if let Err(refusal) = self.tls.check(&caller.peer)
            && let Some(finding) = quorate_reception::finding(&subject, &refusal)
        {
            return Err(Box::new(finding));
        }
        let of_agent = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        if of_agent.is_none_or(|(service, _)| service != SERVICE_NAME) {
            let message = format!("an agent does not serve {path}");
            let next = "check address and port: 7443 is an agent's, 7440 the coordinator's";
            return Err(Box::new(Finding::new(Code::RoleNotAllowed, subject, message, next)));
        }
        authz::authorise(path, kind(&caller.peer.role), &subject).map(drop)
    }
}

fn kind(role: &Role) -> authz::Caller {
    match role {
        Role::Coordinator => authz::Caller::Coordinator,
        Role::Node { .. } => authz::Caller::Node,
        Role::Operator { .. } => authz::Caller::Operator,
        Role::Viewer { .. } => authz::Caller::Viewer,
    }
}

impl<S, B> Service<http::Request<B>> for Authz<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = tokio_util::either::Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        match self.check(&request) {
            Ok(()) => tokio_util::either::Either::Left(self.inner.call(request)),
            Err(finding) => {
                tracing::warn!(path = request.uri().path(), %finding, "refused a call");
                tokio_util::either::Either::Right(ready(Ok(refuse(*finding).into_http())))
            }
        }
    }
}
