//! The agents of one cluster, as the engine drives them.

mod drill;
mod probe;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use quorate_engine::ports::{AgentError, Agents, Events, Recorded};
use quorate_model::ids::Driver;
use quorate_model::observation::FacetName;
use quorate_model::operation::{Action, LedgerEntry, Operation, OperationEvent};
use quorate_model::plan::{Needs, Step};
use quorate_model::release::apart;
use quorate_model::time::spoken;
use quorate_model::view::ClockOffset;
use quorate_model::{ClusterName, Code, Facet, Finding, Generation, NodeName, NodeRef, OperationId, View};
use quorate_proto::{Sighting, Wire, limits, v1};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tonic::Streaming;

pub(crate) use self::drill::Watch;
use super::call::{CallError, within};
use super::{Fleet, Peer};
use crate::clusters::Clusters;
use crate::driver::Seat;
use crate::overview::Overview;
use crate::packages::Packages;
use crate::skew;
use crate::storage_secret::Secrets;
use crate::store::Store;
use crate::trust;

/// Events that may wait for the engine.
const EVENTS: usize = 256;

/// Two servers whose clocks differ by more than this get no ticket, in microseconds: tickets bear five minutes into the
/// future, and making one on a server that is hours behind rotates the cluster's key.
const MOST_SKEW: u64 = 60_000_000;

/// The agents of one cluster, for one rollout.
#[derive(Debug)]
pub(crate) struct ClusterAgents {
    fleet: Arc<Fleet>,
    seat: Arc<Seat>,
    /// Agents are told where it ends.
    journal: Store,
    secrets: Arc<Secrets>,
    packages: Packages,
    /// What holds the cluster up: agents keep to it too.
    clusters: Clusters,
    overview: Arc<Overview>,
    cluster: ClusterName,
    /// Every node that the rollout touches.
    touched: BTreeSet<NodeName>,
    /// Those of them whose agents have recorded us as the driver.
    claimed: Mutex<BTreeSet<NodeName>>,
}

impl ClusterAgents {
    pub(crate) fn new(
        (fleet, seat, journal, secrets): (Arc<Fleet>, Arc<Seat>, Store, Arc<Secrets>),
        packages: Packages,
        (clusters, overview): (Clusters, Arc<Overview>),
        cluster: ClusterName,
        touched: BTreeSet<NodeName>,
    ) -> Self {
        Self {
            fleet,
            seat,
            journal,
            secrets,
            packages,
            clusters,
            overview,
            cluster,
            touched,
            claimed: Mutex::default(),
        }
    }

    fn name(&self, node: &NodeName) -> NodeRef {
        NodeRef::new(self.cluster.clone(), node.clone())
    }

    fn peer(&self, node: &NodeName) -> Result<Arc<Peer>, AgentError> {
        let name = self.name(node);
        self.fleet.peer(&name).ok_or_else(|| {
            AgentError::Refused(Box::new(Finding::new(
                Code::NodeNotEnrolled,
                name.to_string(),
                format!("{name} is not enrolled (any more)"),
                format!("quorate node invite {name} --address ADDRESS"),
            )))
        })
    }

    /// Has every agent that the rollout touches record us as the driver, before the first of them is asked for anything.
    pub(crate) async fn claim(&self, driver: &Driver) -> Result<(), AgentError> {
        let unclaimed = self.claim_of(driver, &self.touched).await;
        let mut all = unclaimed.into_values();
        // A no says more than a silence.
        let first = all.next();
        let no = first
            .iter()
            .cloned()
            .chain(all)
            .find(|e| matches!(e, AgentError::Refused(_)));
        no.or(first).map_or(Ok(()), Err)
    }

    /// The same before an operation on one of them, when driving has begun: others may be off by now, as the plan wants it, or sick,
    /// and must not keep what is left from being done, nor HA from being armed again. Each records who drives before it is asked itself.
    async fn claim_for(&self, driver: &Driver, node: &NodeName) -> Result<(), AgentError> {
        let mut unclaimed = self.claim_of(driver, &self.touched).await;
        let superseded = |e: &AgentError| matches!(e, AgentError::Refused(f) if f.code == Code::DriverSuperseded);
        if let Some(superseded) = unclaimed.values().find(|e| superseded(e)) {
            return Err(superseded.clone());
        }
        for (other, error) in unclaimed.iter().filter(|(other, _)| *other != node) {
            tracing::warn!(node = %self.name(other), %error, "it was not told who drives");
        }
        unclaimed.remove(node).map_or(Ok(()), Err)
    }

    /// Tells those of these agents who have not recorded us that we drive. Gives those who still have not, with why.
    async fn claim_of(&self, driver: &Driver, nodes: &BTreeSet<NodeName>) -> BTreeMap<NodeName, AgentError> {
        let mut claimed = self.claimed.lock().await;
        let mut unclaimed = BTreeMap::new();
        let mut claims = JoinSet::new();
        for node in nodes.difference(&claimed).cloned() {
            let peer = match self.peer(&node) {
                Ok(peer) => peer,
                Err(error) => {
                    unclaimed.insert(node, error);
                    continue;
                }
            };
            // Overwritten by its answer; a claim that breaks off gives none.
            unclaimed.insert(
                node,
                AgentError::NotReached("it could not be told who drives".to_owned()),
            );
            let (driver, anchor) = (driver.clone(), self.journal.newest());
            claims.spawn(async move {
                let request = v1::DriveRequest {
                    driver: Some(driver.into_wire()),
                    anchor: anchor.into_wire(),
                    version: quorate_model::version!().to_owned(),
                };
                let reply = within(peer.quick(), &peer.name, peer.client().drive(request)).await;
                (peer, reply)
            });
        }
        while let Some(claim) = claims.join_next().await {
            let Ok((peer, reply)) = claim else { continue };
            let node = peer.name.node.clone();
            match reply {
                Ok(reply) if apart(quorate_model::version!(), &reply.version).is_some() => {
                    let why = apart(quorate_model::version!(), &reply.version).unwrap_or_default();
                    unclaimed.insert(node, AgentError::Refused(Box::new(skew::finding(&peer.name, why))));
                }
                Ok(reply) if reply.hostname == node.as_str() => {
                    unclaimed.remove(&node);
                    claimed.insert(node);
                }
                Ok(reply) => drop(unclaimed.insert(node, self.other_name(&peer, &reply.hostname))),
                Err(error) => {
                    // Nothing was asked for yet, so whatever happened to the claim, the operation has not left.
                    let error = not_sent(self.failed(&peer, error).await, &node);
                    unclaimed.insert(node, error);
                }
            }
        }
        unclaimed
    }

    fn other_name(&self, peer: &Peer, hostname: &str) -> AgentError {
        AgentError::Refused(Box::new(Finding::new(
            Code::HostNameDiffers,
            peer.name.to_string(),
            format!("the server that is enrolled as {} calls itself {hostname}", peer.name),
            format!(
                "give it its name back, or remove it and enrol it as {}/{hostname}",
                self.cluster
            ),
        )))
    }

    /// Tells an agent what holds its cluster up, if it has not heard of it: it may have been away when that was decided.
    async fn tell_hold(&self, driver: &Driver, peer: &Peer) -> Result<(), AgentError> {
        if self.clusters.is_unsettled(&self.cluster).unwrap_or(false) {
            // What it holds was decided before our record was lost: it is asked before it is told.
            let memory = peer.memory().await;
            let memory = match memory {
                Ok(memory) => memory,
                Err(error) => return Err(not_sent(self.failed(peer, error).await, &peer.name.node)),
            };
            if let Err(error) = self.clusters.told(&peer.name, &memory.hold) {
                return Err(AgentError::NotReached(trust::sentence(&error)));
            }
        }
        let decided = match self.clusters.decided(&self.cluster) {
            Ok(decided) => decided,
            Err(error) => {
                // What disturbs is not asked for then; what does not is not held up either.
                tracing::error!(cluster = %self.cluster, error = trust::sentence(&error), "whether it is frozen can't be read");
                return Ok(());
            }
        };
        match peer.tell_hold(driver, &decided.hold).await {
            Ok(()) => Ok(()),
            Err(error) => Err(not_sent(self.failed(peer, error).await, &peer.name.node)),
        }
    }

    /// What a failed call means to the engine. If another coordinator drives, we stop.
    async fn failed(&self, peer: &Peer, error: CallError) -> AgentError {
        let error = error.into_agent_error(&peer.name);
        if let AgentError::Refused(finding) = &error
            && finding.code == Code::DriverSuperseded
        {
            let request = v1::LedgerRequest::default();
            let seen = within(peer.quick(), &peer.name, peer.client().ledger(request))
                .await
                .ok();
            let seen = seen
                .and_then(|ledger| ledger.driver)
                .map(|driver| Generation(driver.generation));
            self.seat
                .lose(trust::now(&self.fleet.clock), &peer.name, &finding.message, seen);
        }
        error
    }

    /// What must be passed beside the operation. Fetched anew for every attempt, never kept.
    async fn passed(
        &self,
        driver: &Driver,
        node: &NodeName,
        action: &Action,
    ) -> Result<Option<v1::Secret>, AgentError> {
        let passed = match action {
            Action::JoinCluster {
                cluster,
                member,
                member_address,
                ..
            } => v1::secret::Secret::Join(self.ticket(driver, node, cluster, member, *member_address).await?),
            Action::FinishJoin { member, .. } => v1::secret::Secret::CorosyncConf(self.corosync_conf(member).await?),
            Action::AddStorage {
                cluster,
                storage,
                password_file: Some(path),
                ..
            } => {
                let secret = self.secrets.password(cluster, path, storage.name.as_str());
                v1::secret::Secret::Storage(secret.map_err(|finding| AgentError::Refused(Box::new(finding)))?)
            }
            Action::CreateCanary { program, .. } => {
                let (packages, program) = (self.packages.clone(), program.clone());
                let read = tokio::task::spawn_blocking(move || packages.planned_program(&program)).await;
                let read = read.map_err(|error| AgentError::NotReached(error.to_string()))?;
                let program = read.map_err(|finding| AgentError::Refused(Box::new(finding)))?;
                v1::secret::Secret::Program(v1::GuestProgram { program })
            }
            _ => return Ok(None),
        };
        Ok(Some(v1::Secret { secret: Some(passed) }))
    }

    /// Brings the package that an upgrade is made with. It lies on the node before the operation is asked for.
    async fn bring(&self, driver: &Driver, peer: &Peer, action: &Action) -> Result<(), AgentError> {
        let Action::UpgradeAgent { package, .. } = action else {
            return Ok(());
        };
        let (packages, driver, package) = (self.packages.clone(), driver.clone(), package.clone());
        let parts = tokio::task::spawn_blocking(move || packages.parts(&driver, &package)).await;
        let parts = parts.unwrap_or_else(|error| {
            Err(Finding::new(
                Code::StepFailed,
                peer.name.to_string(),
                format!("the package was not read: {error}"),
                "apply again",
            ))
        });
        let parts = parts.map_err(|finding| AgentError::Refused(Box::new(finding)))?;
        let deadline = self.fleet.pace.deadline(limits::PACKAGE_TIMEOUT);
        let sent = within(
            deadline,
            &peer.name,
            peer.client().stage_package(tokio_stream::iter(parts)),
        )
        .await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) => Err(not_sent(self.failed(peer, error).await, &peer.name.node)),
        }
    }

    /// A short-lived ticket of a member, for a node that joins through it.
    async fn ticket(
        &self,
        driver: &Driver,
        joiner: &NodeName,
        cluster: &ClusterName,
        member: &NodeName,
        member_address: IpAddr,
    ) -> Result<v1::JoinSecret, AgentError> {
        self.compare_clocks(member, joiner).await?;
        let peer = self.peer(member)?;
        let request = v1::JoinTicketRequest {
            driver: Some(driver.clone().into_wire()),
            joiner: joiner.to_string(),
        };
        let deadline = self.fleet.pace.deadline(limits::JOIN_TICKET_TIMEOUT);
        let reply = match within(deadline, &peer.name, peer.client().join_ticket(request)).await {
            Ok(reply) => reply,
            Err(error) => return Err(not_sent(self.failed(&peer, error).await, member)),
        };
        check_ticket(&reply, &peer.name, cluster, member_address)?;
        reply
            .secret
            .ok_or_else(|| AgentError::NotReached(format!("{member} gave no ticket for {joiner}")))
    }

    /// A member's present corosync.conf, for a node that finishes its join with it.
    async fn corosync_conf(&self, member: &NodeName) -> Result<v1::CorosyncConf, AgentError> {
        let peer = self.peer(member)?;
        let reply = match within(peer.quick(), &peer.name, peer.client().snapshot(v1::SnapshotRequest {})).await {
            Ok(reply) => reply,
            Err(error) => return Err(not_sent(self.failed(&peer, error).await, member)),
        };
        let conf = reply
            .files
            .into_iter()
            .find(|file| file.path == "/etc/pve/corosync.conf");
        match conf.and_then(|file| file.content) {
            Some(v1::snapshot_file::Content::Text(text)) => Ok(v1::CorosyncConf { text }),
            Some(v1::snapshot_file::Content::Unknown(why)) => Err(AgentError::NotReached(format!("{member}: {why}"))),
            _ => Err(AgentError::NotReached(format!("{member} has no corosync.conf"))),
        }
    }

    /// Clocks first: skew must be ruled out before a ticket is made.
    async fn compare_clocks(&self, member: &NodeName, joiner: &NodeName) -> Result<(), AgentError> {
        let names = [member, joiner].map(|node| self.name(node));
        self.fleet
            .look(&names.iter().cloned().collect(), &[FacetName::System])
            .await;
        let offset = |name| self.fleet.peer(name).and_then(|peer| peer.health().clock_offset);
        let [Some(members), Some(joiners)] = [offset(&names[0]), offset(&names[1])] else {
            return Err(AgentError::NotReached(format!(
                "the clocks of {member} and {joiner} can't be compared"
            )));
        };
        let skew = widest(members, joiners);
        if skew <= MOST_SKEW {
            return Ok(());
        }
        let skew = spoken(std::time::Duration::from_micros(skew));
        Err(AgentError::Refused(Box::new(Finding::new(
            Code::ClockSkew,
            joiner.as_str(),
            format!("the clocks of {member} and {joiner} differ by up to {skew}: no ticket is made under such clocks"),
            format!("on both: chronyc tracking; then apply the cluster file again to join {joiner}"),
        ))))
    }
}

impl Agents for ClusterAgents {
    async fn view(&self, needs: &Needs) -> View {
        // Nodes that are asked for the same are looked at side by side, and so are those that are asked for something else.
        let mut alike: BTreeMap<&BTreeSet<FacetName>, BTreeSet<NodeRef>> = BTreeMap::new();
        for (node, facets) in needs {
            alike.entry(facets).or_default().insert(self.name(node));
        }
        let mut looks = JoinSet::new();
        for (facets, names) in alike {
            let (fleet, facets) = (Arc::clone(&self.fleet), facets.iter().copied().collect::<Vec<_>>());
            looks.spawn(async move { fleet.look(&names, &facets).await });
        }
        let mut seen = Vec::new();
        while let Some(look) = looks.join_next().await {
            // What is missing here, because a look broke off, is missing in the view: nothing is known of it.
            seen.extend(look.unwrap_or_default());
        }
        let findings = self.overview.of_cluster(&self.cluster, seen.clone());
        let each = |sighting: Sighting| (sighting.node.node, sighting.view);
        View {
            nodes: seen.into_iter().map(each).collect(),
            findings: Facet::known(findings, trust::now(&self.fleet.clock)),
            clocks: self.fleet.clocks(&self.cluster),
            ..View::default()
        }
    }

    async fn start(&self, _recorded: &Recorded, step: &Step, operation: &Operation) -> Result<Events, AgentError> {
        let node = &step.node;
        let driver = self.seat.check().map_err(AgentError::Refused)?;
        self.claim_for(&driver, node).await?;
        let peer = self.peer(node)?;
        self.tell_hold(&driver, &peer).await?;
        let secret = self.passed(&driver, node, &operation.action).await?;
        self.bring(&driver, &peer, &operation.action).await?;
        let request = v1::ExecuteRequest {
            driver: Some(driver.into_wire()),
            operation: Some(operation.clone().into_wire()),
            secret,
            restores: step.restores.is_some(),
            anchor: self.journal.newest().into_wire(),
        };
        match within(peer.quick(), &peer.name, peer.client().execute(request)).await {
            Ok(stream) => Ok(forward(stream, peer.name.clone())),
            Err(error) => Err(self.failed(&peer, error).await),
        }
    }

    async fn attach(&self, node: &NodeName, operation: &OperationId, from: u64) -> Result<Events, AgentError> {
        let peer = self.peer(node)?;
        let request = v1::AttachRequest {
            operation: operation.to_string(),
            from,
        };
        match within(peer.quick(), &peer.name, peer.client().attach(request)).await {
            Ok(stream) => Ok(forward(stream, peer.name.clone())),
            Err(error) => Err(self.failed(&peer, error).await),
        }
    }

    async fn ledger(&self, node: &NodeName, operation: &OperationId) -> Result<Option<LedgerEntry>, AgentError> {
        let peer = self.peer(node)?;
        // First it must obey us: else a request of an earlier driver of ours could still arrive behind "it has it not".
        let driver = self.seat.check().map_err(AgentError::Refused)?;
        let only = BTreeSet::from([node.clone()]);
        if let Some(error) = self.claim_of(&driver, &only).await.remove(node) {
            return Err(error);
        }
        let request = v1::LedgerRequest {
            operation: operation.to_string(),
        };
        let reply = match within(peer.quick(), &peer.name, peer.client().ledger(request)).await {
            Ok(reply) => reply,
            Err(error) => {
                return match self.failed(&peer, error).await {
                    AgentError::NotKnown => Ok(None),
                    error => Err(error),
                };
            }
        };
        for entry in reply.entries {
            let entry = LedgerEntry::try_from(entry)
                .map_err(|error| AgentError::NoAnswer(format!("its ledger can't be understood: {error}")))?;
            if entry.operation.id == *operation {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

/// Hands events over until the operation ends or the connection breaks; the receiver sees both by the channel's end.
fn forward(mut stream: Streaming<v1::OperationEvent>, node: NodeRef) -> Events {
    let (events, receiver) = mpsc::channel(EVENTS);
    tokio::spawn(async move {
        loop {
            let event = match stream.message().await {
                Ok(Some(event)) => OperationEvent::try_from(event),
                Ok(None) => return,
                Err(status) => {
                    tracing::warn!(%node, reason = %CallError::of(&node, &status), "an operation's events broke off");
                    return;
                }
            };
            match event {
                Ok(event) => {
                    if events.send(event).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%node, %error, "an operation's event can't be understood");
                    return;
                }
            }
        }
    });
    receiver
}

/// Before the operation itself has left, "no answer" is no uncertainty about the operation.
fn not_sent(error: AgentError, node: &NodeName) -> AgentError {
    match error {
        AgentError::NoAnswer(reason) => AgentError::NotReached(format!("{node}: {reason}")),
        AgentError::NotKnown => AgentError::NotReached(format!("{node} does not know what it was asked")),
        other => other,
    }
}

/// By how much two clocks may differ at most.
fn widest(one: ClockOffset, other: ClockOffset) -> u64 {
    one.micros
        .abs_diff(other.micros)
        .saturating_add(one.error_micros)
        .saturating_add(other.error_micros)
}

/// The ticket must be of the cluster that the plan means, for the address that it will be used at.
fn check_ticket(
    reply: &v1::JoinTicketReply,
    member: &NodeRef,
    cluster: &ClusterName,
    address: IpAddr,
) -> Result<(), AgentError> {
    let refused = |code, message: String| {
        let next = "quorate status; then plan again".to_owned();
        Err(AgentError::Refused(Box::new(Finding::new(
            code,
            member.to_string(),
            message,
            next,
        ))))
    };
    if reply.cluster != cluster.as_str() {
        let message = format!("{member} is in cluster {}, not in {cluster}", reply.cluster);
        return refused(Code::NodeInOtherCluster, message);
    }
    match reply.member_address.parse::<IpAddr>() {
        Ok(own) if own == address => Ok(()),
        _ => refused(
            Code::PlanChanged,
            format!(
                "{member} answers at {}, the plan goes by {address}",
                reply.member_address
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(cluster: &str, address: &str) -> v1::JoinTicketReply {
        v1::JoinTicketReply {
            cluster: cluster.to_owned(),
            member_address: address.to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn a_ticket_of_another_cluster_or_address_is_not_used() {
        let (member, cluster) = ("hk1/prox1".parse().unwrap(), "hk1".parse().unwrap());
        let address = "192.0.2.1".parse().unwrap();
        check_ticket(&reply("hk1", "192.0.2.1"), &member, &cluster, address).unwrap();
        for (wrong, code) in [
            (reply("hk2", "192.0.2.1"), Code::NodeInOtherCluster),
            (reply("hk1", "192.0.2.2"), Code::PlanChanged),
        ] {
            match check_ticket(&wrong, &member, &cluster, address) {
                Err(AgentError::Refused(finding)) => assert_eq!(finding.code, code),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn error_bars_count_against_a_ticket() {
        let offset = |micros, error_micros| ClockOffset { micros, error_micros };
        assert_eq!(widest(offset(-5, 1), offset(7, 2)), 15);
    }

    #[test]
    fn before_the_operation_leaves_nothing_is_uncertain() {
        let node = "prox1".parse().unwrap();
        assert!(matches!(
            not_sent(AgentError::NoAnswer("x".to_owned()), &node),
            AgentError::NotReached(_)
        ));
    }
}
