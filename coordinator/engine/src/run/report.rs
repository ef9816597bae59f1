//! What is said when a step does not go well.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_model::StepId;
use quorate_model::finding::{Code, Finding, Severity};
use quorate_model::operation::{Action, Outcome};
use quorate_model::plan::{Plan, Step};
use quorate_model::rollout::StopKind;
use quorate_model::time::spoken;

use super::advice;
use crate::recovery::Sight;

/// The gate did not hold for long enough.
pub(super) fn held(step: &Step, why: &str, waited: Duration) -> Finding {
    let message = format!(
        "not started ({}): {why}, and this did not change within {}",
        step.title,
        spoken(waited)
    );
    let next = match step.action {
        Action::PowerOff { .. } => advice::next(step),
        _ => "mend that; then: quorate apply FILE".to_owned(),
    };
    let mut finding = Finding::new(Code::StepFailed, step.node.as_str(), message, next);
    finding.severity = Severity::Refusal;
    finding
}

/// It may not begin, and for as long as it waits something is not as it was.
pub(super) fn not_waited_for(step: &Step, open: &[String]) -> Finding {
    let message = format!(
        "not started ({}), so that what was done for it is taken back: {}",
        step.title,
        open.join(", ")
    );
    let next = "when the cluster may be disturbed again: quorate apply FILE";
    let mut finding = Finding::new(Code::StepFailed, step.node.as_str(), message, next);
    finding.severity = Severity::Refusal;
    finding
}

/// It is known not to have come about.
pub(super) fn failed(step: &Step, why: &str) -> Finding {
    let message = format!("did not come about ({}): {why}", step.title);
    Finding::new(Code::StepFailed, step.node.as_str(), message, advice::next(step))
}

/// The agent was never reached.
pub(super) fn not_reached(step: &Step, why: &str) -> Finding {
    let message = format!(
        "not begun ({}), nothing was changed: the agent on {} was not reached: {why}",
        step.title, step.node
    );
    let next = format!(
        "on {}: systemctl status quorate-agent; then: quorate apply FILE",
        step.node
    );
    Finding::new(Code::NodeUnreachable, step.node.as_str(), message, next)
}

/// Nobody can tell.
pub(super) fn stuck(step: &Step, why: &str) -> Finding {
    let message = format!("what became of it can't be told ({}): {why}", step.title);
    let next = format!(
        "change nothing else on {} before it is clear; {}; it is undone {}",
        step.node,
        advice::next(step),
        step.undo
    );
    Finding::new(Code::StepStuck, step.node.as_str(), message, next)
}

/// What was done for the time of the rollout could not be taken back.
pub(super) fn not_restored(plan: &Plan, step: &Step) -> Finding {
    let left = advice::left_behind(plan, step);
    Finding::new(Code::NotRestored, step.node.as_str(), left.what, left.mend)
}

/// What is not begun because a step stopped, and what is taken back all the same.
pub(super) fn aftermath(plan: &Plan, stopped: &Step) -> Option<Finding> {
    let mut after: BTreeSet<&StepId> = BTreeSet::from([&stopped.id]);
    let (mut never, mut restoring): (Vec<&str>, Vec<&str>) = (vec![], vec![]);
    // The plan's order is one in which steps can be done: whoever needs a step stands after it.
    for step in &plan.steps {
        let leans = step.needs.iter().any(|need| after.contains(need));
        if !leans {
            continue;
        }
        after.insert(&step.id);
        if step.restores.is_some() {
            restoring.push(step.id.as_str());
        } else {
            never.push(step.id.as_str());
        }
    }
    if never.is_empty() {
        return None;
    }
    let mut message = format!("not begun because of it: {}", never.join(", "));
    if !restoring.is_empty() {
        message.push_str(&format!("; carried out all the same: {}", restoring.join(", ")));
    }
    let mut finding = Finding::new(Code::StepFailed, stopped.node.as_str(), message, "quorate rollout show");
    finding.severity = Severity::Note;
    Some(finding)
}

/// What the agent found, or that it found nothing to name.
pub(super) fn of_outcome(step: &Step, outcome: &Outcome) -> Vec<Finding> {
    match outcome {
        Outcome::Failed { findings, .. } if !findings.is_empty() => findings.clone(),
        Outcome::Failed { .. } => vec![failed(step, "the agent says that it failed, and not why")],
        Outcome::Unknown { reason, .. } => vec![stuck(step, reason)],
        Outcome::Done { .. } => vec![],
    }
}

/// An attempt ended, what was wanted is not there, and there will be no other attempt.
pub(super) fn ended_badly(step: &Step, outcome: &Outcome, sight: &Sight) -> (StopKind, Vec<Finding>) {
    let seen = match sight {
        Sight::Reached(_) => "it is there after all",
        Sight::Clean(why) | Sight::Mixed { wanted: why, .. } | Sight::Unseen(why) => why.as_str(),
    };
    match (outcome, sight) {
        (Outcome::Failed { .. }, Sight::Mixed { .. } | Sight::Unseen(_)) => {
            let mut findings = of_outcome(step, outcome);
            findings.push(failed(step, seen));
            (StopKind::Failed, findings)
        }
        (Outcome::Failed { .. }, _) => (StopKind::Failed, of_outcome(step, outcome)),
        (Outcome::Done { evidence }, Sight::Clean(_)) => (
            StopKind::Failed,
            vec![failed(
                step,
                &format!("the agent says that it is done ({evidence}), but {seen}"),
            )],
        ),
        (Outcome::Unknown { reason, over: true }, Sight::Clean(_)) => {
            (StopKind::Failed, vec![failed(step, &format!("{reason}; {seen}"))])
        }
        (Outcome::Done { evidence }, _) => (
            StopKind::Stuck,
            vec![stuck(
                step,
                &format!("the agent says that it is done ({evidence}), but {seen}"),
            )],
        ),
        (Outcome::Unknown { reason, .. }, _) => (StopKind::Stuck, vec![stuck(step, &format!("{reason}; {seen}"))]),
    }
}
