//! How a call to an agent fails, sorted by what may be concluded: it never left, nobody knows, or the agent said no.

use std::error::Error;
use std::io;
use std::time::Duration;

use quorate_engine::ports::AgentError;
use quorate_identity::Refusal;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::time::spoken;
use quorate_model::{Code, Finding, NodeRef, Unknown, UnknownKind};
use quorate_proto::to_failure;
use tonic::{Response, Status};

use crate::trust;

/// Why a call brought no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum CallError {
    /// No connection came about, so that the request certainly did not leave.
    #[error("{reason}")]
    NotReached {
        /// Why.
        reason: String,
        /// What it means, if it is more than a missing connection.
        finding: Option<Box<Finding>>,
    },
    /// The connection broke, or the deadline passed: the agent may have it.
    #[error("{0}")]
    NoAnswer(String),
    /// The agent's own answer.
    #[error("{0}")]
    Refused(Box<Failure>),
}

/// Makes a call within a deadline.
pub(super) async fn within<T>(
    deadline: Duration,
    node: &NodeRef,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(CallError::of(node, &status)),
        Err(_) => Err(CallError::NoAnswer(format!("no answer within {}", spoken(deadline)))),
    }
}

impl CallError {
    /// Sorts what tonic reports. Our own connector's refusal in the chain proves that there was no connection; details
    /// prove that an agent has spoken; anything else proves nothing.
    pub(super) fn of(node: &NodeRef, status: &Status) -> Self {
        if let Some(refusal) = find::<Refusal>(status) {
            let finding = trust::finding(&node.to_string(), refusal).map(Box::new);
            return Self::NotReached {
                reason: trust::sentence(refusal),
                finding,
            };
        }
        if status.details().is_empty() {
            let broke = find::<io::Error>(status).map(|error| format!("the connection broke ({})", error.kind()));
            return Self::NoAnswer(broke.unwrap_or_else(|| to_failure(status).to_string()));
        }
        Self::Refused(Box::new(to_failure(status)))
    }

    /// An answer that makes no sense.
    pub(super) fn garbled(error: &(dyn Error + 'static)) -> Self {
        Self::NoAnswer(format!("the answer can't be understood: {}", trust::sentence(error)))
    }

    /// For a view: nothing is known, and this is why.
    pub(super) fn unknown(&self) -> Unknown {
        let kind = match self {
            Self::NotReached { .. } => UnknownKind::Unreachable,
            Self::NoAnswer(_) => UnknownKind::TimedOut,
            Self::Refused(_) => UnknownKind::Failed,
        };
        Unknown::new(kind, self.to_string())
    }

    /// For the engine.
    pub(super) fn into_agent_error(self, node: &NodeRef) -> AgentError {
        match self {
            Self::NotReached {
                finding: Some(finding), ..
            } => AgentError::Refused(finding),
            Self::NotReached { reason, finding: None } => AgentError::NotReached(reason),
            Self::NoAnswer(reason) => AgentError::NoAnswer(reason),
            Self::Refused(failure) if failure.exit == ExitCode::NotFound => AgentError::NotKnown,
            Self::Refused(failure) => AgentError::Refused(Box::new(refusing_finding(*failure, node))),
        }
    }
}

/// The finding that an agent's refusal stands on; where it named none, its words as one.
fn refusing_finding(failure: Failure, node: &NodeRef) -> Finding {
    let message = failure.to_string();
    let next = failure.hints.into_iter().next().unwrap_or_default();
    let named = failure.findings.into_iter().max_by_key(|finding| finding.severity);
    named.unwrap_or_else(|| Finding::new(Code::StepFailed, node.to_string(), message, next))
}

/// The error of this type in a status's chain of causes.
fn find<E: Error + 'static>(status: &Status) -> Option<&E> {
    let mut next: Option<&(dyn Error + 'static)> = status.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use quorate_proto::refuse;

    use super::*;

    fn node() -> NodeRef {
        "hk1/prox1".parse().unwrap()
    }

    #[test]
    fn an_agents_own_word_keeps_its_finding() {
        let status = refuse(Finding::new(
            Code::PolicyForbids,
            "prox1",
            "its policy forbids it",
            "change it",
        ));
        let error = CallError::of(&node(), &status);
        assert!(matches!(&error, CallError::Refused(_)), "{error:?}");
        match error.into_agent_error(&node()) {
            AgentError::Refused(finding) => assert_eq!(finding.code, Code::PolicyForbids),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_transport_says_proves_nothing() {
        for status in [
            Status::unavailable("broken pipe"),
            Status::cancelled("h2 reset"),
            Status::unknown("x"),
        ] {
            let error = CallError::of(&node(), &status).into_agent_error(&node());
            assert!(matches!(error, AgentError::NoAnswer(_)), "{error:?}");
        }
    }

    #[test]
    fn an_unknown_operation_is_told_apart() {
        let status = quorate_proto::to_status(Failure::new(ExitCode::NotFound, "no such operation"));
        assert_eq!(
            CallError::of(&node(), &status).into_agent_error(&node()),
            AgentError::NotKnown
        );
    }
}
