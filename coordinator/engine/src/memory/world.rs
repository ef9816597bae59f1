//! Servers with real consequences: clusters that lose quorum while somebody joins, and a list of what was really done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use quorate_model::facet::UnknownKind;
use quorate_model::ids::{ClusterName, Generation, NodeName, OperationId};
use quorate_model::observation::Membership;
use quorate_model::observation::cluster::{Cluster, Member, MemberNode, Pmxcfs};
use quorate_model::operation::{ActionKind, LedgerEntry, OperationEvent};
use quorate_model::view::{ClockOffset, NodeView};
use quorate_model::{Facet, Observation, Timestamp, Unknown, View};
use tokio::sync::watch;

use super::agents::{Conduct, Reply};
use super::{locked, plans};

/// A few servers with agents. Clones are the same world: it outlives the coordinators that drive it.
#[derive(Debug, Clone)]
pub struct World {
    pub(super) inner: Arc<Mutex<Inner>>,
    /// Counts changes, so that somebody can wait for one.
    pub(super) changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) servers: BTreeMap<NodeName, Server>,
    /// Who is in each cluster's configuration.
    pub(super) rosters: BTreeMap<ClusterName, BTreeSet<NodeName>>,
    /// What was really done, in order.
    effects: Vec<(NodeName, ActionKind)>,
    /// What must never happen and did.
    violations: Vec<String>,
    pub(super) running: usize,
    most_at_once: usize,
    /// Every request arrives twice.
    pub(super) doubled: bool,
}

#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) cluster: Option<ClusterName>,
    pub(super) cut: bool,
    pub(super) ledger: BTreeMap<OperationId, Noted>,
    pub(super) generation: Generation,
    pub(super) conduct: VecDeque<Conduct>,
    pub(super) replies: VecDeque<Reply>,
    /// Streams break before the event of these numbers, once each.
    pub(super) breaks: BTreeSet<u64>,
}

/// An operation in a server's ledger.
#[derive(Debug)]
pub(super) struct Noted {
    pub(super) entry: LedgerEntry,
    pub(super) events: Vec<OperationEvent>,
}

impl World {
    /// Bare servers of these names.
    #[must_use]
    pub fn of(names: &[&str]) -> Self {
        let servers = names.iter().map(|n| (plans::node(n), Server::default())).collect();
        Self {
            inner: Arc::new(Mutex::new(Inner {
                servers,
                ..Inner::default()
            })),
            changes: watch::Sender::new(0),
        }
    }

    /// Puts servers into a cluster.
    #[must_use]
    pub fn with_cluster(self, name: &str, nodes: &[&str]) -> Self {
        let cluster = plans::cluster(name);
        self.change(|inner| {
            for node in nodes.iter().map(|n| plans::node(n)) {
                inner.rosters.entry(cluster.clone()).or_default().insert(node.clone());
                if let Some(server) = inner.servers.get_mut(&node) {
                    server.cluster = Some(cluster.clone());
                }
            }
        });
        self
    }

    /// How the next operations on a server go; then all go well.
    pub fn conduct(&self, node: &str, conduct: &[Conduct]) {
        self.on(node, |server| server.conduct.extend(conduct.iter().copied()));
    }

    /// How a server's agent answers the next requests to begin something; then all is well.
    pub fn replies(&self, node: &str, replies: &[Reply]) {
        self.on(node, |server| server.replies.extend(replies.iter().copied()));
    }

    /// Lets streams of operations on a server break before the event of this number, once.
    pub fn break_before(&self, node: &str, event: u64) {
        self.on(node, |server| {
            server.breaks.insert(event);
        });
    }

    /// Cuts a server's agent off; what it runs goes on.
    pub fn cut(&self, node: &str) {
        self.on(node, |server| server.cut = true);
    }

    /// Connects it again.
    pub fn heal(&self, node: &str) {
        self.on(node, |server| server.cut = false);
    }

    /// Lets every request arrive twice.
    pub fn double_requests(&self) {
        self.change(|inner| inner.doubled = true);
    }

    /// Lets an agent forget all operations.
    pub fn lose_ledger(&self, node: &str) {
        self.on(node, |server| server.ledger.clear());
    }

    /// Waits until no operation runs.
    pub async fn idle(&self) {
        self.until(|inner| inner.running == 0).await;
    }

    /// Waits until an operation runs on a server.
    pub async fn busy(&self, node: &str) {
        let node = plans::node(node);
        self.until(|inner| {
            inner
                .servers
                .get(&node)
                .is_some_and(|s| s.ledger.values().any(|n| n.entry.outcome.is_none()))
        })
        .await;
    }

    async fn until(&self, what: impl Fn(&Inner) -> bool) {
        let mut changes = self.changes.subscribe();
        while !what(&locked(&self.inner)) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Each cluster with who is in it by its own word: `hk1: prox1 prox2`; who is configured and not in stands in brackets.
    #[must_use]
    pub fn clusters(&self) -> Vec<String> {
        let inner = locked(&self.inner);
        let shown = |cluster: &ClusterName, node: &NodeName| match inner.servers.get(node) {
            Some(server) if server.cluster.as_ref() == Some(cluster) => node.to_string(),
            _ => format!("({node})"),
        };
        let line = |(cluster, roster): (&ClusterName, &BTreeSet<NodeName>)| {
            let names: Vec<String> = roster.iter().map(|n| shown(cluster, n)).collect();
            format!("{cluster}: {}", names.join(" "))
        };
        inner.rosters.iter().map(line).collect()
    }

    /// What was really done, as `prox1: create cluster`, in order.
    #[must_use]
    pub fn effects(&self) -> Vec<String> {
        locked(&self.inner)
            .effects
            .iter()
            .map(|(node, kind)| format!("{node}: {}", kind.as_str()))
            .collect()
    }

    /// What must never happen and did.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        locked(&self.inner).violations.clone()
    }

    /// How many operations ran at the same time at most.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        locked(&self.inner).most_at_once
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut locked(&self.inner));
        self.changes.send_modify(|n| *n += 1);
        result
    }

    pub(super) fn on<T>(&self, node: &str, change: impl FnOnce(&mut Server) -> T) -> T {
        let node = plans::node(node);
        self.change(|inner| change(inner.servers.entry(node).or_default()))
    }

    pub(super) fn seen(&self, nodes: &BTreeSet<NodeName>) -> View {
        let inner = locked(&self.inner);
        let observe = |node: &NodeName| match inner.servers.get(node) {
            Some(server) if !server.cut => Ok(inner.observation(node, server)),
            _ => Err(Unknown::new(UnknownKind::Unreachable, "no route to host")),
        };
        let clock_offset = Some(ClockOffset {
            micros: 0,
            error_micros: 0,
        });
        View {
            nodes: nodes
                .iter()
                .map(|n| {
                    (
                        n.clone(),
                        NodeView {
                            observation: observe(n),
                            clock_offset,
                        },
                    )
                })
                .collect(),
        }
    }
}

impl Inner {
    pub(super) fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    pub(super) fn effect(&mut self, node: &NodeName, kind: ActionKind) {
        self.effects.push((node.clone(), kind));
    }

    pub(super) fn began(&mut self) {
        self.running += 1;
        self.most_at_once = self.most_at_once.max(self.running);
    }

    pub(super) fn quorate(&self, cluster: &ClusterName) -> bool {
        let roster = self.rosters.get(cluster).map_or(0, BTreeSet::len);
        self.online(cluster).count() > roster / 2
    }

    fn online(&self, cluster: &ClusterName) -> impl Iterator<Item = &NodeName> {
        self.servers
            .iter()
            .filter(move |(_, s)| s.cluster.as_ref() == Some(cluster))
            .map(|(n, _)| n)
    }

    fn observation(&self, node: &NodeName, server: &Server) -> Observation {
        let now = Timestamp::from_seconds(1_795_345_772);
        let mut observation = Observation::empty(node.as_str(), now);
        let cluster = match &server.cluster {
            None => Cluster {
                membership: Membership::Standalone,
                pmxcfs: Pmxcfs::Writable,
                authkey_present: false,
                local_config_present: false,
            },
            Some(cluster) => {
                let quorate = self.quorate(cluster);
                let online: BTreeSet<&NodeName> = self.online(cluster).collect();
                let member = |(id, name): (u32, &NodeName)| MemberNode {
                    name: name.to_string(),
                    id,
                    online: online.contains(name),
                    address: None,
                };
                Cluster {
                    membership: Membership::Member(Box::new(Member {
                        cluster: cluster.to_string(),
                        running_version: 1,
                        file_version: 1,
                        quorate,
                        nodes: (1..)
                            .zip(self.rosters.get(cluster).into_iter().flatten())
                            .map(member)
                            .collect(),
                        configured: vec![],
                        qdevice: false,
                        votes: Facet::not_asked(),
                        links: Facet::not_asked(),
                    })),
                    pmxcfs: if quorate { Pmxcfs::Writable } else { Pmxcfs::ReadOnly },
                    authkey_present: true,
                    local_config_present: true,
                }
            }
        };
        observation.cluster = Facet::known(cluster, now);
        observation
    }
}
