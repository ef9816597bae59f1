//! Agents that are not reached, do not answer, forget; requests that arrive twice; connections that break.

use std::time::Duration;

use quorate_model::finding::Code;
use quorate_model::rollout::{Progress, Record, RolloutResult, StepState, StopKind};

use super::corpus::guarded_join;
use super::{Case, Run, assert_right, corpus, end_of, everything, heard, is_unheard, three};
use crate::RunError;
use crate::memory::{Conduct, Reply};

#[tokio::test(start_paused = true)]
async fn a_request_that_arrives_twice_at_an_agent_that_takes_it_once_is_one_attempt() {
    for case in corpus() {
        let run = Run::of(&case);
        run.world.double_requests();
        assert_eq!(run.end().await, RolloutResult::Done);
        assert_right(&case, &run, "doubled requests");
    }
}

/// An operation of this world is accepted, starts a tool, prints a line, sees the tool end, and ends.
const EVENTS: u64 = 5;

fn events_heard(listener: tokio::sync::broadcast::Receiver<Progress>) -> Vec<String> {
    let mut all: Vec<String> = heard(listener)
        .into_iter()
        .filter_map(|p| match p {
            Progress::Agent { step, event, .. } => Some(format!("{step} {event:?}")),
            _ => None,
        })
        .collect();
    all.sort();
    all
}

/// What is heard of a case when nothing is in the way.
async fn undisturbed(case: &Case) -> Vec<String> {
    let run = Run::of(case);
    let listener = run.progress.subscribe();
    run.end().await;
    events_heard(listener)
}

#[tokio::test(start_paused = true)]
async fn the_connection_breaks_before_every_event() {
    for case in corpus() {
        let all = undisturbed(&case).await;
        for event in 0..EVENTS {
            let run = Run::of(&case);
            for step in &case.plan.steps {
                run.world.break_before(step, event);
            }
            let listener = run.progress.subscribe();
            let what = format!("a break before event {event}");
            assert_eq!(run.end().await, RolloutResult::Done, "{}: {what}", case.name);
            assert_right(&case, &run, &what);
            // Nobody is told a thing twice, or misses one.
            assert_eq!(events_heard(listener), all, "{}: {what}", case.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_come_twice_and_in_the_wrong_order_are_told_once() {
    for case in corpus() {
        let all = undisturbed(&case).await;
        let run = Run::of(&case);
        run.world.shuffle_events();
        let listener = run.progress.subscribe();
        assert_eq!(run.end().await, RolloutResult::Done, "{}", case.name);
        assert_right(&case, &run, "shuffled");
        assert_eq!(events_heard(listener), all, "{}", case.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_at_every_step_is_outlived() {
    let mut tried = 0;
    for case in everything() {
        let digest = end_of(&case).await;
        for step in &case.plan.steps {
            for partition in [
                "reply lost",
                "request lost",
                "cut at once",
                "cut later",
                "silence",
                "away",
                "long away",
            ] {
                let run = Run::of(&case);
                match partition {
                    "reply lost" => run.world.replies_to_step(step, &[Reply::TakenUnanswered]),
                    "request lost" => run.world.replies_to_step(step, &[Reply::Lost]),
                    "cut at once" => run.world.replies_to_step(step, &[Reply::TakenSilently]),
                    "cut later" => run.world.break_before(step, 3),
                    "silence" => run.world.replies_to_step(step, &[Reply::TakenMute]),
                    "away" => run.world.cut_during(step, Duration::from_secs(9)),
                    _ => run.world.cut_during(step, Duration::from_secs(7200)),
                }
                let what = format!("{partition} at {}", step.id);
                let result = run.end().await;
                tried += 1;
                if is_unheard(&case, &run) {
                    assert!(matches!(partition, "silence" | "away" | "long away"), "{what}");
                    continue;
                }
                assert_eq!(result, RolloutResult::Done, "{}: {what}: {:#?}", case.name, run.told());
                assert_right(&case, &run, &what);
                assert_eq!(run.world.digest(), digest, "{}: {what}", case.name);
            }
        }
    }
    println!("a partition at every step: {tried} cases");
    assert!(tried > 700, "only {tried} partitions were tried");
}

#[tokio::test(start_paused = true)]
async fn every_answer_to_a_request_may_be_lost() {
    for case in corpus() {
        for replies in [
            &[Reply::TakenUnanswered][..],
            &[Reply::TakenSilently],
            &[Reply::TakenMute],
            &[Reply::Lost],
            &[Reply::Lost, Reply::Lost, Reply::TakenUnanswered],
            &[Reply::NotReached, Reply::NotReached, Reply::Lost],
        ] {
            let run = Run::of(&case);
            for step in &case.plan.steps {
                run.world.replies_to_step(step, replies);
            }
            let result = run.end().await;
            if is_unheard(&case, &run) {
                assert_eq!(replies, [Reply::TakenMute]);
                continue;
            }
            assert_eq!(
                result,
                RolloutResult::Done,
                "{}: {replies:?}: {:#?}",
                case.name,
                run.told()
            );
            assert_right(&case, &run, &format!("{replies:?}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_never_reached_fails_the_step_and_says_that_nothing_was_changed() {
    let case = three();
    let run = Run::of(&case);
    run.world.replies("prox2", &[Reply::NotReached; 50]);
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert_eq!(
        run.told().last_chunk::<2>().unwrap(),
        &[
            "join/prox2: stopped Failed QRT-NODE-UNREACHABLE".to_owned(),
            "finished Failed".to_owned()
        ]
    );
    assert_eq!(run.world.effects(), ["prox1: create cluster"]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_goes_dark_before_anything_left_leaves_nothing_unclear() {
    let run = Run::of(&three());
    run.world.replies("prox2", &[Reply::GoesDark]);
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert_eq!(
        run.told().last_chunk::<2>().unwrap(),
        &[
            "join/prox2: stopped Failed QRT-NODE-UNREACHABLE".to_owned(),
            "finished Failed".to_owned()
        ]
    );
    assert_eq!(run.world.effects(), ["prox1: create cluster"]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_comes_back_in_time_is_asked_again() {
    let case = three();
    let run = Run::of(&case);
    run.world.replies("prox2", &[Reply::GoesDark]);
    let healing = async {
        while !run.told().iter().any(|t| t.starts_with("join/prox2: intended")) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(Duration::from_secs(90)).await;
        run.world.heal("prox2");
    };
    let (result, ()) = tokio::join!(run.end(), healing);
    assert_eq!(result, RolloutResult::Done, "{:#?}", run.told());
    assert_right(&case, &run, "dark for 90 s");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_passes_is_waited_out() {
    for code in [Code::NodeBusy, Code::ClusterNotQuorate, Code::StepFailed] {
        let case = three();
        let run = Run::of(&case);
        run.world.replies("prox2", &[Reply::Refuses(code); 4]);
        assert_eq!(run.end().await, RolloutResult::Done, "{:#?}", run.told());
        assert_right(&case, &run, "refused four times");
    }
    let run = Run::of(&three());
    run.world.replies("prox2", &[Reply::Refuses(Code::NodeBusy); 50]);
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert!(
        run.told()
            .contains(&"join/prox2: stopped Failed QRT-NODE-BUSY".to_owned()),
        "{:#?}",
        run.told()
    );
}

#[tokio::test(start_paused = true)]
async fn what_may_still_run_is_not_begun_a_second_time() {
    let run = Run::of(&three());
    run.world.conduct("prox2", &[Conduct::LosesSight]);
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert_eq!(run.states()[1].1, StepState::Stopped { kind: StopKind::Stuck });
    let intents = run.told().iter().filter(|t| t.contains("join/prox2: intended")).count();
    assert_eq!(intents, 1, "{:#?}", run.told());

    // A forgotten ledger is no word of the tool's end either.
    let run = Run::of(&three());
    run.world.conduct("prox2", &[Conduct::Hangs]);
    let world = run.world.clone();
    let forgetting = async {
        world.busy("prox2").await;
        world.lose_ledger("prox2");
    };
    let (result, ()) = tokio::join!(run.end(), forgetting);
    assert_eq!(result, RolloutResult::Failed);
    let intents = run.told().iter().filter(|t| t.contains("join/prox2: intended")).count();
    assert_eq!(intents, 1, "{:#?}", run.told());
}

#[tokio::test(start_paused = true)]
async fn a_join_that_never_ends_is_let_go_of_by_a_cancel_when_it_is_long_overdue() {
    let case = guarded_join();
    let run = Run::of(&case);
    run.world.conduct("prox4", &[Conduct::Hangs]);
    let cancelling = async {
        run.world.busy("prox4").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        run.cancel.send_replace(Some("anna".to_owned()));
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(run.states()[1].1, StepState::Running, "it may still come about");
    };
    let (result, ()) = tokio::join!(run.end(), cancelling);
    assert_eq!(result, RolloutResult::Failed);
    assert_eq!(run.states()[1].1, StepState::Stopped { kind: StopKind::Stuck });
    assert_eq!(run.states()[2].1, StepState::Verified, "{:#?}", run.told());
    assert!(run.world.is_guarded("hk1"));
}

#[tokio::test(start_paused = true)]
async fn a_join_that_never_ends_does_not_leave_ha_disarmed_for_ever() {
    let case = guarded_join();
    let run = Run::of(&case);
    run.world.conduct("prox4", &[Conduct::Hangs]);
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert_eq!(run.states()[1].1, StepState::Stopped { kind: StopKind::Stuck });
    assert!(run.world.is_guarded("hk1"), "{:#?}", run.told());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_only_cut_off_is_not_removed() {
    let case = corpus().into_iter().find(|c| c.name == "a node is removed").unwrap();
    // Between plan and step.
    let run = Run::of(&case);
    run.world.isolate("prox4");
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert!(is_unheard(&case, &run), "{:#?}", run.told());
    assert_eq!(run.states()[0].1, StepState::Stopped { kind: StopKind::Held });
    let next = run.entries().into_iter().find_map(|e| match e.record {
        Record::Stopped { findings, .. } => Some(findings[0].next.clone()),
        _ => None,
    });
    assert!(next.unwrap().contains("--is-off prox4"));

    // After the intent, before the agent has it; and after the agent said that it failed, before another attempt.
    for (replies, cut_after) in [(&[Reply::Lost][..], "intended"), (&[Reply::Taken], "ended")] {
        let run = Run::of(&case);
        run.world.replies("prox4", replies);
        run.world.conduct("prox4", &[Conduct::FailsClean(Code::StepFailed)]);
        let cutting = async {
            let cut_after = format!("off/prox4: {cut_after}");
            while !run.told().iter().any(|t| t.starts_with(&cut_after)) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            run.world.isolate("prox4");
            tokio::time::sleep(Duration::from_secs(3600)).await;
        };
        let (result, ()) = tokio::join!(run.end(), cutting);
        assert_eq!(result, RolloutResult::Failed, "{replies:?}: {:#?}", run.told());
        assert_eq!(run.world.violations(), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_left_behind_is_waited_for() {
    for (name, cluster) in [
        ("a node is removed", "hk1"),
        ("one of three is in", "hk1"),
        ("a QDevice is taken off", "hk1"),
    ] {
        let case = corpus().into_iter().find(|c| c.name == name).unwrap();
        let run = Run::of(&case);
        run.world.hold_lock(cluster, Duration::from_secs(115));
        assert_eq!(run.end().await, RolloutResult::Done, "{name}: {:#?}", run.told());
        assert_right(&case, &run, "a lock for 115 s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_never_takes_the_request_is_not_asked_for_ever() {
    let run = Run::of(&three());
    run.world.replies("prox2", &[Reply::Lost; 50]);
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert_eq!(run.states()[1].1, StepState::Stopped { kind: StopKind::Failed });
    assert_eq!(
        run.told().iter().filter(|t| t.contains("join/prox2: intended")).count(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_fails_the_step_at_once_with_its_finding() {
    let case = three();
    let run = Run::of(&case);
    run.world.replies("prox1", &[Reply::Refuses(Code::PolicyForbids)]);
    assert_eq!(run.end().await, RolloutResult::Failed);
    assert_eq!(
        run.told()[1..],
        [
            "create/hk1: intended hk1-7.1-create-hk1.1",
            "create/hk1: stopped Failed QRT-POLICY-FORBIDS",
            "finished Failed",
        ]
    );
    assert_eq!(run.world.effects(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_superseded_coordinator_stops_and_leaves_the_rollout_to_the_other() {
    let case = three();
    let old = Run::of(&case);
    old.world.replies("prox2", &[Reply::Refuses(Code::DriverSuperseded)]);
    let result = old.go().await.unwrap();
    assert!(matches!(result, Err(RunError::Superseded(_))), "{result:?}");
    assert_eq!(old.told().last().unwrap(), "join/prox2: intended hk1-7.2-join-prox2.1");

    let new = Run::again(old.journal, old.world, 2);
    assert_eq!(new.end().await, RolloutResult::Done);
    assert_right(&case, &new, "taken over");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_cut_off_while_it_works_is_waited_for_and_said_so_once() {
    let case = three();
    let run = Run::of(&case);
    let listener = run.progress.subscribe();
    let world = run.world.clone();
    let cutting = async {
        world.busy("prox2").await;
        world.cut("prox2");
        tokio::time::sleep(Duration::from_secs(7200)).await;
        assert_eq!(
            run.states()[1].1,
            StepState::Running,
            "nobody gives up on what may be running"
        );
        world.heal("prox2");
    };
    let (result, ()) = tokio::join!(run.end(), cutting);
    assert_eq!(result, RolloutResult::Done);
    assert_right(&case, &run, "cut off for two hours");
    let waiting: Vec<_> = heard(listener)
        .into_iter()
        .filter_map(|p| match p {
            Progress::Waiting { reason, .. } if reason.contains("does not answer") => Some(reason),
            _ => None,
        })
        .collect();
    assert_eq!(
        waiting,
        ["prox2 may still be running it, but does not answer: no route to host"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancel_frees_from_an_agent_that_never_comes_back() {
    let case = three();
    let run = Run::of(&case);
    let world = run.world.clone();
    let cutting = async {
        world.busy("prox2").await;
        world.cut("prox2");
        tokio::time::sleep(Duration::from_secs(600)).await;
        run.cancel.send_replace(Some("anna".to_owned()));
    };
    let (result, ()) = tokio::join!(run.end(), cutting);
    assert_eq!(result, RolloutResult::Failed);
    assert_eq!(run.states()[1].1, StepState::Stopped { kind: StopKind::Stuck });
    assert_eq!(run.states()[2].1, StepState::Waiting);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_forgets_its_operation_is_not_asked_to_do_it_again() {
    let case = three();
    let run = Run::of(&case);
    let world = run.world.clone();
    let forgetting = async {
        world.busy("prox2").await;
        world.lose_ledger("prox2");
    };
    let (result, ()) = tokio::join!(run.end(), forgetting);
    assert_eq!(result, RolloutResult::Done, "{:#?}", run.told());
    assert!(
        run.told().contains(&"join/prox2: ended unknown".to_owned()),
        "{:#?}",
        run.told()
    );
    assert_right(&case, &run, "a lost ledger");
}

#[tokio::test(start_paused = true)]
async fn independent_steps_run_beside_each_other_and_those_that_disturb_do_not() {
    for (name, at_once) in [
        ("packages everywhere, side by side", 6),
        ("two clusters beside each other", 1),
        ("a cluster, its second link, and packages beside it", 3),
        ("a QDevice from nothing", 3),
        ("a join with the HA daemons stopped", 3),
        ("two joins under one disarming, and packages beside them", 2),
        ("three bare servers", 1),
    ] {
        let case = everything().into_iter().find(|c| c.name == name).unwrap();
        let run = Run::of(&case);
        run.end().await;
        assert_right(&case, &run, name);
        assert_eq!(run.world.most_at_once(), at_once, "{name}");
    }
}
