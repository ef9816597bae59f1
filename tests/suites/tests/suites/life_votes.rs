//! The third vote: set up for two servers, its key let in for the set-up only.

use quorate_lab::control::{Misbehaviour, ToolScript};
use quorate_lab::{Builder, Lab, Script, What};
use quorate_suites::hand::{findings, steps};
use quorate_suites::life::WITNESS;
use quorate_suites::{Fleet, told};

const TWO: [&str; 2] = ["prox1", "prox2"];

fn two() -> Builder {
    Lab::builder().nodes(2).qnetd(WITNESS)
}

/// The whole life of one key: who it is for is written down, and that it dies by itself.
fn let_in_for_minutes_only(fleet: &Fleet, seen: &[String], member: &str) {
    assert_eq!(seen.len(), 1, "one key was let in, once: {seen:?}");
    let key = fleet.read(member, "/root/.ssh/id_rsa.pub");
    let body = key.split_whitespace().nth(1).expect("a public key");
    assert!(seen[0].contains(body), "{seen:?}");
    let own = fleet.lab.node(member).unwrap().public_address.to_string();
    assert!(seen[0].contains("from=\"") && seen[0].contains(&own), "{seen:?}");
    assert!(seen[0].contains("expiry-time=\""), "{seen:?}");
    assert_eq!(fleet.let_in(), Vec::<String>::new(), "nobody is let in afterwards");
}

#[tokio::test(flavor = "multi_thread")]
async fn life_two_servers_and_a_host_outside_become_a_cluster_of_three_votes() {
    let fleet = Fleet::enrolled(two()).await;
    let file = fleet.voted_file("two.toml", &TWO, true);
    let plan = fleet.json(&["plan", &file]).await;
    assert_eq!(
        steps(&plan),
        [
            "packages.install/prox1",
            "packages.install/prox2",
            "packages.install/witness1",
            "cluster.create",
            "cluster.join/prox2",
            "qdevice.admit/witness1",
            "qdevice.set-up",
            "qdevice.withdraw/witness1",
        ],
        "{plan:#}"
    );
    let apply = ["apply", &file, "--yes"];
    let (seen, applied) = fleet.let_in_meanwhile(fleet.ok(&apply)).await;
    assert!(applied.stdout.contains("8 of 8 steps verified"), "{}", told(&applied));
    let_in_for_minutes_only(&fleet, &seen, "prox1");
    fleet.all_in(&TWO).await;
    fleet.third_votes(&TWO).await;
    assert_eq!(fleet.happened(What::QdeviceAdded), 1);
    fleet.nothing_twice();
    fleet.no_key_with_the_coordinator("prox1");
    // Nothing of ours stays in the file that says which hosts root knows.
    let known = fleet.read("prox1", "/root/.ssh/known_hosts");
    assert!(!known.contains(" quorate"), "{known}");

    let second = fleet.json(&["plan", &file]).await;
    assert!(steps(&second).is_empty(), "{second:#}");
    assert!(findings(&second, "QRT-EVEN-VOTES").is_empty(), "{second:#}");
    let status = fleet.ok(&["status"]).await;
    assert!(
        status.stdout.contains("quorate, 2 of 2 members online"),
        "{}",
        told(&status)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn life_the_key_goes_also_when_the_set_up_fails_and_the_next_apply_sets_it_up() {
    let fleet = Fleet::enrolled(two()).await;
    let file = fleet.voted_file("two.toml", &TWO, true);
    let stderr = "command 'corosync-qdevice-net-certutil' failed: exit code 1\n".to_owned();
    let fails = Misbehaviour {
        tool: "pvecm".to_owned(),
        matching: Some("qdevice setup".to_owned()),
        times: None,
        script: ToolScript::Fail { code: 1, stderr },
    };
    fleet.lab.script("prox1", Script::Tool(fails)).await.unwrap();
    let apply = ["apply", &file, "--yes"];
    let (seen, applied) = fleet.let_in_meanwhile(fleet.ends(&apply, 4)).await;
    assert!(
        applied.stdout.contains("certutil"),
        "what pvecm said is told: {}",
        told(&applied)
    );
    let_in_for_minutes_only(&fleet, &seen, "prox1");
    assert_eq!(fleet.happened(What::QdeviceAdded), 0);
    fleet.no_device(&TWO);
    assert_eq!(fleet.calls("pvecm", "setup").len(), 1, "it is not tried twice blindly");

    fleet.lab.script("prox1", Script::ClearTools).await.unwrap();
    fleet.ok(&apply).await;
    fleet.third_votes(&TWO).await;
    assert_eq!(fleet.let_in(), Vec::<String>::new());
    fleet.nothing_twice();
}

#[tokio::test(flavor = "multi_thread")]
async fn life_the_agent_is_killed_in_the_middle_of_the_set_up() {
    let fleet = Fleet::enrolled(two().speed(5.0)).await;
    let file = fleet.voted_file("two.toml", &TWO, true);
    fleet.hold("prox1", "pvecm", "qdevice setup").await;
    let rollout = fleet.begins(&["apply", &file]).await;
    fleet
        .until("pvecm qdevice setup runs", async || {
            fleet.calls("pvecm", "setup").len() == 1
        })
        .await;
    fleet.lab.kill_agent("prox1");
    assert_eq!(fleet.under_way("prox1", "pvecm", "setup"), 1, "it runs on");
    fleet.let_go("prox1").await;
    fleet.lab.start_agent("prox1").unwrap();
    fleet.ends_well(&rollout).await;
    fleet.third_votes(&TWO).await;
    assert_eq!(fleet.calls("pvecm", "setup").len(), 1);
    assert_eq!(fleet.let_in(), Vec::<String>::new());
    fleet.nothing_twice();
}

#[tokio::test(flavor = "multi_thread")]
async fn life_the_coordinator_is_killed_while_the_key_is_let_in() {
    let fleet = Fleet::enrolled(two().speed(5.0)).await;
    let file = fleet.voted_file("two.toml", &TWO, true);
    let rollout = fleet.begins(&["apply", &file]).await;
    fleet
        .until("the key is let in", async || !fleet.let_in().is_empty())
        .await;
    fleet.lab.kill_coordinator();
    fleet.start_coordinator(&[]).await;
    fleet.ends_well(&rollout).await;
    fleet.third_votes(&TWO).await;
    assert_eq!(fleet.let_in(), Vec::<String>::new());
    assert_eq!(fleet.calls("pvecm", "setup").len(), 1);
    fleet.nothing_twice();
}

#[tokio::test(flavor = "multi_thread")]
async fn life_a_third_party_that_does_not_run_is_told_before_anything_is_done() {
    let fleet = Fleet::enrolled(two()).await;
    let file = fleet.voted_file("two.toml", &TWO, true);
    let plant = |running| quorate_lab::Plant::Qnetd { running };
    let package = quorate_lab::Plant::Package {
        name: "corosync-qnetd".to_owned(),
        installed: Some("3.0.3-1".to_owned()),
        candidate: Some("3.0.3-1".to_owned()),
        residual: false,
    };
    fleet.plant(WITNESS, package).await;
    fleet.plant(WITNESS, plant(false)).await;
    let refused = fleet.ends(&["apply", &file, "--yes"], 3).await;
    assert!(
        refused.stdout.contains("corosync-qnetd does not run on witness1"),
        "{}",
        told(&refused)
    );
    assert!(fleet.calls("pvecm", "setup").is_empty());
    fleet.plant(WITNESS, plant(true)).await;
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.third_votes(&TWO).await;
}
