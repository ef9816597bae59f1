//! What a canary has shown is kept.

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::reach::Reach;
use quorate_proto::{field, v1};

use super::Api;
use crate::audit::{Act, By, What};
use crate::incoming::Who;
use crate::reach::ReachError;
use crate::trust;

impl Api {
    pub(super) async fn keep_reach(
        &self,
        request: v1::KeepReachRequest,
        by: &Who,
    ) -> Result<v1::KeepReachReply, Failure> {
        let reach: Reach =
            field("reach", request.reach).map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))?;
        by.within(reach.cluster.as_str())?;
        self.may_change()?;
        let cluster = self.known_cluster(reach.cluster.to_string())?;
        let what = What::KeepReach {
            node: reach.node.to_string(),
            bridge: reach.bridge.clone(),
            guest: reach.guest,
        };
        self.audit
            .note(Act::new(By::caller(by), what).in_cluster(&cluster))
            .await?;
        // Whoever calls may have another clock.
        let at = trust::now(&self.fleet.clock);
        self.reaches
            .keep(Reach { at, ..reach })
            .map_err(|error| unusable(&error))?;
        Ok(v1::KeepReachReply {})
    }
}

fn unusable(error: &ReachError) -> Failure {
    Failure::new(ExitCode::Failed, "what the canary has shown can't be kept").because(error)
}
