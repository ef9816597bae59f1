//! What the third vote leans on goes away: qnetd in the middle of the set-up, or the daemon's package on a member.

use quorate_lab::plants::Plant;
use quorate_lab::{Builder, Lab, Output, What};
use quorate_suites::hand::{findings, steps};
use quorate_suites::life::WITNESS;
use quorate_suites::{Fleet, told};

const TWO: [&str; 2] = ["prox1", "prox2"];

fn two() -> Builder {
    Lab::builder().nodes(2).qnetd(WITNESS)
}

fn qdevice_package(installed: bool) -> Plant {
    let version = || Some("3.0.3-1".to_owned());
    Plant::Package {
        name: "corosync-qdevice".to_owned(),
        installed: version().filter(|_| installed),
        candidate: version(),
        residual: false,
    }
}

/// Applies in the background until this tool runs on this server, which is held there; then the other thing happens.
async fn goes_away_meanwhile(
    fleet: &Fleet,
    file: &str,
    (node, tool, matching): (&str, &str, &str),
    gone: (&str, Plant),
) -> Output {
    fleet.hold(node, tool, matching).await;
    let rollout = fleet.begins(&["apply", file]).await;
    fleet
        .until(&format!("{tool} runs on {node}"), async || {
            fleet.under_way(node, tool, matching) == 1
        })
        .await;
    let (whose, plant) = gone;
    fleet.plant(whose, plant).await;
    fleet.let_go(node).await;
    let watched = fleet.run(&["rollout", "watch", &rollout]).await;
    assert_eq!(watched.code(), Some(4), "{}", told(&watched));
    assert_eq!(fleet.let_in(), Vec::<String>::new(), "the key is out again");
    watched
}

#[tokio::test(flavor = "multi_thread")]
async fn life_qnetd_is_stopped_after_the_key_was_let_in() {
    let fleet = Fleet::enrolled(two()).await;
    let file = fleet.voted_file("two.toml", &TWO, true);
    // pvecm takes no notice, and ends with exit code 0.
    let gone = (WITNESS, Plant::Qnetd { running: false });
    let watched = goes_away_meanwhile(&fleet, &file, ("prox1", "pvecm", "qdevice setup"), gone).await;
    for said in [
        "STUCK: set up the third vote",
        "7 of 8 steps verified",
        "on witness1: systemctl status corosync-qnetd",
    ] {
        assert!(watched.stdout.contains(said), "{said}: {}", told(&watched));
    }
    assert_eq!(fleet.happened(What::QdeviceAdded), 1);
    let shown = fleet.tool("prox1", "pvecm status").await.stdout;
    assert!(shown.contains("Total votes:      2") && shown.contains("NV"), "{shown}");
    let plan = fleet.json(&["plan", &file]).await;
    let silent = findings(&plan, "QRT-QDEVICE-NOT-VOTING");
    assert_eq!(silent.len(), 1, "{plan:#}");
    let next = silent[0]["next"].as_str().unwrap();
    assert!(next.contains("systemctl status corosync-qnetd"), "{next}");

    fleet.plant(WITNESS, Plant::Qnetd { running: true }).await;
    fleet
        .until("the vote comes by itself", async || {
            let shown = fleet.tool("prox1", "pvecm status").await.stdout;
            shown.contains("Total votes:      3")
        })
        .await;
    let applied = fleet.ok(&["apply", &file, "--yes"]).await;
    assert!(!applied.stdout.contains("QRT-QDEVICE-NOT-VOTING"), "{}", told(&applied));
    fleet.third_votes(&TWO).await;
    assert_eq!(fleet.calls("pvecm", "setup").len(), 1);
    fleet.nothing_twice();
}

#[tokio::test(flavor = "multi_thread")]
async fn life_the_package_of_the_third_vote_is_taken_away_on_a_member() {
    let fleet = Fleet::enrolled(two()).await;
    let file = fleet.voted_file("two.toml", &TWO, true);
    // Installed by the plan, and taken away again before the set-up, which would leave a private key behind.
    let gone = ("prox2", qdevice_package(false));
    goes_away_meanwhile(&fleet, &file, ("prox1", "pvecm", "create"), gone).await;
    assert!(fleet.calls("pvecm", "setup").is_empty());
    fleet.no_device(&TWO);
    // The next plan brings it back.
    let plan = fleet.json(&["plan", &file]).await;
    assert!(steps(&plan).contains(&"packages.install/prox2".to_owned()), "{plan:#}");
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.third_votes(&TWO).await;

    // Taken away while it gives its vote: told of the server that lacks it, and nothing else is done about it.
    fleet.plant("prox2", qdevice_package(false)).await;
    fleet
        .until("the vote is gone", async || {
            let plan = fleet.json(&["plan", &file]).await;
            let silent = findings(&plan, "QRT-QDEVICE-NOT-VOTING");
            assert!(steps(&plan).is_empty(), "{plan:#}");
            silent.iter().any(|finding| {
                let next = finding["next"].as_str().unwrap_or_default();
                finding["subject"] == "prox2" && next.contains("apt install corosync-qdevice")
            })
        })
        .await;
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.plant("prox2", qdevice_package(true)).await;
    fleet
        .until("it votes again", async || {
            let plan = fleet.json(&["plan", &file]).await;
            findings(&plan, "QRT-QDEVICE-NOT-VOTING").is_empty()
        })
        .await;
    fleet.third_votes(&TWO).await;
    assert_eq!(fleet.calls("pvecm", "setup").len(), 1);
    fleet.nothing_twice();
}
