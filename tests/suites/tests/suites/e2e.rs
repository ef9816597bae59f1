//! The main job: three bare servers become one quorate cluster.

use quorate_lab::{Lab, What};
use quorate_suites::{Fleet, codes, told};

#[tokio::test(flavor = "multi_thread")]
async fn three_bare_servers_become_one_quorate_cluster() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    let nodes = fleet.lab.names();
    let file = fleet.cluster_file(&nodes);

    let plan = fleet.plan().await;
    let ids: Vec<_> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["cluster.create", "cluster.join/prox2", "cluster.join/prox3"]);
    assert_eq!(fleet.happened(What::ClusterCreated), 0, "planning changes nothing");

    let applied = fleet.ok(&["apply", &file, "--yes"]).await;
    assert!(applied.stdout.contains("3 of 3 steps verified"), "{}", told(&applied));
    fleet.is_one_quorate_cluster(&nodes).await;

    let status = fleet.ok(&["status"]).await;
    assert!(
        status.stdout.contains("quorate, 3 of 3 members online"),
        "{}",
        told(&status)
    );

    let second = fleet.plan().await;
    assert_eq!(second["steps"].as_array().map(Vec::len), Some(0), "{second:#}");
    let again = fleet.ok(&["apply", &file, "--yes"]).await;
    assert!(again.stdout.contains("Nothing to do"), "{}", told(&again));
    assert_eq!(
        fleet.calls("pvecm", "create").len() + fleet.calls("pvecm", "add").len(),
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_two_links_joins_with_both() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    let text = "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\", \"192.168.1.0/24\"]\n\
                [nodes.prox1]\naddress = \"192.168.1.11\"\n[nodes.prox2]\naddress = \"192.168.1.12\"\n";
    let file = fleet.write_file("two.toml", text);
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.is_one_quorate_cluster(&fleet.lab.names()).await;
    let add = fleet.calls("pvecm", "add");
    assert!(
        add[0].argv.windows(2).any(|w| w == ["--link1", "192.168.1.12"]),
        "{:?}",
        add[0].argv
    );
    let plan = fleet.json(&["plan", &file]).await;
    assert!(
        codes(&plan["findings"]).contains(&"QRT-EVEN-VOTES".to_owned()),
        "{plan:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_made_by_hand_is_taken_as_it_is_and_only_what_is_missing_is_joined() {
    let fleet = Fleet::enrolled(
        Lab::builder()
            .nodes(3)
            .server("prox2", |s| s.member_of = Some("hk1".to_owned())),
    )
    .await;
    let plan = fleet.plan().await;
    let ids: Vec<_> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["id"].as_str().unwrap())
        .collect();
    // It was made with its only link over the public network; what runs counts, not what the file would have chosen.
    assert!(!ids.contains(&"cluster.create"), "{plan:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rollout_goes_on_when_the_command_goes_away() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    let file = fleet.cluster_file(&fleet.lab.names());
    let started = fleet.json(&["apply", &file, "--yes", "--detach"]).await;
    let rollout = started["rollout"].as_str().expect("a rollout was started").to_owned();
    let watched = fleet.ok(&["rollout", "watch", &rollout]).await;
    assert!(watched.stdout.contains("2 of 2 steps verified"), "{}", told(&watched));
    let listed = fleet.json(&["rollout", "list"]).await;
    assert_eq!(listed[0]["id"], rollout.as_str());
    assert_eq!(listed[0]["result"], "done");
    let shown = fleet.ok(&["rollout", "show"]).await;
    assert!(shown.stdout.contains("cluster.join/prox2"), "{}", told(&shown));
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_of_all_nodes_in_one_table() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    let disks = fleet.json(&["disks"]).await;
    for node in ["hk1/prox1", "hk1/prox2"] {
        let known = disks[node]["value"]["disks"]
            .as_array()
            .unwrap_or_else(|| panic!("{disks:#}"));
        let usable = known
            .iter()
            .filter(|d| d["verdicts"][0]["against"].as_array().is_some_and(Vec::is_empty))
            .count();
        assert_eq!(usable, 2, "two blank SSDs on each: {known:#?}");
        let raid = known
            .iter()
            .find(|d| d["model"] == "PERC H730 Mini")
            .expect("the RAID volume is listed");
        assert!(
            raid["verdicts"][0]["against"].to_string().contains("raid_volume"),
            "{raid:#}"
        );
    }
    let table = fleet.ok(&["disks"]).await;
    assert!(table.stdout.contains("Not usable, and why"), "{}", told(&table));
    fleet.ends(&["disks", "hk1/prox9"], 7).await;
}
