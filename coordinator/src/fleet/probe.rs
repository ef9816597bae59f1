//! The call by which a node calls something itself, and tells what came of it.

use quorate_proto::{limits, v1};
use tonic::Streaming;

use super::Peer;
use super::call::{CallError, within};

impl Peer {
    /// Has the node call something. The stream ends with the time that is asked for, with the connection, or with whoever drops it.
    pub(crate) async fn probe(&self, request: v1::ProbeRequest) -> Result<Streaming<v1::ProbeCalls>, CallError> {
        // A name is looked up there first, in real time, in a lab too.
        let deadline = self.quick().saturating_add(limits::PROBE_TIMEOUT);
        within(deadline, &self.name, self.client().probe(request)).await
    }
}
