//! ZFS pools from the cluster file to the disks of each member.

use std::path::Path;

use quorate_lab::{Lab, Script, What};
use quorate_suites::hand::{ONE_LINK, findings, steps};
use quorate_suites::{Fleet, told};

const THREE: [&str; 3] = ["prox1", "prox2", "prox3"];
const MIRROR: &str = "\n[zfs.data_zfs]\nraid = \"mirror\"\ndisks = { count = 2, kind = \"ssd\", min_size = \"900GB\" }\nstorage = false\n";

/// Three members, and the file that wants this pool on each of them.
async fn three(pools: &str) -> (Fleet, String) {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    fleet.made_by_hand(&THREE, ONE_LINK).await;
    let file = fleet.linked_file("hk1.toml", &THREE, ONE_LINK, "");
    let text = std::fs::read_to_string(Path::new(&file)).unwrap();
    let file = fleet.write_file("hk1.toml", &(text + pools));
    (fleet, file)
}

async fn health_of(fleet: &Fleet, node: &str) -> String {
    fleet.tool(node, "zpool list -Hp -o name,health").await.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn each_member_gets_its_pool_on_the_disks_that_the_plan_named() {
    let (fleet, file) = three(MIRROR).await;
    let plan = fleet.json(&["plan", &file]).await;
    let expected = THREE.map(|node| format!("zfs.create/{node}/data_zfs"));
    assert_eq!(steps(&plan), expected, "{plan:#}");
    let shown = fleet.ok(&["plan", &file]).await.stdout;
    for words in [
        "S45NNA0N104171",
        "960 GB usable; survives the loss of one disk",
        "not /dev/sdc",
        "not /dev/sdd",
    ] {
        assert!(shown.contains(words), "{words} in\n{shown}");
    }
    let applied = fleet.ok(&["apply", &file, "--yes"]).await;
    assert!(applied.stdout.contains("3 of 3 steps verified"), "{}", told(&applied));
    for node in THREE {
        assert_eq!(health_of(&fleet, node).await, "data_zfs\tONLINE\n");
        let status = fleet.tool(node, "zpool status -P").await.stdout;
        assert!(
            status.contains("/dev/disk/by-id/ata-SAMSUNG") && status.contains("mirror-0"),
            "{status}"
        );
        let enabled = |e: &&quorate_lab::Entry| {
            e.what == What::ToolCalled
                && e.node.as_deref() == Some(node)
                && e.argv.get(1).is_some_and(|arg| arg == "enable")
        };
        let argv = fleet
            .world()
            .iter()
            .find(enabled)
            .map(|e| e.argv.clone())
            .expect("its import is enabled");
        assert_eq!(argv, ["systemctl", "enable", "zfs-import@data_zfs.service"]);
    }
    let again = fleet.json(&["plan", &file]).await;
    assert!(steps(&again).is_empty(), "{again:#}");
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_was_pulled_or_put_to_use_since_the_plan_is_refused() {
    let (fleet, file) = three(MIRROR).await;
    let planned = fleet.lab.layout().coordinator().join("plan.json");
    let planned = planned.to_str().unwrap();
    fleet.ok(&["plan", &file, "--out", planned]).await;
    fleet
        .lab
        .script("prox1", Script::RemoveDisk("sdb".to_owned()))
        .await
        .unwrap();
    let made = fleet.tool("prox2", "zpool create other /dev/sda").await;
    assert!(made.success(), "{}", told(&made));
    let applied = fleet.run(&["apply", "--plan", planned, "--yes"]).await;
    assert!(!applied.success(), "{}", told(&applied));
    assert_eq!(health_of(&fleet, "prox1").await, "");
    assert_eq!(health_of(&fleet, "prox2").await, "other\tONLINE\n");
    let plan = fleet.json(&["plan", &file]).await;
    assert_eq!(findings(&plan, "QRT-DISKS-TOO-FEW").len(), 2, "{plan:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinator_and_agent_are_killed_while_zpool_runs_and_it_is_made_once() {
    let (fleet, file) = three(MIRROR).await;
    fleet.hold("prox1", "zpool", "create").await;
    let rollout = fleet.begins(&["apply", &file]).await;
    fleet
        .until("zpool runs", async || fleet.under_way("prox1", "zpool", "create") == 1)
        .await;
    fleet.lab.kill_agent("prox1");
    fleet.lab.kill_coordinator();
    fleet.let_go("prox1").await;
    fleet.lab.start_agent("prox1").unwrap();
    fleet.start_coordinator(&[]).await;
    fleet.ends_well(&rollout).await;
    assert_eq!(fleet.calls("zpool", "create").len(), 3);
    assert_eq!(health_of(&fleet, "prox1").await, "data_zfs\tONLINE\n");
}
