//! Who drives is asked again before every step: by a coordinator that took a rollout up, at every agent that the rollout touches.

use quorate_model::ids::Driver;
use quorate_model::rollout::RolloutResult;
use quorate_model::{Code, Generation};

use super::rollouts::{apply, executed, finished, plan, watch};
use super::*;
use crate::serve::Daemon;

/// A rollout on three servers, whose first operation runs; the coordinator was stopped, and the third server fell meanwhile.
async fn interrupted(fixture: &Fixture) -> (Vec<FakeNode>, String) {
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let mut all = enrolled(&mut client, 3).await;
    all[0].state.go.send_replace(false);
    let shown = plan(&mut client, 3).await;
    let rollout = apply(&mut client, 3, shown).await.unwrap();
    until("the first operation runs", || async { executed(&all) == [1, 0, 0] }).await;
    daemon.stop().await;
    all[2].fall();
    (all, rollout)
}

async fn started(fixture: &Fixture) -> (Daemon, Client) {
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    linked(&mut client, 2).await;
    (daemon, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_away_and_not_the_steps_own_does_not_keep_it() {
    let fixture = Fixture::new();
    let (mut all, rollout) = interrupted(&fixture).await;
    let (daemon, mut client) = started(&fixture).await;
    all[0].state.go.send_replace(true);
    until("the second operation runs", || async { executed(&all)[1] == 1 }).await;
    assert_eq!(executed(&all), [1, 1, 0]);
    all[2].rise().await;
    assert_eq!(
        finished(&watch(&mut client, &rollout).await.unwrap()),
        RolloutResult::Done
    );
    assert_eq!(executed(&all), [1, 1, 1]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_not_begun_while_another_coordinator_holds_the_claim_on_a_server_of_the_rollout() {
    let fixture = Fixture::new();
    let (mut all, rollout) = interrupted(&fixture).await;
    // Another coordinator took over by the one server that we did not reach.
    let other = Driver {
        generation: Generation(99),
        instance: "other".parse().unwrap(),
    };
    *all[2].state.driver.lock().unwrap() = Some(other.clone());
    let (daemon, mut client) = started(&fixture).await;
    all[2].rise().await;
    all[0].state.go.send_replace(true);
    let watched = watch(&mut client, &rollout).await.unwrap_err();
    let said = format!("{watched:?}");
    assert!(said.contains("99") || said.contains("superseded"), "{said}");
    assert_eq!(
        executed(&all),
        [1, 0, 0],
        "the next step is another server's, and is not begun all the same"
    );
    assert_eq!(
        *all[2].state.driver.lock().unwrap(),
        Some(other),
        "nobody took the claim from it"
    );
    let findings = of(client.info(v1::InfoRequest {}).await).unwrap().findings;
    assert!(
        findings.iter().any(|f| f.code == Code::DriverSuperseded.as_str()),
        "{findings:?}"
    );
    daemon.stop().await;
}
