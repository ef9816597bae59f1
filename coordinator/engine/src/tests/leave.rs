//! Disruptive steps begin only with leave: maintenance windows, `quorate freeze`.

use std::time::Duration;

use quorate_model::finding::{Code, Finding};
use quorate_model::operation::rules;
use quorate_model::rollout::{Progress, Record, RolloutResult, StepState, StopKind};

use super::corpus::{Case, guarded_join, three};
use super::{Run, assert_clean, assert_restored, assert_right, corpus, everything, heard};
use crate::memory::{CrashPoint, Fault};

fn frozen() -> Finding {
    Finding::new(
        Code::ClusterFrozen,
        "hk1",
        "frozen by anna since noon",
        "quorate thaw hk1",
    )
}

fn outside() -> Finding {
    Finding::new(
        Code::OutsideWindow,
        "hk1",
        "the maintenance window opens at 22:00",
        "wait",
    )
}

fn waited_for(listener: tokio::sync::broadcast::Receiver<Progress>) -> Vec<String> {
    heard(listener)
        .into_iter()
        .filter_map(|p| match p {
            Progress::Waiting { step, reason } => Some(format!("{step}: {reason}")),
            _ => None,
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_step_waits_for_leave_and_says_for_what_once() {
    let case = three();
    let run = Run::of(&case);
    let listener = run.progress.subscribe();
    run.gatekeeper.close(frozen());
    let waiting = async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        run.gatekeeper.close(outside());
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(run.told(), ["created"]);
        run.gatekeeper.open();
    };
    let (result, ()) = tokio::join!(run.end(), waiting);
    assert_eq!(result, RolloutResult::Done);
    assert_right(&case, &run, "after a window opened");
    assert_eq!(
        waited_for(listener)[..2],
        [
            "create/hk1: frozen by anna since noon",
            "create/hk1: the maintenance window opens at 22:00"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_the_waiting() {
    let run = Run::of(&three());
    run.gatekeeper.close(frozen());
    let cancelling = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        run.cancel.send_replace(Some("anna".to_owned()));
    };
    let (result, ()) = tokio::join!(run.end(), cancelling);
    assert_eq!(result, RolloutResult::Cancelled);
    assert_eq!(run.told(), ["created", "cancelled by anna", "finished Cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn ha_is_not_disarmed_while_what_it_is_disarmed_for_must_wait() {
    let run = Run::of(&guarded_join());
    run.gatekeeper.close(frozen());
    let looking = async {
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(run.world.is_guarded("hk1"));
        run.gatekeeper.open();
    };
    let (result, ()) = tokio::join!(run.end(), looking);
    assert_eq!(result, RolloutResult::Done);
}

#[tokio::test(start_paused = true)]
async fn what_disturbs_nobody_goes_on() {
    let case = everything()
        .into_iter()
        .find(|c| c.name.starts_with("a cluster, its second link"));
    let run = Run::of(&case.unwrap());
    run.gatekeeper.close(frozen());
    let looking = async {
        tokio::time::sleep(Duration::from_secs(600)).await;
        let mut effects = run.world.effects();
        effects.sort();
        assert_eq!(effects, ["prox5: install packages", "prox6: install packages"]);
        run.gatekeeper.open();
    };
    let (result, ()) = tokio::join!(run.end(), looking);
    assert_eq!(result, RolloutResult::Done);
}

/// Closes the gate when a record of this number is written.
async fn close_at(run: &Run, at: u64) {
    let mut listener = run.progress.subscribe();
    while let Ok(progress) = listener.recv().await {
        if matches!(&progress, Progress::Entry(entry) if entry.sequence == at) {
            return run.gatekeeper.close(frozen());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_closes_between_does_not_leave_ha_disarmed_until_the_next_one() {
    let case = guarded_join();
    let run = Run::of(&case);
    let listener = run.progress.subscribe();
    // Created, then disarming: intended, accepted, ended.
    let (result, ()) = tokio::join!(run.end(), close_at(&run, 3));
    assert_eq!(result, RolloutResult::Failed);
    assert_eq!(run.states()[1].1, StepState::Stopped { kind: StopKind::Held });
    assert!(run.world.is_guarded("hk1"), "taking back waits for nobody's leave");
    assert_clean(&case, &run, "closed between");
    assert!(
        waited_for(listener)
            .contains(&"join/prox4: frozen by anna since noon; not taken back meanwhile: ha/disarm".to_owned())
    );
    let findings = run.entries().into_iter().find_map(|e| match e.record {
        Record::Stopped { findings, .. } => Some(findings),
        _ => None,
    });
    let findings = findings.unwrap();
    assert_eq!(findings[0].code, Code::ClusterFrozen);
    assert_eq!(
        findings[1].message,
        "not started (join prox4), so that what was done for it is taken back: ha/disarm"
    );
}

#[tokio::test(start_paused = true)]
async fn a_freeze_that_is_taken_back_in_time_ends_nothing() {
    let case = guarded_join();
    let run = Run::of(&case);
    let thawing = async {
        close_at(&run, 3).await;
        tokio::time::sleep(Duration::from_secs(90)).await;
        run.gatekeeper.open();
    };
    let (result, ()) = tokio::join!(run.end(), thawing);
    assert_eq!(result, RolloutResult::Done, "{:#?}", run.told());
    assert_right(&case, &run, "frozen for 90 s");
}

#[tokio::test(start_paused = true)]
async fn closed_for_good_at_every_record_all_that_was_done_for_a_time_is_taken_back() {
    for case in corpus() {
        if case.plan.steps.iter().all(|step| step.restores.is_none()) {
            continue;
        }
        let undisturbed = Run::of(&case);
        undisturbed.end().await;
        for at in 1..undisturbed.entries().len() as u64 - 1 {
            let run = Run::of(&case);
            let what = format!("closed for good at record {at}");
            let closing = async {
                close_at(&run, at).await;
                tokio::time::sleep(Duration::from_secs(1800)).await;
                // What waits for leave with nothing to be taken back waits on.
                run.gatekeeper.open();
            };
            tokio::join!(run.end(), closing);
            assert_clean(&case, &run, &what);
            assert_restored(&case, &run, &what);
        }
    }
}

fn begins_with_leave(case: &Case, step: &quorate_model::StepId) -> bool {
    let step = case.plan.step(step).unwrap();
    step.restores.is_none() && rules(step.action.kind()).disruptive
}

#[tokio::test(start_paused = true)]
async fn closed_at_every_record_nothing_disruptive_begins_until_it_is_open_again() {
    let mut tried = 0;
    for case in corpus() {
        let undisturbed = Run::of(&case);
        undisturbed.end().await;
        for at in 1..undisturbed.entries().len() as u64 - 1 {
            let run = Run::of(&case);
            let what = format!("closed at record {at}");
            let opening = async {
                close_at(&run, at).await;
                let before = run.entries().len();
                tokio::time::sleep(Duration::from_secs(100)).await;
                let began = run
                    .entries()
                    .split_off(before)
                    .into_iter()
                    .any(|entry| match entry.record {
                        Record::Intended { step, .. } => begins_with_leave(&case, &step),
                        _ => false,
                    });
                assert!(!began, "{}: {what}: {:#?}", case.name, run.told());
                run.gatekeeper.open();
            };
            let (result, ()) = tokio::join!(run.end(), opening);
            assert_eq!(result, RolloutResult::Done, "{}: {what}: {:#?}", case.name, run.told());
            assert_right(&case, &run, &what);
            tried += 1;
        }
    }
    println!("leave withdrawn at every record: {tried} cases");
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_never_left_is_given_up_when_leave_is_gone_and_the_rest_taken_back() {
    let case = guarded_join();
    // The join's intent is the sixth record.
    let crashed = Run::of(&case).with(5, Fault::Crash(CrashPoint::Durable));
    crashed.go().await;
    let run = Run::again(crashed.journal, crashed.world, 2);
    run.gatekeeper.close(outside());
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert!(
        run.told()
            .contains(&"join/prox4: stopped Failed QRT-OUTSIDE-WINDOW QRT-STEP-FAILED".to_owned()),
        "{:#?}",
        run.told()
    );
    assert_eq!(run.states()[2].1, StepState::Verified);
    assert_clean(&case, &run, "no leave after a crash");
    assert_restored(&case, &run, "no leave after a crash");
}
