//! A part of a plan: `--only` and `--until`. What a chosen step needs comes along, and what takes back what a chosen step does for
//! the time of the rollout.

use std::collections::BTreeSet;

use quorate_model::ids::StepId;
use quorate_model::plan::{Plan, Step};
use quorate_model::wish::Wish;

/// Nothing of the plan is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plan has no step `{wanted}`; it has {there}")]
pub struct NoSuchStep {
    /// What was asked for.
    pub wanted: String,
    /// The steps that there are, or that there are none.
    pub there: String,
}

/// The plan, or the part of it that the wish asks for by `only` and `until`; of both, what both mean. A plan without steps stays
/// so, whatever part of it is asked for: all of that is done.
///
/// # Errors
/// Nothing has that name.
pub fn select(plan: Plan, wish: &Wish) -> Result<Plan, NoSuchStep> {
    if plan.is_empty() {
        return Ok(plan);
    }
    let mut chosen: Option<BTreeSet<StepId>> = None;
    if let Some(part) = &wish.only {
        let named = plan.steps.iter().filter(|s| is_part(&s.id, part)).map(|s| s.id.clone());
        chosen = Some(with_needs(&plan, named.collect(), part)?);
    }
    if let Some(step) = &wish.until {
        let named = plan.step(step).map(|s| s.id.clone()).into_iter().collect();
        let until = with_needs(&plan, named, step.as_str())?;
        chosen = Some(match chosen {
            None => until,
            Some(only) => only.intersection(&until).cloned().collect(),
        });
    }
    let Some(mut chosen) = chosen else {
        return Ok(plan);
    };
    let back = plan
        .steps
        .iter()
        .filter(|s| s.restores.as_ref().is_some_and(|r| chosen.contains(r)));
    let back: Vec<StepId> = back.map(|s| s.id.clone()).collect();
    chosen.extend(back);
    let steps = plan
        .steps
        .iter()
        .filter(|s| chosen.contains(&s.id))
        .map(|step| Step {
            needs: needs_among(&plan, step, &chosen),
            ..step.clone()
        })
        .collect();
    Ok(Plan { steps, ..plan })
}

/// `cluster` means `cluster.join/prox2`, and so does `cluster.join`; `clu` means nothing.
fn is_part(id: &StepId, part: &str) -> bool {
    let rest = id.as_str().strip_prefix(part.trim_end_matches(['.', '/']));
    rest.is_some_and(|rest| !part.is_empty() && (rest.is_empty() || rest.starts_with(['.', '/'])))
}

/// A step that restores is not chosen for its own sake: what it takes back was not done without its step.
fn with_needs(plan: &Plan, named: BTreeSet<StepId>, wanted: &str) -> Result<BTreeSet<StepId>, NoSuchStep> {
    if named.is_empty() {
        let ids: Vec<&str> = plan.steps.iter().map(|s| s.id.as_str()).collect();
        return Err(NoSuchStep {
            wanted: wanted.to_owned(),
            there: ids.join(", "),
        });
    }
    let mut chosen = BTreeSet::new();
    let mut open: Vec<StepId> = named.into_iter().collect();
    while let Some(id) = open.pop() {
        if let Some(step) = plan.step(&id)
            && chosen.insert(id)
        {
            open.extend(step.needs.iter().cloned());
        }
    }
    Ok(chosen)
}

/// Where a step needs one that was not chosen, it needs what that one needs.
fn needs_among(plan: &Plan, step: &Step, chosen: &BTreeSet<StepId>) -> Vec<StepId> {
    let mut needs: Vec<StepId> = Vec::new();
    let mut seen: BTreeSet<&StepId> = BTreeSet::new();
    let mut open: Vec<&StepId> = step.needs.iter().rev().collect();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        if chosen.contains(id) {
            needs.push(id.clone());
        } else if let Some(skipped) = plan.step(id) {
            open.extend(skipped.needs.iter().rev());
        }
    }
    needs
}
