//! What was done for the time of a rollout is taken back, whatever becomes of the rest.

use std::time::Duration;

use quorate_model::finding::{Code, Finding};
use quorate_model::plan::Plan;
use quorate_model::rollout::{Progress, Record, RolloutResult, StepState, StopKind};

use super::corpus::{Case, bare, guarded_join, qdevice_from_nothing};
use super::{Run, assert_clean, assert_restored, corpus, heard, is_unheard};
use crate::memory::plans::{admit, create, install, join, plan, withdraw};
use crate::memory::{Conduct, CrashPoint, Fault, Reply};

fn state(run: &Run, step: &str) -> StepState {
    let states = run.states();
    states.into_iter().find(|(id, _)| id == step).unwrap().1
}

fn findings(run: &Run, stopped: &str) -> Vec<Finding> {
    let of = |record: Record| match record {
        Record::Stopped { step, findings, .. } if step.as_str() == stopped => Some(findings),
        _ => None,
    };
    run.entries().into_iter().find_map(|e| of(e.record)).unwrap()
}

fn position(run: &Run, what: &str) -> usize {
    let told = run.told();
    told.iter()
        .position(|t| t.starts_with(what))
        .unwrap_or_else(|| panic!("no {what}: {told:#?}"))
}

fn step<'p>(plan: &'p Plan, id: &str) -> &'p quorate_model::plan::Step {
    plan.steps.iter().find(|s| s.id.as_str() == id).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_failed_join_leaves_ha_armed_and_says_why_it_is_armed_all_the_same() {
    for conduct in [
        Conduct::FailsClean(Code::NodeHasGuests),
        Conduct::FailsHalfWay,
        Conduct::HalfWayUnseen,
    ] {
        let case = guarded_join();
        let run = Run::of(&case);
        run.world.conduct_step(step(&case.plan, "join/prox4"), &[conduct]);
        let listener = run.progress.subscribe();
        assert_eq!(run.end().await, RolloutResult::Failed);
        assert_eq!(state(&run, "ha/arm"), StepState::Verified);
        assert!(run.world.is_guarded("hk1"));
        assert!(position(&run, "join/prox4: stopped") < position(&run, "ha/arm: intended"));
        let said: Vec<String> = heard(listener)
            .into_iter()
            .filter_map(|p| match p {
                Progress::Restoring { step, reason } => Some(format!("{step}: {reason}")),
                _ => None,
            })
            .collect();
        assert_eq!(said, ["ha/arm: join/prox4 stopped"], "{conduct:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_goes_well_nothing_is_said_of_it() {
    let run = Run::of(&guarded_join());
    let listener = run.progress.subscribe();
    assert_eq!(run.end().await, RolloutResult::Done);
    assert!(!heard(listener).iter().any(|p| matches!(p, Progress::Restoring { .. })));
    let summary = crate::summary(&super::rollout(), &run.entries()).unwrap().unwrap();
    assert_eq!(summary.not_restored, []);
}

#[tokio::test(start_paused = true)]
async fn what_never_began_is_not_taken_back() {
    let case = guarded_join();
    let run = Run::of(&case);
    // Without quorum nobody can disarm HA: the step is held back.
    drop(run.world.clone().with_off("prox2").with_off("prox3"));
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert_eq!(state(&run, "ha/disarm"), StepState::Stopped { kind: StopKind::Held });
    assert_eq!(state(&run, "ha/arm"), StepState::Skipped);
    assert_eq!(run.world.effects(), Vec::<String>::new());
    let why = run.entries().into_iter().find_map(|e| match e.record {
        Record::Skipped { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(why.unwrap(), "ha/disarm was never begun (it was held back)");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_before_anything_began_takes_nothing_back() {
    let run = Run::of(&guarded_join());
    run.cancel.send_replace(Some("anna".to_owned()));
    assert_eq!(run.end().await, RolloutResult::Cancelled);
    let expected = ["created", "cancelled by anna", "ha/arm: skipped", "finished Cancelled"];
    assert_eq!(run.told(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_begun_is_taken_back_though_nobody_knows_whether_it_did() {
    let case = guarded_join();
    for (reply, conduct) in [
        (Reply::Lost, Conduct::Works),
        (Reply::Taken, Conduct::WorksUnseen),
        (Reply::Taken, Conduct::HalfWayUnseen),
        (Reply::Taken, Conduct::SaysDone),
        (Reply::Refuses(Code::PolicyForbids), Conduct::Works),
    ] {
        let run = Run::of(&case);
        let disarm = step(&case.plan, "ha/disarm");
        run.world.replies_to_step(disarm, &[reply]);
        run.world.conduct_step(disarm, &[conduct]);
        run.end().await;
        assert_eq!(
            state(&run, "ha/arm"),
            StepState::Verified,
            "{reply:?} {conduct:?}: {:#?}",
            run.told()
        );
        assert!(run.world.is_guarded("hk1"), "{reply:?} {conduct:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_t_be_taken_back_is_the_first_thing_said_with_what_to_type() {
    for conduct in [
        Conduct::FailsClean(Code::NodeHasGuests),
        Conduct::FailsHalfWay,
        Conduct::SaysDone,
    ] {
        let case = guarded_join();
        let run = Run::of(&case);
        run.world.conduct_step(step(&case.plan, "ha/arm"), &[conduct]);
        assert_eq!(run.end().await, RolloutResult::Failed);
        let first = findings(&run, "ha/arm").remove(0);
        assert_eq!(first.code, Code::NotRestored);
        assert_eq!(first.severity, quorate_model::finding::Severity::Critical);
        assert!(
            first.message.starts_with("HA is still disarmed in hk1"),
            "{}",
            first.message
        );
        assert_eq!(
            first.next,
            "on prox1, or on any other member, type: ha-manager crm-command arm-ha"
        );
        let summary = crate::summary(&super::rollout(), &run.entries()).unwrap().unwrap();
        let names: Vec<&str> = summary.not_restored.iter().map(quorate_model::StepId::as_str).collect();
        assert_eq!(names, ["ha/arm"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_away_for_ten_minutes_is_waited_for_also_after_a_cancel() {
    let case = guarded_join();
    let run = Run::of(&case);
    let world = run.world.clone();
    let cutting = async {
        world.busy("prox4").await;
        run.cancel.send_replace(Some("anna".to_owned()));
        world.cut("prox1");
        tokio::time::sleep(Duration::from_secs(600)).await;
        world.heal("prox1");
    };
    let (_, ()) = tokio::join!(run.end(), cutting);
    assert_eq!(state(&run, "ha/arm"), StepState::Verified, "{:#?}", run.told());
    assert!(run.world.is_guarded("hk1"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_passes_does_not_leave_ha_disarmed() {
    let case = guarded_join();
    let run = Run::of(&case);
    // For eleven minutes.
    run.world
        .replies_to_step(step(&case.plan, "ha/arm"), &[Reply::Refuses(Code::NodeBusy); 25]);
    assert_eq!(run.end().await, RolloutResult::Done, "{:#?}", run.told());
    assert!(run.world.is_guarded("hk1"));
}

/// A step between is still at work when another one fails: only when nothing runs any more is HA armed.
#[tokio::test(start_paused = true)]
async fn it_waits_for_what_still_runs() {
    let mut case = qdevice_from_nothing();
    // Both need the key, and the key goes when both are over.
    case.plan = plan(vec![
        admit("hk1", "prox6", &[]),
        install("prox1", &["admit/hk1"]),
        install("prox2", &["admit/hk1"]),
        install("prox3", &["packages/prox2"]),
        withdraw("hk1", "prox6", &["packages/prox1", "packages/prox3"]),
    ]);
    let run = Run::of(&case);
    run.world.conduct("prox1", &[Conduct::FailsClean(Code::NodeHasGuests)]);
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert_restored(&case, &run, "one of two failed");
    assert!(position(&run, "packages/prox3: verified") < position(&run, "withdraw/hk1: intended"));
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_it_needs_what_came_before_it_too() {
    let case = Case {
        name: "packages after a key was withdrawn",
        plan: plan(vec![
            admit("hk1", "prox6", &[]),
            create("hk1", "prox1"),
            join("hk1", "prox2", &["prox1"], &["create/hk1", "admit/hk1"]),
            withdraw("hk1", "prox6", &["join/prox2"]),
            install("prox3", &["withdraw/hk1"]),
        ]),
        world: bare,
        becomes: &["hk1: prox1 prox2"],
    };
    let run = Run::of(&case);
    assert_eq!(run.end().await, RolloutResult::Done);

    let run = Run::of(&case);
    run.world.conduct("prox2", &[Conduct::FailsClean(Code::NodeHasGuests)]);
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert_eq!(state(&run, "withdraw/hk1"), StepState::Verified);
    assert_eq!(state(&run, "packages/prox3"), StepState::Waiting, "{:#?}", run.told());
    let note = findings(&run, "join/prox2").pop().unwrap();
    assert_eq!(
        note.message,
        "not begun because of it: packages/prox3; carried out all the same: withdraw/hk1"
    );
}

/// A step fails, and the coordinator dies at every record of what follows.
#[tokio::test(start_paused = true)]
async fn crashes_after_a_failure_don_t_keep_it_from_being_taken_back() {
    let mut tried = 0;
    for case in corpus()
        .into_iter()
        .filter(|c| c.plan.steps.iter().any(|s| s.restores.is_some()))
    {
        for failing in case.plan.steps.iter().filter(|s| s.restores.is_none()) {
            let failed = || {
                let run = Run::of(&case);
                run.world
                    .conduct_step(failing, &[Conduct::FailsClean(Code::NodeHasGuests)]);
                run
            };
            let undisturbed = failed();
            undisturbed.end().await;
            let digest = undisturbed.world.digest();
            for at in 1..undisturbed.entries().len() as u64 {
                for point in [CrashPoint::Durable, CrashPoint::AfterEffect, CrashPoint::Later] {
                    let run = failed().with(at, Fault::Crash(point));
                    run.go().await;
                    let next = Run::again(run.journal, run.world, 2);
                    next.end().await;
                    let what = format!("{} failed, {point:?} of record {at}", failing.id);
                    assert_clean(&case, &next, &what);
                    assert_restored(&case, &next, &what);
                    if !is_unheard(&case, &next) {
                        assert_eq!(next.world.digest(), digest, "{}: {what}: {:#?}", case.name, next.told());
                    }
                    tried += 1;
                }
            }
        }
    }
    println!("a failure, then a crash at every record: {tried} cases");
    assert!(tried > 1000, "only {tried}");
}

/// Somebody cancels at every record, and the coordinator dies a moment later.
#[tokio::test(start_paused = true)]
async fn crashes_after_a_cancel_don_t_keep_it_from_being_taken_back() {
    let mut tried = 0;
    for case in corpus()
        .into_iter()
        .filter(|c| c.plan.steps.iter().any(|s| s.restores.is_some()))
    {
        let undisturbed = Run::of(&case);
        undisturbed.end().await;
        for at in 1..undisturbed.entries().len() as u64 {
            for later in 1..4 {
                let run = Run::of(&case).with(at + later, Fault::Crash(CrashPoint::Durable));
                let mut listener = run.progress.subscribe();
                let cancelling = async {
                    while let Ok(progress) = listener.recv().await {
                        if matches!(&progress, Progress::Entry(entry) if entry.sequence == at) {
                            run.cancel.send_replace(Some("anna".to_owned()));
                            return;
                        }
                    }
                };
                tokio::join!(run.go(), cancelling);
                let what = format!("cancelled at record {at}, crashed {later} later");
                let next = Run::again(run.journal, run.world, 2);
                // If the cancel was not recorded, the next coordinator does not know of it.
                next.end().await;
                assert_clean(&case, &next, &what);
                assert_restored(&case, &next, &what);
                tried += 1;
            }
        }
    }
    println!("a cancel at every record, then a crash: {tried} cases");
}
