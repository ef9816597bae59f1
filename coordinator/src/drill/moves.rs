//! Guests are moved out of a drill's way, and back: ordinary rollouts, followed to their ends.

use std::collections::BTreeSet;

use quorate_identity::Scope;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{NodeName, RolloutId};
use quorate_model::operation::Action;
use quorate_model::plan::{Plan, Step};
use quorate_model::rollout::{Progress, Record, RolloutResult};
use quorate_model::{StepId, View};
use quorate_proto::authz::Caller;

use super::state::Running;
use crate::incoming::{Proof, Who};
use crate::rollouts::{Order, Rollouts};
use crate::storage_secret::Given;

/// As whom a drill moves guests.
pub(super) fn who(running: &Running) -> Who {
    Who {
        caller: Caller::Socket,
        name: format!("{} ({})", running.operator, running.name()),
        from: None,
        proof: Proof::None,
        scope: Scope::Fleet,
    }
}

/// Begins a rollout of these steps for a drill, with what was consented to for them. It goes on without us.
///
/// # Errors
/// Nothing was begun.
pub(super) async fn begin(
    rollouts: &std::sync::Arc<Rollouts>,
    running: &Running,
    (steps, consents): (Vec<Step>, Vec<String>),
) -> Result<RolloutId, Failure> {
    let plan = Plan {
        cluster: running.cluster.clone(),
        spec_digest: running.spec.digest.clone(),
        steps,
        findings: vec![],
    };
    let file = quorate_model::spec::ClusterFile::parse(&running.spec.name, &running.spec.text);
    let file = file.map_err(|findings| {
        Failure::new(ExitCode::Failed, "the cluster file of the drill can't be read any more").with(findings)
    })?;
    let order = Order {
        by: who(running),
        accepted: vec![],
        consents,
        text: running.spec.text.clone(),
        windows: file.cluster.maintenance.iter().map(|window| window.value).collect(),
        whole: false,
        given: Given::default(),
        of_drill: true,
    };
    rollouts.begin(plan, order).await
}

/// Follows a rollout to its end. `say` is told of each step.
///
/// # Errors
/// It is not under way, and has not ended.
pub(super) async fn follow(
    rollouts: &std::sync::Arc<Rollouts>,
    id: &RolloutId,
    mut say: impl FnMut(String),
) -> Result<RolloutResult, Failure> {
    let (_, mut told) = rollouts.watch(Some(id.clone())).await?;
    while let Some(progress) = told.recv().await {
        let Progress::Entry(entry) = progress? else { continue };
        match entry.record {
            Record::Verified { step, evidence } => say(format!("{step}: {evidence}")),
            Record::Stopped { step, findings, .. } => {
                let why: Vec<String> = findings.iter().map(|finding| finding.message.clone()).collect();
                say(format!("{step} stopped: {}", why.join("; ")));
            }
            Record::Finished { result } => return Ok(result),
            _ => {}
        }
    }
    Err(Failure::new(
        ExitCode::Failed,
        format!("nobody tells any more how rollout {id} goes on"),
    ))
}

/// A rollout of this drill that was begun before its id was kept: nobody else's can have begun since.
///
/// # Errors
/// The rollouts can't be read.
pub(super) async fn begun_before(rollouts: &Rollouts, running: &Running) -> Result<Option<RolloutId>, Failure> {
    let all = rollouts.summaries().await?;
    let name = format!("({})", running.name());
    let of_it = all.into_iter().filter(|one| {
        one.cluster == running.cluster
            && one.created_at >= running.began
            && one.by.ends_with(&name)
            && !running.moves.begun().any(|known| *known == one.id)
    });
    Ok(of_it.max_by_key(|one| one.created_at).map(|one| one.id))
}

/// The steps that are still to be done: of guests that are where the step takes them from. Where a guest is can't be told: it is left to the step's own
/// gate.
pub(super) fn still_due(steps: &[Step], view: &View) -> Vec<Step> {
    let due: Vec<&Step> = steps.iter().filter(|step| is_due(step, view)).collect();
    let ids: BTreeSet<&StepId> = due.iter().map(|step| &step.id).collect();
    due.iter()
        .map(|step| {
            let mut step = (*step).clone();
            step.needs.retain(|id| ids.contains(id));
            step
        })
        .collect()
}

fn is_due(step: &Step, view: &View) -> bool {
    let Action::MigrateGuest { guest, .. } = &step.action else {
        return true;
    };
    owner(view, *guest).is_none_or(|owner| owner == step.node)
}

/// Whose guest it is, by the word of a quorate member.
pub(super) fn owner(view: &View, guest: u32) -> Option<NodeName> {
    let speaks = view.nodes.keys().filter(|node| {
        let cluster = view.cluster_of(node).ok();
        cluster
            .and_then(|cluster| cluster.member())
            .is_some_and(|member| member.quorate)
    });
    let mut guests = speaks.filter_map(|node| view.facet(node, |o| &o.guests).ok());
    let found = guests.next()?.iter().find(|one| one.vmid == guest)?;
    found.node.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_says_where_a_guest_is_its_step_asks_itself() {
        assert_eq!(owner(&View::default(), 100), None);
        assert!(still_due(&[], &View::default()).is_empty());
    }
}
