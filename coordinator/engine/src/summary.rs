//! A rollout in one line of a list, from its journal.

use quorate_model::ids::RolloutId;
use quorate_model::rollout::{Entry, StepState, Summary};

use crate::log::{IllegalRecord, RolloutState};

/// The summary of a rollout; `None` while it has no records.
///
/// # Errors
/// The journal is not one that the engine could have written.
pub fn summary(id: &RolloutId, entries: &[Entry]) -> Result<Option<Summary>, IllegalRecord> {
    let state = RolloutState::replay(entries)?;
    Ok(state.created().map(|created| Summary {
        id: id.clone(),
        cluster: created.plan.cluster.clone(),
        created_at: created.at,
        by: created.by.clone(),
        result: state.finished().map(|(result, _)| result),
        finished_at: state.finished().map(|(_, at)| at),
        steps: created
            .plan
            .steps
            .iter()
            .map(|step| {
                (
                    step.id.clone(),
                    state
                        .log_of(&step.id)
                        .map_or(StepState::Waiting, |log| log.state.clone()),
                )
            })
            .collect(),
        not_restored: state.not_restored().cloned().collect(),
    }))
}
