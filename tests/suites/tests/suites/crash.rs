//! Killed at the worst moment, started again, as if nothing had happened.

use quorate_lab::{Lab, What};
use quorate_suites::{Fleet, told};

/// Starts a rollout in the background and gives back its id.
async fn begin(fleet: &Fleet) -> String {
    let file = fleet.cluster_file(&fleet.lab.names());
    let started = fleet.json(&["apply", &file, "--yes", "--detach"]).await;
    started["rollout"].as_str().expect("a rollout was started").to_owned()
}

async fn ends_right(fleet: &Fleet, rollout: &str) {
    let watched = fleet.ok(&["rollout", "watch", rollout]).await;
    assert!(watched.stdout.contains("3 of 3 steps verified"), "{}", told(&watched));
    fleet.is_one_quorate_cluster(&fleet.lab.names()).await;
    assert_eq!(fleet.calls("pvecm", "create").len(), 1);
    assert_eq!(fleet.calls("pvecm", "add").len(), 2, "no join ran twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coordinator_is_killed_during_a_join() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(5.0)).await;
    let rollout = begin(&fleet).await;
    fleet
        .until("prox2's join is past the point of no return", async || {
            fleet.happened(What::AddnodeCommitted) == 1
        })
        .await;
    fleet.lab.kill_coordinator();
    assert_eq!(fleet.under_way("prox2", "pvecm", "add"), 1, "it runs on");
    fleet.start_coordinator(&[]).await;
    ends_right(&fleet, &rollout).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coordinator_is_killed_before_and_after_everything() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(10.0)).await;
    let rollout = begin(&fleet).await;
    for moment in [What::ClusterCreated, What::TicketMade, What::JoinCompleted] {
        fleet
            .until("the next moment", async || fleet.happened(moment) >= 1)
            .await;
        fleet.lab.kill_coordinator();
        fleet.start_coordinator(&[]).await;
    }
    ends_right(&fleet, &rollout).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_was_acknowledged_outlives_the_coordinator() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(5.0)).await;
    let rollout = begin(&fleet).await;
    fleet
        .until("prox2's join is past the point of no return", async || {
            fleet.happened(What::AddnodeCommitted) == 1
        })
        .await;
    fleet.ok(&["rollout", "cancel", &rollout]).await;
    fleet.lab.kill_coordinator();
    fleet.start_coordinator(&[]).await;
    let watched = fleet.run(&["rollout", "watch", &rollout]).await;
    assert_eq!(watched.code(), Some(8), "cancelled: {}", told(&watched));
    assert_eq!(fleet.calls("pvecm", "add").len(), 1, "the next join does not begin");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_is_killed_during_pvecm_add() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(5.0)).await;
    let rollout = begin(&fleet).await;
    fleet
        .until("pvecm add runs on prox2", async || {
            fleet.happened(What::AddnodeCommitted) == 1
        })
        .await;
    fleet.lab.kill_agent("prox2");
    assert_eq!(fleet.under_way("prox2", "pvecm", "add"), 1, "it runs on");
    fleet.lab.start_agent("prox2").unwrap();
    ends_right(&fleet, &rollout).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_and_coordinator_are_both_killed_during_pvecm_create() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(5.0)).await;
    fleet.hold("prox1", "pvecm", "create").await;
    let rollout = begin(&fleet).await;
    fleet
        .until("pvecm create runs", async || fleet.calls("pvecm", "create").len() == 1)
        .await;
    fleet.lab.kill_agent("prox1");
    fleet.lab.kill_coordinator();
    assert_eq!(fleet.under_way("prox1", "pvecm", "create"), 1, "it runs on");
    fleet.let_go("prox1").await;
    fleet.lab.start_agent("prox1").unwrap();
    fleet.start_coordinator(&[]).await;
    ends_right(&fleet, &rollout).await;
}
