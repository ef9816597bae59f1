//! A rollout whose journal contradicts itself: nobody drives it, and nobody else changes its cluster before an operator has spoken.

use quorate_engine::ports::Journal as _;
use quorate_model::rollout::{Record, RolloutResult};
use quorate_model::{Code, RolloutId};
use quorate_proto::v1;

use super::rollouts::{apply, begun, executed, finished, plan, watch};
use super::*;
use crate::store::{Opened, Store};

/// Writes a record into the journal of a coordinator that does not run.
async fn written(fixture: &Fixture, rollout: &RolloutId, record: Record) {
    let dir = fixture.config.state_dir.join("journal");
    let Opened { store, thread, .. } = Store::open(&dir, true, quorate_clock::Clock::system()).unwrap();
    store.append(rollout, record).await.unwrap();
    drop(store);
    thread.join().unwrap();
}

async fn cancel(client: &mut Client, rollout: &str) -> Result<v1::CancelRolloutReply, Failure> {
    let rollout = rollout.to_owned();
    of(client.cancel_rollout(v1::CancelRolloutRequest { rollout }).await)
}

/// What is told of rollouts that nobody drives.
async fn told(client: &mut Client) -> Vec<v1::Finding> {
    let findings = of(client.info(v1::InfoRequest {}).await).unwrap().findings;
    let of_rollouts = findings
        .into_iter()
        .filter(|f| f.code == Code::RolloutNotDriven.as_str());
    of_rollouts.collect()
}

/// The same, once there is something: a rollout is taken up beside the first answers.
async fn told_in_time(client: &mut Client) -> Vec<v1::Finding> {
    let found = async {
        loop {
            let findings = told(client).await;
            if !findings.is_empty() {
                return findings;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(std::time::Duration::from_secs(30), found).await;
    found.expect("the rollout is told of")
}

async fn result(client: &mut Client, rollout: &str) -> v1::RolloutResult {
    let all = of(client.list_rollouts(v1::ListRolloutsRequest {}).await)
        .unwrap()
        .rollouts;
    all.iter()
        .find(|one| one.id == rollout)
        .expect("it is in the list")
        .result()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_contradicts_itself_holds_its_cluster_until_the_operator_lets_go_of_it() {
    let fixture = Fixture::new();
    let (daemon, _, all, rollout) = begun(&fixture).await;
    daemon.stop().await;
    // Nothing of its first step is verified.
    let impossible = Record::Accepted {
        step: "cluster.join/prox2".parse().unwrap(),
    };
    written(&fixture, &rollout.parse().unwrap(), impossible).await;

    // However often it is started.
    for _ in 0..2 {
        let daemon = fixture.start().await;
        let mut client = fixture.client().await;
        linked(&mut client, 2).await;
        let findings = told_in_time(&mut client).await;
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].message.contains("contradicts itself"), "{findings:?}");
        let wanted = format!("quorate rollout cancel {rollout}");
        assert!(findings[0].next.contains(&wanted), "{findings:?}");

        let shown = plan(&mut client, 2).await;
        let refused = apply(&mut client, 2, shown).await.unwrap_err();
        assert_eq!(refused.findings[0].code, Code::RolloutRunning);
        assert!(refused.findings[0].next.contains(&wanted), "{refused:?}");
        let removal = v1::RemoveNodeRequest {
            cluster: "hk1".to_owned(),
            node: "prox2".to_owned(),
            even_if_member: false,
        };
        let refused = of(client.remove_node(removal).await).unwrap_err();
        assert_eq!(refused.findings[0].code, Code::RolloutRunning);
        assert!(refused.findings[0].next.contains(&wanted), "{refused:?}");
        let watched = watch(&mut client, &rollout).await.unwrap_err();
        assert!(watched.hints.iter().any(|hint| hint.contains(&wanted)), "{watched:?}");
        daemon.stop().await;
    }

    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    linked(&mut client, 2).await;
    all[0].state.go.send_replace(true);
    assert!(cancel(&mut client, &rollout).await.unwrap().let_go);
    assert!(told(&mut client).await.is_empty());
    let again = cancel(&mut client, &rollout).await.unwrap_err();
    assert!(again.to_string().contains("ended already"), "{again}");
    daemon.stop().await;

    // It is the operator's word also for the next process.
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    linked(&mut client, 2).await;
    assert!(told(&mut client).await.is_empty());
    assert_eq!(result(&mut client, &rollout).await, v1::RolloutResult::Abandoned);
    until("a new rollout does what is left", || {
        let mut client = client.clone();
        async move {
            let shown = plan(&mut client, 2).await;
            match apply(&mut client, 2, shown).await {
                Ok(next) => finished(&watch(&mut client, &next).await.unwrap()) == RolloutResult::Done,
                Err(failure) => {
                    assert_ne!(failure.findings[0].code, Code::RolloutRunning, "{failure:?}");
                    false
                }
            }
        }
    })
    .await;
    assert_eq!(executed(&all).last(), Some(&1), "prox2 joined once");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_after_its_end_hold_the_cluster_as_well() {
    let fixture = Fixture::new();
    let (daemon, mut client, all, rollout) = begun(&fixture).await;
    all[0].state.go.send_replace(true);
    assert_eq!(
        finished(&watch(&mut client, &rollout).await.unwrap()),
        RolloutResult::Done
    );
    daemon.stop().await;
    let impossible = Record::CancelRequested { by: "anna".to_owned() };
    written(&fixture, &rollout.parse().unwrap(), impossible).await;

    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    assert_eq!(told(&mut client).await.len(), 1);
    assert_eq!(result(&mut client, &rollout).await, v1::RolloutResult::Unspecified);
    assert!(cancel(&mut client, &rollout).await.unwrap().let_go);
    assert!(told(&mut client).await.is_empty());
    daemon.stop().await;
}
