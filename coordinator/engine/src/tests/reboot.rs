//! A server that restarts takes its agent along: it is silent for minutes, and only another boot tells that it has been away.

use std::time::Duration;

use quorate_model::operation::ActionKind;
use quorate_model::rollout::{RolloutResult, StepState, StopKind};

use super::corpus::{Case, bare};
use super::{Run, summary};
use crate::memory::plans::{plan, reboot};

const THREE: &[&str] = &["prox1", "prox2", "prox3"];

fn roll() -> Case {
    Case {
        name: "two servers restart one after another",
        plan: plan(vec![
            reboot("hk1", "prox1", &[]),
            reboot("hk1", "prox2", &["reboot/prox1"]),
        ]),
        world: || bare().with_cluster("hk1", THREE),
        becomes: &[],
    }
}

async fn away_once_begun(run: &Run) {
    while !run.told().iter().any(|t| t.starts_with("reboot/prox1: accepted")) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    run.world.isolate("prox1");
}

fn rebooted(run: &Run) -> Vec<String> {
    let log = run.world.log();
    let whole = log.iter().filter(|d| d.kind == ActionKind::RebootNode && d.whole);
    whole.map(|d| d.node.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn one_that_is_back_after_minutes_lets_the_next_one_begin() {
    let case = roll();
    let run = Run::of(&case);
    let back = async {
        away_once_begun(&run).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        run.world.heal("prox1");
    };
    let (result, ()) = tokio::join!(run.end(), back);
    assert_eq!(result, RolloutResult::Done, "{:#?}", run.told());
    assert_eq!(rebooted(&run), ["prox1", "prox2"]);
}

#[tokio::test(start_paused = true)]
async fn the_roll_stops_where_one_is_not_back_in_time() {
    let case = roll();
    let run = Run::of(&case);
    let (result, ()) = tokio::join!(run.end(), away_once_begun(&run));
    assert_eq!(result, RolloutResult::Failed, "{:#?}", run.told());
    assert_eq!(rebooted(&run), ["prox1"], "no other server is touched");
    let summary = summary(&super::rollout(), &run.entries()).unwrap().unwrap();
    let states: Vec<StepState> = summary.steps.into_iter().map(|(_, state)| state).collect();
    assert_eq!(
        states,
        [StepState::Stopped { kind: StopKind::Stuck }, StepState::Waiting]
    );
}
