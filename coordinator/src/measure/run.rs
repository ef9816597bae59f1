//! One measurement: opens every node's links, has pairs measured round by round, closes the links again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use quorate_model::measurement::{Baseline, Ends, Pair, PairMeasurement, refuses, together};
use quorate_model::{ClusterName, Facet, NodeName, NodeRef, Unknown, UnknownKind};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Wanted, schedule};
use crate::fleet::{Echo, EchoLinks, Fleet, Peer};
use crate::trust;

/// To each node on each link: enough for a 99th percentile.
const PACKETS: u32 = 100;

/// Between two packets. A series lasts 0.4 s, and 15 rounds of 16 nodes with their searches for the MTU keep below 15 s.
const EVERY: Duration = Duration::from_millis(4);

/// How long nodes answer after the time for measuring is over, for the last round to end.
const GRACE: Duration = Duration::from_secs(5);

/// How long nodes answer at most, as agents allow.
const LONGEST: Duration = Duration::from_secs(120);

type Opened = BTreeMap<NodeName, Result<BTreeMap<u8, Result<Echo, Unknown>>, Unknown>>;

/// A pair and what it is to measure.
struct Task {
    ends: Ends,
    addresses: (IpAddr, IpAddr),
}

pub(super) async fn measure(fleet: &Arc<Fleet>, cluster: &ClusterName, wanted: Wanted, until: Instant) -> Baseline {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut tasks: BTreeMap<(NodeName, NodeName), Vec<Task>> = BTreeMap::new();
    for (ends, addresses) in wanted {
        match addresses {
            Facet::Unknown(unknown) => pairs.push(not_measured(ends, unknown)),
            Facet::Known { value, .. } => {
                let key = (ends.from.clone(), ends.to.clone());
                tasks.entry(key).or_default().push(Task { ends, addresses: value });
            }
        }
    }
    let key: [u8; 16] = rand::random();
    let peers = peers(fleet, cluster, &tasks);
    let opened = open(&peers, &tasks, &key, until).await;
    let mut silent: BTreeMap<NodeName, Unknown> = BTreeMap::new();
    for round in schedule::rounds(&tasks.keys().cloned().collect()) {
        let mut measuring = JoinSet::new();
        for meeting in round {
            let Some(tasks) = tasks.remove(&meeting) else { continue };
            let (ready, missing) = split(tasks, &opened, &silent);
            pairs.extend(missing);
            let Some(peer) = peers.get(&meeting.0).filter(|_| !ready.is_empty()) else {
                pairs.extend(
                    ready
                        .into_iter()
                        .map(|(task, _)| not_measured(task.ends, not_enrolled(cluster, &meeting.0))),
                );
                continue;
            };
            if Instant::now() >= until {
                let late = || Unknown::new(UnknownKind::TimedOut, "there was no time left to measure it");
                pairs.extend(ready.into_iter().map(|(task, _)| not_measured(task.ends, late())));
                continue;
            }
            measuring.spawn(meet(Arc::clone(peer), ready, key));
        }
        while let Some(met) = measuring.join_next().await {
            let Ok((peer, measured)) = met else { continue };
            let now = trust::now(&fleet.clock);
            match measured {
                Ok(measured) => pairs.extend(measured.into_iter().map(|(ends, measured)| Pair {
                    ends,
                    measured: dated(measured, now),
                })),
                Err((ends, unknown)) => {
                    let unknown = about(&peer.name.node, &unknown);
                    pairs.extend(ends.into_iter().map(|ends| not_measured(ends, unknown.clone())));
                    // Waiting for it in each of its rounds would leave no time for the others.
                    silent.insert(peer.name.node.clone(), unknown);
                }
            }
        }
    }
    for peer in peers.into_values() {
        tokio::spawn(async move { peer.close_echo(&key).await });
    }
    Baseline::of(pairs)
}

fn peers(
    fleet: &Fleet,
    cluster: &ClusterName,
    tasks: &BTreeMap<(NodeName, NodeName), Vec<Task>>,
) -> BTreeMap<NodeName, Arc<Peer>> {
    let names: BTreeSet<&NodeName> = tasks.keys().flat_map(|(one, other)| [one, other]).collect();
    let peer = |name: &NodeName| Some((name.clone(), fleet.peer(&NodeRef::new(cluster.clone(), name.clone()))?));
    names.into_iter().filter_map(peer).collect()
}

/// Opens every node's ends, side by side.
async fn open(
    peers: &BTreeMap<NodeName, Arc<Peer>>,
    tasks: &BTreeMap<(NodeName, NodeName), Vec<Task>>,
    key: &[u8; 16],
    until: Instant,
) -> Opened {
    let mut links: BTreeMap<&NodeName, EchoLinks> = BTreeMap::new();
    for task in tasks.values().flatten() {
        let (local, remote) = task.addresses;
        for (node, own, other) in [(&task.ends.from, local, remote), (&task.ends.to, remote, local)] {
            let of_node = links.entry(node).or_default();
            of_node
                .entry(task.ends.link)
                .or_insert_with(|| (own, BTreeSet::new()))
                .1
                .insert(other);
        }
    }
    let lasts = (until.saturating_duration_since(Instant::now()) + GRACE).min(LONGEST);
    let mut opening = JoinSet::new();
    for (node, peer) in peers {
        let (node, peer, key) = (node.clone(), Arc::clone(peer), *key);
        let links = links.remove(&node).unwrap_or_default();
        opening.spawn(async move { (node, peer.open_echo(&key, lasts, &links).await) });
    }
    let mut opened = Opened::new();
    while let Some(result) = opening.join_next().await {
        if let Ok((node, result)) = result {
            let result = result.map_err(|unknown| about(&node, &unknown));
            opened.insert(node, result);
        }
    }
    opened
}

/// What both nodes are ready for, and what can't be measured, and why.
fn split(
    tasks: Vec<Task>,
    opened: &Opened,
    silent: &BTreeMap<NodeName, Unknown>,
) -> (Vec<(Task, [Echo; 2])>, Vec<Pair>) {
    let end = |node: &NodeName, link: u8| -> Result<Echo, Unknown> {
        if let Some(unknown) = silent.get(node) {
            return Err(unknown.clone());
        }
        match opened.get(node) {
            None => Err(Unknown::new(UnknownKind::NotAsked, format!("{node} is not enrolled"))),
            Some(Err(unknown)) => Err(unknown.clone()),
            Some(Ok(links)) => match links.get(&link) {
                Some(Ok(echo)) => Ok(*echo),
                Some(Err(unknown)) => Err(about(node, unknown)),
                None => Err(Unknown::new(
                    UnknownKind::Failed,
                    format!("{node} did not open link {link}"),
                )),
            },
        }
    };
    let (mut ready, mut missing) = (Vec::new(), Vec::new());
    for task in tasks {
        match (end(&task.ends.from, task.ends.link), end(&task.ends.to, task.ends.link)) {
            (Ok(from), Ok(to)) => ready.push((task, [from, to])),
            (Err(unknown), _) | (_, Err(unknown)) => missing.push(not_measured(task.ends, unknown)),
        }
    }
    (ready, missing)
}

type Met = Result<Vec<(Ends, Facet<PairMeasurement>)>, (Vec<Ends>, Unknown)>;

/// One pair, all of its links.
async fn meet(peer: Arc<Peer>, ready: Vec<(Task, [Echo; 2])>, key: [u8; 16]) -> (Arc<Peer>, Met) {
    let targets: Vec<(u8, IpAddr, u16)> = ready
        .iter()
        .map(|(task, [_, to])| (task.ends.link, task.addresses.1, to.port))
        .collect();
    let mut first = peer.measure(&key, &targets, PACKETS, EVERY).await;
    if let Ok(measured) = &mut first {
        again(&peer, &key, &targets, measured).await;
    }
    let met = match first {
        Ok(measured) => {
            let each = ready.into_iter().zip(measured);
            let with_mtu = each.map(|((task, [_, to]), measured)| {
                let measured = measured.map(|m| PairMeasurement {
                    remote_mtu: Some(to.mtu),
                    ..m
                });
                (task.ends, measured)
            });
            Ok(with_mtu.collect())
        }
        Err(unknown) => Err((ready.into_iter().map(|(task, _)| task.ends).collect(), unknown)),
    };
    (peer, met)
}

/// What would be refused is measured once more, and only that: a host that was busy for a moment is no slow network. Both series count.
async fn again(peer: &Peer, key: &[u8; 16], targets: &[(u8, IpAddr, u16)], measured: &mut [Facet<PairMeasurement>]) {
    let (refused, rest): (Vec<_>, Vec<(u8, IpAddr, u16)>) = measured
        .iter_mut()
        .zip(targets)
        .filter(|(measured, _)| refuses(measured))
        .map(|(measured, target)| (measured, *target))
        .unzip();
    if rest.is_empty() {
        return;
    }
    let Ok(second) = peer.measure(key, &rest, PACKETS, EVERY).await else {
        return;
    };
    for (first, second) in refused.into_iter().zip(second) {
        *first = together(first.clone(), second, PACKETS);
    }
}

/// Ages are counted on the coordinator's clock, so that is what it is dated by.
fn dated(measured: Facet<PairMeasurement>, now: quorate_model::Timestamp) -> Facet<PairMeasurement> {
    match measured {
        Facet::Known { value, .. } => Facet::known(value, now),
        unknown => unknown,
    }
}

fn not_measured(ends: Ends, unknown: Unknown) -> Pair {
    Pair {
        ends,
        measured: Facet::Unknown(unknown),
    }
}

fn not_enrolled(cluster: &ClusterName, node: &NodeName) -> Unknown {
    Unknown::new(UnknownKind::NotAsked, format!("{cluster}/{node} is not enrolled"))
}

/// The same with the node's name, unless it says it.
fn about(node: &NodeName, unknown: &Unknown) -> Unknown {
    Unknown::new(unknown.kind, format!("{node}: {}", unknown.reason))
}
