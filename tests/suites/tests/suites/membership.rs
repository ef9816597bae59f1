//! What `quorate status` tells of a membership that changes, of the links' latency, and of a member whose pmxcfs is down. The same is asked
//! of real corosync daemons in `tests/reality/corosync`.

use quorate_lab::{Lab, Way};
use quorate_suites::hand::findings;
use quorate_suites::{Fleet, told};
use serde_json::Value;

const LINK: &[&str] = &["10.10.10.0/24"];

/// The cluster facet that a node's health brought.
async fn cluster(fleet: &Fleet, node: &str) -> Value {
    let status = fleet.json(&["status"]).await;
    let nodes = status["nodes"].as_array().unwrap();
    nodes.iter().find(|seen| seen["node"] == node).unwrap()["observation"]["Ok"]["cluster"]["value"].clone()
}

fn online(cluster: &Value) -> Vec<&str> {
    let nodes = cluster["membership"]["nodes"].as_array();
    let online = nodes.into_iter().flatten().filter(|node| node["online"] == true);
    online.filter_map(|node| node["name"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_and_who_came_stands_in_the_status() {
    let slow = Way::between(&["prox1", "prox2"]).on(0).rtt_ms(3.0);
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).way(slow)).await;
    let names = ["prox1", "prox2", "prox3"];
    fleet.made_by_hand(&names, LINK).await;
    for node in names {
        fleet
            .until(&format!("{node} tells of all three"), async || {
                online(&cluster(&fleet, node).await) == names
            })
            .await;
    }
    let shown = fleet.ok(&["status", "--fresh"]).await.stdout;
    let row = |node: &str| shown.lines().find(|line| line.starts_with(node)).unwrap_or_default();
    assert!(
        row("prox1").contains("2/2, 3.00 ms") && row("prox3").contains("2/2, 0.20 ms"),
        "{shown}"
    );

    fleet.lab.cut("prox3").await.unwrap();
    let newest = async |node: &str| -> Value {
        let seen = cluster(&fleet, node).await;
        seen["changes"]
            .as_array()
            .and_then(|all| all.last().cloned())
            .unwrap_or_default()
    };
    // Both, or a coming back from before would count as the one that is waited for below.
    for node in ["prox1", "prox2"] {
        fleet
            .until(&format!("{node} tells that prox3 left"), async || {
                newest(node).await["left"][0] == "prox3"
            })
            .await;
    }
    let change = newest("prox1").await;
    assert!(
        change["quorum"].is_null() && change["joined"] == Value::Array(vec![]),
        "{change:#}"
    );
    fleet.lab.heal("prox3").await.unwrap();
    for node in ["prox1", "prox2"] {
        fleet
            .until(&format!("{node} tells that it came back"), async || {
                newest(node).await["joined"][0] == "prox3"
            })
            .await;
    }
    let shown = fleet.run(&["status"]).await;
    assert!(shown.stdout.contains("saw it change:\n"), "{}", told(&shown));

    // pmxcfs goes, corosync stays.
    let before = cluster(&fleet, "prox2").await["changes"].clone();
    assert!(fleet.tool("prox2", "systemctl stop pve-cluster").await.success());
    fleet
        .until("the status says that pmxcfs is down", async || {
            let status = fleet.json(&["status"]).await;
            findings(&status, "QRT-PMXCFS-NOT-READY")
                .iter()
                .any(|f| f["subject"] == "hk1/prox2")
        })
        .await;
    let seen = cluster(&fleet, "prox2").await;
    assert_eq!(
        (&seen["pmxcfs"], online(&seen)),
        (&Value::from("not_mounted"), names.into())
    );
    assert_eq!(seen["membership"]["votes"]["value"]["total"], 3);
    assert_eq!(seen["changes"], before, "the membership is as it was");
    // A plan tells it too, and would refuse to change anything.
    let file = fleet.cluster_file(&fleet.lab.names());
    let planned = fleet.run(&["plan", &file]).await;
    assert!(
        planned.stdout.contains("/etc/pve on prox2 is not mounted"),
        "{}",
        told(&planned)
    );

    // Its agent goes on hearing of changes: by corosync.
    assert!(fleet.tool("prox3", "systemctl stop corosync").await.success());
    fleet
        .until("prox2 tells that prox3 left", async || {
            newest("prox2").await["left"][0] == "prox3"
        })
        .await;
    fleet.nothing_unknown();
}
