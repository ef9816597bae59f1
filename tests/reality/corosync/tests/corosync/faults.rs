//! Faults of corosync's network by the agent's own program: what falls by nft on a real kernel, what real corosync makes of it, and that it ends with nobody
//! there to end it: no agent runs, and no systemd.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use quorate_reality_corosync::cluster::{Cluster, Node};
use quorate_reality_corosync::conf::{CLUSTER, Shape};
use quorate_reality_corosync::{note, until};
use serde_json::{Value, json};

use crate::seen::{Seen, agent};

const TWO_LINKS: Shape = Shape {
    nodes: 3,
    links: 2,
    qdevice: None,
};

/// The agent's program does what an operation in its folder says, as its supervisor would have it do.
async fn begins(agent: &Path, cluster: &Cluster, node: &Node, fault: Value, seconds: u32) {
    use std::io::Write as _;
    let state = cluster.dir().join(format!("{}-agent", node.name()));
    let config = cluster.dir().join(format!("{}.toml", node.name()));
    let folder = state.join("operations/op-1");
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700).create(&folder).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let action = json!({ "action": "inject_fault", "cluster": CLUSTER, "fault": fault, "seconds": seconds, "boot": boot.trim() });
    let task = json!({ "operation": { "id": "op-1", "action": action }, "node": node.name() });
    let mut file = fs::OpenOptions::new();
    let file = file
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join("task.json"));
    file.unwrap().write_all(task.to_string().as_bytes()).unwrap();
    fs::write(
        &config,
        format!("state_dir = {state:?}\nunits = false\n[policy]\nallow_faults = true\n"),
    )
    .unwrap();
    let words = [
        agent.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
        "task",
        "op-1",
    ];
    let done = node
        .space()
        .program(&words)
        .deadline(Duration::from_secs(60))
        .run()
        .await
        .unwrap();
    assert!(done.success(), "{done:#?}");
}

#[tokio::test]
#[ignore = "needs root, nft and Debian's corosync: .ci/corosync runs it"]
async fn a_fault_of_one_link_is_a_link_that_is_down_and_comes_back() {
    let agent = agent();
    let cluster = Cluster::started(TWO_LINKS).await;
    let node = cluster.node(3);
    node.space().does(&["nft", "add", "table", "inet", "others"]).await;
    let begun = Instant::now();
    begins(&agent, &cluster, node, json!({ "fault": "link", "link": 0 }), 15).await;
    until("link 0 to prox3 to be down", async || {
        let seen = Seen::by(&agent, cluster.node(1)).await;
        !seen.connected(3, 0) && seen.connected(3, 1)
    })
    .await;
    let down = begun.elapsed();
    let seen = Seen::by(&agent, cluster.node(1)).await;
    assert_eq!((seen.online().len(), seen.quorate()), (3, true));
    until("link 0 to be back", async || {
        Seen::by(&agent, cluster.node(1)).await.connected(3, 0)
    })
    .await;
    let back = begun.elapsed();
    assert!(back >= Duration::from_secs(15), "{back:?}");
    note(&format!(
        "link 0 was seen down after {down:?}, and back after {back:?} of 15 s"
    ));
    let tables = node.space().does(&["nft", "list", "tables"]).await;
    assert!(tables.contains("table inet others"), "{tables}");
    cluster.complete().await;
}

#[tokio::test]
#[ignore = "needs root, nft and Debian's corosync: .ci/corosync runs it"]
async fn a_fault_of_corosyncs_network_takes_the_node_out_and_leaves_everything_else() {
    let agent = agent();
    let cluster = Cluster::started(TWO_LINKS).await;
    let node = cluster.node(3);
    let begun = Instant::now();
    begins(&agent, &cluster, node, json!({ "fault": "cluster_network" }), 20).await;
    until("prox3 to be out", async || {
        Seen::by(&agent, cluster.node(1)).await.online() == ["prox1", "prox2"]
    })
    .await;
    let out = begun.elapsed();
    assert!(!Seen::by(&agent, node).await.quorate());
    until("prox3 to be back", async || {
        Seen::by(&agent, cluster.node(1)).await.online().len() == 3
    })
    .await;
    let back = begun.elapsed();
    assert!(back >= Duration::from_secs(20), "{back:?}");
    note(&format!(
        "prox3 was seen out after {out:?}, and back after {back:?} of 20 s"
    ));
    cluster.complete().await;
    // What is left is an empty table and the note; by hand both are cleared up.
    let config = cluster.dir().join("prox3.toml");
    let words = [
        agent.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
        "heal",
        "--json",
    ];
    let healed = node.space().program(&words).run().await.unwrap();
    assert!(healed.success() && healed.stdout.contains("\"undone\""), "{healed:#?}");
    assert_eq!(node.space().does(&["nft", "list", "tables"]).await, "");
}
