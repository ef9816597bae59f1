//! Rollouts: listed, watched, cancelled.

use std::pin::Pin;

use quorate_identity::{Name, Scope};
use quorate_model::RolloutId;
use quorate_model::failure::{ExitCode, Failure};
use quorate_proto::{Wire, field, to_status, v1};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use super::Api;
use crate::incoming::Who;

impl Api {
    pub(super) async fn list_rollouts(&self, by: &Who) -> Result<v1::ListRolloutsReply, Failure> {
        let summaries = self.rollouts.summaries().await?.into_iter();
        let theirs = summaries.filter(|one| by.scope.holds(one.cluster.as_str()));
        Ok(v1::ListRolloutsReply {
            rollouts: theirs.map(Wire::into_wire).collect(),
        })
    }

    /// Is this rollout theirs to see? Of one that nobody knows its name decides, which begins with its cluster's.
    pub(super) async fn theirs(&self, rollout: &RolloutId, by: &Who) -> Result<(), Failure> {
        let Scope::Clusters(clusters) = &by.scope else {
            return Ok(());
        };
        let summaries = self.rollouts.summaries().await?;
        if let Some(known) = summaries.iter().find(|one| one.id == *rollout) {
            return by.within(known.cluster.as_str());
        }
        let id = rollout.as_str();
        let begins = |cluster: &Name| {
            id.strip_prefix(cluster.as_str())
                .is_some_and(|rest| rest.starts_with('-'))
        };
        if clusters.iter().any(begins) {
            Ok(())
        } else {
            by.within(id)
        }
    }

    pub(super) async fn watch_rollout(
        &self,
        request: v1::WatchRolloutRequest,
        by: &Who,
    ) -> Result<Pin<Box<dyn Stream<Item = Result<v1::RolloutProgress, Status>> + Send>>, Failure> {
        let wanted = (!request.rollout.is_empty())
            .then(|| rollout_id(request.rollout))
            .transpose()?;
        match &wanted {
            Some(id) => self.theirs(id, by).await?,
            None => by.fleet_wide("the newest rollout, with none named,")?,
        }
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
        self.theirs(&id, by).await?;
        let let_go = self.rollouts.cancel(&id, by).await?;
        tracing::info!(rollout = %id, by = by.name, let_go, "cancel asked for");
        Ok(v1::CancelRolloutReply { let_go })
    }
}

fn rollout_id(text: String) -> Result<RolloutId, Failure> {
    field("rollout", text).map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))
}
