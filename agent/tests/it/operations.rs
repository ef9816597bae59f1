//! What operations do, as their coordinator sees it.

use quorate_model::Code;
use quorate_model::failure::ExitCode;
use quorate_model::operation::{OperationEventKind, Outcome};
use quorate_proto::status::to_failure;
use quorate_proto::v1;

use crate::agent::{RunningAgent, SECRET, create, driver, join, lines, outcome};
use crate::fleet::Fleet;
use crate::server::{TestServer, cat, fixture};

fn failed(outcome: Outcome) -> (Vec<Code>, bool, String) {
    match outcome {
        Outcome::Failed { findings, unchanged } => {
            let codes = findings.iter().map(|finding| finding.code).collect();
            (codes, unchanged, findings[0].message.clone())
        }
        other => panic!("not failed: {other:?}"),
    }
}

#[tokio::test]
async fn a_cluster_is_made_once_and_seen() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    server.pvecm(&format!(
        "{}; {}",
        cat("pvecm/pve-8.4/create-success.out"),
        server.be_sole_member()
    ));
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;

    let events = client.execute(&create("op-1")).await.unwrap().all().await;
    let Outcome::Done { evidence } = outcome(&events) else {
        panic!("{events:?}")
    };
    assert!(
        evidence.starts_with("cluster lab1 with prox1 online, 1 of 1 votes, quorate"),
        "{evidence}"
    );
    assert!(events.iter().map(|event| event.sequence).eq(0..events.len() as u64));
    assert_eq!(events[0].kind, OperationEventKind::Accepted);
    let tool = |kind: &OperationEventKind| match kind {
        OperationEventKind::ToolStarted { command, .. } => Some(command.clone()),
        _ => None,
    };
    let command = events.iter().find_map(|event| tool(&event.kind)).unwrap();
    assert!(
        command.ends_with("/bin/pvecm create lab1 --link0 10.77.0.1"),
        "{command}"
    );
    assert_eq!(
        lines(&events).last().unwrap(),
        "Restart corosync and cluster filesystem"
    );

    // The same id again attaches; another action under it is an error; a new id finds it done.
    assert_eq!(client.execute(&create("op-1")).await.unwrap().all().await, events);
    assert_eq!(client.attach("op-1", 2).await.unwrap().all().await, events[2..]);
    // Who has heard all, and asks again, hears the end again; the stream never hangs.
    let all = events.len() as u64;
    for beyond in [all, all + 7] {
        let heard = client.attach("op-1", beyond).await.unwrap().all().await;
        assert_eq!(heard, events[events.len() - 1..], "from {beyond}");
    }
    let other = to_failure(&client.execute(&join("op-1")).await.err().unwrap());
    assert_eq!(other.exit, ExitCode::Usage);
    let again = client.execute(&create("op-2")).await.unwrap().all().await;
    assert!(
        matches!(outcome(&again), Outcome::Done { .. }) && lines(&again).is_empty(),
        "{again:?}"
    );
    assert_eq!(server.calls(), ["create lab1 --link0 10.77.0.1"]);

    let ledger = client
        .0
        .ledger(v1::LedgerRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(ledger.entries.len(), 2);
    let unknown = to_failure(&client.attach("op-9", 0).await.err().unwrap());
    assert_eq!(unknown.exit, ExitCode::NotFound);
}

#[tokio::test]
async fn a_join_that_fails_with_exit_code_0_has_failed() {
    let cases = [
        (
            "add-wrong-password",
            Code::JoinLoginRefused,
            "401 authentication failure",
        ),
        (
            "add-peer-not-quorate",
            Code::ClusterNotQuorate,
            "the member refused: cluster not ready - no quorum?",
        ),
        ("add-wrong-fingerprint", Code::JoinOtherFingerprint, "fingerprint '"),
        (
            "add-missing-link1",
            Code::LinksDiffer,
            "the member refused: corosync: link 1",
        ),
        ("add-stale-lock", Code::ClusterLocked, "the member refused: cfs-lock"),
        (
            "add-no-route",
            Code::JoinPeerUnreachable,
            "500 Can't connect to 10.77.0.99",
        ),
    ];
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox3");
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    for (number, (case, code, text)) in cases.into_iter().enumerate() {
        let output = fixture(&format!("pvecm/pve-8.4/{case}.out"));
        let errors = fixture(&format!("pvecm/pve-8.4/{case}.err"));
        server.pvecm(&format!("read ticket; cat {output}; cat {errors} >&2; exit 0"));
        let outcome = client
            .execute(&join(&format!("op-{number}")))
            .await
            .unwrap()
            .outcome()
            .await;
        let (codes, unchanged, message) = failed(outcome);
        assert_eq!((codes, unchanged), (vec![code], true), "{case}: {message}");
        assert!(message.starts_with(text), "{case}: {message}");
    }

    // The member was asked and did not answer: it may have taken the node in.
    server.pvecm(&format!(
        "read ticket; {}; {} >&2",
        cat("pvecm/pve-8.4/add-no-answer.out"),
        cat("pvecm/pve-8.4/add-no-answer.err")
    ));
    let (codes, unchanged, _) = failed(client.execute(&join("op-6")).await.unwrap().outcome().await);
    assert_eq!(
        (codes, unchanged),
        (vec![Code::JoinPeerUnreachable, Code::NodeHasLeftovers], false)
    );

    let call = format!(
        "add 10.77.0.1 --fingerprint {} --link0 10.77.0.3",
        crate::server::FINGERPRINT
    );
    assert_eq!(server.calls(), vec![call; 7]);
}

#[tokio::test]
async fn what_proves_nothing_is_not_told_as_unchanged() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox3");
    server.configure("", 1000.0);
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let asked = "echo 'Establishing API connection with host x'; echo 'Request addition of this node'";
    let broken_off = "echo \"An error occurred on the cluster node: 'file-corosync_conf'-locked command timed out\"";
    for (id, script) in [
        ("op-silent", "read ticket".to_owned()),
        (
            "op-new-words",
            "read ticket; echo 'Please take me in'; echo 'no, sorry' >&2".to_owned(),
        ),
        ("op-broken-off", format!("read ticket; {asked}; {broken_off}")),
    ] {
        server.pvecm(&script);
        let (codes, unchanged, message) = failed(client.execute(&join(id)).await.unwrap().outcome().await);
        assert!(!unchanged && codes[0] == Code::StepFailed, "{id}: {message}");
    }

    // Somebody kills pvecm: its worker, whose words it passes on, may go on.
    server.pvecm("read ticket; echo 'Establishing API connection with host x'; kill -KILL $$");
    let killed = client.execute(&join("op-killed")).await.unwrap().outcome().await;
    assert!(matches!(killed, Outcome::Unknown { over: false, .. }), "{killed:?}");
    let server = TestServer::new(&fleet, "prox1");
    server.configure("", 1000.0);
    server.pvecm("kill -KILL $$");
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let killed = client.execute(&create("op-killed")).await.unwrap().outcome().await;
    assert!(matches!(killed, Outcome::Unknown { over: false, .. }), "{killed:?}");
}

#[tokio::test]
async fn a_name_with_the_address_of_yesterday_is_found_before() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    server.pvecm("echo must not run");
    server.tool("getent", "echo '192.0.2.9 STREAM prox1'");
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let (codes, unchanged, message) = failed(client.execute(&create("op-1")).await.unwrap().outcome().await);
    assert_eq!((codes, unchanged), (vec![Code::AddressNotOnNode], true));
    assert!(message.contains("prox1 resolves to 192.0.2.9"), "{message}");
    assert!(server.calls().is_empty());
}

#[tokio::test]
async fn what_a_tool_complained_about_is_told_though_it_came_about() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox3");
    server.pvecm(&format!(
        "read ticket; {}; echo OK; {}; echo \"can't make a certificate with $ticket\" >&2",
        cat("pvecm/pve-8.4/add-waiting.out"),
        server.be_one_of_three()
    ));
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let outcome = client.execute(&join("op-1")).await.unwrap().outcome().await;
    let Outcome::Done { evidence } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        evidence.ends_with("; the tool complained: can't make a certificate with <redacted>"),
        "{evidence}"
    );
}

#[tokio::test]
async fn a_join_that_says_nothing_wrong_but_changed_nothing_has_not_succeeded() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox3");
    server.pvecm(&format!("read ticket; {}", cat("pvecm/pve-8.4/add-success.out")));
    server.configure("", 500.0);
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let outcome = client.execute(&join("op-1")).await.unwrap().outcome().await;
    let Outcome::Unknown { reason, over: true } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(reason.starts_with("the tool said that it succeeded, but"), "{reason}");
}

#[tokio::test]
async fn what_stands_against_it_is_found_before_the_tool_is_started() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox3");
    server.pvecm("echo must not run");
    server.put(
        "etc/pve/.vmlist",
        &std::fs::read_to_string(fixture("pmxcfs/pve-8.4/vmlist-one-guest.json")).unwrap(),
    );
    server.put("etc/corosync/authkey", "old");
    server.tool("getent", "echo '127.0.1.1 STREAM prox3'");
    server.tool("ip", "echo '[]'");
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let (mut codes, unchanged, _) = failed(client.execute(&join("op-1")).await.unwrap().outcome().await);
    codes.sort();
    assert_eq!(
        codes,
        [
            Code::NodeHasGuests,
            Code::NodeHasLeftovers,
            Code::NameDoesNotResolve,
            Code::AddressNotOnNode
        ],
        "all at once"
    );
    assert!(unchanged);

    // In another cluster; and what can't be seen is not taken for well.
    std::fs::remove_file(server.root().join("etc/corosync/authkey")).unwrap();
    server.put("etc/pve/.vmlist", "garbage");
    let (codes, ..) = failed(client.execute(&join("op-2")).await.unwrap().outcome().await);
    assert!(codes.contains(&Code::FacetUnknown), "{codes:?}");
    server.put(
        "etc/pve/.members",
        &std::fs::read_to_string(fixture("pmxcfs/pve-8.4/members-one-node.json")).unwrap(),
    );
    server.put(
        "etc/pve/corosync.conf",
        &std::fs::read_to_string(fixture("corosync.conf/pve-8.4/one-node.conf")).unwrap(),
    );
    let (codes, ..) = failed(client.execute(&join("op-3")).await.unwrap().outcome().await);
    assert!(codes.contains(&Code::NodeInOtherCluster), "{codes:?}");
    assert!(server.calls().is_empty());
}

#[tokio::test]
async fn the_nodes_own_policy_has_the_last_word() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    server.pvecm("echo must not run");
    server.configure("allow_changes = false", 20.0);
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let failure = to_failure(&client.execute(&create("op-1")).await.err().unwrap());
    assert_eq!(
        (failure.exit, failure.findings[0].code),
        (ExitCode::Refused, Code::PolicyForbids)
    );
    // Whoever drives, and whatever is wrong with the request besides.
    let incomplete = v1::ExecuteRequest {
        driver: Some(driver(2, "b").into()),
        operation: Some(join("op-2").into()),
        secret: None,
        restores: false,
        anchor: None,
    };
    let failure = to_failure(&client.0.execute(incomplete).await.unwrap_err());
    assert_eq!(failure.findings[0].code, Code::PolicyForbids, "{failure:?}");
    let ledger = client
        .0
        .ledger(v1::LedgerRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(ledger.entries.is_empty() && server.calls().is_empty());
}

#[tokio::test]
async fn a_superseded_coordinator_may_look_and_not_touch() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    server.pvecm("echo must not run");
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let drive = |driver: quorate_model::ids::Driver| v1::DriveRequest {
        driver: Some(driver.into()),
        anchor: None,
        version: String::new(),
    };
    let reply = client.0.drive(drive(driver(5, "new"))).await.unwrap().into_inner();
    assert_eq!(reply.hostname, "prox1");
    for old in [driver(4, "old"), driver(5, "other")] {
        let failure = to_failure(&client.0.drive(drive(old.clone())).await.unwrap_err());
        assert_eq!(failure.findings[0].code, Code::DriverSuperseded);
        let failure = to_failure(&client.execute_as(old, &create("op-1")).await.err().unwrap());
        assert_eq!(failure.findings[0].code, Code::DriverSuperseded);
    }
    client
        .0
        .observe(v1::ObserveRequest {
            // The other one is of a coordinator of the future.
            facets: vec![v1::FacetName::Cluster.into(), 7777],
            resolve: vec![],
            fetch: vec![],
            within_ms: None,
        })
        .await
        .unwrap();
    assert!(server.calls().is_empty());
}

#[tokio::test]
async fn one_change_at_a_time_and_a_slow_one_is_diagnosed_and_followed() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox3");
    server.pvecm(&format!(
        "read ticket; {}; wait_for go; echo OK; {}; echo \"successfully added node 'prox3' to cluster.\"",
        cat("pvecm/pve-8.4/add-waiting.out"),
        server.be_one_of_three()
    ));
    server.configure("", 300.0);
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let mut events = client.execute(&join("op-1")).await.unwrap();
    let mut diagnosis = Vec::new();
    for _ in 0..2 {
        let overdue = events
            .until(|kind| matches!(kind, OperationEventKind::Overdue { .. }))
            .await;
        let OperationEventKind::Overdue { diagnosis: seen } = overdue.kind else {
            panic!()
        };
        diagnosis = seen;
    }
    let has = |text: &str| diagnosis.iter().any(|line| line.contains(text));
    assert!(
        has("the tool is at: waiting for quorum") && has("corosync: activating (start-pre)"),
        "{diagnosis:?}"
    );

    let busy = to_failure(&client.execute(&join("op-2")).await.err().unwrap());
    assert_eq!(busy.exit, ExitCode::Refused);
    assert_eq!(busy.findings[0].code, Code::NodeBusy);
    assert!(busy.findings[0].message.contains("op-1"), "{busy:?}");

    server.touch("go");
    assert!(matches!(events.outcome().await, Outcome::Done { .. }));
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn a_secret_passes_through_and_rests_nowhere() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox3");
    // The tool is careless and prints what it was given; it also counts it.
    server.pvecm(&format!(
        "read ticket; echo \"length ${{#ticket}}\"; echo \"got $ticket !\"; : > \"$D/asked\"; wait_for go; {}; {}",
        server.be_one_of_three(),
        cat("pvecm/pve-8.4/add-success.out")
    ));
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let mut events = client.execute(&join("op-1")).await.unwrap();
    let told = events
        .until(|kind| matches!(kind, OperationEventKind::Line { text, .. } if text.starts_with("got")))
        .await;
    assert!(
        matches!(&told.kind, OperationEventKind::Line { text, .. } if text == "got <redacted> !"),
        "{told:?}"
    );

    // While the tool runs: nothing in any process's arguments or environment.
    for process in std::fs::read_dir("/proc").unwrap() {
        let process = process.unwrap().path();
        for file in ["cmdline", "environ"] {
            let text = std::fs::read(process.join(file)).unwrap_or_default();
            assert!(!contains(&text, SECRET), "{} {file}", process.display());
        }
    }
    server.touch("go");
    let all = client.attach("op-1", 0).await.unwrap().all().await;
    assert!(matches!(events.outcome().await, Outcome::Done { .. }));
    assert!(lines(&all).contains(&format!("length {}", SECRET.len())), "{all:?}");

    // And nothing on disk, also not in what the careless tool itself printed, once it has ended.
    for file in files(server.dir.path()) {
        assert!(!contains(&std::fs::read(&file).unwrap(), SECRET), "{}", file.display());
    }
    let kept = std::fs::read_to_string(server.state().join("operations/op-1/stdout")).unwrap();
    assert!(kept.contains("got <redacted> !"), "{kept}");
    assert!(!server.state().join("operations/op-1/secret").exists());
}

fn contains(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}

#[tokio::test]
async fn a_join_without_its_secret_is_no_request() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox3");
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let request = |secret| v1::ExecuteRequest {
        driver: Some(driver(1, "a").into()),
        operation: Some(join("op-1").into()),
        secret,
        restores: false,
        anchor: None,
    };
    let two_lines = v1::JoinSecret {
        password: "a\nb".into(),
        fingerprint: crate::server::FINGERPRINT.into(),
    };
    let two_lines = v1::Secret {
        secret: Some(v1::secret::Secret::Join(two_lines)),
    };
    for secret in [None, Some(two_lines)] {
        let failure = to_failure(&client.0.execute(request(secret)).await.unwrap_err());
        assert_eq!(failure.exit, ExitCode::Usage, "{failure:?}");
    }
    let ledger = client
        .0
        .ledger(v1::LedgerRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(ledger.entries.is_empty());
}

#[tokio::test]
async fn the_end_of_the_coordinators_journal_is_kept_and_a_shorter_one_refused() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    server.pvecm("echo must not run");
    let anchor = |position, digit: &str| v1::JournalAnchor {
        journal: "j-1".to_owned(),
        position,
        digest: digit.repeat(64),
        rollout: "hk1-7".to_owned(),
        sequence: position,
    };
    let drive = |generation, anchor| v1::DriveRequest {
        driver: Some(driver(generation, "a").into()),
        anchor: Some(anchor),
        version: String::new(),
    };
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    client.0.drive(drive(1, anchor(7, "a"))).await.unwrap();
    agent.kill().await;

    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let ledger = client
        .0
        .ledger(v1::LedgerRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(ledger.anchor, Some(anchor(7, "a")));
    for damaged in [anchor(6, "b"), anchor(7, "b")] {
        let failure = to_failure(&client.0.drive(drive(2, damaged.clone())).await.unwrap_err());
        assert_eq!(failure.findings[0].code, Code::JournalDamaged);
        let request = v1::ExecuteRequest {
            driver: Some(driver(2, "a").into()),
            operation: Some(create("op-1").into()),
            secret: None,
            restores: false,
            anchor: Some(damaged),
        };
        let failure = to_failure(&client.0.execute(request).await.err().unwrap());
        assert_eq!(failure.findings[0].code, Code::JournalDamaged);
    }
    client.0.drive(drive(2, anchor(8, "c"))).await.unwrap();
    assert!(server.calls().is_empty());
}
