//! Our own share of the wall time of a three-node create and join.

use std::time::Instant;

use quorate_lab::{Lab, What};
use quorate_suites::Fleet;

use crate::figures::Figure;

/// Own time is wall time less what the tools and their settling take. The latter is what the world itself says: from the
/// first changing tool's call to the moment in which the last member could write to /etc/pve, less the gaps between
/// one step's end (all writable) and the next tool's call, which are ours.
pub(crate) async fn measure() -> Vec<Figure> {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(1.0)).await;
    let file = fleet.cluster_file(&fleet.lab.names());
    let begun = Instant::now();
    drop(fleet.ok(&["apply", &file, "--yes"]).await);
    let wall = begun.elapsed().as_secs_f64();
    let theirs = busy_seconds(&fleet);
    vec![Figure {
        name: "three-node create and join: own share of wall time",
        measured: (wall - theirs) / wall * 100.0,
        promised: 5.0,
        unit: "%",
    }]
}

/// Seconds in which a changing tool ran or the cluster settled after it.
fn busy_seconds(fleet: &Fleet) -> f64 {
    let log = fleet.world();
    let mut total = 0;
    let changing = |e: &&quorate_lab::Entry| {
        e.what == What::ToolCalled
            && e.argv.first().is_some_and(|t| t == "pvecm")
            && e.argv.iter().any(|a| a == "create" || a == "add")
    };
    let starts: Vec<u64> = log.iter().filter(changing).map(|e| e.ms).collect();
    for (index, start) in starts.iter().enumerate() {
        let next = starts.get(index + 1).copied().unwrap_or(u64::MAX);
        let settled = |e: &&quorate_lab::Entry| {
            e.ms > *start
                && e.ms < next
                && matches!(e.what, What::ToolEnded | What::PmxcfsWritable | What::JoinCompleted)
                && (e.what != What::ToolEnded || e.argv.first().is_some_and(|t| t == "pvecm"))
        };
        let end = log.iter().filter(settled).map(|e| e.ms).max().unwrap_or(*start);
        total += end - start;
    }
    f64::from(u32::try_from(total).unwrap_or(u32::MAX)) / 1000.0
}
