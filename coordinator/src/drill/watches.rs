//! What the agents of all nodes tell meanwhile: each is listened to by a task of its own, which goes on where it was when the connection is back,
//! and writes down what it hears.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quorate_model::drill::{Event, Source, Told, What};
use quorate_model::ids::NodeName;
use quorate_model::view::ClockOffset;
use tokio::task::JoinSet;

use crate::fleet::agents::{ClusterAgents, Watch};
use crate::pace::Pace;

/// Between two tries to listen to an agent.
const AGAIN: Duration = Duration::from_secs(1);

/// So long the rest of what an agent has is waited for at the end.
const REST: Duration = Duration::from_secs(30);

/// Clocks that differ by more than this before and after a reset are two clocks.
const ANOTHER_CLOCK: u64 = 1_000_000;

fn file(dir: &Path, node: &NodeName) -> PathBuf {
    dir.join(format!("events-{node}.jsonl"))
}

/// What was written down of a node.
pub(super) fn heard(dir: &Path, node: &NodeName) -> Vec<Event> {
    let text = std::fs::read_to_string(file(dir, node)).unwrap_or_default();
    let events = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    events.collect()
}

fn write(dir: &Path, node: &NodeName, events: &[Event]) -> std::io::Result<()> {
    let path = file(dir, node);
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let mut text = String::new();
    for event in events {
        text.push_str(&serde_json::to_string(event).map_err(std::io::Error::other)?);
        text.push('\n');
    }
    file.write_all(text.as_bytes())
}

/// Listens to all of them until it is dropped.
pub(super) fn listen(
    agents: &Arc<ClusterAgents>,
    nodes: impl Iterator<Item = (NodeName, Watch)>,
    dir: &Path,
    pace: Pace,
) -> JoinSet<()> {
    let mut all = JoinSet::new();
    for (node, watch) in nodes {
        let (agents, dir) = (Arc::clone(agents), dir.to_owned());
        all.spawn(async move {
            loop {
                follow(&agents, &node, &watch, &dir).await;
                tokio::time::sleep(pace.wait(AGAIN)).await;
            }
        });
    }
    all
}

/// Listens until the connection ends.
async fn follow(agents: &ClusterAgents, node: &NodeName, watch: &Watch, dir: &Path) {
    let from = u64::try_from(heard(dir, node).len()).unwrap_or(u64::MAX);
    let mut batches = match agents.watch_events(node, watch, from).await {
        Ok(batches) => batches,
        Err(error) => {
            tracing::debug!(%node, %error, "what happens there is not heard");
            return;
        }
    };
    while let Some(events) = batches.recv().await {
        if let Err(error) = write(dir, node, &events) {
            tracing::error!(%node, %error, "what happens there can't be written down");
            return;
        }
    }
}

/// What a node has told that was not heard yet. Nobody else listens any more.
///
/// # Errors
/// In words: why it could not be had.
pub(super) async fn rest(agents: &ClusterAgents, node: &NodeName, watch: &Watch, dir: &Path) -> Result<(), String> {
    let only_told = Watch {
        seconds: 0,
        ..watch.clone()
    };
    let from = u64::try_from(heard(dir, node).len()).unwrap_or(u64::MAX);
    let asked = async {
        let batches = agents.watch_events(node, &only_told, from).await;
        let mut batches = batches.map_err(|error| error.to_string())?;
        while let Some(events) = batches.recv().await {
            write(dir, node, &events).map_err(|error| error.to_string())?;
        }
        Ok::<(), String>(())
    };
    match tokio::time::timeout(REST, asked).await {
        Ok(ended) => ended,
        Err(_) => Err("it did not answer in time".to_owned()),
    }
}

/// Has all been written down that a node has told so far? It goes on to be listened to.
///
/// # Errors
/// In words: why that can't be told.
pub(super) async fn all_heard(
    agents: &ClusterAgents,
    node: &NodeName,
    watch: &Watch,
    dir: &Path,
) -> Result<bool, String> {
    let only_told = Watch {
        seconds: 0,
        ..watch.clone()
    };
    let from = u64::try_from(heard(dir, node).len()).unwrap_or(u64::MAX);
    let asked = async {
        let batches = agents.watch_events(node, &only_told, from).await;
        let mut batches = batches.map_err(|error| error.to_string())?;
        while let Some(events) = batches.recv().await {
            if !events.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    };
    match tokio::time::timeout(REST, asked).await {
        Ok(ended) => ended,
        Err(_) => Err("it did not answer in time".to_owned()),
    }
}

/// What a source told, by its clocks before and after: a server that was reset may have another one afterwards.
pub(super) fn told(
    node: &NodeName,
    events: Vec<Event>,
    (before, after): (Option<ClockOffset>, Option<ClockOffset>),
    missing: Option<String>,
) -> Vec<Told> {
    let source = Source::Agent { node: node.clone() };
    let was_reset = events.iter().position(|event| matches!(event.what, What::Reset { .. }));
    let apart = match (before, after) {
        (Some(before), Some(after)) => before.micros.abs_diff(after.micros) > ANOTHER_CLOCK,
        _ => false,
    };
    let clock = match (before, after) {
        (Some(before), Some(after)) => Some(meanwhile(before, after)),
        _ => before.or(after),
    };
    match was_reset.filter(|_| apart) {
        None => vec![Told {
            source,
            clock,
            events,
            missing,
        }],
        Some(first) => {
            let mut earlier = events;
            let mut later = earlier.split_off(first);
            if let (Some(reset), Some(before), Some(after)) = (later.first_mut(), before, after) {
                reset.within_micros = by_both(reset.within_micros, before, after);
            }
            vec![
                Told {
                    source: source.clone(),
                    clock: before,
                    events: earlier,
                    missing: None,
                },
                Told {
                    source,
                    clock: after,
                    events: later,
                    missing,
                },
            ]
        }
    }
}

/// A clock that was set a little or runs at another pace stood somewhere between its two comparisons: where these exclude one another, it may be off by
/// what lies between them.
fn meanwhile(before: ClockOffset, after: ClockOffset) -> ClockOffset {
    let moved = before.micros.abs_diff(after.micros);
    if moved <= before.error_micros.saturating_add(after.error_micros) {
        return before;
    }
    ClockOffset {
        error_micros: before.error_micros.saturating_add(moved),
        ..before
    }
}

/// For how long a reset may have been unseen: its last sign of life is by the clock before it, its start by the one after it.
fn by_both(within: u64, before: ClockOffset, after: ClockOffset) -> u64 {
    let within = i64::try_from(within).unwrap_or(i64::MAX);
    let apart = before.micros.saturating_sub(after.micros);
    u64::try_from(within.saturating_add(apart)).unwrap_or(0)
}

/// What all of them told so far.
pub(super) fn all_told(dir: &Path, clocks: &BTreeMap<NodeName, ClockOffset>, nodes: &[NodeName]) -> Vec<Told> {
    let each = |node: &NodeName| told(node, heard(dir, node), (clocks.get(node).copied(), None), None);
    nodes.iter().flat_map(each).collect()
}

#[cfg(test)]
mod tests {
    use quorate_model::Timestamp;

    use super::*;

    fn event(second: i64, what: What) -> Event {
        Event {
            at: Timestamp::from_seconds(second),
            within_micros: 0,
            what,
        }
    }

    fn offset(micros: i64) -> Option<ClockOffset> {
        Some(ClockOffset {
            micros,
            error_micros: 100,
        })
    }

    #[test]
    fn what_is_heard_is_there_after_a_restart_and_counted() {
        let home = tempfile::tempdir().unwrap();
        let node: NodeName = "prox1".parse().unwrap();
        write(home.path(), &node, &[event(1, What::QuorumLost)]).unwrap();
        write(home.path(), &node, &[event(2, What::QuorumBack)]).unwrap();
        assert_eq!(heard(home.path(), &node).len(), 2);
        assert!(heard(home.path(), &"prox2".parse().unwrap()).is_empty());
    }

    #[test]
    fn a_clock_that_moved_a_little_is_as_far_off_as_it_moved() {
        let node: NodeName = "prox1".parse().unwrap();
        let told = told(
            &node,
            vec![event(1, What::QuorumLost)],
            (offset(0), offset(40_000)),
            None,
        );
        let clock = told[0].clock.unwrap();
        assert_eq!((clock.micros, clock.error_micros), (0, 40_100));
    }

    #[test]
    fn a_server_that_was_reset_may_have_two_clocks() {
        let node: NodeName = "prox1".parse().unwrap();
        let reset = || {
            let reset = What::Reset {
                node: "prox1".parse().unwrap(),
            };
            vec![
                event(1, What::QuorumLost),
                event(70, reset),
                event(80, What::QuorumBack),
            ]
        };
        let two = told(&node, reset(), (offset(0), offset(5_000_000)), None);
        assert_eq!((two[0].events.len(), two[1].events.len()), (1, 2));
        assert_eq!((two[0].clock, two[1].clock), (offset(0), offset(5_000_000)));
        // The last sign of life was at 8 s by the first clock, the start at 70 s by the second one, which is 65 s by the first.
        let mut told_late = reset();
        told_late[1].within_micros = 62_000_000;
        let two = told(&node, told_late, (offset(0), offset(5_000_000)), None);
        assert_eq!(two[1].events[0].within_micros, 57_000_000);
        let one = told(&node, reset(), (offset(0), offset(150)), Some("it is off".to_owned()));
        assert_eq!((one.len(), one[0].clock), (1, offset(0)));
        assert!(one[0].missing.is_some());
    }
}
