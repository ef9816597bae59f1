//! What earlier versions have left on a server's disk is understood: their files are kept, by version.

use std::fs;
use std::path::{Path, PathBuf};

use quorate_clock::Clock;
use quorate_exec::{Exit, ProcessIdentity};
use quorate_model::Timestamp;
use quorate_model::operation::{Action, ActionKind, LedgerEntry, Operation, OperationEvent, Outcome};

use crate::begun_pools::Begun;
use crate::ledger::{Content, Ledger, LedgerError};
use crate::operations::EventLog;
use crate::operations::folder::{Claim, Folder, Process, Request, Status};

/// One action of each kind, as the model writes it for plans and programs.
const ACTIONS: &str = include_str!("../../tests/fixtures/formats/actions.json");

fn formats() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/formats"))
}

/// The agent's folder of each version.
fn versions() -> Vec<PathBuf> {
    let folders = fs::read_dir(formats())
        .unwrap()
        .map(|entry| entry.unwrap().path().join("agent"));
    folders.filter(|path| path.is_dir()).collect()
}

fn actions(text: &str) -> Vec<Action> {
    serde_json::from_str(text).unwrap()
}

fn outcome(number: usize) -> Option<Outcome> {
    let finding: quorate_model::Finding = serde_json::from_str(
        r#"{"code":"QRT-STEP-FAILED","severity":"critical","subject":"prox1","message":"it failed","next":"apply again","place":null}"#,
    )
    .unwrap();
    match number % 4 {
        0 => Some(Outcome::Done {
            evidence: "it was seen".to_owned(),
        }),
        1 => Some(Outcome::Failed {
            findings: vec![finding],
            unchanged: true,
        }),
        2 => Some(Outcome::Unknown {
            reason: "nobody knows".to_owned(),
            over: true,
        }),
        _ => None,
    }
}

/// What the ledger is written with, and must be read as.
fn content(actions: Vec<Action>) -> Content {
    let entry = |(number, action): (usize, Action)| {
        let outcome = outcome(number);
        LedgerEntry {
            operation: Operation {
                id: format!("hk1-1.{number}-step.1").parse().unwrap(),
                action,
            },
            accepted_at: Timestamp(1_000_000 + i64::try_from(number).unwrap()),
            ended_at: outcome.is_some().then_some(Timestamp(2_000_000)),
            outcome,
        }
    };
    Content {
        driver: serde_json::from_str(r#"{"generation":4,"instance":"a1b2"}"#).unwrap(),
        anchor: serde_json::from_value(serde_json::json!({
            "anchor": { "journal": "j1", "position": 7, "digest": "ab".repeat(32), "rollout": "hk1-1", "sequence": 3 },
            "generation": 4,
        }))
        .unwrap(),
        revoked: serde_json::from_value(serde_json::json!({ "generation": 2, "fingerprints": [] })).unwrap(),
        hold: quorate_model::Hold {
            frozen: Some(quorate_model::Frozen {
                by: "root".to_owned(),
                since: Timestamp(5),
                reason: "moving house".to_owned(),
            }),
            windows: vec!["sat 22:00-sun 04:00".parse().unwrap()],
        },
        operations: actions.into_iter().enumerate().map(entry).collect(),
    }
}

fn process() -> Process {
    Process {
        identity: ProcessIdentity {
            pid: 1234,
            start_ticks: 5678,
        },
        boot_id: "8a1f".to_owned(),
    }
}

fn statuses() -> [Status; 3] {
    [
        Status::Running { process: process() },
        Status::Ended {
            process: process(),
            exit: Exit::Code(0),
            milliseconds: 12,
        },
        Status::NotStarted {
            reason: "no bus".to_owned(),
        },
    ]
}

fn request() -> Request {
    Request {
        program: "/usr/bin/pvecm".into(),
        args: vec!["create".to_owned(), "hk1".to_owned()],
        env: [("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned())].into(),
        secret_within_ms: Some(15_000),
    }
}

fn claims() -> [Claim; 2] {
    [
        Claim::Supervisor { process: process() },
        Claim::Abandoned {
            reason: "given up".to_owned(),
        },
    ]
}

/// Beside its file of one claim and one status, an operation's folder has others of the same form under other names here.
fn folder(dir: &Path) -> Folder {
    Folder::of(dir, &"op-1".parse().unwrap())
}

/// A copy to work on: opening may mend.
fn copied(from: &Path) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() {
                quorate_identity::create_private_dir(&target).unwrap();
                copy(&path, &target);
            } else {
                quorate_identity::write_secret_file(&target, &fs::read_to_string(&path).unwrap()).unwrap();
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    copy(from, dir.path());
    dir
}

#[test]
fn a_ledger_of_every_version_is_read_with_every_action() {
    assert!(!versions().is_empty());
    for version in versions() {
        let dir = copied(&version);
        let told = actions(&fs::read_to_string(version.join("actions.json")).unwrap());
        let read = Ledger::open(dir.path()).unwrap_or_else(|error| panic!("{}: {error}", version.display()));
        assert_eq!(*read.content(), content(told), "{}", version.display());
    }
}

#[test]
fn every_kind_of_action_has_an_example_of_this_version() {
    let kinds: std::collections::BTreeSet<ActionKind> = actions(ACTIONS).iter().map(Action::kind).collect();
    let missing: Vec<ActionKind> = ActionKind::ALL
        .into_iter()
        .filter(|kind| !kinds.contains(kind))
        .collect();
    assert!(
        missing.is_empty(),
        "add to tests/fixtures/formats/actions.json: {missing:?}"
    );
}

#[test]
fn an_operations_folder_of_every_version_is_understood() {
    for version in versions() {
        let dir = copied(&version);
        let folder = folder(dir.path());
        assert_eq!(folder.request().unwrap(), Some(request()), "{}", version.display());
        assert_eq!(folder.task().unwrap().unwrap().node.as_str(), "prox1");
        let read = |name: &str| fs::read_to_string(folder.path(name)).unwrap();
        for (number, claim) in claims().into_iter().enumerate() {
            let text = read(&format!("claim.{number}.example"));
            assert_eq!(serde_json::from_str::<Claim>(&text).unwrap(), claim);
        }
        for (number, status) in statuses().into_iter().enumerate() {
            let text = read(&format!("status.{number}.example"));
            assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
        }
        let log = EventLog::read_only(&folder, Clock::system()).unwrap();
        let lines: Vec<OperationEvent> = read("events.jsonl")
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!((log.since(0).len(), lines.len()), (7, 7), "{}", version.display());
        let begun: Begun =
            serde_json::from_str(&fs::read_to_string(dir.path().join("begun-pools/op-1.json")).unwrap()).unwrap();
        assert_eq!(begun.pool.as_str(), "tank");
    }
}

#[tokio::test]
#[ignore = "writes the files of this version"]
async fn write_the_files_of_this_version() {
    let target = formats().join(env!("CARGO_PKG_VERSION")).join("agent");
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    ledger
        .change(|old| {
            *old = content(actions(ACTIONS));
            Ok::<_, LedgerError>(())
        })
        .await
        .unwrap();
    let folder = folder(dir.path());
    folder.create().unwrap();
    folder.write_request(&request()).unwrap();
    let action = actions(ACTIONS).remove(0);
    let operation = Operation {
        id: "op-1".parse().unwrap(),
        action,
    };
    folder.write_task(&operation, &"prox1".parse().unwrap(), None).unwrap();
    for (number, claim) in claims().into_iter().enumerate() {
        fs::write(
            folder.path(&format!("claim.{number}.example")),
            serde_json::to_string(&claim).unwrap(),
        )
        .unwrap();
    }
    for (number, status) in statuses().into_iter().enumerate() {
        fs::write(
            folder.path(&format!("status.{number}.example")),
            serde_json::to_string(&status).unwrap(),
        )
        .unwrap();
    }
    let events = [
        serde_json::json!({ "event": "accepted" }),
        serde_json::json!({ "event": "tool_started", "command": "/usr/bin/pvecm create hk1", "pid": 7 }),
        serde_json::json!({ "event": "line", "stderr": true, "text": "a line" }),
        serde_json::json!({ "event": "tool_ended", "exit": "exit code 0", "milliseconds": 12 }),
        serde_json::json!({ "event": "verifying", "waiting_for": "it is there" }),
        serde_json::json!({ "event": "overdue", "diagnosis": ["it hangs"] }),
        serde_json::json!({ "event": "ended", "outcome": "done", "evidence": "it was seen" }),
    ];
    let lines = events.into_iter().enumerate().map(|(sequence, kind)| {
        let event = OperationEvent {
            sequence: sequence as u64,
            at: Timestamp(9),
            kind: serde_json::from_value(kind).unwrap(),
        };
        serde_json::to_string(&event).unwrap() + "\n"
    });
    fs::write(folder.path("events.jsonl"), lines.collect::<String>()).unwrap();
    let disk = serde_json::json!({ "link": "ata-X", "serial": "S1", "wwn": null, "model": "M", "size": 1_000_000 });
    let begun: Begun = serde_json::from_value(serde_json::json!({ "pool": "tank", "disks": [disk] })).unwrap();
    crate::begun_pools::begin(dir.path(), &operation.id, &begun).unwrap();
    for (from, to) in [
        ("ledger.json", "ledger.json"),
        ("ledger.copy.json", "ledger.copy.json"),
        ("operations/op-1/request.json", "operations/op-1/request.json"),
        ("operations/op-1/task.json", "operations/op-1/task.json"),
        ("operations/op-1/claim.0.example", "operations/op-1/claim.0.example"),
        ("operations/op-1/claim.1.example", "operations/op-1/claim.1.example"),
        ("operations/op-1/status.0.example", "operations/op-1/status.0.example"),
        ("operations/op-1/status.1.example", "operations/op-1/status.1.example"),
        ("operations/op-1/status.2.example", "operations/op-1/status.2.example"),
        ("operations/op-1/events.jsonl", "operations/op-1/events.jsonl"),
    ] {
        fs::create_dir_all(target.join(to).parent().unwrap()).unwrap();
        fs::write(target.join(to), fs::read(dir.path().join(from)).unwrap()).unwrap();
    }
    fs::create_dir_all(target.join("begun-pools")).unwrap();
    fs::write(
        target.join("begun-pools/op-1.json"),
        serde_json::to_string_pretty(&begun).unwrap(),
    )
    .unwrap();
    fs::write(target.join("actions.json"), ACTIONS).unwrap();
}
