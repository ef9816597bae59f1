//! Coordinator and acting agent are killed together while a dead server is replaced, and while a third vote is off for a join.

use quorate_lab::control::Press;
use quorate_lab::{Lab, What};
use quorate_suites::life::WITNESS;
use quorate_suites::{Fleet, told};

/// Waits for a tool that is held, and kills the agent that runs it and the coordinator; it runs on, and both come back when it is done.
async fn both_killed_in(fleet: &Fleet, nodes: &[&str], tool: &str, matching: &str) {
    let mut on = None;
    fleet
        .until(&format!("{tool} {matching} runs"), async || {
            on = nodes.iter().find(|node| fleet.under_way(node, tool, matching) == 1);
            on.is_some()
        })
        .await;
    let on = on.expect("it runs somewhere");
    fleet.lab.kill_agent(on);
    fleet.lab.kill_coordinator();
    assert_eq!(fleet.under_way(on, tool, matching), 1, "it runs on");
    for node in nodes {
        fleet.let_go(node).await;
    }
    fleet.lab.start_agent(on).unwrap();
    fleet.start_coordinator(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_replaced_in_spite_of_kills_in_the_removal_and_in_the_join() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(4)).await;
    let stay = ["prox1", "prox2"];
    let file = fleet.voted_file("hk1.toml", &["prox1", "prox2", "prox3"], false);
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.lab.power("prox3", Press::Pull).await.unwrap();
    fleet
        .until("prox3 is seen to be gone", async || {
            let servers = fleet.lab.status().await.unwrap();
            let list = fleet.json(&["node", "list"]).await;
            let lost = list.as_array().unwrap().iter().any(|n| n["connection"] == "LOST");
            lost && servers.iter().filter(|s| s.members == stay).count() == 2
        })
        .await;
    for node in stay {
        fleet.hold(node, "pvecm", "delnode").await;
    }
    fleet.hold("prox4", "pvecm", "add ").await;
    let address = fleet.lab.node("prox4").unwrap().public_address.to_string();
    let new = ["prox4", "--address", &address];
    let how = ["--file", &file, "--is-off", "--yes"];
    let replace = [&["node", "replace", "hk1/prox3"], &new[..], &how[..]].concat();
    let log = fleet.lab.layout().coordinator().join("replace.out");
    let mut replacing = fleet.lab.quorate_in_background(&replace, &log).unwrap();
    both_killed_in(&fleet, &stay, "pvecm", "delnode").await;
    both_killed_in(&fleet, &["prox4"], "pvecm", "add ").await;
    replacing.kill();

    let list = fleet.json(&["rollout", "list"]).await;
    let rollout = list.as_array().unwrap().last().unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    fleet.ends_well(&rollout).await;
    // The command itself did not see the end: the same one again finishes.
    let replaced = fleet.ok(&replace).await;
    assert!(
        replaced.stdout.contains("out of its cluster and of the fleet"),
        "{}",
        told(&replaced)
    );
    fleet.all_in(&["prox1", "prox2", "prox4"]).await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("[nodes.prox4]") && !text.contains("prox3"), "{text}");
    assert_eq!(
        (
            fleet.happened(What::NodeRemoved),
            fleet.happened(What::AddnodeCommitted)
        ),
        (1, 3)
    );
    assert_eq!(
        (fleet.calls("pvecm", "delnode").len(), fleet.calls("pvecm", "add").len()),
        (1, 3)
    );
    fleet.nothing_twice();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_vote_comes_back_in_spite_of_kills_while_it_is_off() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(4).qnetd(WITNESS)).await;
    let two = fleet.voted_file("two.toml", &["prox1", "prox2"], true);
    fleet.ok(&["apply", &two, "--yes"]).await;
    fleet.third_votes(&["prox1", "prox2"]).await;

    let four = ["prox1", "prox2", "prox3", "prox4"];
    let file = fleet.voted_file("four.toml", &four, true);
    let members = ["prox1", "prox2"];
    for node in members {
        fleet.hold(node, "pvecm", "qdevice remove").await;
    }
    fleet.hold("prox4", "pvecm", "add ").await;
    let rollout = fleet.begins(&["apply", &file]).await;
    both_killed_in(&fleet, &members, "pvecm", "qdevice remove").await;
    for node in members {
        fleet.hold(node, "pvecm", "qdevice setup").await;
    }
    // The third vote is off, and three servers are in.
    both_killed_in(&fleet, &["prox4"], "pvecm", "add ").await;
    both_killed_in(&fleet, &members, "pvecm", "qdevice setup").await;
    fleet.ends_well(&rollout).await;
    fleet.all_in(&four).await;
    fleet.third_votes(&four).await;
    assert_eq!(
        (fleet.happened(What::QdeviceRemoved), fleet.happened(What::QdeviceAdded)),
        (1, 2)
    );
    let calls = |word| fleet.calls("pvecm", word).len();
    assert_eq!((calls("remove"), calls("add"), calls("setup")), (1, 3, 2));
    assert_eq!(fleet.let_in(), Vec::<String>::new());
    fleet.nothing_twice();
}
