//! The coordinator dies at every record of its journal, at each of four moments around it, in a process of its own, on a real store.
//!
//! One lab sees all records at one moment: whenever a coordinator has died at one, the next is started to die at the first of the
//! others that comes. Records are named by what they say and not by their number: after a death there may be more of them.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use quorate_lab::{Builder, Lab};
use quorate_suites::life::WITNESS;
use quorate_suites::{Fleet, until};

/// Records of one step that goes well.
const OF_A_STEP: [&str; 4] = ["intended", "accepted", "ended", "verified"];

const CREATE: [&str; 3] = ["cluster.create", "cluster.join/prox2", "cluster.join/prox3"];

const THIRD_VOTE: [&str; 8] = [
    "packages.install/prox1",
    "packages.install/prox2",
    "packages.install/witness1",
    "cluster.create",
    "cluster.join/prox2",
    "qdevice.admit/witness1",
    "qdevice.set-up",
    "qdevice.withdraw/witness1",
];

/// All records of a rollout with these steps.
fn records(steps: &[&str]) -> BTreeSet<String> {
    let of_steps = steps
        .iter()
        .flat_map(|step| OF_A_STEP.map(|record| format!("{record}/{step}")));
    let around = ["created", "finished"].map(str::to_owned);
    of_steps.chain(around).collect()
}

/// A rollout with these steps dies at each of its records, at this moment.
async fn dies_at_every_record(builder: Builder, third: bool, steps: &[&str], moment: &str) -> Fleet {
    let fleet = Fleet::enrolled(builder.speed(40.0)).await;
    let names = fleet.lab.names();
    let nodes: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| *name != WITNESS)
        .collect();
    let file = fleet.voted_file("hk1.toml", &nodes, third);
    fleet.lab.stop_coordinator().await.unwrap();
    let mut left = records(steps);
    while !left.is_empty() {
        let planned: Vec<String> = left.iter().map(|record| format!("{record}:{moment}")).collect();
        let args: Vec<&str> = planned.iter().flat_map(|at| ["--crash-at", at]).collect();
        // It may die while it starts: then its answer is not to be had.
        fleet.lab.start_coordinator(&args).unwrap();
        let listening =
            async || fleet.run(&["rollout", "list"]).await.code() == Some(0) || fleet.lab.coordinator_pid().is_none();
        until("it listens, or is dead already", Duration::from_secs(60), listening).await;
        if rollouts(&fleet).await == Some(0) {
            // Nothing of the rollout is on disk: an administrator would type it again, once the servers are there.
            let args = ["apply", &file, "--yes", "--detach"];
            let begun = async || fleet.run(&args).await.success() || fleet.lab.coordinator_pid().is_none();
            until("it begins, or dies of it", Duration::from_secs(60), begun).await;
        }
        let mut ended = None;
        let dead = async || {
            ended = fleet.lab.coordinator_ended();
            ended.is_some()
        };
        until(&format!("it dies at one of {planned:?}"), Duration::from_secs(60), dead).await;
        assert_eq!(
            ended.and_then(|status| status.signal()),
            Some(9),
            "{ended:?}: {moment}, before {left:?}"
        );
        let (record, of) = told_to_die(&fleet);
        assert_eq!(of, moment);
        assert!(left.remove(&record), "it died at {record} once more");
    }
    fleet.start_coordinator(&[]).await;
    if rollouts(&fleet).await == Some(0) {
        fleet.connected(&names).await;
        fleet.ok(&["apply", &file, "--yes"]).await;
    }
    let rollout = fleet.json(&["rollout", "list"]).await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    fleet.ends_well(&rollout).await;
    assert_eq!(rollouts(&fleet).await, Some(1));
    fleet.all_in(&nodes).await;
    fleet.nothing_twice();
    assert_eq!(fleet.calls("pvecm", "create").len(), 1, "created once");
    assert_eq!(fleet.calls("pvecm", "add").len(), nodes.len() - 1, "each joined once");
    fleet
}

/// The record and the moment at which the last coordinator died, by its own word.
fn told_to_die(fleet: &Fleet) -> (String, String) {
    let log = std::fs::read_to_string(fleet.lab.layout().coordinator().join("coordinator.log")).unwrap();
    let last = log.lines().rev().find_map(|line| line.split_once("told to die at "));
    let (record, moment) = last.unwrap().1.trim().rsplit_once(':').unwrap();
    (record.to_owned(), moment.to_owned())
}

/// How many rollouts there are; `None`: nobody answers.
async fn rollouts(fleet: &Fleet) -> Option<usize> {
    let output = fleet.run(&["rollout", "list", "-o", "json"]).await;
    let list: serde_json::Value = serde_json::from_str(&output.stdout).ok()?;
    list.as_array().map(Vec::len)
}

/// 4 × 14 deaths while three servers become a cluster, and 4 × 34 while two get a third vote: each record at each moment, 192.
macro_rules! at_every_record {
    ($($three:ident $two:ident $moment:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $three() {
            dies_at_every_record(Lab::builder().nodes(3), false, &CREATE, $moment).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $two() {
            let two = Lab::builder().nodes(2).qnetd(WITNESS);
            let fleet = dies_at_every_record(two, true, &THIRD_VOTE, $moment).await;
            fleet.third_votes(&["prox1", "prox2"]).await;
            assert_eq!(fleet.calls("pvecm", "setup").len(), 1, "it is set up once");
            assert_eq!(fleet.let_in(), Vec::<String>::new());
        }
    )*};
}

at_every_record! {
    three_servers_with_a_death_before_every_record a_third_vote_with_a_death_before_every_record "before";
    three_servers_with_a_death_at_every_unflushed_record a_third_vote_with_a_death_at_every_unflushed_record "unflushed";
    three_servers_with_a_death_at_every_unheaded_record a_third_vote_with_a_death_at_every_unheaded_record "unheaded";
    three_servers_with_a_death_after_every_record a_third_vote_with_a_death_after_every_record "after";
}

#[test]
fn there_are_more_than_a_hundred_deaths() {
    assert_eq!(records(&CREATE).len() * 4, 56);
    assert_eq!(records(&THIRD_VOTE).len() * 4, 136);
}
