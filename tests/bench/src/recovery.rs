//! How soon the coordinator drives again after it was killed in the middle of a rollout.

use quorate_clock::Clock;
use quorate_lab::{Lab, What};
use quorate_suites::Fleet;
use serde_json::Value;

use crate::figures::Figure;

/// The coordinator dies by SIGKILL when it has written these records of a rollout that creates a cluster of three.
const DEATHS: [&str; 5] = [
    "ended/cluster.create",
    "intended/cluster.join/prox2",
    "accepted/cluster.join/prox2",
    "verified/cluster.join/prox2",
    "accepted/cluster.join/prox3",
];

/// At these a join runs, the how-manieth of them: the next record is written when `pvecm add` is over. So that its duration is not
/// measured, the coordinator stays dead until then.
const RUNNING: [(&str, usize); 2] = [("accepted/cluster.join/prox2", 1), ("accepted/cluster.join/prox3", 2)];

const PROMISED: f64 = 2.0;

/// From the start of the coordinator's process to the first record that it writes to the journal, by the record's own time; one
/// rollout at the speed of real servers, with five deaths.
pub(crate) async fn measure() -> Vec<Figure> {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(1.0)).await;
    let file = fleet.cluster_file(&fleet.lab.names());
    fleet.lab.kill_coordinator();
    let clock = Clock::system();
    let mut starts = Vec::new();
    for record in DEATHS {
        let crash_at = format!("{record}:after");
        if starts.is_empty() && record == DEATHS[0] {
            fleet.start_coordinator(&["--crash-at", &crash_at]).await;
            fleet.connected(&fleet.lab.names()).await;
            drop(fleet.run(&["apply", &file, "--yes", "--detach"]).await);
        } else {
            starts.push(start(&fleet, &clock, &["--crash-at", &crash_at]));
        }
        let dead = async || fleet.lab.coordinator_pid().is_none();
        fleet.until(&format!("it dies at {crash_at}"), dead).await;
        if let Some((_, joins)) = RUNNING.iter().find(|(running, _)| *running == record) {
            let over = async || joins_over(&fleet) >= *joins;
            fleet
                .until(&format!("join {joins} is over, begun before {crash_at}"), over)
                .await;
        }
    }
    starts.push(start(&fleet, &clock, &[]));
    let answers = async || fleet.run(&["rollout", "list"]).await.success();
    fleet.until("it answers", answers).await;
    let told = fleet.ok(&["rollout", "watch", "-o", "json"]).await;
    fleet.is_one_quorate_cluster(&fleet.lab.names()).await;
    let records = written(&told.stdout);
    let recoveries: Vec<(String, f64)> = starts.iter().map(|begun| recovery(*begun, &records)).collect();
    let worst = recoveries.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max);
    let mut figures = vec![Figure::promised(
        format!("recovery after SIGKILL, worst of {}", recoveries.len()),
        worst,
        PROMISED,
        "s",
    )];
    figures.extend(
        recoveries
            .into_iter()
            .map(|(died, seconds)| Figure::shown(died, seconds, "s")),
    );
    figures
}

/// Starts the coordinator, and gives back when.
fn start(fleet: &Fleet, clock: &Clock, args: &[&str]) -> i64 {
    let begun = clock.unix_micros();
    fleet.lab.start_coordinator(args).expect("the coordinator starts");
    begun
}

fn joins_over(fleet: &Fleet) -> usize {
    let join = |argv: &[String]| argv.first().is_some_and(|t| t == "pvecm") && argv.iter().any(|a| a == "add");
    let world = fleet.world();
    world
        .iter()
        .filter(|e| e.what == What::ToolEnded && join(&e.argv))
        .count()
}

/// Each journal record with its time in microseconds, from what `quorate rollout watch` told.
fn written(told: &str) -> Vec<(i64, String)> {
    let entries = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries
        .filter(|progress| progress["progress"] == "entry")
        .filter_map(|entry| {
            let (record, step) = (&entry["record"]["record"], &entry["record"]["step"]);
            let what = format!("{} {}", record.as_str()?, step.as_str().unwrap_or_default());
            Some((entry["at"].as_i64()?, what))
        })
        .collect()
}

/// After which record it had died, and the seconds from its start to the next one.
fn recovery(begun: i64, records: &[(i64, String)]) -> (String, f64) {
    let next = records.partition_point(|(at, _)| *at <= begun);
    let what = |index: Option<usize>| index.and_then(|i| records.get(i)).map_or("nothing", |(_, what)| what);
    let seconds = records.get(next).map_or(f64::INFINITY, |(at, _)| {
        i32::try_from(at - begun).map_or(f64::INFINITY, f64::from) / 1_000_000.0
    });
    let name = format!(
        "  died after `{}`, then `{}`",
        what(next.checked_sub(1)),
        what(Some(next))
    );
    (name, seconds)
}
