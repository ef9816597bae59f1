//! What is looked at, and when: every look costs a tool or five on each of up to 32 servers.

use quorate_model::plan::{Needs, Step};
use quorate_model::rollout::RolloutResult;

use super::{Run, corpus};

/// What a step's gate and outcome are about.
fn both(step: &Step) -> Needs {
    let mut needs = step.done_when.needs();
    for condition in &step.gate {
        for (node, facets) in condition.needs() {
            needs.entry(node).or_default().extend(facets);
        }
    }
    needs
}

#[tokio::test(start_paused = true)]
async fn what_only_has_to_settle_is_not_asked_about_its_gate_again() {
    for case in corpus() {
        let run = Run::of(&case);
        assert_eq!(run.end().await, RolloutResult::Done, "{}", case.name);
        let (mut expected, mut looks) = (Vec::new(), run.world.looks());
        for step in &case.plan.steps {
            expected.extend([both(step), step.done_when.needs()]);
        }
        // Steps of different branches take turns, and a server takes its time to go off.
        let order = |needs: &Needs| format!("{needs:?}");
        for all in [&mut expected, &mut looks] {
            all.sort_by_key(order);
            all.dedup();
        }
        assert_eq!(looks, expected, "{}", case.name);
    }
}
