//! How steps end when tools and agents do not do, or do not say, what they should; and what a cancel does.

use quorate_model::finding::Code;
use quorate_model::operation::rules;
use quorate_model::rollout::{Progress, Record, RolloutResult, StepState, StopKind};

use super::{Run, assert_clean, assert_restored, assert_right, corpus, everything, heard, three};
use crate::memory::{Conduct, CrashPoint, Fault, World, create, plan};

const STOPPED: fn(StopKind) -> StepState = |kind| StepState::Stopped { kind };

#[tokio::test(start_paused = true)]
async fn the_records_of_an_undisturbed_run() {
    let run = Run::of(&three());
    assert_eq!(run.end().await, RolloutResult::Done);
    assert_eq!(
        run.told()[..6],
        [
            "created",
            "create/hk1: intended hk1-7.1-create-hk1.1",
            "create/hk1: accepted",
            "create/hk1: ended done",
            "create/hk1: verified",
            "join/prox2: intended hk1-7.2-join-prox2.1",
        ]
    );
    assert_eq!(run.told().last().unwrap(), "finished Done");
}

/// Was this never begun, since that one failed? What takes something back is begun all the same, if that was.
fn never_was(plan: &quorate_model::plan::Plan, id: &quorate_model::StepId, failed: &quorate_model::StepId) -> bool {
    let step = plan.step(id).unwrap();
    let taken_back = |restores: &quorate_model::StepId| restores != failed && never_was(plan, restores, failed);
    after(plan, step, failed) && step.restores.as_ref().is_none_or(taken_back)
}

#[tokio::test(start_paused = true)]
async fn an_error_at_every_step_stops_its_branch_and_no_other() {
    let mut tried = 0;
    for case in everything() {
        for (index, step) in case.plan.steps.iter().enumerate() {
            let run = Run::of(&case);
            run.world
                .conduct_step(step, &[Conduct::FailsClean(Code::NodeHasGuests)]);
            let what = format!("{} failed", step.id);
            assert_eq!(run.end().await, RolloutResult::Failed, "{}: {what}", case.name);
            assert_clean(&case, &run, &what);
            let states = run.states();
            assert_eq!(states[index].1, STOPPED(StopKind::Failed), "{}: {what}", case.name);
            for (other, (_, state)) in case.plan.steps.iter().zip(&states).filter(|(o, _)| o.id != step.id) {
                // What takes something back may need what another such step did not bring about: its gate holds it, and that is told.
                let both = step.restores.is_some() && other.restores.is_some() && after(&case.plan, other, &step.id);
                if both && *state == STOPPED(StopKind::Held) {
                    continue;
                }
                let expected = match (after(&case.plan, other, &step.id), &other.restores) {
                    (true, None) => StepState::Waiting,
                    (true, Some(restores)) if never_was(&case.plan, restores, &step.id) => StepState::Skipped,
                    _ => StepState::Verified,
                };
                assert_eq!(
                    *state,
                    expected,
                    "{}: {} after {what}: {:#?}",
                    case.name,
                    other.id,
                    run.told()
                );
            }
            if step.restores.is_none() {
                assert_restored(&case, &run, &what);
            }
            tried += 1;
        }
    }
    println!("an error at every step: {tried} cases");
    assert!(tried > 100, "only {tried} steps were tried");
}

#[tokio::test(start_paused = true)]
async fn every_way_to_fail_at_every_step_ends_cleanly_and_takes_back_what_was_done_for_a_time() {
    let mut tried = 0;
    for case in everything() {
        for step in &case.plan.steps {
            for conduct in Conduct::BAD {
                let run = Run::of(&case);
                run.world.conduct_step(step, &[conduct]);
                let what = format!("{}: {conduct:?}", step.id);
                let result = run.end().await;
                assert_clean(&case, &run, &what);
                if step.restores.is_none() {
                    assert_restored(&case, &run, &what);
                }
                // What came about counts, whatever was said of it.
                if matches!(conduct, Conduct::WorksButSaysFailed | Conduct::WorksUnseen) {
                    assert_eq!(result, RolloutResult::Done, "{}: {what}: {:#?}", case.name, run.told());
                    assert_right(&case, &run, &what);
                }
                // What nobody saw, and what is not there, is done again only if that is safe.
                if conduct == Conduct::VanishesUnseen {
                    let begun = run
                        .world
                        .log()
                        .iter()
                        .filter(|d| !d.whole && d.kind == step.action.kind() && d.node == step.node)
                        .count();
                    let same = case
                        .plan
                        .steps
                        .iter()
                        .filter(|s| s.action.kind() == step.action.kind() && s.node == step.node)
                        .count();
                    let again = usize::from(rules(step.action.kind()).repeatable);
                    assert!(begun <= same + again, "{}: {what}: {:#?}", case.name, run.told());
                    assert_eq!(
                        result == RolloutResult::Done,
                        again == 1,
                        "{}: {what}: {:#?}",
                        case.name,
                        run.told()
                    );
                }
                tried += 1;
            }
        }
    }
    println!("every way to fail at every step: {tried} cases");
    assert!(tried > 100 * Conduct::BAD.len(), "only {tried} cases were tried");
}

fn after(plan: &quorate_model::plan::Plan, step: &quorate_model::plan::Step, earlier: &quorate_model::StepId) -> bool {
    let mut before = step.needs.iter().chain(&step.restores);
    before.any(|need| need == earlier || after(plan, plan.step(need).unwrap(), earlier))
}

/// What becomes of the join of prox2 if its operations go so.
async fn join_ends(conduct: &[Conduct]) -> (Run, StepState) {
    let run = Run::of(&three());
    run.world.conduct("prox2", conduct);
    run.end().await;
    let state = run.states()[1].1.clone();
    (run, state)
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_and_what_lasts_is_not() {
    let passing = Conduct::FailsClean(Code::ClusterNotQuorate);
    let (run, state) = join_ends(&[passing, passing]).await;
    assert_eq!(state, StepState::Verified);
    assert!(
        run.told()
            .contains(&"join/prox2: intended hk1-7.2-join-prox2.3".to_owned()),
        "{:#?}",
        run.told()
    );
    assert_right(&three(), &run, "the third attempt");

    let (run, state) = join_ends(&[passing, passing, passing]).await;
    assert_eq!(state, STOPPED(StopKind::Failed));
    assert_eq!(
        run.told()
            .iter()
            .filter(|t| t.starts_with("join/prox2: intended"))
            .count(),
        3
    );

    let (run, state) = join_ends(&[Conduct::FailsClean(Code::NodeHasLeftovers)]).await;
    assert_eq!(state, STOPPED(StopKind::Failed));
    assert!(
        run.told()
            .contains(&"join/prox2: stopped Failed QRT-NODE-HAS-LEFTOVERS".to_owned()),
        "{:#?}",
        run.told()
    );
    assert_eq!(
        run.told()
            .iter()
            .filter(|t| t.starts_with("join/prox2: intended"))
            .count(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_fresh_observation_outweighs_what_the_agent_says() {
    for conduct in [Conduct::WorksButSaysFailed, Conduct::WorksUnseen] {
        let (run, state) = join_ends(&[conduct]).await;
        assert_eq!(state, StepState::Verified, "{conduct:?}");
        assert_right(&three(), &run, &format!("{conduct:?}"));
    }
    let (run, state) = join_ends(&[Conduct::SaysDone]).await;
    assert_eq!(state, STOPPED(StopKind::Failed), "done, but not to be seen");
    assert_eq!(run.world.clusters(), ["hk1: prox1"]);
    assert_eq!(
        run.told()
            .iter()
            .filter(|t| t.starts_with("join/prox2: intended"))
            .count(),
        1,
        "it is not sent again"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_end_is_settled_by_looking() {
    let (run, state) = join_ends(&[Conduct::VanishesUnseen]).await;
    assert_eq!(
        state,
        StepState::Verified,
        "nothing was to be seen of it, so it was tried again"
    );
    assert_right(&three(), &run, "vanished");

    let (run, state) = join_ends(&[Conduct::HalfWayUnseen]).await;
    assert_eq!(state, STOPPED(StopKind::Stuck));
    assert_eq!(run.world.clusters(), ["hk1: prox1 (prox2)"]);
    assert!(
        run.told()
            .contains(&"join/prox2: stopped Stuck QRT-STEP-STUCK".to_owned()),
        "{:#?}",
        run.told()
    );
}

#[tokio::test(start_paused = true)]
async fn a_half_state_is_named_and_not_touched_again() {
    let (run, state) = join_ends(&[Conduct::FailsHalfWay]).await;
    assert_eq!(state, STOPPED(StopKind::Failed));
    assert_eq!(
        run.told()
            .iter()
            .filter(|t| t.starts_with("join/prox2: intended"))
            .count(),
        1
    );
    let findings = run.entries().into_iter().find_map(|e| match e.record {
        Record::Stopped { findings, .. } => Some(findings),
        _ => None,
    });
    let messages: Vec<_> = findings.unwrap().into_iter().map(|f| f.message).collect();
    assert_eq!(
        messages,
        [
            "the tool said so",
            "did not come about (join prox2): prox1 does not see prox2 in the membership",
            "not begun because of it: join/prox3",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_left_traces_is_not_tried_again_even_if_none_is_to_be_seen() {
    let run = Run::of(&three());
    run.world.conduct("prox1", &[Conduct::FailsHalfWay]);
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert_eq!(
        run.told().iter().filter(|t| t.contains("intended")).count(),
        1,
        "{:#?}",
        run.told()
    );
}

#[tokio::test(start_paused = true)]
async fn two_steps_on_one_node_go_one_after_the_other() {
    let mut case = three();
    case.plan = plan(vec![create("hk1", "prox1"), create("hk2", "prox1")]);
    let run = Run::of(&case);
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert_eq!(run.world.most_at_once(), 1);
    assert_eq!(run.world.clusters(), ["hk1: prox1"]);
    let states: Vec<_> = run.states().into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [StepState::Verified, STOPPED(StopKind::Held)]);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_does_not_hold_holds_the_step_and_says_why_once() {
    let mut case = three();
    case.world = || World::of(&["prox1", "prox2", "prox3"]).with_cluster("lab7", &["prox2"]);
    let run = Run::of(&case);
    let listener = run.progress.subscribe();
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert_eq!(run.states()[1].1, STOPPED(StopKind::Held));
    assert_eq!(run.states()[2].1, StepState::Waiting);
    assert_eq!(run.world.effects(), ["prox1: create cluster"]);
    let reasons: Vec<_> = heard(listener)
        .into_iter()
        .filter_map(|p| match p {
            Progress::Waiting { step, reason } if step.as_str() == "join/prox2" => Some(reason),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, ["prox2 is in cluster lab7"]);
}

#[tokio::test(start_paused = true)]
async fn a_gate_may_come_to_hold_in_time() {
    let case = three();
    let run = Run::of(&case);
    run.world.cut("prox1");
    let healing = async {
        tokio::time::sleep(run.patience.gate / 2).await;
        run.world.heal("prox1");
    };
    let (result, ()) = tokio::join!(run.end(), healing);
    assert_eq!(result, RolloutResult::Done);
    assert_right(&case, &run, "seen late");
}

#[tokio::test(start_paused = true)]
async fn what_is_there_already_is_verified_without_being_done() {
    let mut case = three();
    case.world = || World::of(&["prox1", "prox2", "prox3"]).with_cluster("hk1", &["prox1"]);
    let run = Run::of(&case);
    assert_eq!(run.end().await, RolloutResult::Done);
    assert_eq!(run.told()[1], "create/hk1: verified");
    assert_eq!(run.world.effects(), ["prox2: join cluster", "prox3: join cluster"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_at_every_record_acts_between_steps() {
    let mut tried = 0;
    for case in corpus() {
        let undisturbed = Run::of(&case);
        undisturbed.end().await;
        for at in 1..undisturbed.entries().len() {
            let run = Run::of(&case);
            let mut listener = run.progress.subscribe();
            let cancelling = async {
                while let Ok(progress) = listener.recv().await {
                    if matches!(&progress, Progress::Entry(entry) if entry.sequence == at as u64) {
                        run.cancel.send_replace(Some("anna".to_owned()));
                        return;
                    }
                }
            };
            let (result, ()) = tokio::join!(run.end(), cancelling);
            let told = run.told();
            let what = format!("cancelled at record {at}");
            assert_clean(&case, &run, &what);
            assert_restored(&case, &run, &what);
            let states = run.states();
            assert!(
                states
                    .iter()
                    .all(|(_, s)| matches!(s, StepState::Waiting | StepState::Verified | StepState::Skipped)),
                "{}: {told:#?}",
                case.name
            );
            let all = states.iter().all(|(_, s)| *s == StepState::Verified);
            let expected = if all {
                RolloutResult::Done
            } else {
                RolloutResult::Cancelled
            };
            assert_eq!(result, expected, "{}: {told:#?}", case.name);
            let Some(cancel) = told.iter().position(|t| t == "cancelled by anna") else {
                assert!(all);
                continue;
            };
            let restoring = |line: &str| {
                let mut restorers = case.plan.steps.iter().filter(|s| s.restores.is_some());
                restorers.any(|s| line.starts_with(&format!("{}: ", s.id)))
            };
            assert!(
                told.iter()
                    .skip(cancel)
                    .all(|t| !t.contains("intended") || restoring(t)),
                "{}: {told:#?}",
                case.name
            );
            tried += 1;
        }
    }
    println!("a cancel at every record: {tried} cases");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_before_anything_was_begun_changes_nothing() {
    let run = Run::of(&three());
    run.cancel.send_replace(Some("anna".to_owned()));
    assert_eq!(run.end().await, RolloutResult::Cancelled);
    assert_eq!(run.told(), ["created", "cancelled by anna", "finished Cancelled"]);
    assert_eq!(run.world.effects(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_cancel_meets_an_intent_that_never_left() {
    let case = three();
    let crashed = Run::of(&case).with(1, Fault::Crash(CrashPoint::Durable));
    crashed.go().await;
    let run = Run::again(crashed.journal, crashed.world, 2);
    run.cancel.send_replace(Some("anna".to_owned()));
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert_eq!(
        run.told()[2..],
        [
            "cancelled by anna",
            "create/hk1: stopped Failed QRT-STEP-FAILED",
            "finished Failed"
        ]
    );
    assert_eq!(run.world.effects(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_the_waiting_for_a_gate() {
    let mut case = three();
    case.world = || World::of(&["prox1", "prox2", "prox3"]).with_cluster("lab7", &["prox1"]);
    let mut run = Run::of(&case);
    run.patience.gate = std::time::Duration::MAX;
    let cancelling = async {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        run.cancel.send_replace(Some("anna".to_owned()));
    };
    let (result, ()) = tokio::join!(run.end(), cancelling);
    assert_eq!(result, RolloutResult::Cancelled);
}
