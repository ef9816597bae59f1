//! What becomes of an operation when the agent, its supervisor or the whole server dies.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quorate_agent::ledger::{Ledger, LedgerError};
use quorate_agent::operations::folder::{Claim, Folder, Request, Status};
use quorate_exec::Exit;
use quorate_model::failure::ExitCode;
use quorate_model::operation::{Action, Operation, OperationEventKind, Outcome};
use quorate_model::{Code, Timestamp};
use quorate_proto::status::to_failure;

use crate::agent::{RunningAgent, create, join, lines, outcome, spawn};
use crate::fleet::Fleet;
use crate::server::{TestServer, cat, until};

fn folder(server: &TestServer, id: &str) -> Folder {
    Folder::of(&server.state(), &id.parse().unwrap())
}

/// As if an agent had accepted it and died at once.
async fn accepted(server: &TestServer, operation: &Operation) {
    let ledger = Ledger::open(&server.state()).unwrap();
    let operation = operation.clone();
    ledger
        .change(|content| Ok::<_, LedgerError>(content.accept(operation, Timestamp(1))))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_tool_outlives_the_agent_and_its_lines_come_once() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox3");
    server.pvecm(&format!(
        "read ticket; echo first; echo second >&2; wait_for go; echo third; {}; {}",
        server.be_one_of_three(),
        cat("pvecm/pve-8.4/add-success.out")
    ));
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let mut events = client.execute(&join("op-1")).await.unwrap();
    events
        .until(|kind| matches!(kind, OperationEventKind::Line { text, .. } if text == "first"))
        .await;
    agent.kill().await;
    while let Ok(event) = events.next().await {
        assert!(event.is_some(), "the stream ends as if the operation had");
    }
    server.touch("go");

    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let all = client.attach("op-1", 0).await.unwrap().all().await;
    assert!(matches!(outcome(&all), Outcome::Done { .. }), "{all:?}");
    let count = |text: &str| lines(&all).iter().filter(|line| *line == text).count();
    assert_eq!([count("first"), count("second"), count("third")], [1, 1, 1], "{all:?}");
    let starts = all
        .iter()
        .filter(|event| matches!(event.kind, OperationEventKind::ToolStarted { .. }))
        .count();
    assert_eq!((starts, server.calls().len()), (1, 1));
    assert!(all.iter().map(|event| event.sequence).eq(0..all.len() as u64));

    // And once more after its end.
    agent.kill().await;
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    assert_eq!(client.attach("op-1", 0).await.unwrap().all().await, all);
}

#[tokio::test]
async fn a_stopped_agent_says_so_and_leaves_the_tool_alone() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    server.pvecm(&format!(
        ": > \"$D/started\"; wait_for go; {}; {}",
        server.be_sole_member(),
        cat("pvecm/pve-8.4/create-success.out")
    ));
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let mut events = client.execute(&create("op-1")).await.unwrap();
    until("the tool runs", || server.path("started").exists().then_some(())).await;
    assert_eq!(agent.terminate().await, Exit::Code(0));
    let status = loop {
        match events.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended as if the operation had"),
            Err(status) => break status,
        }
    };
    assert_eq!(to_failure(&status).exit, ExitCode::Unreachable);

    // It ends while nobody watches.
    server.touch("go");
    let ended = || matches!(folder(&server, "op-1").status().unwrap(), Some(Status::Ended { .. })).then_some(());
    until("the tool ends", ended).await;
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let all = client.attach("op-1", 0).await.unwrap().all().await;
    assert!(matches!(outcome(&all), Outcome::Done { .. }), "{all:?}");
}

/// Kills tool and supervisor while both run; returns what becomes of the operation.
async fn killed(server: &TestServer, fleet: &Fleet, operation: &Operation) -> Outcome {
    server.configure("", 1000.0);
    let agent = RunningAgent::start(server).await;
    let mut client = agent.dial(fleet, server).await;
    let events = client.execute(operation).await.unwrap();
    until("the tool runs", || server.path("started").exists().then_some(())).await;
    let folder = folder(server, operation.id.as_str());
    let Some(Claim::Supervisor { process: supervisor }) = folder.claimed().unwrap() else {
        panic!("no supervisor")
    };
    let running = || match folder.status().unwrap() {
        Some(Status::Running { process }) => Some(process),
        _ => None,
    };
    let tool = until("the supervisor has said so", running).await;
    for process in [supervisor, tool] {
        kill(Pid::from_raw(process.identity.pid), Signal::SIGKILL).unwrap();
    }
    events.outcome().await
}

#[tokio::test]
async fn an_end_that_nobody_saw_is_judged_by_what_is_there() {
    let fleet = Fleet::new();
    let started = ": > \"$D/started\"; wait_for never";

    // Nothing is there, and making a cluster touches nobody else.
    let server = TestServer::new(&fleet, "prox1");
    server.pvecm(started);
    let outcome = killed(&server, &fleet, &create("op-1")).await;
    assert!(
        matches!(outcome, Outcome::Failed { unchanged: true, .. }),
        "{outcome:?}"
    );

    // All is there.
    let server = TestServer::new(&fleet, "prox1");
    server.pvecm(&format!("{}; {started}", server.be_sole_member()));
    let outcome = killed(&server, &fleet, &create("op-1")).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");

    // Nothing is there, but the member may have been changed.
    let server = TestServer::new(&fleet, "prox3");
    server.pvecm(&format!("read ticket; {started}"));
    let outcome = killed(&server, &fleet, &join("op-1")).await;
    let Outcome::Unknown { reason, over: true } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(reason.contains("before the tool's end was seen"), "{reason}");
}

#[tokio::test]
async fn a_join_that_waits_for_quorum_for_ever_gives_way_to_what_undoes_it() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox3");
    server.configure("allow_remove = true", 1.0);
    let waiting = cat("pvecm/pve-8.4/add-waiting.out");
    server.pvecm(&format!(
        "read ticket; : > \"$D/started\"; wait_for quorum; {waiting}; : > \"$D/waits\"; wait_for never"
    ));
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let joining = client.execute(&join("op-1")).await.unwrap();
    until("the tool runs", || server.path("started").exists().then_some(())).await;
    let undo = Operation {
        id: "op-2".parse().unwrap(),
        action: Action::AbandonJoin {
            cluster: "lab1".parse().unwrap(),
        },
    };
    // Before the wait it is left alone.
    let busy = |status: &tonic::Status| assert_eq!(to_failure(status).findings[0].code, Code::NodeBusy);
    busy(&client.execute(&undo).await.err().unwrap());
    server.touch("quorum");
    until("it waits", || server.path("waits").exists().then_some(())).await;
    busy(&client.execute(&undo).await.err().unwrap());
    let Outcome::Failed {
        findings,
        unchanged: false,
    } = joining.outcome().await
    else {
        panic!("it did not give way")
    };
    assert_eq!(findings[0].code, Code::NodeHasLeftovers);
    assert!(findings[0].message.starts_with("its tool only waited"), "{findings:?}");
    loop {
        match client.execute(&undo).await {
            Ok(_) => break,
            Err(status) => busy(&status),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_operation_that_was_accepted_and_not_begun_changes_nothing() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox3");
    server.pvecm("echo must not run");
    accepted(&server, &join("op-1")).await;
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let all = client.attach("op-1", 0).await.unwrap().all().await;
    let Outcome::Failed {
        findings,
        unchanged: true,
    } = outcome(&all)
    else {
        panic!("{all:?}")
    };
    assert!(
        findings[0].message.contains("restarted before the tool was started"),
        "{findings:?}"
    );
    assert!(server.calls().is_empty());
}

#[tokio::test]
async fn a_join_whose_ticket_never_came_has_not_begun() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox3");
    server.pvecm("echo must not run");
    accepted(&server, &join("op-1")).await;
    // The agent died between starting the supervisor and handing over the ticket.
    let folder = folder(&server, "op-1");
    folder.create().unwrap();
    folder.make_fifo().unwrap();
    let program = server.path("bin/pvecm");
    folder
        .write_request(&Request {
            program,
            args: vec!["add".into()],
            env: std::collections::BTreeMap::new(),
            secret_within_ms: Some(50),
        })
        .unwrap();
    let (mut supervisor, _) = spawn(&server, &["run-op", "op-1"]);
    assert_eq!(supervisor.wait().await.unwrap(), Exit::Code(0));

    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let all = client.attach("op-1", 0).await.unwrap().all().await;
    let Outcome::Failed {
        findings,
        unchanged: true,
    } = outcome(&all)
    else {
        panic!("{all:?}")
    };
    assert!(
        findings[0]
            .message
            .contains("the secret that it needs was not delivered"),
        "{findings:?}"
    );
    assert!(server.calls().is_empty());
}

#[tokio::test]
async fn a_server_that_was_restarted_knows_that_its_tools_are_gone() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    server.pvecm("echo must not run");
    server.configure("", 1000.0);
    accepted(&server, &create("op-1")).await;
    let folder = folder(&server, "op-1");
    folder.create().unwrap();
    folder
        .write_request(&Request {
            program: "/bin/true".into(),
            args: vec![],
            env: std::collections::BTreeMap::new(),
            secret_within_ms: None,
        })
        .unwrap();
    // Our own process stands for one that happens to have the same id after the boot.
    let mut process = quorate_agent::operations::folder::Process::this().unwrap();
    process.boot_id = "of the boot before".into();
    folder
        .claim(&Claim::Supervisor {
            process: process.clone(),
        })
        .unwrap();
    folder.write_status(&Status::Running { process }).unwrap();

    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let all = client.attach("op-1", 0).await.unwrap().all().await;
    assert!(
        matches!(outcome(&all), Outcome::Failed { unchanged: true, .. }),
        "{all:?}"
    );
}

#[tokio::test]
async fn an_end_that_finds_no_room_in_the_ledger_is_told_once_it_does() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    server.pvecm(&format!(
        "{}; {}; wait_for go",
        cat("pvecm/pve-8.4/create-success.out"),
        server.be_sole_member()
    ));
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let mut events = client.execute(&create("op-1")).await.unwrap();
    events
        .until(|kind| matches!(kind, OperationEventKind::Line { .. }))
        .await;
    // Nothing can be written in the place of a folder, as on a disk without room.
    let copy = server.state().join("ledger.copy.json");
    std::fs::remove_file(&copy).unwrap();
    std::fs::create_dir(&copy).unwrap();
    server.touch("go");
    events
        .until(|kind| {
            matches!(kind, OperationEventKind::Verifying { waiting_for } if waiting_for.starts_with("its end is written down"))
        })
        .await;
    std::fs::remove_dir(&copy).unwrap();
    assert!(matches!(events.outcome().await, Outcome::Done { .. }));
    let next = client.execute(&create("op-2")).await.unwrap().outcome().await;
    assert!(
        matches!(next, Outcome::Done { .. }),
        "the node is not busy for ever: {next:?}"
    );
}

#[tokio::test]
async fn a_lost_ledger_makes_nothing_run_twice() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    server.pvecm("echo \"400 Parameter verification failed.\" >&2; exit 255");
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let first = client.execute(&create("op-1")).await.unwrap().outcome().await;
    agent.kill().await;
    for name in ["ledger.json", "ledger.copy.json"] {
        std::fs::remove_file(server.state().join(name)).unwrap();
    }
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let again = client.execute(&create("op-1")).await.unwrap().outcome().await;
    assert_eq!(again, first);
    assert_eq!(server.calls().len(), 1);
}
