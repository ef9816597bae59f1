//! The coordinator's disk fails in every way: it says so, asks the servers, and the work is finished by applying again.

use std::fs;
use std::path::Path;

use quorate_identity::Passphrase;
use quorate_model::failure::ExitCode;
use quorate_model::ids::Driver;
use quorate_model::rollout::RolloutResult;
use quorate_model::{Code, Generation};
use quorate_proto::v1;

use super::rollouts::{apply, executed, finished, plan, watch};
use super::*;
use crate::audit::{Audit, verify};
use crate::serve::Daemon;
use crate::state_dir::StateDir;

const SERVERS: usize = 3;

async fn findings(client: &mut Client) -> Vec<v1::Finding> {
    of(client.info(v1::InfoRequest {}).await).unwrap().findings
}

async fn has(client: &mut Client, code: Code) -> bool {
    findings(client)
        .await
        .iter()
        .any(|finding| finding.code == code.as_str())
}

async fn rollouts(client: &mut Client) -> Vec<v1::RolloutSummary> {
    of(client.list_rollouts(v1::ListRolloutsRequest {}).await)
        .unwrap()
        .rollouts
}

/// A rollout over three servers that has come to the step of this one, which never ends it.
async fn stopped_at(fixture: &Fixture, held: usize) -> (Daemon, Client, Vec<FakeNode>, String) {
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, SERVERS).await;
    all[held].state.go.send_replace(false);
    let shown = plan(&mut client, SERVERS).await;
    let rollout = apply(&mut client, SERVERS, shown).await.unwrap();
    until("the rollout comes to that server", || async {
        executed(&all)[held] == 1
    })
    .await;
    (daemon, client, all, rollout)
}

/// The state of recovery ends by itself once everything is known and nothing runs.
async fn recovered(client: &mut Client) {
    until("what was lost is known", || {
        let mut client = client.clone();
        async move {
            let found = findings(&mut client).await;
            !found.iter().any(|finding| finding.message.contains("was lost at"))
        }
    })
    .await;
}

type Damage = fn(&Path);

const DAMAGES: [(&str, Damage); 6] = [
    ("the journal is deleted", |dir| fs::remove_dir_all(dir).unwrap()),
    ("the head file is deleted", |dir| {
        fs::remove_file(dir.join("head.json")).unwrap()
    }),
    ("the head file is damaged", |dir| {
        fs::write(dir.join("head.json"), b"\xff{").unwrap()
    }),
    ("the store is deleted", |dir| {
        fs::remove_dir_all(dir.join("store")).unwrap()
    }),
    ("the store is cut", |dir| {
        let bytes = fs::read(dir.join("store/db")).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        fs::write(dir.join("store/db"), &bytes[..end / 2]).unwrap();
    }),
    ("the store is zeroed", |dir| {
        let length = fs::metadata(dir.join("store/db")).unwrap().len() as usize;
        fs::write(dir.join("store/db"), vec![0; length]).unwrap();
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_the_journal_at_whichever_step_the_end_is_the_same() {
    for (number, (what, damage)) in DAMAGES.into_iter().enumerate() {
        let held = number % SERVERS;
        let fixture = Fixture::new();
        let (daemon, _, all, rollout) = stopped_at(&fixture, held).await;
        daemon.stop().await;
        damage(&fixture.config.state_dir.join("journal"));

        let daemon = fixture.start().await;
        let mut client = fixture.client().await;
        assert!(has(&mut client, Code::JournalDamaged).await, "{what}");
        linked(&mut client, SERVERS).await;
        until("the lost rollout is made out", || {
            let mut client = client.clone();
            async move { !rollouts(&mut client).await.is_empty() }
        })
        .await;
        until("what runs is known to run", || {
            let mut client = client.clone();
            async move { has(&mut client, Code::OperationUnknown).await }
        })
        .await;
        let lost = &rollouts(&mut client).await[0];
        assert_eq!(
            (lost.id.as_str(), lost.result()),
            (rollout.as_str(), v1::RolloutResult::Abandoned),
            "{what}"
        );

        // As long as something runs of which the journal knows nothing, nothing else begins.
        let shown = plan(&mut client, SERVERS).await;
        let refused = apply(&mut client, SERVERS, shown).await.unwrap_err();
        assert_eq!(refused.findings[0].code, Code::OperationUnknown, "{what}");
        assert!(refused.findings[0].message.contains(&rollout), "{what}: {refused}");
        all[held].state.go.send_replace(true);
        recovered(&mut client).await;

        let shown = plan(&mut client, SERVERS).await;
        if !shown.is_empty() {
            let again = apply(&mut client, SERVERS, shown).await.unwrap();
            let records = watch(&mut client, &again).await.unwrap();
            assert_eq!(finished(&records), RolloutResult::Done, "{what}");
        }
        assert!(plan(&mut client, SERVERS).await.is_empty(), "{what}");
        assert_eq!(executed(&all), [1, 1, 1], "{what}: nothing was done twice");
        assert!(
            rollouts(&mut client).await.iter().any(|r| r.id == rollout),
            "{what}: the lost rollout stays visible"
        );
        let request = v1::UndoInfoRequest {
            rollout: rollout.clone(),
        };
        let undo = of(client.undo_info(request).await).unwrap();
        assert!(undo.plan.is_none() && undo.nodes.len() == SERVERS, "{what}: {undo:?}");
        assert!(undo.nodes.iter().all(|node| node.before.len() == 1), "{what}: {undo:?}");
        let asked = of(client.watch_rollout(v1::WatchRolloutRequest { rollout }).await).unwrap_err();
        assert!(asked.to_string().contains("was lost"), "{asked}");
        daemon.stop().await;
    }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_journal_that_is_whole_in_itself_is_given_away_by_what_agents_remember() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, SERVERS).await;
    daemon.stop().await;
    let (journal, older) = (
        fixture.config.state_dir.join("journal"),
        fixture.home.path().join("older"),
    );
    copy_dir(&journal, &older);

    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    linked(&mut client, SERVERS).await;
    let shown = plan(&mut client, SERVERS).await;
    let rollout = apply(&mut client, SERVERS, shown).await.unwrap();
    watch(&mut client, &rollout).await.unwrap();
    daemon.stop().await;
    // As if the disk had been put back to a snapshot.
    fs::remove_dir_all(&journal).unwrap();
    copy_dir(&older, &journal);

    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    until("the loss is noticed", || {
        let mut client = client.clone();
        async move { has(&mut client, Code::JournalDamaged).await }
    })
    .await;
    recovered(&mut client).await;
    assert_eq!(rollouts(&mut client).await[0].result(), v1::RolloutResult::Abandoned);
    assert!(plan(&mut client, SERVERS).await.is_empty());
    assert_eq!(executed(&all), [1, 1, 1]);
    daemon.stop().await;
}

fn lose_driver(fixture: &Fixture) {
    for name in ["driver.json", "driver.copy"] {
        fs::remove_file(fixture.config.state_dir.join(name)).unwrap();
    }
}

async fn generation(client: &mut Client) -> u64 {
    of(client.info(v1::InfoRequest {}).await).unwrap().generation
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_generation_is_found_above_every_agents() {
    let fixture = Fixture::new();
    let (daemon, mut client, all, rollout) = stopped_at(&fixture, 1).await;
    // Many starts ago: a number that nobody would guess.
    let own = all[0].state.driver.lock().unwrap().clone().unwrap();
    for node in &all {
        *node.state.driver.lock().unwrap() = Some(Driver {
            generation: Generation(41),
            ..own.clone()
        });
    }
    assert_eq!(generation(&mut client).await, 1);
    daemon.stop().await;
    lose_driver(&fixture);

    let daemon = fixture.start().await;
    let client = fixture.client().await;
    until("the agents have told", || {
        let mut client = client.clone();
        async move { generation(&mut client).await == 42 }
    })
    .await;
    // What was not finished is taken up under it.
    all[1].state.go.send_replace(true);
    until("the rollout is taken up and ends", || {
        let (mut client, rollout) = (client.clone(), rollout.clone());
        async move {
            watch(&mut client, &rollout)
                .await
                .is_ok_and(|records| finished(&records) == RolloutResult::Done)
        }
    })
    .await;
    assert_eq!(executed(&all), [1, 1, 1]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_the_generation_is_no_way_to_take_over_from_somebody_else() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 1).await;
    daemon.stop().await;
    let other = Driver {
        generation: Generation(9),
        instance: "other".parse().unwrap(),
    };
    *all[0].state.driver.lock().unwrap() = Some(other);
    lose_driver(&fixture);

    let daemon = fixture.start().await;
    let client = fixture.client().await;
    until("it gives way", || {
        let mut client = client.clone();
        async move { has(&mut client, Code::DriverSuperseded).await }
    })
    .await;
    daemon.stop().await;
    assert!(Daemon::start(&fixture.config, false).await.is_err());
    let daemon = Daemon::start(&fixture.config, true).await.unwrap();
    let mut client = fixture.client().await;
    assert!(generation(&mut client).await > 9);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn books_that_are_lost_twice_are_not_taken_for_an_empty_fleet() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let _all = enrolled(&mut client, 1).await;
    daemon.stop().await;
    let nodes = |name: &str| fixture.config.state_dir.join(name);
    fs::write(nodes("nodes.json"), "[").unwrap();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    assert_eq!(super::nodes(&mut client).await.len(), 1, "mended from its copy");
    assert!(has(&mut client, Code::StateDamaged).await);
    daemon.stop().await;
    for damage in ["gone", "damaged"] {
        for name in ["nodes.json", "nodes.copy"] {
            if damage == "gone" {
                fs::remove_file(nodes(name)).unwrap();
            } else {
                quorate_identity::write_secret_file(&nodes(name), "[").unwrap();
            }
        }
        for _ in 0..2 {
            let refused = Daemon::start(&fixture.config, false).await.unwrap_err();
            assert!(refused.message.contains(damage), "{refused}");
            assert!(
                refused.hints[0].contains("quorate init --restore"),
                "{:?}",
                refused.hints
            );
        }
    }
}

fn audit_of(fixture: &Fixture) -> (Audit, Vec<serde_json::Value>) {
    let state = StateDir::open(&fixture.config.state_dir).unwrap();
    let audit = Audit::of(&state, quorate_clock::Clock::system());
    let mut lines = Vec::new();
    verify::each(audit.path(), |_, text| lines.push(serde_json::from_str(text).unwrap())).unwrap();
    (audit, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_changes_something_stands_in_the_audit_log_with_who_and_from_where() {
    let fixture = Fixture::new();
    let (daemon, mut client, all, rollout) = stopped_at(&fixture, 0).await;
    let operator = fixture.remote(&daemon, "anna", false);
    let mut anna = crate::client::connect(&operator).await.unwrap();
    let cancel = v1::CancelRolloutRequest {
        rollout: rollout.clone(),
    };
    of(anna.cancel_rollout(cancel).await).unwrap();
    all[0].state.go.send_replace(true);
    watch(&mut client, &rollout).await.unwrap();
    let removal = v1::RemoveNodeRequest {
        cluster: "hk1".to_owned(),
        node: "prox3".to_owned(),
        even_if_member: false,
    };
    of(client.remove_node(removal).await).unwrap();
    daemon.stop().await;

    let (audit, lines) = audit_of(&fixture);
    assert!(audit.findings().is_empty());
    let actions: Vec<&str> = lines
        .iter()
        .map(|line| line["what"]["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "init",
            "start",
            "invite",
            "enrol",
            "invite",
            "enrol",
            "invite",
            "enrol",
            "apply",
            "cancel",
            "remove_node"
        ]
    );
    let of_action = |name: &str| lines.iter().find(|line| line["what"]["action"] == name).unwrap();
    let apply = of_action("apply");
    assert_eq!(apply["what"]["rollout"], rollout.as_str());
    assert_eq!(apply["what"]["plan"].as_str().map(str::len), Some(64));
    assert!(apply["by"]["uid"].is_u64() && apply["by"]["from"].as_str().unwrap().starts_with("pid "));
    assert_eq!(apply["cluster"], "hk1");
    let cancel = of_action("cancel");
    assert_eq!(cancel["by"]["who"], "operator anna");
    assert!(
        cancel["by"]["certificate"]
            .as_str()
            .is_some_and(|digest| digest.len() >= 64)
    );
    assert!(cancel["by"]["from"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_written_down_is_not_done() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 2).await;
    let shown = plan(&mut client, 2).await;
    let log = fixture.config.state_dir.join("audit.jsonl");
    fs::rename(&log, fixture.home.path().join("away")).unwrap();
    fs::create_dir(&log).unwrap();
    let refused = apply(&mut client, 2, shown.clone()).await.unwrap_err();
    assert_eq!(refused.exit, ExitCode::Failed);
    assert!(refused.message.contains("audit log"), "{refused}");
    assert_eq!(executed(&all), [0, 0]);
    assert!(rollouts(&mut client).await.is_empty());
    let removal = v1::RemoveNodeRequest {
        cluster: "hk1".to_owned(),
        node: "prox2".to_owned(),
        even_if_member: false,
    };
    assert!(
        of(client.remove_node(removal).await)
            .unwrap_err()
            .message
            .contains("audit log")
    );
    assert_eq!(nodes(&mut client).await.len(), 2);
    of(client.get_view(v1::GetViewRequest::default()).await).expect("looking is allowed");

    fs::remove_dir(&log).unwrap();
    fs::rename(fixture.home.path().join("away"), &log).unwrap();
    let rollout = apply(&mut client, 2, shown).await.unwrap();
    assert_eq!(
        finished(&watch(&mut client, &rollout).await.unwrap()),
        RolloutResult::Done
    );
    daemon.stop().await;
}

fn passphrase() -> Passphrase {
    Passphrase::new("another long passphrase".to_owned().into()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_coordinator_drives_and_the_one_before_it_gives_way() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 2).await;
    assert!(has(&mut client, Code::BackupMissing).await);
    let file = fixture.home.path().join("b.age");
    let history = vec![r#"{"rollout":"x"}"#.to_owned()];
    let written = crate::backup::backup(&fixture.config, Some(&file), &passphrase(), history).unwrap();
    assert!(written.bytes > 1000);
    assert!(!has(&mut client, Code::BackupMissing).await && !has(&mut client, Code::BackupOutdated).await);
    let again = crate::backup::backup(&fixture.config, Some(&file), &passphrase(), vec![]).unwrap_err();
    assert!(again.message.contains("not overwritten"), "{again}");
    assert!(
        crate::backup::restore(&fixture.config, &file, &passphrase()).is_err(),
        "never over a fleet that there is"
    );

    // A second coordinator from the backup, while the first still runs.
    let second = Fixture::new();
    fs::remove_dir_all(&second.config.state_dir).unwrap();
    let wrong = Passphrase::new("some other passphrase".to_owned().into()).unwrap();
    assert!(crate::backup::restore(&second.config, &file, &wrong).is_err());
    assert!(!second.config.state_dir.exists());
    let restored = crate::backup::restore(&second.config, &file, &passphrase()).unwrap();
    assert_eq!(restored.fleet.as_str(), "home");
    assert!(
        crate::backup::restore(&second.config, &file, &passphrase()).is_err(),
        "not twice"
    );
    let other = second.start().await;
    let mut others = second.client().await;
    linked(&mut others, 2).await;
    until("it knows how high to go", || {
        let mut client = others.clone();
        async move { generation(&mut client).await == 2 }
    })
    .await;
    all[0].state.go.send_replace(false);
    let shown = plan(&mut others, 2).await;
    let rollout = apply(&mut others, 2, shown.clone()).await.unwrap();
    until("the second drives", || async { executed(&all) == [1, 0] }).await;
    let refused = apply(&mut client, 2, shown).await.unwrap_err();
    assert_eq!(refused.findings[0].code, Code::OperationUnknown, "{refused}");
    all[0].state.go.send_replace(true);
    assert_eq!(
        finished(&watch(&mut others, &rollout).await.unwrap()),
        RolloutResult::Done
    );
    assert_eq!(executed(&all), [1, 1]);
    other.stop().await;
    daemon.stop().await;
}
