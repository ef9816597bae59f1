//! What is said when a step does not go well.

use std::time::Duration;

use quorate_model::finding::{Code, Finding, Severity};
use quorate_model::operation::Outcome;
use quorate_model::plan::Step;
use quorate_model::rollout::StopKind;
use quorate_model::time::spoken;

use crate::recovery::Sight;

/// The gate did not hold for long enough.
pub(super) fn held(step: &Step, why: &str, waited: Duration) -> Finding {
    let message = format!(
        "not started ({}): {why}, and this did not change within {}",
        step.title,
        spoken(waited)
    );
    let mut finding = Finding::new(
        Code::StepFailed,
        step.node.as_str(),
        message,
        "mend that, then plan and apply again",
    );
    finding.severity = Severity::Refusal;
    finding
}

/// It is known not to have come about.
pub(super) fn failed(step: &Step, why: &str) -> Finding {
    let message = format!("did not come about ({}): {why}", step.title);
    Finding::new(
        Code::StepFailed,
        step.node.as_str(),
        message,
        "plan again to see what is left to do",
    )
}

/// The agent was never reached.
pub(super) fn not_reached(step: &Step, why: &str) -> Finding {
    let message = format!(
        "not begun ({}), nothing was changed: the agent on {} was not reached: {why}",
        step.title, step.node
    );
    let next = format!(
        "on {}: systemctl status quorate-agent; then plan and apply again",
        step.node
    );
    Finding::new(Code::NodeUnreachable, step.node.as_str(), message, next)
}

/// Nobody can tell.
pub(super) fn stuck(step: &Step, why: &str) -> Finding {
    let message = format!("what became of it can't be told ({}): {why}", step.title);
    let next = format!(
        "look at {} before anything else is changed there; it is undone {}",
        step.node, step.undo
    );
    Finding::new(Code::StepStuck, step.node.as_str(), message, next)
}

/// What the agent found, or that it found nothing to name.
pub(super) fn of_outcome(step: &Step, outcome: &Outcome) -> Vec<Finding> {
    match outcome {
        Outcome::Failed { findings, .. } if !findings.is_empty() => findings.clone(),
        Outcome::Failed { .. } => vec![failed(step, "the agent says that it failed, and not why")],
        Outcome::Unknown { reason } => vec![stuck(step, reason)],
        Outcome::Done { .. } => vec![],
    }
}

/// An attempt ended, what was wanted is not there, and there will be no other attempt.
pub(super) fn ended_badly(step: &Step, outcome: &Outcome, sight: &Sight) -> (StopKind, Vec<Finding>) {
    let seen = match sight {
        Sight::Clean | Sight::Reached(_) => "nothing of it is to be seen",
        Sight::Mixed { wanted: why, .. } | Sight::Unseen(why) => why.as_str(),
    };
    match (outcome, sight) {
        (Outcome::Failed { .. }, Sight::Mixed { .. } | Sight::Unseen(_)) => {
            let mut findings = of_outcome(step, outcome);
            findings.push(failed(step, seen));
            (StopKind::Failed, findings)
        }
        (Outcome::Failed { .. }, _) => (StopKind::Failed, of_outcome(step, outcome)),
        (Outcome::Done { evidence }, Sight::Clean) => (
            StopKind::Failed,
            vec![failed(
                step,
                &format!("the agent says that it is done ({evidence}), but {seen}"),
            )],
        ),
        (Outcome::Unknown { reason }, Sight::Clean) => {
            (StopKind::Failed, vec![failed(step, &format!("{reason}; {seen}"))])
        }
        (Outcome::Done { evidence }, _) => (
            StopKind::Stuck,
            vec![stuck(
                step,
                &format!("the agent says that it is done ({evidence}), but {seen}"),
            )],
        ),
        (Outcome::Unknown { reason }, _) => (StopKind::Stuck, vec![stuck(step, &format!("{reason}; {seen}"))]),
    }
}
