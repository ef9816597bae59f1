//! Rollouts: listed, watched, cancelled.

use std::pin::Pin;

use quorate_model::RolloutId;
use quorate_model::failure::{ExitCode, Failure};
use quorate_proto::{Wire, field, to_status, v1};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use super::Api;
use crate::incoming::Who;

impl Api {
    pub(super) async fn list_rollouts(&self) -> Result<v1::ListRolloutsReply, Failure> {
        let summaries = self.rollouts.summaries().await?;
        Ok(v1::ListRolloutsReply {
            rollouts: summaries.into_iter().map(Wire::into_wire).collect(),
        })
    }

    pub(super) async fn watch_rollout(
        &self,
        request: v1::WatchRolloutRequest,
    ) -> Result<Pin<Box<dyn Stream<Item = Result<v1::RolloutProgress, Status>> + Send>>, Failure> {
        let wanted = (!request.rollout.is_empty())
            .then(|| rollout_id(request.rollout))
            .transpose()?;
        let (id, watched) = self.rollouts.watch(wanted).await?;
        let told = ReceiverStream::new(watched).map(move |progress| {
            progress
                .map(|progress| (id.clone(), progress).into())
                .map_err(to_status)
        });
        Ok(Box::pin(told))
    }

    pub(super) async fn cancel_rollout(
        &self,
        request: v1::CancelRolloutRequest,
        by: &Who,
    ) -> Result<v1::CancelRolloutReply, Failure> {
        let id = rollout_id(request.rollout)?;
        let let_go = self.rollouts.cancel(&id, by).await?;
        tracing::info!(rollout = %id, by = by.name, let_go, "cancel asked for");
        Ok(v1::CancelRolloutReply { let_go })
    }
}

fn rollout_id(text: String) -> Result<RolloutId, Failure> {
    field("rollout", text).map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))
}
