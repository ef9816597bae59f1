//! The fleet as the daemon holds it: a link to every enrolled node, and what came over it.

pub(crate) mod agents;
mod call;
mod echo;
mod files;
mod health;
pub(crate) mod known_disks;
pub(crate) mod known_guests;
mod link;
mod lost;
mod memory;
mod peer;
mod probe;
pub(crate) mod registry;
pub(crate) mod renewal;
pub(crate) mod revoked;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_clock::Clock;
use quorate_identity::{ClientTls, Identity, Name, RevocationList, Role};
use quorate_model::observation::FacetName;
use quorate_model::operation::Package;
use quorate_model::view::{ClockOffset, NodeView};
use quorate_model::{ClusterName, NodeName, NodeRef, Timestamp, Unknown, UnknownKind};
use quorate_proto::{Sighting, limits};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub(crate) use self::echo::{Echo, EchoLinks};
pub(crate) use self::memory::Memory;
use self::peer::Dialling;
pub(crate) use self::peer::Peer;
use self::registry::{Registry, State};
use self::revoked::{RevokeError, Revoked};
use crate::pace::Pace;
use crate::trust;

/// The fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) name: Name,
    pub(crate) registry: Registry,
    pub(crate) revoked: Arc<Revoked>,
    pub(crate) clock: Clock,
    pub(crate) pace: Pace,
    tls: ClientTls,
    links: Mutex<BTreeMap<NodeRef, Link>>,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Link {
    peer: Arc<Peer>,
    enrolled_at: Timestamp,
    _held: DropGuard,
}

impl Fleet {
    pub(crate) fn new(
        name: Name,
        registry: Registry,
        revoked: Revoked,
        tls: ClientTls,
        (clock, pace): (Clock, Pace),
    ) -> Arc<Self> {
        let (links, tasks) = (Mutex::default(), TaskTracker::new());
        Arc::new(Self {
            name,
            registry,
            revoked: Arc::new(revoked),
            clock,
            pace,
            tls,
            links,
            tasks,
        })
    }

    /// Keeps links as the books say, for ever. Whoever started it cancels it.
    pub(crate) async fn follow_books(self: Arc<Self>) {
        let mut changes = self.registry.changes();
        loop {
            self.sync();
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Starts the links that are missing and ends those that no longer should be.
    pub(crate) fn sync(&self) {
        let nodes = self.registry.nodes();
        let mut links = self.links();
        links.retain(|name, link| {
            nodes
                .get(name)
                .is_some_and(|node| node.state == State::Enrolled && node.since == link.enrolled_at)
        });
        for (name, node) in nodes {
            if node.state != State::Enrolled || links.contains_key(&name) {
                continue;
            }
            let role = match self.role(&name) {
                Ok(role) => role,
                Err(error) => {
                    tracing::error!(node = %name, error, "can't be dialled");
                    continue;
                }
            };
            let dialling = Dialling {
                role,
                address: node.address,
                tls: self.tls.clone(),
                // A handshake is our own work, which no lab makes shorter: with many agents on a busy machine it takes seconds.
                within: self.pace.deadline(limits::CONNECT_TIMEOUT) + limits::HANDSHAKE_TIMEOUT,
            };
            let peer = Arc::new(Peer::new(name.clone(), dialling, self.clock.clone(), self.pace));
            let token = CancellationToken::new();
            let holding = link::hold(Arc::clone(&peer), Arc::clone(&self.revoked));
            let stop = token.clone();
            self.tasks.spawn(async move { stop.run_until_cancelled(holding).await });
            links.insert(
                name,
                Link {
                    peer,
                    enrolled_at: node.since,
                    _held: token.drop_guard(),
                },
            );
        }
    }

    /// Every later call dials anew, and shows what certificate there is then.
    pub(crate) fn dial_anew(&self) {
        for peer in self.peers() {
            peer.dial_anew();
        }
    }

    /// Ends all links.
    pub(crate) fn hang_up(&self) {
        self.links().clear();
    }

    /// As whom the coordinator shows itself.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.tls.material().identity
    }

    /// An enrolled node.
    pub(crate) fn peer(&self, name: &NodeRef) -> Option<Arc<Peer>> {
        self.links().get(name).map(|link| Arc::clone(&link.peer))
    }

    /// All enrolled nodes.
    pub(crate) fn peers(&self) -> Vec<Arc<Peer>> {
        self.links().values().map(|link| Arc::clone(&link.peer)).collect()
    }

    /// What the health streams said last of these nodes; nothing is asked.
    pub(crate) fn last_seen(&self, names: &BTreeSet<NodeRef>) -> Vec<Sighting> {
        names.iter().map(|name| self.sighting(name, None)).collect()
    }

    /// Looks freshly at these nodes, side by side. What can't be seen is unknown, and why.
    pub(crate) async fn look(&self, names: &BTreeSet<NodeRef>, facets: &[FacetName]) -> Vec<Sighting> {
        self.look_and_fetch(names, facets, &BTreeMap::new()).await
    }

    /// The same, and each tries to fetch the packages that stand beside its name.
    pub(crate) async fn look_and_fetch(
        &self,
        names: &BTreeSet<NodeRef>,
        facets: &[FacetName],
        fetch: &BTreeMap<NodeName, BTreeSet<Package>>,
    ) -> Vec<Sighting> {
        let mut looks = tokio::task::JoinSet::new();
        for name in names {
            if let Some(peer) = self.peer(name) {
                let facets = facets.to_vec();
                let others = self.others_of(name, &facets);
                let packages = fetch.get(&name.node).cloned().unwrap_or_default();
                looks.spawn(async move { (peer.name.clone(), peer.observe(&facets, &others, &packages).await) });
            }
        }
        let mut seen = BTreeMap::new();
        while let Some(look) = looks.join_next().await {
            if let Ok((name, result)) = look {
                seen.insert(name, result.map_err(|error| error.unknown()));
            }
        }
        let mut fresh = |name| seen.remove(name).unwrap_or_else(|| Err(not_enrolled(name)));
        names
            .iter()
            .map(|name| self.sighting(name, Some(fresh(name))))
            .collect()
    }

    /// The names of all nodes of a node's cluster, if its network is looked at: each must resolve the others' as they do.
    fn others_of(&self, name: &NodeRef, facets: &[FacetName]) -> Vec<NodeName> {
        if !facets.contains(&FacetName::Network) {
            return vec![];
        }
        let enrolled = self.registry.enrolled().into_iter();
        enrolled
            .filter(|node| node.cluster == name.cluster)
            .map(|node| node.node)
            .collect()
    }

    /// How far the clocks of a cluster's nodes are ahead of ours, as each was compared last.
    pub(crate) fn clocks(&self, cluster: &ClusterName) -> BTreeMap<NodeName, ClockOffset> {
        let of_cluster = self.peers().into_iter().filter(|peer| peer.name.cluster == *cluster);
        of_cluster
            .filter_map(|peer| Some((peer.name.node.clone(), peer.health().clock_offset?)))
            .collect()
    }

    fn sighting(&self, name: &NodeRef, fresh: Option<Result<quorate_model::Observation, Unknown>>) -> Sighting {
        let Some(health) = self.peer(name).map(|peer| peer.health()) else {
            let view = NodeView {
                observation: Err(not_enrolled(name)),
                clock_offset: None,
            };
            return Sighting {
                node: name.clone(),
                view,
                received_at: None,
                connection: None,
            };
        };
        let observation = fresh.unwrap_or_else(|| {
            let unseen = || Unknown::new(UnknownKind::Unreachable, health.connection.reason.clone());
            health.observation.clone().ok_or_else(unseen)
        });
        Sighting {
            node: name.clone(),
            view: NodeView {
                observation,
                clock_offset: health.clock_offset,
            },
            received_at: health.received_at,
            connection: Some(health.connection),
        }
    }

    /// Strikes a node off, revokes its certificates, and tells the others. Returns whether there was one.
    pub(crate) fn remove(&self, name: &NodeRef) -> Result<bool, RevokeError> {
        // Revoked first: if what follows fails, the node is still in the books and can be removed again.
        let Some(node) = self.registry.node(name) else {
            return Ok(false);
        };
        if !node.certificates.is_empty() {
            self.revoked
                .revoke(&node.certificates, trust::unix_seconds(&self.clock))?;
        }
        self.registry.remove(name)?;
        self.sync();
        for peer in self.peers() {
            let list = self.revoked.list();
            self.tasks.spawn(async move { tell_revocations(&peer, &list).await });
        }
        Ok(true)
    }

    /// Tells every node which certificates no longer count. Returns those that could not be told.
    pub(crate) async fn announce_revocations(&self) -> Vec<NodeRef> {
        let mut telling = tokio::task::JoinSet::new();
        for peer in self.peers() {
            let list = self.revoked.list();
            telling.spawn(async move { (tell_revocations(&peer, &list).await, peer.name.clone()) });
        }
        let told = telling.join_all().await;
        told.into_iter()
            .filter(|(told, _)| !told)
            .map(|(_, name)| name)
            .collect()
    }

    /// The role that a node's certificate has.
    pub(crate) fn role(&self, name: &NodeRef) -> Result<Role, String> {
        let part = |text: &str| Name::parse(text).map_err(|error| error.to_string());
        Ok(Role::Node {
            cluster: part(name.cluster.as_str())?,
            node: part(name.node.as_str())?,
        })
    }

    fn links(&self) -> MutexGuard<'_, BTreeMap<NodeRef, Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever misses it gets it with the next connection.
async fn tell_revocations(peer: &Peer, list: &RevocationList) -> bool {
    let told = peer.push_revocations(list).await;
    if let Err(error) = &told {
        tracing::warn!(node = %peer.name, reason = %error, "not told yet of the revocation");
    }
    told.is_ok()
}

fn not_enrolled(name: &NodeRef) -> Unknown {
    Unknown::new(UnknownKind::NotAsked, format!("{name} is not enrolled"))
}
