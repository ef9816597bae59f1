//! Calls from nodes, for a drill.

use quorate_model::NodeName;
use quorate_proto::v1;
use tonic::Streaming;

use super::ClusterAgents;

impl ClusterAgents {
    /// Has a node call something.
    ///
    /// # Errors
    /// In words: why it does not.
    pub(crate) async fn probe(
        &self,
        node: &NodeName,
        request: v1::ProbeRequest,
    ) -> Result<Streaming<v1::ProbeCalls>, String> {
        let peer = self.peer(node).map_err(|error| error.to_string())?;
        peer.probe(request).await.map_err(|error| error.to_string())
    }
}
