//! A server leaves its cluster for good: what leans on it is told first, then off, out, cleared up after, forgotten.

use quorate_lab::control::Press;
use quorate_lab::plants::Plant;
use quorate_lab::{Lab, What};
use quorate_suites::hand::steps;
use quorate_suites::{Fleet, codes, told};

const ALL: [&str; 3] = ["prox1", "prox2", "prox3"];
const STAY: [&str; 2] = ["prox1", "prox2"];

/// A cluster of these, made from a file of that name.
async fn cluster(fleet: &Fleet, file: &str, nodes: &[&str]) -> String {
    let file = fleet.voted_file(file, nodes, false);
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.all_in(nodes).await;
    file
}

async fn three(speed: f64) -> (Fleet, String) {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(speed)).await;
    let file = cluster(&fleet, "hk1.toml", &ALL).await;
    (fleet, file)
}

async fn enrolled(fleet: &Fleet) -> Vec<String> {
    let list = fleet.json(&["node", "list"]).await;
    let names = list.as_array().unwrap().iter().filter_map(|n| n["node"].as_str());
    names.map(str::to_owned).collect()
}

/// The server is out by everybody's word, what it left is gone, and a copy of its folder is kept.
async fn out_and_cleared_up(fleet: &Fleet, gone: &str, left: &[&str]) {
    fleet.all_in(left).await;
    for node in left {
        let conf = fleet.read(node, "/etc/pve/corosync.conf");
        assert!(!conf.contains(gone), "{conf}");
        assert!(
            !fleet.rooted(node, &format!("/etc/pve/nodes/{gone}")).exists(),
            "its folder is gone on {node}"
        );
        let keys = fleet.read(node, "/etc/pve/priv/authorized_keys");
        assert!(!keys.contains(&format!("root@{gone}")), "{keys}");
    }
    let kept: Vec<_> = left
        .iter()
        .flat_map(|node| std::fs::read_dir(fleet.rooted(node, "/var/lib/quorate-agent/put-aside")).ok())
        .flat_map(|entries| entries.flatten())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(gone))
        .collect();
    assert_eq!(kept.len(), 1, "one copy is kept: {kept:?}");
    assert!(kept[0].path().join("pve-ssl.pem").exists(), "{:?}", kept[0].path());
    fleet.nothing_twice();
}

/// The others see it gone, and so does the coordinator.
pub(crate) async fn seen_gone(fleet: &Fleet, gone: &str, left: &[&str]) {
    fleet
        .until(&format!("{gone} is seen to be gone"), async || {
            let servers = fleet.lab.status().await.unwrap();
            let list = fleet.json(&["node", "list"]).await;
            let name = format!("hk1/{gone}");
            let lost = list
                .as_array()
                .into_iter()
                .flatten()
                .any(|n| n["node"] == name.as_str() && n["connection"] == "LOST");
            lost && servers.iter().filter(|s| s.members == left).count() == left.len()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_a_running_member_is_taken_out_and_forgotten() {
    let (fleet, file) = three(20.0).await;
    let removed = fleet
        .ok(&["node", "remove", "hk1/prox3", "--file", &file, "--yes"])
        .await;
    assert!(removed.stdout.contains("3 of 3 steps verified"), "{}", told(&removed));
    assert!(
        removed.stdout.contains("out of its cluster and of the fleet"),
        "{}",
        told(&removed)
    );
    out_and_cleared_up(&fleet, "prox3", &STAY).await;
    // Off before it is taken out, and never on again.
    assert!(fleet.first(What::PoweredOff) < fleet.first(What::NodeRemoved));
    assert_eq!(
        (fleet.happened(What::PoweredOff), fleet.happened(What::PoweredOn)),
        (1, 0)
    );
    assert_eq!(enrolled(&fleet).await, ["hk1/prox1", "hk1/prox2"]);
    // The file that was named is changed, and wants nothing more.
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("prox3"), "{text}");
    let second = fleet.json(&["plan", &file]).await;
    assert!(steps(&second).is_empty(), "{second:#}");
    assert!(
        !codes(&second["findings"]).iter().any(|code| code.contains("REMOVE")),
        "{second:#}"
    );
    // A second time there is nothing to take out.
    let again = fleet.run(&["node", "remove", "hk1/prox3", "--yes"]).await;
    assert_eq!(again.code(), Some(7), "{}", told(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn life_a_removal_that_was_cancelled_goes_on_with_the_same_command() {
    let (fleet, _) = three(20.0).await;
    fleet.ok(&["freeze", "hk1"]).await;
    let removal = ["node", "remove", "hk1/prox3", "--yes"];
    let cancelled = async {
        let mut running = None;
        fleet
            .until("the removal waits", async || {
                let list = fleet.json(&["rollout", "list"]).await;
                let open = list.as_array().into_iter().flatten().find(|r| r["result"].is_null());
                open.is_some_and(|r| r["id"].is_string())
            })
            .await;
        let list = fleet.json(&["rollout", "list"]).await;
        for rollout in list.as_array().unwrap() {
            if rollout["result"].is_null() {
                running = rollout["id"].as_str().map(str::to_owned);
            }
        }
        fleet.ok(&["rollout", "cancel", &running.unwrap()]).await;
    };
    let (first, ()) = tokio::join!(fleet.run(&removal), cancelled);
    assert_eq!(first.code(), Some(8), "{}", told(&first));
    assert_eq!(fleet.happened(What::PoweredOff), 0);
    // It is a member as before, and stays in the fleet, whatever is asked for without saying that it is meant.
    assert_eq!(enrolled(&fleet).await, ["hk1/prox1", "hk1/prox2", "hk1/prox3"]);
    fleet.ok(&["freeze", "hk1", "--off"]).await;
    let second = fleet.ok(&removal).await;
    assert!(
        second.stdout.contains("out of its cluster and of the fleet"),
        "{}",
        told(&second)
    );
    out_and_cleared_up(&fleet, "prox3", &STAY).await;
    assert_eq!(enrolled(&fleet).await, ["hk1/prox1", "hk1/prox2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_without_a_file_the_one_that_was_applied_last_is_changed() {
    let (fleet, _) = three(20.0).await;
    let removed = fleet.ok(&["node", "remove", "hk1/prox3", "--yes"]).await;
    assert!(removed.stderr.contains("your own copy"), "{}", told(&removed));
    out_and_cleared_up(&fleet, "prox3", &STAY).await;
    assert_eq!(enrolled(&fleet).await, ["hk1/prox1", "hk1/prox2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_what_leans_on_a_member_refuses_and_is_told_all_at_once() {
    let (fleet, file) = three(20.0).await;
    fleet.protected("prox3", 100).await;
    fleet
        .plant(
            "prox1",
            Plant::Replication {
                guest: 101,
                target: "prox3".to_owned(),
            },
        )
        .await;
    fleet
        .plant(
            "prox1",
            Plant::Ceph {
                monitors: vec!["prox3".to_owned()],
            },
        )
        .await;
    let refused = fleet
        .ends(&["node", "remove", "hk1/prox3", "--file", &file, "--yes"], 3)
        .await;
    for (code, next) in [
        ("QRT-REMOVE-HAS-GUESTS", "qm migrate 100 prox1 --online"),
        ("QRT-REMOVE-HAS-REPLICATION", "pvesr delete 101-0"),
        ("QRT-REMOVE-HAS-HA", "ha-manager migrate vm:100 prox1"),
        ("QRT-REMOVE-HAS-CEPH", "pveceph mon destroy prox3"),
    ] {
        assert!(
            refused.stdout.contains(code) && refused.stdout.contains(next),
            "{code}: {}",
            told(&refused)
        );
    }
    assert!(refused.stderr.contains("nothing was changed"), "{}", told(&refused));
    assert_eq!(fleet.happened(What::PoweredOff) + fleet.happened(What::NodeRemoved), 0);
    assert_eq!(enrolled(&fleet).await.len(), 3);
    assert!(
        std::fs::read_to_string(&file).unwrap().contains("prox3"),
        "the file is as it was"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn life_one_of_two_is_not_switched_off() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    let file = cluster(&fleet, "hk1.toml", &STAY).await;
    let refused = fleet
        .ends(&["node", "remove", "hk1/prox2", "--file", &file, "--yes"], 3)
        .await;
    assert!(refused.stdout.contains("QRT-REMOVE-LOSES-QUORUM"), "{}", told(&refused));
    assert_eq!(fleet.happened(What::PoweredOff), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_a_dead_member_leaves_only_on_somebodys_word() {
    let (fleet, file) = three(20.0).await;
    fleet.lab.power("prox3", Press::Pull).await.unwrap();
    seen_gone(&fleet, "prox3", &STAY).await;
    let remove = ["node", "remove", "hk1/prox3", "--file", &file, "--yes"];
    let refused = fleet.ends(&remove, 3).await;
    assert!(refused.stdout.contains("QRT-REMOVE-NOT-OFF"), "{}", told(&refused));
    assert!(refused.stdout.contains("--is-off"), "{}", told(&refused));
    assert_eq!(fleet.happened(What::NodeRemoved), 0);

    let remove = ["node", "remove", "hk1/prox3", "--file", &file, "--is-off", "--yes"];
    let removed = fleet.ok(&remove).await;
    assert!(removed.stdout.contains("2 of 2 steps verified"), "{}", told(&removed));
    out_and_cleared_up(&fleet, "prox3", &STAY).await;
    assert_eq!(enrolled(&fleet).await, ["hk1/prox1", "hk1/prox2"]);
    let second = fleet.json(&["plan", &file]).await;
    assert!(steps(&second).is_empty(), "{second:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn life_a_dead_member_is_replaced_in_one_go() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(4)).await;
    let file = cluster(&fleet, "hk1.toml", &ALL).await;
    fleet.lab.power("prox3", Press::Pull).await.unwrap();
    seen_gone(&fleet, "prox3", &STAY).await;
    let address = fleet.lab.node("prox4").unwrap().public_address.to_string();
    let replace = [
        "node",
        "replace",
        "hk1/prox3",
        "prox4",
        "--address",
        &address,
        "--file",
        &file,
        "--yes",
    ];
    let refused = fleet.ends(&replace, 3).await;
    assert!(
        refused.stdout.contains("QRT-REMOVE-NOT-OFF") && refused.stdout.contains("--is-off"),
        "{}",
        told(&refused)
    );
    assert_eq!(fleet.happened(What::NodeRemoved), 0);

    let replace: Vec<&str> = replace.iter().copied().chain(["--is-off"]).collect();
    let replaced = fleet.ok(&replace).await;
    assert!(replaced.stdout.contains("3 of 3 steps verified"), "{}", told(&replaced));
    out_and_cleared_up(&fleet, "prox3", &["prox1", "prox2", "prox4"]).await;
    assert!(
        fleet.last(What::NodeRemoved) < fleet.last(What::AddnodeCommitted),
        "first out, then in"
    );
    assert_eq!(enrolled(&fleet).await, ["hk1/prox1", "hk1/prox2", "hk1/prox4"]);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("[nodes.prox4]") && !text.contains("prox3"), "{text}");
    let second = fleet.json(&["plan", &file]).await;
    assert!(steps(&second).is_empty(), "{second:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn life_the_agent_is_killed_in_the_middle_of_delnode() {
    let (fleet, _) = three(5.0).await;
    let file = fleet.voted_file("two.toml", &STAY, false);
    for node in STAY {
        fleet.hold(node, "pvecm", "delnode").await;
    }
    let rollout = fleet.begins(&["apply", &file, "--remove", "prox3"]).await;
    fleet
        .until("pvecm delnode runs", async || {
            fleet.calls("pvecm", "delnode").len() == 1
        })
        .await;
    let on = fleet.calls("pvecm", "delnode")[0].node.clone().unwrap();
    fleet.lab.kill_agent(&on);
    assert_eq!(fleet.under_way(&on, "pvecm", "delnode"), 1, "it runs on");
    fleet.let_go(&on).await;
    fleet.lab.start_agent(&on).unwrap();
    fleet.ends_well(&rollout).await;
    assert_eq!(fleet.happened(What::NodeRemoved), 1);
    out_and_cleared_up(&fleet, "prox3", &STAY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_the_coordinator_is_killed_while_a_member_shuts_down_and_leaves() {
    let (fleet, _) = three(5.0).await;
    let file = fleet.voted_file("two.toml", &STAY, false);
    let rollout = fleet.begins(&["apply", &file, "--remove", "prox3"]).await;
    fleet
        .until("prox3 is told to go off", async || {
            fleet.calls("systemctl", "poweroff").len() == 1
        })
        .await;
    fleet.lab.kill_coordinator();
    fleet.start_coordinator(&[]).await;
    fleet
        .until("prox3 is taken out", async || fleet.happened(What::NodeRemoved) == 1)
        .await;
    fleet.lab.kill_coordinator();
    fleet.start_coordinator(&[]).await;
    fleet.ends_well(&rollout).await;
    out_and_cleared_up(&fleet, "prox3", &STAY).await;
    assert_eq!(
        (fleet.happened(What::PoweredOff), fleet.happened(What::PoweredOn)),
        (1, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn life_the_same_command_again_finishes_what_was_interrupted() {
    let (fleet, file) = three(20.0).await;
    // The rollout went on without the command, which did not see its end: file and fleet still have the server.
    let two = fleet.voted_file("two.toml", &STAY, false);
    fleet.ok(&["apply", &two, "--remove", "prox3", "--yes"]).await;
    assert_eq!(enrolled(&fleet).await.len(), 3);
    let removed = fleet
        .ok(&["node", "remove", "hk1/prox3", "--file", &file, "--yes"])
        .await;
    assert!(
        removed.stdout.contains("out of its cluster and of the fleet"),
        "{}",
        told(&removed)
    );
    assert_eq!(enrolled(&fleet).await, ["hk1/prox1", "hk1/prox2"]);
    assert!(!std::fs::read_to_string(&file).unwrap().contains("prox3"));
    out_and_cleared_up(&fleet, "prox3", &STAY).await;
}
