//! A server that was told to go off and falls silent: only what was said of this very attempt, or silence within its time, counts.

use std::time::Duration;

use quorate_model::finding::Code;
use quorate_model::operation::ActionKind;
use quorate_model::rollout::{Record, RolloutResult, StepState, StopKind};

use super::{Case, Run, assert_clean, corpus};
use crate::memory::{Conduct, CrashPoint, Fault, Reply};

fn removal() -> Case {
    corpus().into_iter().find(|c| c.name == "a node is removed").unwrap()
}

/// Cuts the server off from everybody when the journal says this.
async fn cut_when(run: &Run, told: &str) {
    while !run.told().iter().any(|t| t.starts_with(told)) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    run.world.isolate("prox4");
}

/// Nobody took it out.
fn assert_not_removed(case: &Case, run: &Run, what: &str) {
    let told = run.told();
    let removed = run.world.log().iter().any(|d| d.kind == ActionKind::RemoveMember);
    assert!(!removed, "{what}: {told:#?}");
    assert_clean(case, run, what);
}

fn advice(run: &Run) -> Vec<String> {
    let stopped = run.entries().into_iter().filter_map(|e| match e.record {
        Record::Stopped { findings, .. } => Some(findings),
        _ => None,
    });
    stopped.flatten().map(|f| f.next).collect()
}

/// It is said what to look at, and what to type then.
fn assert_asks_for_a_look(run: &Run, what: &str) {
    assert_eq!(
        run.states()[0].1,
        StepState::Stopped { kind: StopKind::Stuck },
        "{what}: {:#?}",
        run.told()
    );
    let next = advice(run).join("\n");
    assert!(
        next.contains("on the console of prox4: whether it is off"),
        "{what}: {next}"
    );
    assert!(next.contains("--remove prox4 --is-off prox4"), "{what}: {next}");
}

#[tokio::test(start_paused = true)]
async fn an_earlier_attempt_that_an_agent_had_says_nothing_of_the_next_one() {
    // Its first attempt failed, and the second one never reached it.
    for second in [Reply::Lost, Reply::NotReached] {
        let case = removal();
        let run = Run::of(&case);
        run.world.conduct("prox4", &[Conduct::FailsClean(Code::StepFailed)]);
        run.world.replies("prox4", &[Reply::Taken, second]);
        let cutting = cut_when(&run, "off/prox4: intended hk1-7.1-off-prox4.2");
        let (result, ()) = tokio::join!(run.end(), cutting);
        let what = format!("{second:?}");
        assert_eq!(result, RolloutResult::Failed, "{what}: {:#?}", run.told());
        assert_not_removed(&case, &run, &what);
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_the_agent_itself_did_not_see_is_no_word_that_it_goes_off() {
    for conduct in [Conduct::VanishesUnseen, Conduct::LosesSight] {
        let case = removal();
        let run = Run::of(&case);
        run.world.conduct("prox4", &[conduct]);
        let (result, ()) = tokio::join!(run.end(), cut_when(&run, "off/prox4: ended"));
        let what = format!("{conduct:?}");
        assert_eq!(result, RolloutResult::Failed, "{what}: {:#?}", run.told());
        assert_not_removed(&case, &run, &what);
        assert_asks_for_a_look(&run, &what);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_long_after_it_was_told_to_go_off_may_only_be_cut_off() {
    let case = removal();
    let run = Run::of(&case);
    run.world.conduct("prox4", &[Conduct::Hangs]);
    let cutting = async {
        run.world.busy("prox4").await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        run.world.isolate("prox4");
    };
    let (result, ()) = tokio::join!(run.end(), cutting);
    assert_eq!(result, RolloutResult::Failed, "{:#?}", run.told());
    assert_not_removed(&case, &run, "a shutdown that hangs");
    assert_asks_for_a_look(&run, "a shutdown that hangs");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_nobody_heard_is_not_taken_for_a_shutdown_an_hour_later() {
    let case = removal();
    let run = Run::of(&case).with(2, Fault::Crash(CrashPoint::Durable));
    run.world.conduct("prox4", &[Conduct::FailsClean(Code::NodeHasGuests)]);
    assert!(run.go().await.is_none());
    assert_eq!(run.told().last().unwrap(), "off/prox4: accepted");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    run.world.isolate("prox4");
    let next = Run::again(run.journal, run.world, 2);
    assert_eq!(next.end().await, RolloutResult::Failed, "{:#?}", next.told());
    assert_not_removed(&case, &next, "an hour later");
    assert_asks_for_a_look(&next, "an hour later");
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_in_time_is_asked_how_it_ended() {
    let case = removal();
    let run = Run::of(&case).with(2, Fault::Crash(CrashPoint::Durable));
    run.world.conduct("prox4", &[Conduct::FailsClean(Code::NodeHasGuests)]);
    assert!(run.go().await.is_none());
    tokio::time::sleep(Duration::from_secs(3600)).await;
    run.world.isolate("prox4");
    let next = Run::again(run.journal, run.world, 2);
    let healing = async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        next.world.heal("prox4");
    };
    let (result, ()) = tokio::join!(next.end(), healing);
    assert_eq!(result, RolloutResult::Failed);
    assert!(
        next.told()
            .contains(&"off/prox4: stopped Failed QRT-NODE-HAS-GUESTS".to_owned()),
        "{:#?}",
        next.told()
    );
}
