//! Our own share of the wall time of a create and its joins.

use std::time::Duration;

use quorate_lab::{Entry, Lab, What};
use quorate_model::Timestamp;
use quorate_model::rollout::Summary;
use quorate_suites::Fleet;

use crate::agent::cpu_ticks;
use crate::figures::Figure;

/// At the lab's speed of 1 a join takes some fifteen seconds; nobody waits for this when all goes well.
const OF_EACH: Duration = Duration::from_secs(60);

pub(crate) async fn measure(nodes: usize, speed: f64) -> Vec<Figure> {
    let took = create(nodes, speed).await;
    vec![
        Figure::promised(
            format!("create and join of {nodes} servers, speed {speed}: own share of wall time"),
            took.own / took.wall * 100.0,
            5.0,
            "%",
        ),
        Figure::shown("  own time", took.own, "s"),
        Figure::shown("  of it, with a tool under way that changes nothing", took.looking, "s"),
        Figure::shown("  wall time", took.wall, "s"),
        Figure::shown("  the coordinator's CPU time", took.coordinator, "s"),
    ]
}

/// What a rollout took, in seconds.
#[derive(Debug)]
pub(crate) struct Took {
    /// From the rollout's first record to its last. The plan and the measurement of the network before it have figures of their own.
    pub(crate) wall: f64,
    /// The part in which, by the world's log, no tool ran that changes anything (`pvecm create`, `pvecm add`) and nothing settled.
    /// Something settles from such a call until the last member can write to /etc/pve. What other tools take is ours: those that look,
    /// and the making of a ticket, which takes the place of a password.
    pub(crate) own: f64,
    /// The part of it in which a tool ran: one that looks, or makes a ticket.
    pub(crate) looking: f64,
    /// How often a member's cluster was looked at in the own part; what watches health looks too.
    pub(crate) looks: f64,
    /// What the coordinator's process computed for `quorate apply`, the plan included.
    pub(crate) coordinator: f64,
}

/// Creates a cluster of all servers of a new lab.
pub(crate) async fn create(nodes: usize, speed: f64) -> Took {
    let fleet = Fleet::measured(Lab::builder().nodes(nodes).speed(speed)).await;
    let file = fleet.cluster_file(&fleet.lab.names());
    let pid = fleet.lab.coordinator_pid().expect("the coordinator runs");
    let ticks = cpu_ticks(pid);
    let longest = OF_EACH * u32::try_from(nodes).unwrap_or(u32::MAX);
    drop(fleet.ok_within(&["apply", &file, "--yes"], longest).await);
    let coordinator = (cpu_ticks(pid) - ticks) / 100.0;
    fleet.is_one_quorate_cluster(&fleet.lab.names()).await;
    let shown = fleet.json(&["rollout", "show"]).await;
    let rollout: Summary = serde_json::from_value(shown).expect("a rollout");
    let finished = rollout.finished_at.expect("it has finished");

    let log = fleet.world();
    let from = |entry: &Entry| entry.at.parse::<Timestamp>().is_ok_and(|at| at >= rollout.created_at);
    let log: Vec<Entry> = log.into_iter().filter(from).collect();
    let wall = rollout.created_at.age(finished).as_secs_f64();
    let mut busy = tools(&log, is_changing);
    busy.extend(settling(&log));
    let not_ours = covered(busy.clone()) / speed;
    let looks = log.iter().filter(|e| is_look(e) && !is_within(&busy, e.ms)).count();
    busy.extend(tools(&log, |_| true));
    Took {
        wall,
        own: wall - not_ours,
        looking: covered(busy) / speed - not_ours,
        looks: f64::from(u32::try_from(looks).unwrap_or(u32::MAX)),
        coordinator,
    }
}

fn is_look(entry: &Entry) -> bool {
    entry.what == What::ToolCalled && tool(entry) == "corosync-quorumtool"
}

fn is_within(spans: &[(u64, u64)], ms: u64) -> bool {
    spans.iter().any(|(begin, end)| (*begin..*end).contains(&ms))
}

fn tool(entry: &Entry) -> &str {
    entry.argv.first().map_or("", String::as_str)
}

/// All that changes anything in a rollout that creates a cluster.
fn is_changing(entry: &Entry) -> bool {
    tool(entry) == "pvecm" && entry.argv.iter().any(|a| a == "create" || a == "add")
}

/// From each such tool's call to its end.
fn tools(log: &[Entry], which: impl Fn(&Entry) -> bool) -> Vec<(u64, u64)> {
    let begins = log
        .iter()
        .enumerate()
        .filter(|(_, e)| e.what == What::ToolCalled && which(e));
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
    let changing = |e: &&Entry| e.what == What::ToolCalled && is_changing(e);
    let starts: Vec<u64> = log.iter().filter(changing).map(|e| e.ms).collect();
    let span = |(index, start): (usize, &u64)| {
        let next = starts.get(index + 1).copied().unwrap_or(u64::MAX);
        let settled = |e: &&Entry| e.ms > *start && e.ms < next && e.what == What::PmxcfsWritable;
        log.iter().filter(settled).map(|e| (*start, e.ms)).next_back()
    };
    starts.iter().enumerate().filter_map(span).collect()
}

/// Seconds that at least one of the spans (in milliseconds) covers; on simulated servers, which run at the lab's speed.
fn covered(mut spans: Vec<(u64, u64)>) -> f64 {
    spans.sort_unstable();
    let (mut total, mut reached) = (0, 0);
    for (begin, end) in spans {
        total += end.saturating_sub(begin.max(reached));
        reached = reached.max(end);
    }
    f64::from(u32::try_from(total).unwrap_or(u32::MAX)) / 1000.0
}
