//! The way between the coordinator and an agent is gone while a tool runs there; and another coordinator takes over meanwhile.

use quorate_lab::{Lab, Script};
use quorate_suites::ends::Scenario;
use quorate_suites::{Fleet, codes, told};

use crate::losses::{Second, backed_up};

/// A call of a tool on a server.
type Call = (&'static str, &'static str, &'static str);

/// During each of these calls, from its beginning to its end, nothing passes between the coordinator and the agent that made it. During
/// the last of them the coordinator is left to notice.
async fn cut_off(scenario: Scenario, calls: &[Call]) {
    let (undisturbed, _) = scenario.undisturbed().await;
    let stage = scenario.stage().await;
    let fleet = &stage.fleet;
    for (node, tool, matching) in calls {
        fleet.hold(node, tool, matching).await;
    }
    let rollout = stage.begins().await;
    for (number, (node, tool, matching)) in calls.iter().enumerate() {
        let under_way = || fleet.under_way(node, tool, matching);
        fleet
            .until(&format!("{tool} {matching} runs on {node}"), async || under_way() == 1)
            .await;
        fleet.lab.script(node, Script::AgentCut(true)).await.unwrap();
        // All that is held there goes; nothing new is asked for there as long as it can't be.
        fleet.let_go(node).await;
        for (_, tool, matching) in calls[number + 1..].iter().filter(|(later, _, _)| later == node) {
            fleet.hold(node, tool, matching).await;
        }
        fleet
            .until(&format!("{tool} {matching} ended on {node}"), async || under_way() == 0)
            .await;
        if number + 1 == calls.len() {
            fleet
                .until("the coordinator notices", async || !is_connected(fleet, node).await)
                .await;
        }
        fleet.lab.script(node, Script::AgentCut(false)).await.unwrap();
    }
    fleet.ends_well(&rollout).await;
    assert_eq!(stage.end().await, *undisturbed);
}

async fn is_connected(fleet: &Fleet, node: &str) -> bool {
    let list = fleet.json(&["node", "list"]).await;
    let name = format!("hk1/{node}");
    let mut nodes = list.as_array().unwrap().iter();
    nodes.any(|n| n["node"] == name.as_str() && n["connection"] == "connected")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_is_cut_off_while_it_creates_or_joins() {
    cut_off(
        Scenario::Creation,
        &[
            ("prox1", "pvecm", "create"),
            ("prox2", "pvecm", "add "),
            ("prox3", "pvecm", "add "),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_is_cut_off_while_a_third_vote_is_set_up() {
    cut_off(
        Scenario::ThirdVote,
        &[
            ("prox1", "apt-get", "force-confold install"),
            ("prox2", "apt-get", "force-confold install"),
            ("witness1", "apt-get", "force-confold install"),
            ("prox1", "pvecm", "create"),
            ("prox2", "pvecm", "add "),
            ("prox1", "pvecm", "qdevice setup"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_cut_off_while_one_of_them_leaves() {
    cut_off(
        Scenario::Removal,
        &[("prox3", "systemctl", "poweroff"), ("prox1", "pvecm", "delnode")],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_coordinator_takes_over_while_a_server_joins() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    let backup = backed_up(&fleet).await;
    let names = fleet.lab.names();
    let file = fleet.cluster_file(&names);
    fleet.hold("prox2", "pvecm", "add ").await;
    let rollout = fleet.begins(&["apply", &file]).await;
    fleet
        .until("prox2 joins", async || fleet.under_way("prox2", "pvecm", "add ") == 1)
        .await;

    let mut second = Second::restored(&fleet, &backup).await;
    second.start(&fleet, &["--take-over"]).await;
    // What runs on prox2 is not its own, and is waited for; by freezing the cluster it begins to drive.
    let too_early = second.run(&["apply", &file, "--yes"]).await;
    assert_eq!(too_early.code(), Some(3), "{}", told(&too_early));
    assert!(
        too_early.stderr.contains("QRT-OPERATION-UNKNOWN"),
        "{}",
        told(&too_early)
    );
    for freeze in [&["freeze", "hk1"][..], &["freeze", "hk1", "--off"]] {
        let frozen = second.run(freeze).await;
        assert!(frozen.success(), "{}", told(&frozen));
    }
    fleet.let_go("prox2").await;
    fleet
        .until("the first one says that it does not drive any more", async || {
            let status = fleet.json(&["status"]).await;
            codes(&status["findings"]).contains(&"QRT-DRIVER-SUPERSEDED".to_owned())
        })
        .await;
    let refused = fleet.ends(&["apply", &file, "--yes"], 3).await;
    assert!(refused.stderr.contains("QRT-DRIVER-SUPERSEDED"), "{}", told(&refused));
    let watched = fleet.run(&["rollout", "watch", &rollout]).await;
    assert!(!watched.success(), "{}", told(&watched));

    fleet
        .until("the second one does the rest", async || {
            second.run(&["apply", &file, "--yes"]).await.success()
        })
        .await;
    fleet.is_one_quorate_cluster(&names).await;
    assert_eq!(fleet.calls("pvecm", "create").len(), 1);
    assert_eq!(fleet.calls("pvecm", "add").len(), 2, "each joined once");
    fleet.nothing_twice();
}
