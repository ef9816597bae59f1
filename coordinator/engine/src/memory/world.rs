//! Servers with real consequences: clusters that lose quorum while somebody joins, watchdogs, keys, and a list of what was really
//! done.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate_model::Passage;
use quorate_model::ids::{ClusterName, Generation, NodeName, OperationId, SshPublicKey};
use quorate_model::operation::{Action, ActionKind, LedgerEntry, OperationEvent, Package};
use quorate_model::plan::{Needs, Step};
use tokio::sync::watch;
use tokio::time::Instant;

use super::trouble::{Conduct, Reply, Trouble};
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
    pub(super) clusters: BTreeMap<ClusterName, ClusterState>,
    /// Everything that was begun and that came about, in order.
    pub(super) log: Vec<Done>,
    /// What must never happen and did.
    violations: Vec<String>,
    pub(super) running: BTreeMap<OperationId, ActionKind>,
    most_at_once: usize,
    /// Every request arrives twice.
    pub(super) doubled: bool,
    /// Streams say everything twice, and the later before the earlier where both are there.
    pub(super) shuffled: bool,
    pub(super) shuffled_at: BTreeSet<(OperationId, u64)>,
    pub(super) troubles: Vec<Trouble>,
    /// What was looked at, look by look.
    pub(super) looks: Vec<Needs>,
}

/// A line of the world's own log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The operation.
    pub operation: OperationId,
    /// Where.
    pub node: NodeName,
    /// What.
    pub kind: ActionKind,
    /// It came about; otherwise it was begun.
    pub whole: bool,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) cluster: Option<ClusterName>,
    /// It has begun to join, and did not come in.
    pub(super) half_in: bool,
    pub(super) off: bool,
    /// How often it has started anew.
    pub(super) boots: u32,
    pub(super) cut: bool,
    /// It runs, and the other members don't see it.
    pub(super) apart: bool,
    /// The HA daemons, as `Lrm`, `Crm`.
    pub(super) daemons: [bool; 2],
    pub(super) packages: BTreeSet<Package>,
    pub(super) admitted: BTreeMap<ClusterName, BTreeSet<SshPublicKey>>,
    pub(super) ledger: BTreeMap<OperationId, Noted>,
    pub(super) generation: Generation,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            cluster: None,
            half_in: false,
            off: false,
            boots: 0,
            cut: false,
            apart: false,
            daemons: [true; 2],
            packages: BTreeSet::new(),
            admitted: BTreeMap::new(),
            ledger: BTreeMap::new(),
            generation: Generation::default(),
        }
    }
}

/// What a cluster's configuration says.
#[derive(Debug, Default)]
pub(super) struct ClusterState {
    /// Who is in it, with corosync's ids.
    pub(super) roster: BTreeMap<NodeName, u32>,
    pub(super) links: BTreeMap<u8, BTreeMap<NodeName, IpAddr>>,
    pub(super) version: u64,
    /// From when until when somebody holds the lock on its configuration.
    pub(super) lock: Option<(Instant, Instant)>,
    pub(super) qdevice: Option<IpAddr>,
    /// There are guests under HA, so that watchdogs are armed.
    pub(super) guarded: bool,
    pub(super) disarmed: bool,
    pub(super) expected: Option<u32>,
    /// What removed nodes left behind.
    pub(super) leftovers: BTreeSet<NodeName>,
    pub(super) allowed: BTreeSet<(Passage, IpAddr)>,
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
                inner.clusters.entry(cluster.clone()).or_default().enter(&node);
                inner.server(&node).cluster = Some(cluster.clone());
            }
        });
        self
    }

    /// Puts guests of a cluster under HA: its watchdogs are armed.
    #[must_use]
    pub fn with_ha(self, name: &str) -> Self {
        self.on_cluster(name, |cluster| cluster.guarded = true)
    }

    /// Gives a cluster a QDevice.
    #[must_use]
    pub fn with_qdevice(self, name: &str) -> Self {
        let host = plans::address(9);
        self.on_cluster(name, |cluster| cluster.qdevice = Some(host))
    }

    /// Installs what a QDevice needs.
    #[must_use]
    pub fn with_packages(self, nodes: &[&str]) -> Self {
        for node in nodes {
            self.on(node, |server| server.packages = Package::ALL.into());
        }
        self
    }

    /// Lets the cluster's key in on a host.
    #[must_use]
    pub fn with_key(self, name: &str, host: &str) -> Self {
        let cluster = plans::cluster(name);
        self.on(host, |server| {
            drop(server.admitted.insert(cluster, [plans::key()].into()))
        });
        self
    }

    /// Switches a server off.
    #[must_use]
    pub fn with_off(self, node: &str) -> Self {
        self.on(node, |server| server.off = true);
        self
    }

    /// Leaves a server half-way into a cluster: counted, and not in.
    #[must_use]
    pub fn with_half_join(self, name: &str, node: &str) -> Self {
        self.on(node, |server| server.half_in = true);
        self.on_cluster(name, |cluster| cluster.enter(&plans::node(node)))
    }

    fn on_cluster(self, name: &str, change: impl FnOnce(&mut ClusterState)) -> Self {
        let name = plans::cluster(name);
        self.change(|inner| change(inner.clusters.entry(name).or_default()));
        self
    }

    /// How the next operations on a server go; then all go well.
    pub fn conduct(&self, node: &str, conduct: &[Conduct]) {
        self.trouble(plans::node(node), None, |t| t.conduct.extend(conduct));
    }

    /// How the next operations of one step go.
    pub fn conduct_step(&self, step: &Step, conduct: &[Conduct]) {
        self.trouble(step.node.clone(), Some(&step.action), |t| t.conduct.extend(conduct));
    }

    /// How a server's agent answers the next requests to begin something; then all is well.
    pub fn replies(&self, node: &str, replies: &[Reply]) {
        self.trouble(plans::node(node), None, |t| t.replies.extend(replies));
    }

    /// How the requests of one step are answered.
    pub fn replies_to_step(&self, step: &Step, replies: &[Reply]) {
        self.trouble(step.node.clone(), Some(&step.action), |t| t.replies.extend(replies));
    }

    /// Lets the stream of a step's operation break before the event of this number, once.
    pub fn break_before(&self, step: &Step, event: u64) {
        self.trouble(step.node.clone(), Some(&step.action), |t| t.breaks.extend([event]));
    }

    /// Cuts the server's agent off for so long when a step's operation begins.
    pub fn cut_during(&self, step: &Step, duration: Duration) {
        self.trouble(step.node.clone(), Some(&step.action), |t| t.cut_for = Some(duration));
    }

    fn trouble(&self, node: NodeName, action: Option<&Action>, change: impl FnOnce(&mut Trouble)) {
        let mut trouble = Trouble::new(node, action.cloned());
        change(&mut trouble);
        self.change(|inner| inner.troubles.push(trouble));
    }

    /// Cuts a server's agent off; what it runs goes on.
    pub fn cut(&self, node: &str) {
        self.on(node, |server| server.cut = true);
    }

    /// Cuts a server off from everybody; it runs on.
    pub fn isolate(&self, node: &str) {
        self.on(node, |server| (server.cut, server.apart) = (true, true));
    }

    /// Connects it again.
    pub fn heal(&self, node: &str) {
        self.on(node, |server| (server.cut, server.apart) = (false, false));
    }

    /// Lets somebody hold the lock on a cluster's configuration for so long.
    pub fn hold_lock(&self, name: &str, duration: Duration) {
        let now = Instant::now();
        let name = plans::cluster(name);
        self.change(|inner| inner.clusters.entry(name).or_default().lock = Some((now, now + duration)));
    }

    /// Lets every request arrive twice.
    pub fn double_requests(&self) {
        self.change(|inner| inner.doubled = true);
    }

    /// Lets events arrive twice and in the wrong order.
    pub fn shuffle_events(&self) {
        self.change(|inner| inner.shuffled = true);
    }

    /// Lets an agent forget all operations.
    pub fn lose_ledger(&self, node: &str) {
        self.on(node, |server| server.ledger.clear());
    }

    /// Has every agent that answers record who drives.
    pub fn claim(&self, generation: Generation) {
        self.change(|inner| {
            for server in inner.servers.values_mut().filter(|s| !s.cut && !s.off) {
                server.generation = server.generation.max(generation);
            }
        });
    }

    /// Waits until no operation runs.
    pub async fn idle(&self) {
        self.until(|inner| inner.running.is_empty()).await;
    }

    /// Waits until an operation runs on a server.
    pub async fn busy(&self, node: &str) {
        let node = plans::node(node);
        let open = |n: &Noted| n.entry.outcome.is_none();
        self.until(|inner| inner.servers.get(&node).is_some_and(|s| s.ledger.values().any(open)))
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
        let line = |(cluster, state): (&ClusterName, &ClusterState)| {
            let names: Vec<String> = state.roster.keys().map(|n| shown(cluster, n)).collect();
            format!("{cluster}: {}", names.join(" "))
        };
        inner.clusters.iter().map(line).collect()
    }

    /// All that an administrator could see, to compare two worlds by.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut text = self.clusters().join("\n");
        let inner = locked(&self.inner);
        for (name, cluster) in &inner.clusters {
            text.push_str(&format!("\n{name}: {cluster:?}"));
        }
        for (name, s) in &inner.servers {
            let (cluster, off, daemons) = (&s.cluster, s.off, s.daemons);
            let rest = (&s.packages, &s.admitted, s.half_in);
            text.push_str(&format!("\n{name}: {cluster:?} off {off} daemons {daemons:?} {rest:?}"));
        }
        text
    }

    /// Is a key of anybody let in anywhere?
    #[must_use]
    pub fn lets_somebody_in(&self) -> bool {
        locked(&self.inner).servers.values().any(|s| !s.admitted.is_empty())
    }

    /// Is a cluster's key let in anywhere?
    #[must_use]
    pub fn lets_in(&self, name: &str) -> bool {
        let name = plans::cluster(name);
        locked(&self.inner)
            .servers
            .values()
            .any(|s| s.admitted.contains_key(&name))
    }

    /// Does a cluster's HA look after its guests?
    #[must_use]
    pub fn is_guarded(&self, name: &str) -> bool {
        let inner = locked(&self.inner);
        let name = plans::cluster(name);
        let daemons = |s: &Server| s.off || s.cluster.as_ref() != Some(&name) || s.daemons == [true; 2];
        inner.clusters.get(&name).is_some_and(|c| c.guarded && !c.disarmed) && inner.servers.values().all(daemons)
    }

    /// Has the cluster a QDevice?
    #[must_use]
    pub fn has_qdevice(&self, name: &str) -> bool {
        let inner = locked(&self.inner);
        let cluster = inner.clusters.get(&plans::cluster(name));
        cluster.is_some_and(|c| c.qdevice.is_some())
    }

    /// What was really done, as `prox1: create cluster`, in order.
    #[must_use]
    pub fn effects(&self) -> Vec<String> {
        let inner = locked(&self.inner);
        let whole = inner.log.iter().filter(|done| done.whole);
        whole
            .map(|done| format!("{}: {}", done.node, done.kind.as_str()))
            .collect()
    }

    /// What was begun and what came about, in order.
    #[must_use]
    pub fn log(&self) -> Vec<Done> {
        locked(&self.inner).log.clone()
    }

    /// What was looked at, look by look.
    #[must_use]
    pub fn looks(&self) -> Vec<Needs> {
        locked(&self.inner).looks.clone()
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
        self.change(|inner| change(inner.server(&node)))
    }
}

impl Inner {
    pub(super) fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    pub(super) fn server(&mut self, node: &NodeName) -> &mut Server {
        self.servers.entry(node.clone()).or_default()
    }

    pub(super) fn note(&mut self, operation: &OperationId, node: &NodeName, kind: ActionKind, whole: bool) {
        self.log.push(Done {
            operation: operation.clone(),
            node: node.clone(),
            kind,
            whole,
        });
    }

    pub(super) fn began(&mut self, operation: &OperationId, node: &NodeName, kind: ActionKind) {
        self.note(operation, node, kind, false);
        self.running.insert(operation.clone(), kind);
        self.most_at_once = self.most_at_once.max(self.running.len());
    }

    pub(super) fn quorate(&self, cluster: &ClusterName) -> bool {
        let Some(state) = self.clusters.get(cluster) else {
            return false;
        };
        let device = usize::from(state.qdevice.is_some());
        let expected = state.expected.and_then(|n| usize::try_from(n).ok());
        let all = expected.unwrap_or(state.roster.len() + device);
        self.online(cluster).count() + device > all / 2
    }

    pub(super) fn online(&self, cluster: &ClusterName) -> impl Iterator<Item = &NodeName> {
        let roster = self.clusters.get(cluster).map(|c| &c.roster);
        let inside = move |name: &NodeName, s: &Server| {
            s.cluster.as_ref() == Some(cluster) && !s.off && !s.apart && roster.is_some_and(|r| r.contains_key(name))
        };
        let all = self.servers.iter().filter(move |(name, s)| inside(name, s));
        all.map(|(name, _)| name)
    }

    /// Would a server of the cluster reset itself if it lost the quorum now?
    pub(super) fn watchdog_armed(&self, cluster: &ClusterName, server: &Server) -> bool {
        let guarded = self.clusters.get(cluster).is_some_and(|c| c.guarded && !c.disarmed);
        guarded && server.cluster.as_ref() == Some(cluster) && !server.off && server.daemons != [false; 2]
    }
}

impl ClusterState {
    /// For how many seconds somebody has held the lock on its configuration, if somebody does.
    pub(super) fn lock_age(&self) -> Option<u64> {
        let (since, until) = self.lock?;
        let now = Instant::now();
        (now < until).then(|| now.duration_since(since).as_secs())
    }

    /// Takes a node into the configuration, under the lowest id that is free, on each link.
    pub(super) fn enter(&mut self, node: &NodeName) {
        if self.roster.contains_key(node) {
            return;
        }
        let id = (1..)
            .find(|id| !self.roster.values().any(|taken| taken == id))
            .unwrap_or(0);
        self.roster.insert(node.clone(), id);
        if self.links.is_empty() {
            self.links.insert(0, BTreeMap::new());
        }
        for addresses in self.links.values_mut() {
            addresses.insert(node.clone(), plans::address_of(node));
        }
        self.changed();
    }

    /// A new corosync.conf; what was expected by fiat is forgotten with the old one.
    pub(super) fn changed(&mut self) {
        self.version += 1;
        self.expected = None;
    }
}
