//! HA is disarmed before the membership changes and armed after it, whatever becomes of the change.

use quorate_lab::control::{Misbehaviour, ToolScript};
use quorate_lab::{Lab, Script, What};
use quorate_suites::hand::{ONE_LINK, findings, steps};
use quorate_suites::life::newer;
use quorate_suites::{Fleet, told};

const ALL: [&str; 4] = ["prox1", "prox2", "prox3", "prox4"];
const INSIDE: [&str; 3] = ["prox1", "prox2", "prox3"];

/// A cluster of three with vm:100 of prox3 under HA, and a fourth server that is to join.
async fn armed(new: bool, speed: f64) -> (Fleet, String) {
    let builder = Lab::builder().nodes(4).speed(speed);
    let fleet = Fleet::enrolled(if new { newer(builder, &ALL) } else { builder }).await;
    fleet.made_by_hand(&INSIDE, ONE_LINK).await;
    fleet.protected("prox3", 100).await;
    let file = fleet.voted_file("four.toml", &ALL, false);
    (fleet, file)
}

/// `pvecm add` fails on prox4 before anything is changed.
async fn joins_fail(fleet: &Fleet) {
    let fails = Misbehaviour {
        tool: "pvecm".to_owned(),
        matching: Some("add ".to_owned()),
        times: None,
        script: ToolScript::Fail {
            code: 1,
            stderr: "500 Can't connect to 192.168.1.11:8006\n".to_owned(),
        },
    };
    fleet.lab.script("prox4", Script::Tool(fails)).await.unwrap();
}

fn commands(fleet: &Fleet) -> Vec<String> {
    let sent = fleet
        .calls("ha-manager", "crm-command")
        .into_iter()
        .map(|call| call.argv[2..].join(" "));
    sent.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn life_a_join_disarms_ha_as_a_whole_and_arms_it_again() {
    let (fleet, file) = armed(true, 20.0).await;
    let plan = fleet.json(&["plan", &file]).await;
    assert_eq!(steps(&plan), ["ha.disarm", "cluster.join/prox4", "ha.arm"], "{plan:#}");
    assert_eq!(findings(&plan, "QRT-HA-PAUSED").len(), 1, "{plan:#}");
    let from = fleet.world().len();
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.all_in(&ALL).await;
    fleet.unarmed_while_it_changed(from);
    assert_eq!(commands(&fleet), ["disarm-ha freeze", "arm-ha"]);
    fleet.guarded("prox3", 100).await;
    let second = fleet.json(&["plan", &file]).await;
    assert!(steps(&second).is_empty(), "{second:#}");
    fleet.nothing_twice();
}

#[tokio::test(flavor = "multi_thread")]
async fn life_where_it_can_not_be_disarmed_its_daemons_are_stopped_and_started() {
    let (fleet, file) = armed(false, 20.0).await;
    let plan = fleet.json(&["plan", &file]).await;
    let planned = steps(&plan);
    let place = |step: &str| {
        planned
            .iter()
            .position(|s| s == step)
            .unwrap_or_else(|| panic!("no {step}: {planned:?}"))
    };
    for node in ALL {
        for other in ALL {
            assert!(
                place(&format!("ha.stop-lrm/{node}")) < place(&format!("ha.stop-crm/{other}")),
                "{planned:?}"
            );
            assert!(
                place(&format!("ha.start-crm/{node}")) < place(&format!("ha.start-lrm/{other}")),
                "{planned:?}"
            );
        }
        assert!(
            place(&format!("ha.stop-crm/{node}")) < place("cluster.join/prox4"),
            "{planned:?}"
        );
        assert!(
            place("cluster.join/prox4") < place(&format!("ha.start-crm/{node}")),
            "{planned:?}"
        );
    }
    let from = fleet.world().len();
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.all_in(&ALL).await;
    fleet.unarmed_while_it_changed(from);
    assert!(commands(&fleet).is_empty(), "{:?}", commands(&fleet));
    fleet.guarded("prox3", 100).await;
    let second = fleet.json(&["plan", &file]).await;
    assert!(steps(&second).is_empty(), "{second:#}");
    fleet.nothing_twice();
}

#[tokio::test(flavor = "multi_thread")]
async fn life_it_is_armed_again_when_the_join_fails() {
    for new in [true, false] {
        let (fleet, file) = armed(new, 20.0).await;
        joins_fail(&fleet).await;
        let failed = fleet.ends(&["apply", &file, "--yes"], 4).await;
        assert!(failed.stdout.contains("taken back all the same"), "{}", told(&failed));
        assert!(failed.stdout.contains("8006"), "{}", told(&failed));
        fleet.guarded("prox3", 100).await;
        fleet.all_in(&INSIDE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn life_it_is_armed_again_when_the_rollout_is_cancelled() {
    for new in [true, false] {
        let (fleet, file) = armed(new, 20.0).await;
        // What disarms last is under way when the cancel comes: the join has not begun, and does not.
        let (tool, call) = if new {
            ("ha-manager", "disarm-ha")
        } else {
            ("systemctl", "stop pve-ha-crm")
        };
        for node in ALL {
            fleet.hold(node, tool, call).await;
        }
        let rollout = fleet.begins(&["apply", &file]).await;
        fleet
            .until("HA is being disarmed", async || {
                ALL.iter().any(|node| fleet.under_way(node, tool, call) > 0)
            })
            .await;
        fleet.ok(&["rollout", "cancel", &rollout]).await;
        for node in ALL {
            fleet.let_go(node).await;
        }
        let watched = fleet.run(&["rollout", "watch", &rollout]).await;
        assert_eq!(watched.code(), Some(8), "cancelled: {}", told(&watched));
        assert!(
            fleet
                .calls("pvecm", "add")
                .iter()
                .all(|call| call.node.as_deref() != Some("prox4"))
        );
        fleet.guarded("prox3", 100).await;
        fleet.nothing_twice();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn life_it_is_armed_again_by_a_coordinator_that_was_killed_in_between() {
    for new in [true, false] {
        let (fleet, file) = armed(new, 10.0).await;
        let from = fleet.world().len();
        let rollout = fleet.begins(&["apply", &file]).await;
        fleet
            .until("the watchdogs are closed", async || {
                !INSIDE.iter().any(|node| fleet.armed(node))
            })
            .await;
        fleet.lab.kill_coordinator();
        fleet.start_coordinator(&[]).await;
        fleet
            .until("prox4 joins", async || {
                fleet.world()[from..].iter().any(|e| e.what == What::AddnodeCommitted)
            })
            .await;
        fleet.lab.kill_coordinator();
        fleet.start_coordinator(&[]).await;
        fleet.ends_well(&rollout).await;
        fleet.all_in(&ALL).await;
        fleet.unarmed_while_it_changed(from);
        fleet.guarded("prox3", 100).await;
        fleet.nothing_twice();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn life_a_member_is_taken_out_with_ha_disarmed() {
    for new in [true, false] {
        let builder = Lab::builder().nodes(4);
        let fleet = Fleet::enrolled(if new { newer(builder, &ALL) } else { builder }).await;
        fleet.made_by_hand(&ALL, ONE_LINK).await;
        fleet.protected("prox2", 100).await;
        // A master's watchdog is armed as well; who that is, nobody decides here.
        fleet
            .until("a master is armed", async || {
                fleet
                    .read("prox1", "/etc/pve/ha/manager_status")
                    .contains("master_node")
            })
            .await;
        let file = fleet.voted_file("three.toml", &INSIDE, false);
        let from = fleet.world().len();
        fleet.ok(&["apply", &file, "--remove", "prox4", "--yes"]).await;
        fleet.all_in(&INSIDE).await;
        fleet.unarmed_while_it_changed(from);
        fleet.guarded("prox2", 100).await;
        fleet.nothing_twice();
        let second = fleet.json(&["plan", &file]).await;
        assert!(steps(&second).is_empty(), "{second:#}");
    }
}
