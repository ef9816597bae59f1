//! The names that gRPC wants in its requests. Nobody resolves them: every connection is made by a connector of ours,
//! and who answers is decided by TLS or by the socket's owner.

/// For calls to the coordinator.
pub(crate) const COORDINATOR: &str = "http://coordinator.quorate.internal";

/// For calls to a node's agent.
pub(crate) const AGENT: &str = "http://agent.quorate.internal";
