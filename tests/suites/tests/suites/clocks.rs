//! Servers whose clocks are minutes apart: what one wrote is not held against the clock of another, and what PVE itself makes of it is told.

use quorate_suites::drills::scenario::{Breaks, GUEST, Scenario, Shape};
use quorate_suites::drills::stage::Stage;
use quorate_suites::told;

/// Of each server's clock, in milliseconds.
const OFF: [i64; 3] = [240_000, 0, -240_000];

/// What would speak against a drill if times of one clock were held against another.
const BY_CLOCKS: [&str; 5] = [
    "QRT-DRILL-HA-SILENT",
    "QRT-DRILL-GUEST-NOT-IN-HA",
    "QRT-DRILL-COPY-STALE",
    "QRT-DRILL-UNSEEN",
    "QRT-DRILL-CLOCK-UNSURE",
];

async fn preview(stage: &Stage, victim: &str) -> Vec<String> {
    let scenario = Scenario {
        shape: stage.shape.clone(),
        breaks: Breaks::Network,
        blip: false,
        lasts: Some(200),
        kills: vec![],
        slow: vec![],
        ..Scenario::of(0)
    };
    let mut line = ["drill", "preview"].map(str::to_owned).to_vec();
    line.extend(stage.options(&scenario, victim).await);
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_four_minutes_off_are_no_reason_against_a_drill() {
    let shape = Shape {
        number: 0,
        skews: OFF.to_vec(),
        boots: vec![60; 3],
    };
    let stage = Stage::new(shape, 20.0).await;
    let fleet = &stage.fleet;
    let line = preview(&stage, "prox1").await;
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let mut last = None;
    fleet
        .until("nothing speaks against it", async || {
            let shown = fleet.run(&line).await;
            let well = shown.success();
            last = Some(shown);
            well
        })
        .await;
    let shown = last.expect("it was asked");
    for code in BY_CLOCKS {
        assert!(!shown.stdout.contains(code), "{}", told(&shown));
    }
    // Whoever is master, each server's copy of its word is one of today.
    let ha = fleet.run(&["ha", "--if-lost", "all"]).await;
    assert!(
        ha.stdout.contains(" decides") && !ha.stdout.contains("written nothing"),
        "{}",
        told(&ha)
    );
    assert!(
        !ha.stdout.contains("can't be told: whether the HA master"),
        "{}",
        told(&ha)
    );

    // HA moves the guest by the word of a master whose clock is another one.
    let guest = GUEST.to_string();
    let to = format!("{}/prox3", fleet.cluster);
    fleet.ok(&["migrate", &guest, &to, "--yes"]).await;
    // PVE makes no copy on a server whose clock is behind that of the one which sent the guest: that is told as it is, and may be accepted.
    let line = preview(&stage, "prox3").await;
    let mut line: Vec<&str> = line.iter().map(String::as_str).collect();
    fleet
        .until("PVE has refused to copy", async || {
            let shown = fleet.run(&line).await.stdout;
            shown.contains("QRT-DRILL-COPY-STALE") && shown.contains("start time before last sync")
        })
        .await;
    line.extend(["--accept", "QRT-DRILL-COPY-STALE"]);
    fleet
        .until("nothing else speaks against it", async || {
            fleet.run(&line).await.success()
        })
        .await;
}
