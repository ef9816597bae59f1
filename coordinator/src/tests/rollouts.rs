//! Plans, their application, restarts in the middle, and two coordinators.

use std::fmt::Write as _;

use quorate_model::failure::ExitCode;
use quorate_model::ids::Driver;
use quorate_model::plan::Plan;
use quorate_model::rollout::{Progress, Record, RolloutResult};
use quorate_model::{Code, Generation, RolloutId};
use quorate_proto::{Wire, field, v1};

use super::*;
use crate::serve::Daemon;

pub(super) fn cluster_file(servers: usize) -> String {
    let mut text = "[cluster]\nname = \"hk1\"\n".to_owned();
    for number in 1..=servers {
        write!(text, "[nodes.prox{number}]\naddress = \"192.168.1.{}\"\n", 10 + number).unwrap();
    }
    text
}

pub(super) async fn plan(client: &mut Client, servers: usize) -> Plan {
    let request = v1::PlanRequest {
        wish: None,
        file_name: "hk1.toml".to_owned(),
        text: cluster_file(servers),
        accept: vec![],
    };
    let plan: Option<Plan> = field("plan", of(client.plan(request).await).unwrap().plan).unwrap();
    plan.unwrap()
}

pub(super) async fn apply(client: &mut Client, servers: usize, shown: Plan) -> Result<String, Failure> {
    let request = v1::ApplyRequest {
        passwords: vec![],
        wish: None,
        file_name: "hk1.toml".to_owned(),
        text: cluster_file(servers),
        accept: vec![],
        shown: Some(shown.into_wire()),
    };
    of(client.apply(request).await).map(|reply| reply.rollout)
}

/// Watches to the end; returns the records, in order.
pub(super) async fn watch(client: &mut Client, rollout: &str) -> Result<Vec<Record>, Failure> {
    let request = v1::WatchRolloutRequest {
        rollout: rollout.to_owned(),
    };
    let mut stream = of(client.watch_rollout(request).await)?;
    let mut records = Vec::new();
    while let Some(progress) = stream.message().await.map_err(|status| to_failure(&status))? {
        let (_, progress): (RolloutId, Progress) = progress.try_into().unwrap();
        if let Progress::Entry(entry) = progress {
            assert_eq!(entry.sequence, records.len() as u64, "each entry once, in order");
            records.push(entry.record);
        }
    }
    Ok(records)
}

pub(super) fn finished(records: &[Record]) -> RolloutResult {
    match records.last() {
        Some(Record::Finished { result }) => *result,
        other => panic!("not finished: {other:?}"),
    }
}

pub(super) fn executed(nodes: &[FakeNode]) -> Vec<usize> {
    nodes
        .iter()
        .map(|node| node.state.executed.lock().unwrap().len())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_become_a_cluster_and_stay_one() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 3).await;
    let shown = plan(&mut client, 3).await;
    assert!(!shown.refused(), "{:?}", shown.findings);
    assert_eq!(shown.steps.len(), 3);

    let rollout = apply(&mut client, 3, shown).await.unwrap();
    let records = watch(&mut client, &rollout).await.unwrap();
    assert_eq!(finished(&records), RolloutResult::Done);
    assert_eq!(executed(&all), [1, 1, 1]);
    assert!(matches!(&records[0], Record::Created { by, .. } if !by.is_empty()));
    assert_eq!(
        watch(&mut client, "").await.unwrap(),
        records,
        "told again from the journal alone"
    );

    let empty = plan(&mut client, 3).await;
    assert!(empty.is_empty() && !empty.refused(), "{:?}", empty.findings);
    assert_eq!(apply(&mut client, 3, empty).await.unwrap(), "");
    let listed = of(client.list_rollouts(v1::ListRolloutsRequest {}).await)
        .unwrap()
        .rollouts;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].result(), v1::RolloutResult::Done);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_plan_than_the_shown_one_is_not_started() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 2).await;
    let mut shown = plan(&mut client, 2).await;
    let dropped = shown.steps.pop().unwrap();
    let refused = apply(&mut client, 2, shown).await.unwrap_err();
    assert_eq!(
        (refused.exit, refused.findings[0].code),
        (ExitCode::Refused, Code::PlanChanged)
    );
    assert!(
        refused.findings[0].message.contains(dropped.id.as_str()),
        "{}",
        refused.findings[0].message
    );
    assert_eq!(executed(&all), [0, 0]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_file_with_mistakes_is_refused_with_all_of_them() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let text = "[cluster]\nname = \"hk1\"\nlnks = []\n[nodes.prox1]\naddress = \"nonsense\"\n";
    let request = v1::PlanRequest {
        wish: None,
        file_name: "bad.toml".to_owned(),
        text: text.to_owned(),
        accept: vec![],
    };
    let refused = of(client.plan(request).await).unwrap_err();
    let codes: Vec<_> = refused.findings.iter().map(|finding| finding.code).collect();
    assert!(
        codes.contains(&Code::SpecUnknownKey) && codes.contains(&Code::SpecBadAddress),
        "{codes:?}"
    );
    assert!(refused.findings.iter().all(|finding| finding.place.is_some()));
    daemon.stop().await;
}

/// Begins a rollout on two servers, the first of which never ends what it was asked for.
pub(super) async fn begun(fixture: &Fixture) -> (Daemon, Client, Vec<FakeNode>, String) {
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 2).await;
    all[0].state.go.send_replace(false);
    let shown = plan(&mut client, 2).await;
    let rollout = apply(&mut client, 2, shown).await.unwrap();
    until("the first operation runs", || async { executed(&all) == [1, 0] }).await;
    (daemon, client, all, rollout)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_survives_the_coordinator_and_does_nothing_twice() {
    let fixture = Fixture::new();
    let (daemon, _, all, rollout) = begun(&fixture).await;
    daemon.stop().await;

    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    all[0].state.go.send_replace(true);
    let records = watch(&mut client, &rollout).await.unwrap();
    assert_eq!(finished(&records), RolloutResult::Done);
    assert_eq!(executed(&all), [1, 1]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_is_told_that_the_coordinator_stops() {
    let fixture = Fixture::new();
    let (daemon, mut client, all, rollout) = begun(&fixture).await;
    let request = v1::WatchRolloutRequest {
        rollout: rollout.clone(),
    };
    let mut stream = of(client.watch_rollout(request).await).unwrap();
    stream.message().await.unwrap().expect("the first record is there");
    daemon.stop().await;
    let status = loop {
        match stream.message().await {
            Ok(told) => assert!(told.is_some(), "it did not simply end"),
            Err(status) => break status,
        }
    };
    let failure = to_failure(&status);
    assert!(failure.hints.iter().any(|hint| hint.contains(&rollout)), "{failure:?}");
    drop(all);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_rollout_holds_its_cluster_and_can_be_cancelled_between_steps() {
    let fixture = Fixture::new();
    let (daemon, mut client, all, rollout) = begun(&fixture).await;
    let shown = plan(&mut client, 2).await;
    let second = apply(&mut client, 2, shown).await.unwrap_err();
    assert_eq!(second.findings[0].code, Code::RolloutRunning);
    assert!(second.findings[0].message.contains(&rollout));
    let removal = v1::RemoveNodeRequest {
        cluster: "hk1".to_owned(),
        node: "prox2".to_owned(),
        even_if_member: false,
    };
    assert_eq!(
        of(client.remove_node(removal).await).unwrap_err().findings[0].code,
        Code::RolloutRunning
    );

    of(client
        .cancel_rollout(v1::CancelRolloutRequest {
            rollout: rollout.clone(),
        })
        .await)
    .unwrap();
    all[0].state.go.send_replace(true);
    let records = watch(&mut client, &rollout).await.unwrap();
    assert_eq!(finished(&records), RolloutResult::Cancelled);
    assert_eq!(executed(&all), [1, 0], "the running step ended, the next did not begin");
    let late = of(client.cancel_rollout(v1::CancelRolloutRequest { rollout }).await).unwrap_err();
    assert!(late.to_string().contains("ended already"), "{late}");
    let unknown = of(client
        .cancel_rollout(v1::CancelRolloutRequest {
            rollout: "none".to_owned(),
        })
        .await);
    assert_eq!(unknown.unwrap_err().exit, ExitCode::NotFound);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_not_taken_as_applied_while_a_rollout_holds_its_cluster() {
    let fixture = Fixture::new();
    let (daemon, mut client, all, rollout) = begun(&fixture).await;
    // All that the file asks for is so, by what is seen; the rollout does not know that yet.
    *all[0].state.world.lock().unwrap() = Servers::bare(2).members("hk1", &["prox1", "prox2"], &[]);
    let empty = plan(&mut client, 2).await;
    assert!(empty.is_empty() && !empty.refused(), "{:?}", empty.findings);
    let refused = apply(&mut client, 2, empty).await.unwrap_err();
    assert_eq!(
        (refused.exit, refused.findings[0].code),
        (ExitCode::Refused, Code::RolloutRunning)
    );
    assert!(
        refused.findings[0]
            .next
            .contains(&format!("quorate rollout watch {rollout}")),
        "{refused:?}"
    );
    assert!(all.iter().all(|node| node.state.kept.lock().unwrap().is_empty()));
    daemon.stop().await;
}

async fn not_driven(client: &mut Client) -> Vec<v1::Finding> {
    let info = of(client.info(v1::InfoRequest {}).await).unwrap();
    let code = Code::RolloutNotDriven.as_str();
    info.findings
        .into_iter()
        .filter(|finding| finding.code == code)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_nobody_drives_is_told_holds_its_cluster_and_is_taken_up_when_that_is_mended() {
    let fixture = Fixture::new();
    let (daemon, mut client, all, rollout) = begun(&fixture).await;
    assert_eq!(not_driven(&mut client).await, []);
    daemon.stop().await;
    // What was decided about the cluster can't be read, neither it nor its copy.
    let specs = fixture.config.state_dir.join("specs");
    let documents: Vec<_> = std::fs::read_dir(&specs)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    let whole: Vec<_> = documents.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert_eq!(documents.len(), 2, "{documents:?}");
    for path in &documents {
        std::fs::write(path, "tooth of time").unwrap();
    }

    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    until("that nobody drives it is told", || {
        let mut client = client.clone();
        async move { !not_driven(&mut client).await.is_empty() }
    })
    .await;
    let told = not_driven(&mut client).await;
    assert_eq!(
        (told.len(), told[0].subject.as_str()),
        (1, rollout.as_str()),
        "{told:?}"
    );
    assert!(told[0].message.contains("not under way"), "{told:?}");
    assert!(told[0].next.contains("systemctl restart quorate"), "{told:?}");
    let cancel = v1::CancelRolloutRequest {
        rollout: rollout.clone(),
    };
    let not_cancelled = of(client.cancel_rollout(cancel).await).unwrap_err();
    assert!(not_cancelled.to_string().contains("not under way"), "{not_cancelled}");
    daemon.stop().await;

    for (path, bytes) in documents.iter().zip(whole) {
        std::fs::write(path, bytes).unwrap();
    }
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    all[0].state.go.send_replace(true);
    let records = watch(&mut client, &rollout).await.unwrap();
    assert_eq!(finished(&records), RolloutResult::Done);
    assert_eq!(executed(&all), [1, 1]);
    assert_eq!(not_driven(&mut client).await, []);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_coordinator_stops_and_returns_only_by_taking_over() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 2).await;
    let other = Driver {
        generation: Generation(99),
        instance: "other".parse().unwrap(),
    };
    *all[1].state.driver.lock().unwrap() = Some(other);
    let shown = plan(&mut client, 2).await;
    let refused = apply(&mut client, 2, shown.clone()).await.unwrap_err();
    assert_eq!(refused.findings[0].code, Code::DriverSuperseded);
    assert!(refused.findings[0].next.contains("--take-over"), "{refused:?}");
    assert_eq!(
        executed(&all),
        [0, 0],
        "nothing is asked for before every agent has agreed to the driver"
    );

    let info = of(client.info(v1::InfoRequest {}).await).unwrap();
    assert!(
        info.findings
            .iter()
            .any(|finding| finding.code == Code::DriverSuperseded.as_str())
    );
    let refused = invite(&mut client, &all[0]).await.unwrap_err();
    assert_eq!(refused.findings[0].code, Code::DriverSuperseded);
    of(client.get_view(v1::GetViewRequest::default()).await).expect("looking is allowed");
    daemon.stop().await;

    let refused = Daemon::start(&fixture.config, false).await.unwrap_err();
    assert_eq!(refused.findings[0].code, Code::DriverSuperseded);
    let daemon = Daemon::start(&fixture.config, true).await.unwrap();
    let mut client = fixture.client().await;
    let rollout = apply(&mut client, 2, shown).await.unwrap();
    let records = watch(&mut client, &rollout).await.unwrap();
    assert_eq!(finished(&records), RolloutResult::Done);
    assert_eq!(of(client.info(v1::InfoRequest {}).await).unwrap().generation, 100);
    daemon.stop().await;
}
