//! Joins that were begun by hand and did not come to their end: recognised, finished, or undone.

use quorate_lab::{Lab, Plant, Script, What};
use quorate_suites::hand::{ONE_LINK, findings, raised, steps, version};
use quorate_suites::{Fleet, told};

fn file(fleet: &Fleet, nodes: &[&str]) -> String {
    fleet.linked_file("hk1.toml", nodes, ONE_LINK, "")
}

/// The members count `node` from now on, and nothing of that is on the node: its `pvecm add` was killed, and what it left there was
/// taken away, as when the server is installed anew.
pub(crate) async fn counted_and_bare(fleet: &Fleet, node: &str) {
    fleet.lab.script(node, Script::UdpBlocked(true)).await.unwrap();
    let already = fleet.happened(What::AddnodeCommitted);
    let mut add = fleet.joins_by_hand("prox1", node, ONE_LINK).await;
    fleet
        .until("the member counts it", async || {
            fleet.happened(What::AddnodeCommitted) > already
        })
        .await;
    add.kill();
    fleet.until("the join to end", async || no_join_runs(fleet, node)).await;
    for line in ["systemctl stop pve-cluster corosync", "pmxcfs -l"] {
        assert!(fleet.tool(node, line).await.success(), "{line}");
    }
    // Not before its corosync is stopped: if it had come so far as to run, the members would see it for a moment.
    fleet.lab.script(node, Script::UdpBlocked(false)).await.unwrap();
    for path in [
        "/etc/pve/corosync.conf",
        "/etc/corosync/corosync.conf",
        "/etc/corosync/authkey",
    ] {
        // Depending on the moment it had come that far or not.
        std::fs::remove_file(fleet.rooted(node, path)).ok();
    }
    for line in ["killall pmxcfs", "systemctl start pve-cluster"] {
        assert!(fleet.tool(node, line).await.success(), "{line}");
    }
    fleet.writable(node).await;
}

/// Nothing of `pvecm add` runs on a server any more.
fn no_join_runs(fleet: &Fleet, node: &str) -> bool {
    let mine =
        |e: &&quorate_lab::Entry| e.node.as_deref() == Some(node) && e.argv.first().is_some_and(|t| t == "pvecm");
    let world = fleet.world();
    let count = |what: &[What]| world.iter().filter(mine).filter(|e| what.contains(&e.what)).count();
    count(&[What::ToolCalled]) == count(&[What::ToolEnded, What::ToolDied])
}

/// Two joins in the same instant, of which one hangs with an older version. Gives back who was left, and kills its `pvecm add`.
async fn left_by_two_joins(fleet: &Fleet) -> String {
    let mut joins = fleet.two_join_by_hand("prox1", ["prox4", "prox5"], ONE_LINK).await;
    let mut left = None;
    fleet
        .until(
            "one corosync gives up, and the other join comes to its end",
            async || {
                let world = fleet.world();
                let exited = |e: &&quorate_lab::Entry| {
                    e.what == What::CorosyncExited && e.detail.contains("is different than my config version")
                };
                left = world.iter().find(exited).and_then(|e| e.node.clone());
                let joined = |e: &quorate_lab::Entry| {
                    e.what == What::JoinCompleted
                        && e.node != left
                        && ["prox4", "prox5"].map(Some).contains(&e.node.as_deref())
                };
                left.is_some() && world.iter().any(joined)
            },
        )
        .await;
    for join in &mut joins {
        join.kill();
    }
    left.unwrap()
}

/// The rollout comes to its end although agent and coordinator are killed while a tool runs that it calls on this server.
async fn killed_while_it_runs(fleet: &Fleet, node: &str, call: &str, apply: &[&str]) -> quorate_lab::Output {
    let tool = if call == "updatecerts" { "pvecm" } else { "systemctl" };
    fleet.hold(node, tool, call).await;
    let rollout = fleet.begins(apply).await;
    fleet
        .until(&format!("{tool} {call} runs on {node}"), async || {
            fleet.under_way(node, tool, call) == 1
        })
        .await;
    fleet.lab.kill_agent(node);
    fleet.lab.kill_coordinator();
    assert_eq!(fleet.under_way(node, tool, call), 1, "it runs on");
    fleet.let_go(node).await;
    fleet.lab.start_agent(node).unwrap();
    fleet.start_coordinator(&[]).await;
    fleet.ends_well(&rollout).await
}

const FIVE: [&str; 5] = ["prox1", "prox2", "prox3", "prox4", "prox5"];

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_hung_with_an_older_version_is_finished() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(5)).await;
    fleet.made_by_hand(&FIVE[..3], ONE_LINK).await;
    let left = left_by_two_joins(&fleet).await;
    let file = file(&fleet, &FIVE);
    let plan = fleet.json(&["plan", &file]).await;
    let told_of = findings(&plan, "QRT-JOIN-UNFINISHED");
    assert!(told_of.len() == 1 && told_of[0]["subject"] == left.as_str(), "{plan:#}");
    assert_eq!(steps(&plan), [format!("cluster.finish-join/{left}")], "{plan:#}");
    killed_while_it_runs(&fleet, &left, "updatecerts", &["apply", &file]).await;
    fleet.all_in(&FIVE).await;
    assert!(steps(&fleet.json(&["plan", &file]).await).is_empty());
    assert_eq!(fleet.calls("pvecm", "add").len(), 4, "nobody joined again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_hung_with_an_older_version_is_undone_by_word() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(5)).await;
    fleet.made_by_hand(&FIVE[..3], ONE_LINK).await;
    let left = left_by_two_joins(&fleet).await;
    let file = file(&fleet, &FIVE);
    let applied = killed_while_it_runs(
        &fleet,
        &left,
        "start pve-cluster",
        &["apply", &file, "--undo-join", &left],
    )
    .await;
    let stay: Vec<&str> = FIVE.into_iter().filter(|node| *node != left).collect();
    fleet.all_in(&stay).await;
    assert_eq!(fleet.read(&left, "/etc/corosync/corosync.conf"), "");
    assert_eq!(fleet.read(&left, "/etc/corosync/authkey"), "");
    assert!(
        !fleet
            .read("prox1", "/etc/pve/corosync.conf")
            .contains(&format!("name: {left}\n"))
    );
    let note = "what was in /etc/pve before the join is in /var/lib/pve-cluster/backup";
    assert!(applied.stdout.contains(note), "{}", told(&applied));
    assert_ne!(
        fleet.read(&left, &format!("/etc/pve/nodes/{left}/pve-ssl.pem")),
        "",
        "its web interface runs"
    );
    // And from there it joins like any other.
    let plan = fleet.json(&["plan", &file]).await;
    assert_eq!(steps(&plan), [format!("cluster.join/{left}")], "{plan:#}");
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.all_in(&FIVE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_server_that_the_members_count_joins_afresh() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    fleet.made_by_hand(&FIVE[..2], ONE_LINK).await;
    counted_and_bare(&fleet, "prox3").await;
    let file = file(&fleet, &FIVE[..3]);
    let plan = fleet.json(&["plan", &file]).await;
    assert_eq!(findings(&plan, "QRT-JOIN-UNFINISHED").len(), 1, "{plan:#}");
    assert_eq!(steps(&plan), ["cluster.remove/prox3", "cluster.join/prox3"], "{plan:#}");
    let applied = fleet.run(&["apply", &file, "--yes"]).await;
    assert!(applied.success(), "{}", told(&applied));
    fleet.all_in(&FIVE[..3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_server_that_the_members_count_is_taken_out_by_word() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    fleet.made_by_hand(&FIVE[..2], ONE_LINK).await;
    counted_and_bare(&fleet, "prox3").await;
    let file = file(&fleet, &FIVE[..3]);
    let plan = fleet.json(&["plan", &file, "--undo-join", "prox3"]).await;
    assert_eq!(steps(&plan), ["cluster.remove/prox3"], "{plan:#}");
    fleet.ok(&["apply", &file, "--yes", "--undo-join", "prox3"]).await;
    fleet.all_in(&FIVE[..2]).await;
    assert_eq!(fleet.read("prox3", "/etc/corosync/corosync.conf"), "");
    let plan = fleet.json(&["plan", &file, "--undo-join", "prox3"]).await;
    assert!(steps(&plan).is_empty(), "it stays out: {plan:#}");
}

/// Growing from one to two, the first server is without quorum until the second is there: if that never comes, for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_single_member_that_lost_its_quorum_by_a_join_comes_back() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    fleet.made_by_hand(&FIVE[..1], ONE_LINK).await;
    counted_and_bare(&fleet, "prox2").await;
    fleet
        .until("prox1 lost its quorum", async || fleet.happened(What::QuorumLost) == 1)
        .await;
    let file = file(&fleet, &FIVE[..2]);
    let plan = fleet.json(&["plan", &file]).await;
    assert_eq!(
        steps(&plan),
        ["cluster.expect/prox2", "cluster.remove/prox2", "cluster.join/prox2"],
        "{plan:#}"
    );
    let applied = fleet.run(&["apply", &file, "--yes"]).await;
    assert!(applied.success(), "{}", told(&applied));
    fleet.all_in(&FIVE[..2]).await;
    assert!(steps(&fleet.json(&["plan", &file]).await).is_empty());
}

/// The same, with the second server having come as far as corosync's files: it is finished, and quorum is back with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_that_hung_before_quorum_is_finished() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    fleet.made_by_hand(&FIVE[..1], ONE_LINK).await;
    // A service that does not start, as when /etc/pve is in use: corosync never runs there.
    fleet.lab.script("prox2", Script::UdpBlocked(true)).await.unwrap();
    let mut add = fleet.joins_by_hand("prox1", "prox2", ONE_LINK).await;
    fleet
        .until("prox2 waits for quorum", async || {
            fleet
                .world()
                .iter()
                .any(|e| e.what == What::CorosyncStarted && e.node.as_deref() == Some("prox2"))
        })
        .await;
    add.kill();
    let plant = Plant::Service {
        unit: "corosync".to_owned(),
        state: quorate_lab::plants::ServiceIs::Stopped,
    };
    fleet.lab.script("prox2", Script::Plant(plant)).await.unwrap();
    fleet.lab.script("prox2", Script::UdpBlocked(false)).await.unwrap();
    let file = file(&fleet, &FIVE[..2]);
    let plan = fleet.json(&["plan", &file]).await;
    assert_eq!(steps(&plan), ["cluster.finish-join/prox2"], "{plan:#}");
    let applied = fleet.run(&["apply", &file, "--yes"]).await;
    assert!(applied.success(), "{}", told(&applied));
    fleet.all_in(&FIVE[..2]).await;
}

const DATABASE: &str = "/var/lib/pve-cluster/config.db";

/// prox3 is counted, and its join broke off after it had written what the member sent: /etc/corosync is the cluster's, /etc/pve is not.
async fn broke_off(fleet: &Fleet) -> String {
    fleet.made_by_hand(&FIVE[..2], ONE_LINK).await;
    counted_and_bare(fleet, "prox3").await;
    for (from, to) in [
        ("/etc/pve/corosync.conf", "/etc/corosync/corosync.conf"),
        ("/etc/corosync/authkey", "/etc/corosync/authkey"),
    ] {
        std::fs::copy(fleet.rooted("prox1", from), fleet.rooted("prox3", to)).unwrap();
    }
    file(fleet, &FIVE[..3])
}

async fn is_finished(fleet: &Fleet, file: &str) {
    let plan = fleet.json(&["plan", file]).await;
    assert_eq!(steps(&plan), ["cluster.finish-join/prox3"], "{plan:#}");
    fleet.ok(&["apply", file, "--yes"]).await;
    fleet.all_in(&FIVE[..3]).await;
    assert!(steps(&fleet.json(&["plan", file]).await).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_broke_off_before_its_database_was_put_aside_is_finished() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    let file = broke_off(&fleet).await;
    is_finished(&fleet, &file).await;
    let kept = std::fs::read_dir(fleet.rooted("prox3", "/var/lib/pve-cluster")).unwrap();
    let kept = kept.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().ends_with(".bak"));
    assert_eq!(kept.count(), 1, "what was in /etc/pve is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_broke_off_before_pmxcfs_started_anew_is_finished() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    let file = broke_off(&fleet).await;
    assert!(fleet.tool("prox3", "systemctl stop pve-cluster").await.success());
    std::fs::remove_file(fleet.rooted("prox3", DATABASE)).unwrap();
    is_finished(&fleet, &file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undoing_that_broke_off_in_local_mode_is_done_again() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(5)).await;
    fleet.made_by_hand(&FIVE[..3], ONE_LINK).await;
    let left = left_by_two_joins(&fleet).await;
    let file = file(&fleet, &FIVE);
    for line in ["systemctl stop pve-cluster corosync", "pmxcfs -l"] {
        assert!(fleet.tool(&left, line).await.success(), "{line}");
    }
    fleet.ok(&["apply", &file, "--yes", "--undo-join", &left]).await;
    let stay: Vec<&str> = FIVE.into_iter().filter(|node| *node != left).collect();
    fleet.all_in(&stay).await;
    assert_eq!(fleet.read(&left, "/etc/corosync/corosync.conf"), "");
}

/// An id that is given twice, by hand, on a server that is to be taken out or whose join is to be undone: `pvecm delnode` would kill the
/// healthy one.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_given_twice_kills_nobody() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    fleet.made_by_hand(&FIVE[..2], ONE_LINK).await;
    let mut argv = fleet.join_line("prox1", "prox3", ONE_LINK).await;
    argv.extend(["--nodeid".to_owned(), "2".to_owned()]);
    let mut add = fleet.starts("prox3", &argv);
    fleet
        .until("the members count it", async || {
            fleet.read("prox1", "/etc/pve/corosync.conf").contains("name: prox3")
        })
        .await;
    add.kill();
    fleet
        .until("the join to end", async || no_join_runs(&fleet, "prox3"))
        .await;
    let three = file(&fleet, &FIVE[..3]);
    let two = fleet.linked_file("two.toml", &FIVE[..2], ONE_LINK, "");
    for args in [
        vec!["apply", three.as_str(), "--yes"],
        vec!["apply", &three, "--yes", "--undo-join", "prox3"],
        vec!["apply", &two, "--yes", "--remove", "prox3"],
        vec!["apply", &two, "--yes", "--remove", "prox3", "--is-off", "prox3"],
    ] {
        let refused = fleet.ends(&args, 3).await;
        assert!(refused.stdout.contains("QRT-"), "{}", told(&refused));
    }
    assert!(fleet.calls("pvecm", "delnode").is_empty());
    assert_eq!(fleet.happened(What::NodeRemoved), 0);
    fleet.all_in(&FIVE[..2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_was_lowered_by_hand_keeps_others_out() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    fleet.made_by_hand(&FIVE[..2], ONE_LINK).await;
    let conf = fleet.read("prox1", "/etc/pve/corosync.conf");
    let lowered = conf.replace(
        &format!("config_version: {}", version(&conf)),
        &format!("config_version: {}", version(&conf) - 1),
    );
    std::fs::write(fleet.rooted("prox1", "/etc/pve/corosync.conf"), lowered).unwrap();
    let file = file(&fleet, &FIVE[..3]);
    let mut seen = fleet.json(&["plan", &file]).await;
    fleet
        .until("it is seen", async || {
            seen = fleet.json(&["plan", &file]).await;
            !findings(&seen, "QRT-CONFIG-NOT-RUNNING").is_empty()
        })
        .await;
    let next = findings(&seen, "QRT-CONFIG-NOT-RUNNING")[0]["next"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(next.contains("a config_version above"), "{next}");
    fleet.ends(&["apply", &file, "--yes"], 3).await;
    assert_eq!(fleet.calls("pvecm", "add").len(), 1, "prox2's own");
    // As the finding says.
    std::fs::write(fleet.rooted("prox1", "/etc/pve/corosync.conf"), raised(&conf, 1)).unwrap();
    fleet
        .until("it runs", async || {
            findings(&fleet.json(&["plan", &file]).await, "QRT-CONFIG-NOT-RUNNING").is_empty()
        })
        .await;
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.all_in(&FIVE[..3]).await;
}

/// Its API shows the administrator's certificate, and not the one that PVE made for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_joins_through_a_member_with_a_certificate_of_its_own() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    fleet.made_by_hand(&FIVE[..1], ONE_LINK).await;
    fleet
        .lab
        .script("prox1", Script::Plant(Plant::OwnCertificate))
        .await
        .unwrap();
    let file = file(&fleet, &FIVE[..2]);
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.all_in(&FIVE[..2]).await;
}
