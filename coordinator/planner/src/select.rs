//! A part of a plan: `--only` and `--until`. What a chosen step needs comes along, and what takes back what a chosen step does for
//! the time of the rollout.

use std::collections::BTreeSet;

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{NodeName, StepId};
use quorate_model::plan::{Plan, Step};
use quorate_model::spec::ClusterFile;
use quorate_model::wish::Wish;

use crate::report::in_order;

/// Nothing that a plan could have is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plan has no step `{wanted}`; it has {there}")]
pub struct NoSuchStep {
    /// What was asked for.
    pub wanted: String,
    /// The steps that there are, or that there are none.
    pub there: String,
}

/// The parts that a plan may have.
const PARTS: [&str; 11] = [
    "agent",
    "packages",
    "cluster",
    "link",
    "qdevice",
    "ha",
    "firewall",
    "zfs",
    "storage",
    "options",
    "replication",
];

/// The plan, or the part of it that the wish asks for by `only` and `until`; of both, what both mean. A plan without steps stays
/// so, whatever part of it is asked for: all of that is done. If that is so of the part alone, a plan without steps says it.
///
/// # Errors
/// No plan has anything of that name.
pub fn select(plan: Plan, file: &ClusterFile, wish: &Wish) -> Result<Plan, NoSuchStep> {
    if plan.is_empty() {
        return Ok(plan);
    }
    let mut chosen: Option<BTreeSet<StepId>> = None;
    if let Some(part) = &wish.only {
        // What takes something back comes along with that; alone it would bring everything before it.
        let named = plan
            .steps
            .iter()
            .filter(|s| is_part(&s.id, part) && s.restores.is_none());
        let named = named.map(|s| s.id.clone()).collect();
        chosen = Some(with_needs(&plan, named, possible(part, file, wish), part)?);
    }
    if let Some(step) = &wish.until {
        let named = plan.step(step).map(|s| s.id.clone()).into_iter().collect();
        let step = step.as_str();
        let until = with_needs(&plan, named, possible(step, file, wish), step)?;
        chosen = Some(match chosen {
            None => until,
            Some(only) => only.intersection(&until).cloned().collect(),
        });
    }
    let Some(mut chosen) = chosen else {
        return Ok(plan);
    };
    // What takes something back may be taken back itself, by a step that comes after it.
    for step in &plan.steps {
        if step.restores.as_ref().is_some_and(|r| chosen.contains(r)) {
            chosen.insert(step.id.clone());
        }
    }
    if chosen.is_empty() {
        return Ok(nothing_left(plan, wish));
    }
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

/// Could a plan of this file have it, as far as the name tells? Then that there is none means that it is done.
fn possible(wanted: &str, file: &ClusterFile, wish: &Wish) -> bool {
    let of_part = |part: &&str| {
        wanted
            .strip_prefix(*part)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '/']))
    };
    // Of a server that nobody has spoken of, nothing can be done.
    let about = wanted
        .split_once('/')
        .and_then(|(_, rest)| rest.parse::<NodeName>().ok());
    let number = |name: &NodeName| name.as_str().bytes().all(|byte| byte.is_ascii_digit());
    let known = |name: NodeName| {
        let text = name.as_str();
        number(&name)
            || file.storages.keys().any(|storage| storage.as_str() == text)
            || file.pools.keys().any(|pool| pool.as_str() == text)
            || file.nodes.contains_key(&name)
            || file.cluster.name.value.as_str() == text
            || wish.undo_join.contains(&name)
            || wish.removed().any(|removed| *removed == name)
    };
    PARTS.iter().any(of_part) && about.is_none_or(known)
}

/// A step that restores is not chosen for its own sake: what it takes back was not done without its step.
fn with_needs(
    plan: &Plan,
    named: BTreeSet<StepId>,
    possible: bool,
    wanted: &str,
) -> Result<BTreeSet<StepId>, NoSuchStep> {
    if named.is_empty() && !possible {
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

fn nothing_left(plan: Plan, wish: &Wish) -> Plan {
    let asked = [wish.only.as_deref(), wish.until.as_ref().map(StepId::as_str)];
    let asked: Vec<&str> = asked.into_iter().flatten().collect();
    let left: Vec<&str> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    let mut findings = plan.findings;
    findings.push(Finding::new(
        Code::PartDone,
        plan.cluster.as_str(),
        format!("nothing of `{}` is left to do", asked.join("` and `")),
        format!("these steps are left: {}", left.join(", ")),
    ));
    Plan {
        steps: Vec::new(),
        findings: in_order(findings),
        ..plan
    }
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
