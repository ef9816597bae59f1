//! Our own share of the wall time of a three-node create and join.

use std::time::Instant;

use quorate_lab::{Entry, Lab, What};
use quorate_suites::Fleet;

use crate::figures::Figure;

/// Looks that go on beside a rollout and don't hold it up.
const BESIDE: [&str; 6] = ["lsblk", "smartctl", "zpool", "pvs", "lvs", "pveversion"];

/// Own time is the wall time in which, by the world's log, no tool ran and nothing settled. Something settles from a changing tool's call
/// until the last member can write to /etc/pve.
pub(crate) async fn measure() -> Vec<Figure> {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(1.0)).await;
    let file = fleet.cluster_file(&fleet.lab.names());
    let before = fleet.world().last().map_or(0, |e| e.ms);
    let begun = Instant::now();
    drop(fleet.ok(&["apply", &file, "--yes"]).await);
    let wall = begun.elapsed().as_secs_f64();
    let log: Vec<Entry> = fleet.world().into_iter().filter(|e| e.ms >= before).collect();
    let mut busy = tools(&log);
    busy.extend(settling(&log));
    vec![Figure {
        name: "three-node create and join: own share of wall time",
        measured: (wall - covered(busy)) / wall * 100.0,
        promised: 5.0,
        unit: "%",
    }]
}

fn tool(entry: &Entry) -> &str {
    entry.argv.first().map_or("", String::as_str)
}

/// From each tool's call to its end.
fn tools(log: &[Entry]) -> Vec<(u64, u64)> {
    let begins = log
        .iter()
        .enumerate()
        .filter(|(_, e)| e.what == What::ToolCalled && !BESIDE.contains(&tool(e)));
    begins
        .filter_map(|(index, begin)| {
            let same = |e: &&Entry| e.what == What::ToolEnded && e.node == begin.node && e.argv == begin.argv;
            let end = log.get(index..)?.iter().find(same)?;
            Some((begin.ms, end.ms))
        })
        .collect()
}

/// From each changing tool's call to the moment in which the last member could write.
fn settling(log: &[Entry]) -> Vec<(u64, u64)> {
    let changing = |e: &&Entry| {
        e.what == What::ToolCalled && tool(e) == "pvecm" && e.argv.iter().any(|a| a == "create" || a == "add")
    };
    let starts: Vec<u64> = log.iter().filter(changing).map(|e| e.ms).collect();
    let span = |(index, start): (usize, &u64)| {
        let next = starts.get(index + 1).copied().unwrap_or(u64::MAX);
        let settled = |e: &&Entry| e.ms > *start && e.ms < next && e.what == What::PmxcfsWritable;
        log.iter().filter(settled).map(|e| (*start, e.ms)).next_back()
    };
    starts.iter().enumerate().filter_map(span).collect()
}

/// Seconds that at least one of the spans (in milliseconds) covers.
fn covered(mut spans: Vec<(u64, u64)>) -> f64 {
    spans.sort_unstable();
    let (mut total, mut reached) = (0, 0);
    for (begin, end) in spans {
        total += end.saturating_sub(begin.max(reached));
        reached = reached.max(end);
    }
    f64::from(u32::try_from(total).unwrap_or(u32::MAX)) / 1000.0
}
