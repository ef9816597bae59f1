//! The ids of operations: chosen before the request leaves, the same for the same attempt whoever computes it.

use quorate_model::ids::{InvalidName, OperationId, RolloutId};
use quorate_model::plan::{Plan, Step};

/// `ROLLOUT.NUMBER-STEP.ATTEMPT`, such as `hk1-7.2-cluster.join-prox2.1`: unique by rollout, number of the step in the plan, and
/// attempt. The step's name is there for people, and shortened where the whole would be too long.
///
/// # Errors
/// The rollout's id leaves no room for a valid one.
pub fn operation_id(rollout: &RolloutId, plan: &Plan, step: &Step, attempt: u32) -> Result<OperationId, InvalidName> {
    let index = plan.steps.iter().position(|s| s.id == step.id);
    // A number that no step of the plan has, for one that is none.
    of_number(rollout, index.unwrap_or(plan.steps.len()), step, attempt)
}

/// The same for a step whose index in the plan is known.
pub(crate) fn of_number(
    rollout: &RolloutId,
    index: usize,
    step: &Step,
    attempt: u32,
) -> Result<OperationId, InvalidName> {
    /// Longest operation id.
    const LONGEST: usize = 128;
    let head = format!("{}.{}-", plain(rollout.as_str()), index + 1);
    let tail = format!(".{attempt}");
    let room = LONGEST.saturating_sub(head.len() + tail.len());
    let name: String = plain(step.id.as_str()).chars().take(room).collect();
    OperationId::new(format!("{head}{}{tail}", name.trim_end_matches('.')))
}

/// Agents name a folder by the id.
fn plain(text: &str) -> String {
    text.replace(['/', ':'], "-")
}
