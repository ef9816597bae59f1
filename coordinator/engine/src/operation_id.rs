//! The ids of operations: chosen before the request leaves, the same for the same attempt whoever computes it.

use quorate_model::ids::{InvalidName, OperationId, RolloutId};
use quorate_model::plan::{Plan, Step};

/// `ROLLOUT.NUMBER-STEP.ATTEMPT`, such as `hk1-7.2-cluster.join-prox2.1`: unique by rollout, number of the step in the plan, and
/// attempt. The step's name is there for people, and shortened where the whole would be too long.
///
/// # Errors
/// The rollout's id leaves no room for a valid one.
pub fn operation_id(rollout: &RolloutId, plan: &Plan, step: &Step, attempt: u32) -> Result<OperationId, InvalidName> {
    /// Longest operation id.
    const LONGEST: usize = 128;
    let number = plan
        .steps
        .iter()
        .position(|s| s.id == step.id)
        .map_or(0, |index| index + 1);
    let head = format!("{}.{number}-", plain(rollout.as_str()));
    let tail = format!(".{attempt}");
    let room = LONGEST.saturating_sub(head.len() + tail.len());
    let name: String = plain(step.id.as_str()).chars().take(room).collect();
    OperationId::new(format!("{head}{}{tail}", name.trim_end_matches('.')))
}

/// Agents name a folder by the id.
fn plain(text: &str) -> String {
    text.replace(['/', ':'], "-")
}
