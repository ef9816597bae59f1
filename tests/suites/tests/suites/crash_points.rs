//! The coordinator dies at chosen moments around every record of its journal, in a process of its own, on a real store.
//!
//! One lab sees many deaths: whenever a coordinator has died at its record, the next one is started to die at the next. With the
//! moments rotated from lab to lab, each record is met at each moment.

use std::time::Duration;

use quorate_lab::{Lab, What};
use quorate_suites::{Fleet, until};

const MOMENTS: [&str; 4] = ["before", "unflushed", "unheaded", "after"];

/// Records of a rollout that creates a cluster of three: created, finished, and for each step intended, accepted, ended, verified.
const RECORDS: u64 = 14;

/// Kills at every record from the first on, the moments beginning with this one. Returns how many deaths there were.
async fn dies_everywhere(first: usize) -> u64 {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(40.0)).await;
    let file = fleet.cluster_file(&fleet.lab.names());
    let mut deaths = 0;
    for record in 0..RECORDS {
        let turn = usize::try_from(record).unwrap();
        let moment = MOMENTS[(first + turn) % MOMENTS.len()];
        fleet.lab.kill_coordinator();
        let at = format!("{record}:{moment}");
        // It may die while it starts: then its answer is not to be had.
        fleet.lab.start_coordinator(&["--crash-at", &at]).unwrap();
        let listening =
            async || fleet.run(&["rollout", "list"]).await.code() == Some(0) || fleet.lab.coordinator_pid().is_none();
        until("it listens, or is dead already", Duration::from_secs(60), listening).await;
        if fleet.happened(What::ClusterCreated) == 0 && rollouts(&fleet).await == Some(0) {
            // Nothing of the rollout is on disk: an administrator would type it again.
            fleet.run(&["apply", &file, "--yes", "--detach"]).await;
        }
        let dead = async || fleet.lab.coordinator_pid().is_none();
        until(&format!("it dies at {at}"), Duration::from_secs(60), dead).await;
        deaths += 1;
    }
    fleet.start_coordinator(&[]).await;
    if rollouts(&fleet).await == Some(0) {
        fleet.ok(&["apply", &file, "--yes"]).await;
    } else {
        fleet.ok(&["rollout", "watch"]).await;
    }
    fleet.is_one_quorate_cluster(&fleet.lab.names()).await;
    assert_eq!(fleet.calls("pvecm", "create").len(), 1, "created once");
    assert_eq!(fleet.calls("pvecm", "add").len(), 2, "each joined once");
    deaths
}

/// How many rollouts there are; `None`: nobody answers.
async fn rollouts(fleet: &Fleet) -> Option<usize> {
    let output = fleet.run(&["rollout", "list", "-o", "json"]).await;
    let list: serde_json::Value = serde_json::from_str(&output.stdout).ok()?;
    list.as_array().map(Vec::len)
}

/// Eight labs with 14 deaths each: 112, every record at every moment twice.
macro_rules! rotated {
    ($($name:ident $first:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            assert_eq!(dies_everywhere($first).await, RECORDS);
        }
    )*};
}

rotated! {
    dies_at_every_record_in_turn_from_before 0;
    dies_at_every_record_in_turn_from_unflushed 1;
    dies_at_every_record_in_turn_from_unheaded 2;
    dies_at_every_record_in_turn_from_after 3;
    dies_again_at_every_record_from_before 4;
    dies_again_at_every_record_from_unflushed 5;
    dies_again_at_every_record_from_unheaded 6;
    dies_again_at_every_record_from_after 7;
}
