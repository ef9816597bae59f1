//! `quorate replication`: how old each copy is by the owner's scheduler, and what PVE's back-off makes of the promise.

use quorate_clock::Clock;
use quorate_lab::{GuestSpec, Lab, Plant, Script};
use quorate_suites::hand::ONE_LINK;
use quorate_suites::{Fleet, told};
use serde_json::json;

const STATE: &str = "/var/lib/pve-manager/pve-replication-state.json";

async fn plant(fleet: &Fleet, node: &str, path: &str, text: &str) {
    let file = Plant::File {
        path: path.to_owned(),
        text: Some(text.to_owned()),
    };
    fleet.plant(node, file).await;
}

/// So many seconds ago, as PVE writes times.
fn ago(seconds: i64) -> i64 {
    Clock::system().unix_micros() / 1_000_000 - seconds
}

/// A cluster of three, with guest 100 on prox1.
async fn three() -> Fleet {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    fleet.made_by_hand(&["prox1", "prox2", "prox3"], ONE_LINK).await;
    let guest = GuestSpec {
        vmid: 100,
        name: "web1".to_owned(),
        running: true,
        ..GuestSpec::default()
    };
    fleet.lab.script("prox1", Script::AddGuest(guest)).await.unwrap();
    fleet
}

const JOBS: &str = "local: 100-0\n\ttarget prox2\n\tschedule */5\n\tsource prox1\n\nlocal: 100-1\n\ttarget prox3\n\tschedule */5\n\tsource prox1\n";

#[tokio::test(flavor = "multi_thread")]
async fn each_copy_is_shown_with_its_age_and_what_was_promised() {
    let fleet = three().await;
    assert_eq!(fleet.ok(&["replication"]).await.stdout, "no guest is replicated\n");
    plant(&fleet, "prox1", "/etc/pve/replication.cfg", JOBS).await;
    let shown = fleet.ends(&["replication"], 9).await.stdout;
    assert!(
        shown.contains("no run has succeeded on prox1 yet: nothing is known of a copy of guest 100 on prox2"),
        "{shown}"
    );

    let well = |at: i64| json!({"last_sync": at, "last_try": at, "fail_count": 0, "duration": 2.5});
    let both = json!({"100": {"local/prox2": well(ago(60)), "local/prox3": well(ago(120))}});
    plant(&fleet, "prox1", STATE, &both.to_string()).await;
    let shown = fleet.ok(&["replication"]).await.stdout;
    assert!(
        shown.lines().count() == 3 && shown.matches("fresh").count() == 2,
        "{shown}"
    );
    assert!(shown.contains("at most 6 min 2 s"), "{shown}");

    // Four runs have failed: PVE tries again half an hour after the last, and the schedule of five minutes means nothing.
    let failing = json!({"last_sync": ago(3600), "last_try": ago(60), "fail_count": 4, "error": "no route to host"});
    let one_fails = json!({"100": {"local/prox2": well(ago(60)), "local/prox3": failing}});
    plant(&fleet, "prox1", STATE, &one_fails.to_string()).await;
    let shown = fleet.ends(&["replication"], 9).await;
    let said = "hk1 100-1: failed 4 times: no route to host; PVE tries again when the copy is 1 h 29 min old";
    assert!(shown.stdout.contains(said), "{}", told(&shown));
    let json = fleet.run(&["replication", "100", "-o", "json"]).await.stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().map(Vec::len), Some(2), "{json:#}");
    fleet.ends(&["replication", "101"], 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_recovery_elsewhere_the_jobs_are_told_to_be_turned_round() {
    let fleet = three().await;
    plant(&fleet, "prox1", "/etc/pve/replication.cfg", JOBS).await;
    // As HA does it: the configuration is moved, and nothing else.
    let conf = fleet.read("prox1", "/etc/pve/nodes/prox1/qemu-server/100.conf");
    fleet.lab.script("prox1", Script::RemoveGuest(100)).await.unwrap();
    plant(&fleet, "prox2", "/etc/pve/nodes/prox2/qemu-server/100.conf", &conf).await;
    let shown = fleet.ends(&["replication"], 9).await;
    assert_eq!(
        shown.stdout.matches("prox2 owns guest 100 now").count(),
        2,
        "{}",
        told(&shown)
    );
    // An owner that can't be asked is not taken for one whose copies are fresh.
    fleet.lab.stop_agent("prox2").await.unwrap();
    let shown = fleet.ends(&["replication"], 9).await;
    assert!(
        shown.stdout.contains("how old the copy of guest 100 on prox3 is: "),
        "{}",
        told(&shown)
    );
}
