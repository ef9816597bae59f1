//! Probes of a drill that nodes make: each that is not the victim calls whom the coordinator calls, but for databases, and what it tells is written
//! down as the coordinator's own calls are. A node that is not heard for a while was not calling meanwhile: an agent calls only while somebody
//! listens.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quorate_model::drill::timeline::Untold;
use quorate_model::drill::{Answers, ProbeTarget, Source};
use quorate_model::ids::NodeName;
use quorate_proto::{limits, v1};
use tokio::task::JoinSet;

use super::answers;
use super::state::Running;
use crate::fleet::agents::ClusterAgents;
use crate::pace::Pace;
use crate::probe::{Sheet, distant, listened};

/// Between two tries to have a node call.
const AGAIN: Duration = Duration::from_secs(1);

/// An agent makes at most a hundred calls a second: a drill takes half of them, so that somebody else may call beside it.
const LEAST: Duration = Duration::from_millis(20);

/// Nodes call so many targets of a drill, the first ones; an agent grants not many more at one time.
const TARGETS: usize = 6;

/// The file of a node's calls, by the probe's place in the order.
fn file(dir: &Path, number: usize, node: &NodeName) -> PathBuf {
    dir.join(format!("probe-{number}-{node}.jsonl"))
}

/// Why a node did not call the last time that it was asked to.
fn why(dir: &Path, number: usize, node: &NodeName) -> PathBuf {
    file(dir, number, node).with_extension("why")
}

/// Those that a node can call, with their places in the order.
fn callable(probes: &[ProbeTarget]) -> impl Iterator<Item = (usize, &ProbeTarget)> {
    let all = probes.iter().enumerate();
    all.filter(|(_, probe)| !matches!(probe, ProbeTarget::Postgres(_)))
        .take(TARGETS)
}

/// Has each of these nodes call, until it is dropped.
pub(super) fn call(
    agents: &Arc<ClusterAgents>,
    nodes: impl Iterator<Item = NodeName>,
    (probes, dir): (&[ProbeTarget], &Path),
    (every, seconds): (Duration, u32),
    pace: Pace,
) -> JoinSet<()> {
    let mut all = JoinSet::new();
    let number = u32::try_from(callable(probes).count()).unwrap_or(u32::MAX);
    let every = every.max(LEAST.saturating_mul(number));
    let most = *limits::PROBE_SECONDS.end();
    for node in nodes {
        for (number, probe) in callable(probes) {
            let request = v1::ProbeRequest {
                target: probe.to_string(),
                every_ms: u32::try_from(every.as_millis()).unwrap_or(u32::MAX),
                seconds: seconds.min(most),
            };
            let (agents, node, dir) = (Arc::clone(agents), node.clone(), dir.to_owned());
            all.spawn(async move {
                loop {
                    let path = file(&dir, number, &node);
                    if let Err(error) = follow(&agents, &node, (request.clone(), every), &path).await {
                        tracing::debug!(%node, error, "it does not call");
                        // It helps whoever reads the record, and nothing hangs on it.
                        drop(std::fs::write(why(&dir, number, &node), error));
                    }
                    tokio::time::sleep(pace.wait(AGAIN)).await;
                }
            });
        }
    }
    all
}

/// Until the node has no more to tell.
async fn follow(
    agents: &ClusterAgents,
    node: &NodeName,
    (request, every): (v1::ProbeRequest, Duration),
    path: &Path,
) -> Result<(), String> {
    let mut calls = agents.probe(node, request).await?;
    let mut sheet: Option<Sheet> = None;
    loop {
        let more = match calls.message().await {
            Ok(Some(more)) => more,
            Ok(None) => return Ok(()),
            Err(status) => return Err(quorate_proto::to_failure(&status).to_string()),
        };
        if let Some(began) = more.began {
            let opened = Sheet::open(path, every, began.unix_micros);
            sheet = Some(opened.map_err(|error| error.to_string())?);
        }
        for call in more.calls {
            let (_, ended) = distant::call(call)?;
            if let Some(sheet) = &mut sheet {
                sheet.call(ended);
            }
        }
    }
}

/// What nodes heard, by their own clocks as they stood before the fault; and of which nothing was.
pub(super) fn heard(dir: &Path, running: &Running) -> (Vec<Answers>, Vec<Untold>) {
    let (mut all, mut untold) = (Vec::new(), Vec::new());
    for node in running.clocks.keys().filter(|node| **node != running.order.node) {
        let source = Source::Agent { node: node.clone() };
        for (number, probe) in callable(&running.order.probes) {
            let text = std::fs::read_to_string(file(dir, number, node)).ok();
            match text.and_then(|text| listened(&text)) {
                Some(listened) => {
                    let clock = running.clocks.get(node).copied();
                    all.push(answers::by(probe, &listened, source.clone(), clock));
                }
                None => {
                    let why = std::fs::read_to_string(why(dir, number, node));
                    untold.push(Untold {
                        source: format!("{probe} from {node}"),
                        reason: format!(
                            "it was not called from there: {}",
                            why.unwrap_or_else(|_| "the agent told nothing".to_owned())
                        ),
                    });
                }
            }
        }
    }
    (all, untold)
}

/// Was this probe answered steadily of late as some node saw it?
pub(super) fn answers_steadily(
    dir: &Path,
    number: usize,
    nodes: impl Iterator<Item = NodeName>,
    of_late: Duration,
) -> bool {
    let mut seen = nodes.filter_map(|node| {
        let text = std::fs::read_to_string(file(dir, number, &node)).ok()?;
        listened(&text)
    });
    seen.any(|listened| answers::steadily(&listened, of_late))
}

#[cfg(test)]
mod tests {
    use quorate_probe::{Ended, Miss};

    use super::*;

    #[test]
    fn databases_are_called_by_no_node() {
        let probes: Vec<ProbeTarget> = [
            "postgres://drill@192.0.2.7/drill",
            "tcp:192.0.2.7:22",
            "icmp:2001:db8::7",
        ]
        .map(|text| text.parse().unwrap())
        .to_vec();
        let places: Vec<usize> = callable(&probes).map(|(number, _)| number).collect();
        assert_eq!(places, [1, 2]);
    }

    #[test]
    fn what_a_node_tells_is_read_as_the_coordinators_own_calls_are() {
        let home = tempfile::tempdir().unwrap();
        let node: NodeName = "prox2".parse().unwrap();
        let path = file(home.path(), 0, &node);
        let every = Duration::from_millis(100);
        let mut sheet = Sheet::open(&path, every, 1_764_300_000_000_000).unwrap();
        for number in 0..100 {
            let at = every * number;
            let outcome = v1::ProbeCall {
                miss: if number == 7 {
                    Miss::Refused.word()
                } else {
                    String::new()
                },
                ..Default::default()
            };
            let (_, ended) = distant::call(outcome).unwrap();
            sheet.call(Ended { at, ended: at, ..ended });
        }
        let nodes = || std::iter::once(node.clone());
        assert!(answers_steadily(home.path(), 0, nodes(), Duration::from_secs(5)));
        assert!(
            !answers_steadily(home.path(), 1, nodes(), Duration::from_secs(5)),
            "nobody calls it"
        );
        let probe: ProbeTarget = "tcp:192.0.2.7:22".parse().unwrap();
        let listened = listened(&std::fs::read_to_string(path).unwrap()).unwrap();
        let source = Source::Agent { node: node.clone() };
        let seen = answers::by(&probe, &listened, source, None);
        assert_eq!((seen.name().as_str(), seen.calls), ("tcp:192.0.2.7:22 from prox2", 100));
        assert_eq!(seen.gaps.len(), 1);
    }
}
