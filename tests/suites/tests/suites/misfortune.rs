//! Bad luck: what can't be seen is unknown, what speaks against a plan is said before the first change.

use quorate_lab::control::ToolScript;
use quorate_lab::description::{GuestKind, GuestSpec, OwnName};
use quorate_lab::{Lab, What};
use quorate_suites::{Fleet, codes, told};
use serde_json::Value;

fn subjects(plan: &Value, code: &str) -> Vec<String> {
    plan["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|f| f["code"] == code)
        .map(|f| f["subject"].as_str().unwrap_or("").to_owned())
        .collect()
}

async fn nothing_was_changed(fleet: &Fleet) {
    let file = fleet.cluster_file(&fleet.lab.names());
    let refused = fleet.ends(&["apply", &file, "--yes"], 3).await;
    assert!(refused.stderr.contains("nothing was changed"), "{}", told(&refused));
    assert_eq!(
        fleet.happened(What::ClusterCreated) + fleet.happened(What::AddnodeCommitted),
        0
    );
    assert!(fleet.calls("pvecm", "create").is_empty() && fleet.calls("pvecm", "add").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_on_two_servers_another_cluster_a_lost_name_and_a_wrong_clock_are_all_told_at_once() {
    let guest = |vmid| GuestSpec {
        vmid,
        name: "web".to_owned(),
        kind: GuestKind::Qemu,
        ..GuestSpec::default()
    };
    let fleet = Fleet::enrolled(
        Lab::builder()
            .nodes(5)
            .server("prox1", |s| s.guests.push(guest(100)))
            .server("prox2", |s| s.guests.push(guest(101)))
            .server("prox3", |s| s.member_of = Some("other".to_owned()))
            .clock_offset("prox5", 20 * 60 * 1000),
    )
    .await;
    let plan = {
        fleet
            .lab
            .script("prox4", quorate_lab::Script::OwnName(OwnName::Missing))
            .await
            .unwrap();
        fleet.plan().await
    };
    let told = codes(&plan["findings"]);
    for code in [
        "QRT-NODE-HAS-GUESTS",
        "QRT-NODE-IN-OTHER-CLUSTER",
        "QRT-NAME-DOES-NOT-RESOLVE",
        "QRT-CLOCK-SKEW",
    ] {
        assert!(told.contains(&code.to_owned()), "{code} is missing: {plan:#}");
    }
    nothing_was_changed(&fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_server_with_guests_creates_and_the_others_join_it() {
    let guest = GuestSpec {
        vmid: 100,
        name: "web".to_owned(),
        kind: GuestKind::Lxc,
        ..GuestSpec::default()
    };
    let fleet = Fleet::enrolled(Lab::builder().nodes(2).server("prox2", |s| s.guests.push(guest))).await;
    let plan = fleet.plan().await;
    let steps: Vec<_> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["id"].as_str().unwrap(), s["node"].as_str().unwrap()))
        .collect();
    assert_eq!(steps, [("cluster.create", "prox2"), ("cluster.join/prox1", "prox1")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_node_is_unknown_and_the_rest_is_shown() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    fleet.lab.cut("prox3").await.unwrap();
    let plan = fleet.plan().await;
    assert_eq!(subjects(&plan, "QRT-NODE-UNREACHABLE").len(), 1, "{plan:#}");
    nothing_was_changed(&fleet).await;
    fleet
        .until("status marks it", async || {
            let status = fleet.run(&["status"]).await;
            status.code() == Some(9)
                && status.stdout.contains("prox1")
                && (status.stdout.contains("STALE") || status.stdout.contains("QRT-NODE-UNREACHABLE"))
        })
        .await;
    fleet.lab.heal("prox3").await.unwrap();
    fleet.connected(&fleet.lab.names()).await;
    assert_eq!(fleet.plan().await["steps"].as_array().map(Vec::len), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_tool_and_a_garbage_answer_make_their_facet_unknown_with_a_reason() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    fleet
        .lab
        .script_tool("prox1", "lsblk", ToolScript::Hang { ms: None })
        .await
        .unwrap();
    let text = "{\"blockdevices\": [ segfault".to_owned();
    fleet
        .lab
        .script_tool("prox2", "lsblk", ToolScript::Garbage { text })
        .await
        .unwrap();
    let disks = fleet.json(&["disks"]).await;
    assert_eq!(disks["hk1/prox1"]["state"], "unknown", "{disks:#}");
    assert_eq!(disks["hk1/prox1"]["kind"], "timed_out", "{disks:#}");
    assert_eq!(disks["hk1/prox2"]["kind"], "unparsable", "{disks:#}");
    assert!(
        disks["hk1/prox2"]["reason"].as_str().unwrap().contains("lsblk"),
        "{disks:#}"
    );
    // Disks don't matter for a cluster: the plan stands.
    assert_eq!(fleet.plan().await["steps"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_facet_that_the_plan_needs_and_nobody_could_read_refuses_it() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    fleet
        .lab
        .script_tool(
            "prox2",
            "ip",
            ToolScript::Garbage {
                text: "nonsense\n".to_owned(),
            },
        )
        .await
        .unwrap();
    let plan = fleet.plan().await;
    assert!(
        codes(&plan["findings"]).contains(&"QRT-FACET-UNKNOWN".to_owned()),
        "{plan:#}"
    );
    nothing_was_changed(&fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_fails_with_exit_0_is_a_failed_join() {
    // So slow that the API dies between creation and join: dead before, the plan would refuse.
    let fleet = Fleet::enrolled(Lab::builder().nodes(2).speed(4.0)).await;
    let file = fleet.cluster_file(&fleet.lab.names());
    let started = fleet.json(&["apply", &file, "--yes", "--detach"]).await;
    let rollout = started["rollout"].as_str().unwrap().to_owned();
    fleet
        .until("the cluster is created", async || {
            fleet.happened(What::ClusterCreated) == 1
        })
        .await;
    fleet
        .lab
        .script("prox1", quorate_lab::Script::PveproxyDown(true))
        .await
        .unwrap();
    let applied = fleet.ends(&["rollout", "watch", &rollout], 4).await;
    assert!(
        applied.stdout.contains("FAILED: join prox2") || applied.stdout.contains("FAILED"),
        "{}",
        told(&applied)
    );
    assert!(
        applied.stdout.contains("8006"),
        "what pvecm said is told: {}",
        told(&applied)
    );
    assert_eq!(fleet.happened(What::AddnodeCommitted), 0);
    // Mended, the same command goes on from there.
    fleet
        .lab
        .script("prox1", quorate_lab::Script::PveproxyDown(false))
        .await
        .unwrap();
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.is_one_quorate_cluster(&fleet.lab.names()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_without_quorum_is_followed_and_diagnosed_and_ends_when_the_network_is_mended() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2).speed(40.0)).await;
    let file = fleet.cluster_file(&fleet.lab.names());
    fleet
        .lab
        .script("prox2", quorate_lab::Script::UdpBlocked(true))
        .await
        .unwrap();
    let started = fleet.json(&["apply", &file, "--yes", "--detach"]).await;
    let rollout = started["rollout"].as_str().unwrap().to_owned();
    fleet
        .until("pvecm add waits for quorum", async || {
            fleet.happened(What::AddnodeCommitted) == 1
        })
        .await;
    // The network stays as it is until the coordinator says that the join's deadline has passed.
    fleet.until_told(&rollout, "takes longer than it should").await;
    fleet
        .lab
        .script("prox2", quorate_lab::Script::UdpBlocked(false))
        .await
        .unwrap();
    fleet.ends_well(&rollout).await;
    fleet.is_one_quorate_cluster(&fleet.lab.names()).await;
    assert_eq!(
        fleet.calls("pvecm", "add").len(),
        1,
        "it was never started a second time"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_between_plan_and_apply_stops_apply() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    let guest = GuestSpec {
        vmid: 100,
        name: "web".to_owned(),
        kind: GuestKind::Qemu,
        ..GuestSpec::default()
    };
    let file = fleet.cluster_file(&fleet.lab.names());
    fleet.ok(&["plan", &file]).await;
    fleet
        .lab
        .script("prox3", quorate_lab::Script::AddGuest(guest))
        .await
        .unwrap();
    let plan = fleet.plan().await;
    assert_eq!(
        plan["steps"][0]["node"], "prox3",
        "the one with guests creates now: {plan:#}"
    );
}
