//! The coordinator dies at every point of every rollout, and is started again.

use std::time::Duration;

use quorate_model::rollout::{Record, RolloutResult};

use super::{
    Case, Run, assert_clean, assert_restored, assert_right, corpus, end_of, everything, is_unheard, rollout, three,
};
use crate::RunError;
use crate::memory::{CrashPoint, Fault, FaultyJournal, MemJournal};
use crate::ports::Journal as _;

/// How many records an undisturbed run writes, the first included.
async fn length(case: &Case) -> u64 {
    let run = Run::of(case);
    assert_eq!(run.end().await, RolloutResult::Done, "{}", case.name);
    assert_right(case, &run, "undisturbed");
    u64::try_from(run.entries().len()).unwrap()
}

/// The next coordinator takes it up and brings it to its end: the world is as if nothing had happened.
async fn resumed(case: &Case, crashed: Run, what: &str) -> Run {
    let next = Run::again(crashed.journal, crashed.world, crashed.generation + 1);
    let result = next.end().await;
    if is_unheard(case, &next) {
        return next;
    }
    assert_eq!(result, RolloutResult::Done, "{}: {what}: {:#?}", case.name, next.told());
    assert_right(case, &next, what);
    assert_clean(case, &next, what);
    next
}

#[tokio::test(start_paused = true)]
async fn at_every_record_and_point() {
    let (mut points, mut plans, mut unheard) = (0, 0, 0);
    for case in everything() {
        plans += 1;
        let length = length(&case).await;
        let digest = end_of(&case).await;
        for at in 1..length {
            for point in CrashPoint::ALL {
                let run = Run::of(&case).with(at, Fault::Crash(point));
                if let Some(result) = run.go().await {
                    assert_eq!(result.unwrap(), RolloutResult::Done);
                    let nothing_left = match point {
                        CrashPoint::AfterEffect => at + 1 == length,
                        // The rest may be a matter of moments.
                        CrashPoint::Later => !run.told()[at as usize..].iter().any(|t| t.contains("accepted")),
                        _ => false,
                    };
                    assert!(nothing_left, "{}: {at} {point:?} did not crash", case.name);
                }
                let what = format!("{point:?} of record {at}");
                let run = resumed(&case, run, &what).await;
                if is_unheard(&case, &run) {
                    unheard += 1;
                } else {
                    assert_eq!(run.world.digest(), digest, "{}: {what}", case.name);
                }
                points += 1;
            }
        }
    }
    println!("a crash at every record: {points} cases, {plans} plans, {unheard} servers that may be off");
    assert!(
        unheard <= 6,
        "{unheard}: the window is the one record between request and acceptance"
    );
    assert!(
        plans >= 20 && points > 2000,
        "only {points} points of {plans} plans were tried"
    );
}

#[tokio::test(start_paused = true)]
async fn at_every_record_and_started_again_late() {
    for case in corpus() {
        for at in 1..length(&case).await {
            let run = Run::of(&case).with(at, Fault::Crash(CrashPoint::Later));
            run.go().await;
            tokio::time::sleep(Duration::from_secs(3600)).await;
            resumed(&case, run, &format!("an hour after record {at}")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn twice_in_a_row() {
    let case = three();
    let length = length(&case).await;
    for first in 1..length {
        for second in first..length {
            for (one, two) in [
                (CrashPoint::Durable, CrashPoint::Durable),
                (CrashPoint::BeforeAppend, CrashPoint::Later),
                (CrashPoint::Later, CrashPoint::BeforeAppend),
                (CrashPoint::AfterEffect, CrashPoint::NotDurable),
            ] {
                let run = Run::of(&case).with(first, Fault::Crash(one));
                run.go().await;
                let run = Run::again(run.journal, run.world, 2).with(second, Fault::Crash(two));
                run.go().await;
                resumed(
                    &case,
                    run,
                    &format!("{one:?} of record {first}, then {two:?} of record {second}"),
                )
                .await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_can_t_be_written_stops_everything() {
    for case in corpus() {
        for at in 1..length(&case).await {
            for fault in [Fault::Refuse, Fault::LoseAnswer] {
                let run = Run::of(&case).with(at, fault);
                let result = run.go().await.expect("it does not crash");
                assert!(
                    matches!(result, Err(RunError::Journal(_))),
                    "{}: {fault:?} of record {at}: {result:?}",
                    case.name
                );
                // Nothing was begun of which the journal has no intent.
                run.world.idle().await;
                let intents = run.told().iter().filter(|t| t.contains("intended")).count();
                assert!(
                    run.world.effects().len() <= intents,
                    "{}: {fault:?} of record {at}",
                    case.name
                );
                resumed(&case, run, &format!("{fault:?} of record {at}")).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_the_disk_forgot_does_not_lead_to_a_second_change() {
    for case in corpus() {
        for at in 1..length(&case).await {
            let run = Run::of(&case).with(at, Fault::Forget);
            run.go().await;
            resumed(&case, run, &format!("forgotten record {at}")).await;
        }
    }
}

/// What the disk acknowledged and lost has led to requests: they are known again by their ids, and nothing is done twice. What was
/// verified and is to be verified once more may have been changed by a later step: that is told, and nothing else is begun.
#[tokio::test(start_paused = true)]
async fn records_that_are_forgotten_later_do_not_lead_to_a_second_change() {
    let (mut tried, mut told) = (0, 0);
    for case in corpus() {
        let length = length(&case).await;
        for at in 1..length {
            for records in 1..4 {
                let run = Run::of(&case).with(at, Fault::ForgetLater { records });
                if run.go().await.is_some() {
                    assert!(at + records >= length, "{}: {at} {records} did not crash", case.name);
                    continue;
                }
                assert_eq!(run.entries().len() as u64, at, "{}", case.name);
                let what = format!("forgotten from record {at} on, {records} later");
                let next = Run::again(run.journal, run.world, 2);
                if next.end().await == RolloutResult::Done {
                    assert_right(&case, &next, &what);
                } else {
                    told += 1;
                }
                next.world.idle().await;
                assert_clean(&case, &next, &what);
                assert_restored(&case, &next, &what);
                assert!(
                    next.world.effects().len() <= case.plan.steps.len(),
                    "{}: {what}",
                    case.name
                );
                tried += 1;
            }
        }
    }
    println!("records forgotten after what came of them had left: {tried} cases, {told} not done");
    assert!(tried > 500, "only {tried}");
}

/// The first record is the daemon's: without it there is no rollout, and with it all is done.
#[tokio::test(start_paused = true)]
async fn at_the_record_that_creates_it() {
    for case in corpus() {
        for point in CrashPoint::ALL {
            let mut run = Run::of(&case);
            run.journal = MemJournal::default();
            let fault = Some((0, Fault::Crash(point)));
            let journal = FaultyJournal::new(run.journal.clone(), run.world.clone(), fault);
            let mut crashed = journal.crashed();
            let created = Record::Created {
                plan: Box::new(case.plan.clone()),
                by: "root".to_owned(),
            };
            let id = rollout();
            tokio::select! {
                biased;
                _ = crashed.wait_for(|crashed| *crashed) => {}
                recorded = journal.append(&id, created) => drop(recorded.unwrap()),
            }
            match run.go().await.unwrap() {
                Ok(result) => {
                    assert_eq!(result, RolloutResult::Done, "{}: {point:?}", case.name);
                    assert_right(&case, &run, &format!("{point:?} of the first record"));
                }
                Err(error) => {
                    assert!(matches!(error, RunError::NotFound(_)), "{}: {error:?}", case.name);
                    assert_eq!(run.entries(), []);
                    assert_eq!(run.world.log(), []);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_rollout_only_tells_how_it_ended() {
    let case = three();
    let run = Run::of(&case);
    run.end().await;
    let before = run.entries();
    let again = Run::again(run.journal, run.world, 2);
    assert_eq!(again.end().await, RolloutResult::Done);
    assert_eq!(again.entries(), before);
    assert_right(&case, &again, "run again");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_without_records_is_not_found() {
    let case = three();
    let mut run = Run::of(&case);
    run.journal = MemJournal::default();
    let error = run.go().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), format!("there is no rollout {}", rollout()));
}

#[tokio::test(start_paused = true)]
async fn a_new_attempt_after_a_crash_has_an_id_of_its_own() {
    let case = three();
    let run = Run::of(&case).with(1, Fault::Crash(CrashPoint::Durable));
    run.go().await;
    let run = resumed(&case, run, "the request never left").await;
    assert_eq!(
        run.told()[1..4],
        [
            "create/hk1: intended hk1-7.1-create-hk1.1",
            "create/hk1: intended hk1-7.1-create-hk1.2",
            "create/hk1: accepted",
        ]
    );
}
