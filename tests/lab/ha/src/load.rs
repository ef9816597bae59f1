//! Processors and memory: the schedulers `static` and `dynamic` (facts C.8).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Sid;
use crate::topsis::{self, CRITERIA};
use crate::usage::Occupied;

/// Where the figures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduler {
    /// From configurations: what guests may use.
    Static,
    /// Measured: what they do use.
    Dynamic,
}

/// What a node has, and what is used of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct NodeLoad {
    /// Processors in use.
    pub cpu: f64,
    /// Processors.
    pub maxcpu: f64,
    /// Bytes in use.
    pub mem: f64,
    /// Bytes.
    pub maxmem: f64,
}

impl NodeLoad {
    /// One that is being started takes all it may.
    fn add_started(&mut self, guest: &GuestLoad) {
        // A guest without a limit may take the whole node.
        self.cpu += if guest.maxcpu == 0.0 { self.maxcpu } else { guest.maxcpu };
        self.mem += guest.maxmem;
    }

    fn add_running(&mut self, guest: &GuestLoad) {
        self.cpu += guest.cpu;
        self.mem += guest.mem;
    }

    fn remove_running(&mut self, guest: &GuestLoad) {
        self.cpu = (self.cpu - guest.cpu).max(0.0);
        self.mem = (self.mem - guest.mem).max(0.0);
    }

    fn cpu_share(&self) -> f64 {
        self.cpu / self.maxcpu
    }

    fn mem_share(&self) -> f64 {
        self.mem / self.maxmem
    }
}

/// What a guest uses, and what it may.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GuestLoad {
    /// Processors in use.
    pub cpu: f64,
    /// Processors; 0 is no limit.
    pub maxcpu: f64,
    /// Bytes in use.
    pub mem: f64,
    /// Bytes.
    pub maxmem: f64,
}

#[derive(Debug, Clone, PartialEq)]
struct Placed {
    nodes: BTreeSet<String>,
    starting: bool,
}

/// The figures for a choice, and which guests are where.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    scheduler: Scheduler,
    nodes: BTreeMap<String, NodeLoad>,
    guests: BTreeMap<Sid, GuestLoad>,
    placed: BTreeMap<Sid, Placed>,
}

/// Moves that would even out the load: services that go together, led by the first of them, and where they may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The first of them.
    pub leader: Sid,
    /// Where they are.
    pub source: String,
    /// All of them.
    pub services: Vec<Sid>,
    /// Where they may go.
    pub targets: Vec<String>,
}

/// The best of the moves.
#[derive(Debug, Clone, PartialEq)]
pub struct BestMove {
    /// The first of those that move.
    pub leader: Sid,
    /// Where to.
    pub target: String,
    /// The imbalance afterwards.
    pub imbalance: f64,
}

/// How a move is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By the imbalance it leaves.
    Imbalance,
    /// By TOPSIS.
    Topsis,
}

impl Load {
    /// Figures of nodes and guests; where the guests are is told later.
    #[must_use]
    pub fn new(scheduler: Scheduler, nodes: BTreeMap<String, NodeLoad>, guests: BTreeMap<Sid, GuestLoad>) -> Self {
        Self {
            scheduler,
            nodes,
            guests,
            placed: BTreeMap::new(),
        }
    }

    pub(crate) fn keep_nodes<'a>(&mut self, online: impl Iterator<Item = &'a String>) -> Result<(), String> {
        let mut kept = BTreeMap::new();
        for node in online {
            let load = self
                .nodes
                .get(node)
                .ok_or_else(|| format!("nothing is known of the usage of '{node}'"))?;
            kept.insert(node.clone(), *load);
        }
        self.nodes = kept;
        Ok(())
    }

    pub(crate) fn add(&mut self, sid: &Sid, occupied: Occupied<'_>, runs: bool) {
        let nodes: BTreeSet<String> = [occupied.current, occupied.target]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect();
        if !nodes.is_empty() && self.guests.contains_key(sid) {
            let placed = Placed { nodes, starting: !runs };
            self.placed.insert(sid.clone(), placed);
        }
    }

    pub(crate) fn remove(&mut self, sid: &Sid) {
        self.placed.remove(sid);
    }

    /// The nodes with those guests on them that no figure of a node contains yet: all, or those whose start nobody has measured.
    fn filled(&self, count: impl Fn(&Placed) -> bool) -> BTreeMap<String, NodeLoad> {
        let mut nodes = self.nodes.clone();
        for (sid, placed) in self.placed.iter().filter(|(_, placed)| count(placed)) {
            let Some(guest) = self.guests.get(sid) else { continue };
            for node in &placed.nodes {
                if let Some(node) = nodes.get_mut(node) {
                    node.add_started(guest);
                }
            }
        }
        nodes
    }

    /// How good the nodes are for one more guest; the lowest is the best.
    pub(crate) fn scores(&self, sid: &Sid) -> BTreeMap<String, f64> {
        let Some(guest) = self.guests.get(sid) else {
            return self.nodes.keys().map(|node| (node.clone(), 0.0)).collect();
        };
        let filled = self.filled(|placed| self.scheduler == Scheduler::Static || placed.starting);
        let alternatives: Vec<_> = filled
            .keys()
            .map(|node| {
                let mut nodes = filled.clone();
                if let Some(node) = nodes.get_mut(node) {
                    node.add_started(guest);
                }
                criteria(&nodes)
            })
            .collect();
        let scores = topsis::scores(&alternatives);
        filled
            .into_keys()
            .zip(scores)
            .map(|(node, score)| (node, -score))
            .collect()
    }

    fn now(&self) -> BTreeMap<String, NodeLoad> {
        self.filled(|_| self.scheduler == Scheduler::Static)
    }

    /// How unevenly the nodes are loaded: 0 is evenly.
    #[must_use]
    pub fn imbalance(&self) -> f64 {
        imbalance(&self.now())
    }

    /// The best of these moves; nothing where there is none, or where one of them is not to be judged.
    #[must_use]
    pub fn best_move(&self, candidates: &[Candidate], method: Method) -> Option<BestMove> {
        let now = self.now();
        let mut moves = Vec::new();
        let mut alternatives = Vec::new();
        for candidate in candidates {
            let load = self.sum(&candidate.services)?;
            for target in &candidate.targets {
                let mut after = now.clone();
                if let Some(node) = after.get_mut(&candidate.source) {
                    node.remove_running(&load);
                }
                if let Some(node) = after.get_mut(target) {
                    node.add_running(&load);
                }
                alternatives.push(criteria(&after));
                moves.push(BestMove {
                    leader: candidate.leader.clone(),
                    target: target.clone(),
                    imbalance: significant(imbalance(&after)),
                });
            }
        }
        match method {
            // The first of equals: they are in the order of names.
            Method::Imbalance => moves
                .into_iter()
                .reduce(|best, next| if next.imbalance < best.imbalance { next } else { best }),
            Method::Topsis => {
                let scored = moves.into_iter().zip(topsis::scores(&alternatives));
                scored
                    .reduce(|best, next| if next.1 > best.1 { next } else { best })
                    .map(|(best, _)| best)
            }
        }
    }

    fn sum(&self, services: &[Sid]) -> Option<GuestLoad> {
        let mut sum = GuestLoad::default();
        for sid in services.iter().filter(|sid| self.placed.contains_key(*sid)) {
            let guest = self.guests.get(sid)?;
            sum.cpu += guest.cpu;
            sum.maxcpu += guest.maxcpu;
            sum.mem += guest.mem;
            sum.maxmem += guest.maxmem;
        }
        services.iter().all(|sid| self.placed.contains_key(sid)).then_some(sum)
    }
}

/// By what a state of the whole cluster is judged. One is added to each share, so that tiny differences do not count double.
#[expect(clippy::cast_precision_loss, reason = "nobody has so many nodes")]
fn criteria(nodes: &BTreeMap<String, NodeLoad>) -> [f64; CRITERIA] {
    let count = nodes.len() as f64;
    let average = |share: fn(&NodeLoad) -> f64| (nodes.values().map(|n| share(n).powi(2)).sum::<f64>() / count).sqrt();
    let highest = |share: fn(&NodeLoad) -> f64| nodes.values().map(share).fold(0.0, f64::max);
    [
        1.0 + average(NodeLoad::cpu_share),
        1.0 + highest(NodeLoad::cpu_share),
        1.0 + average(NodeLoad::mem_share),
        1.0 + highest(NodeLoad::mem_share),
    ]
}

/// The coefficient of variation of the nodes' loads, as the version has it whose tests the model is held to; later ones scale it to 1.
#[expect(clippy::cast_precision_loss, reason = "nobody has so many nodes")]
fn imbalance(nodes: &BTreeMap<String, NodeLoad>) -> f64 {
    let loads: Vec<f64> = nodes
        .values()
        .map(|n| f64::midpoint(n.cpu_share(), n.mem_share()))
        .collect();
    let count = loads.len() as f64;
    let mean = loads.iter().sum::<f64>() / count;
    if loads.len() < 2 || mean == 0.0 {
        return 0.0;
    }
    let variance = loads.iter().map(|load| (load - mean).powi(2)).sum::<f64>() / count;
    variance.sqrt() / mean
}

/// Without the digits that only rounding has made, so that equals are equal.
fn significant(value: f64) -> f64 {
    const FACTOR: f64 = 1e15;
    (value * FACTOR).trunc() / FACTOR
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

    fn load(scheduler: Scheduler, guests: &[(&str, f64)]) -> Load {
        let node = NodeLoad {
            maxcpu: 16.0,
            maxmem: 64.0 * GIB,
            ..NodeLoad::default()
        };
        let nodes = ["n1", "n2", "n3"].map(|name| (name.to_owned(), node));
        let guest = |(sid, gib): &(&str, f64)| {
            let load = GuestLoad {
                cpu: 1.0,
                maxcpu: 2.0,
                mem: gib * GIB / 2.0,
                maxmem: gib * GIB,
            };
            (Sid::parse(sid).unwrap(), load)
        };
        Load::new(scheduler, nodes.into(), guests.iter().map(guest).collect())
    }

    fn place(load: &mut Load, sid: &str, node: &str) -> Sid {
        let sid = Sid::parse(sid).unwrap();
        let occupied = Occupied {
            current: Some(node),
            target: None,
        };
        load.add(&sid, occupied, true);
        sid
    }

    fn best(scores: &BTreeMap<String, f64>) -> &str {
        scores
            .iter()
            .min_by(|a, b| a.1.total_cmp(b.1))
            .map(|(node, _)| node.as_str())
            .unwrap()
    }

    #[test]
    fn the_node_with_most_room_is_the_best() {
        let mut load = load(
            Scheduler::Static,
            &[("vm:1", 32.0), ("vm:2", 4.0), ("vm:3", 8.0), ("vm:4", 8.0)],
        );
        place(&mut load, "vm:1", "n1");
        place(&mut load, "vm:2", "n2");
        place(&mut load, "vm:3", "n3");
        assert_eq!(best(&load.scores(&Sid::parse("vm:4").unwrap())), "n2");
    }

    #[test]
    fn a_full_node_gives_to_an_empty_one() {
        let mut load = load(Scheduler::Static, &[("vm:1", 16.0), ("vm:2", 16.0)]);
        let leader = place(&mut load, "vm:1", "n1");
        place(&mut load, "vm:2", "n1");
        assert!(load.imbalance() > 1.0);
        let candidate = Candidate {
            leader: leader.clone(),
            source: "n1".to_owned(),
            services: vec![leader.clone()],
            targets: vec!["n2".to_owned(), "n3".to_owned()],
        };
        for method in [Method::Imbalance, Method::Topsis] {
            let best = load.best_move(std::slice::from_ref(&candidate), method).unwrap();
            assert_eq!(
                (best.leader, best.target.as_str()),
                (leader.clone(), "n2"),
                "{method:?}"
            );
            assert!(best.imbalance < load.imbalance());
        }
    }

    #[test]
    fn nothing_is_even() {
        assert_eq!(load(Scheduler::Dynamic, &[]).imbalance(), 0.0);
        assert_eq!(load(Scheduler::Dynamic, &[]).best_move(&[], Method::Imbalance), None);
    }

    #[test]
    fn a_node_nobody_knows_is_named() {
        let mut load = load(Scheduler::Static, &[]);
        let error = load.keep_nodes([&"n9".to_owned()].into_iter()).unwrap_err();
        assert!(error.contains("'n9'"), "{error}");
    }
}
