//! The fleet's nodes: listed, invited, removed.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use quorate_identity::Token;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::observation::FacetName;
use quorate_model::{Code, Finding, NodeRef};
use quorate_proto::{Sighting, Wire, field, v1};

use super::Api;
use crate::audit::{Act, By, What};
use crate::enrol::Door;
use crate::fleet::registry::{InviteError, Node, State};
use crate::incoming::Who;
use crate::trust;

/// Where agents answer unless they are told otherwise.
const AGENT_PORT: u16 = 7443;

/// How long a token is good if nobody says.
const VALID: Duration = Duration::from_secs(3600);

/// How long it may be good at most: it is for somebody who sits before the server now.
const LONGEST_VALID: Duration = Duration::from_secs(24 * 3600);

/// How long the enrolment listener may take to open.
const OPENING: Duration = Duration::from_secs(5);

impl Api {
    pub(super) fn list_nodes(&self, by: &Who) -> v1::ListNodesReply {
        let nodes = self.fleet.registry.nodes();
        v1::ListNodesReply {
            nodes: nodes
                .into_iter()
                .filter(|(name, _)| by.scope.holds(name.cluster.as_str()))
                .map(|(name, node)| self.wire_node(&name, node))
                .collect(),
        }
    }

    fn wire_node(&self, name: &NodeRef, node: Node) -> v1::Node {
        let state = match node.state {
            State::Invited => v1::node::State::Invited,
            State::Enrolled => v1::node::State::Enrolled,
            State::Frozen { .. } => v1::node::State::Frozen,
        };
        let expires_at = node
            .invitation
            .filter(|_| state == v1::node::State::Invited)
            .map(|i| i.expires_at);
        let certificate = node.certificates.last();
        let health = self.fleet.peer(name).map(|peer| peer.health());
        let system = health
            .as_ref()
            .and_then(|health| health.observation.as_ref()?.system.get().ok());
        v1::Node {
            cluster: name.cluster.to_string(),
            name: name.node.to_string(),
            address: node.address.to_string(),
            state: state.into(),
            since: Some(node.since).into_wire(),
            expires_at: expires_at.into_wire(),
            certificate_not_after: certificate.map(|issued| trust::timestamp(issued.not_after)).into_wire(),
            certificate_fingerprint: certificate
                .map(|issued| issued.fingerprint.to_string())
                .unwrap_or_default(),
            agent_version: system.map(|system| system.agent.version.clone()).unwrap_or_default(),
            connection: health.map(|health| health.connection).into_wire(),
        }
    }

    pub(super) async fn invite_node(
        &self,
        request: v1::InviteNodeRequest,
        by: &Who,
    ) -> Result<v1::InviteNodeReply, Failure> {
        by.within(&request.cluster)?;
        self.may_change()?;
        let name = node_ref(request.cluster, request.node)?;
        let address = agent_address(&request.address)?;
        let valid = match request.valid_seconds {
            0 => VALID,
            seconds => Duration::from_secs(seconds.into()),
        };
        if valid > LONGEST_VALID {
            return Err(Failure::new(ExitCode::Usage, "a token may be valid for a day at most"));
        }
        let what = What::Invite {
            node: name.to_string(),
            address: address.to_string(),
            valid_seconds: valid.as_secs(),
        };
        self.note(by, &name, what).await?;
        let token = Token::generate(&self.ca.now().root)
            .map_err(|error| Failure::new(ExitCode::Internal, "can't make a token").because(&error))?;
        let now = trust::now(&self.fleet.clock);
        let expires_at = self
            .fleet
            .registry
            .invite(&name, address, &token, (now, valid))
            .map_err(|error| not_invited(&name, &error))?;
        let port = match self.open_door().await {
            Ok(port) => port,
            Err(failure) => {
                // A token that nobody can use is not given out.
                if let Err(error) = self.fleet.registry.remove(&name) {
                    tracing::error!(node = %name, error = trust::sentence(&error), "can't withdraw the invitation");
                }
                return Err(failure);
            }
        };
        tracing::info!(node = %name, %address, by = by.name, %expires_at, "invited");
        Ok(v1::InviteNodeReply {
            token: token.to_text().to_string(),
            root_fingerprint: self.ca.now().root.fingerprint().to_string(),
            enrol_at: host_and_port(&self.advertise, port),
            expires_at: Some(expires_at).into_wire(),
        })
    }

    /// The port that the enrolment listener answers at.
    async fn open_door(&self) -> Result<u16, Failure> {
        let unopened = |why: &str| {
            let mut failure = Failure::new(
                ExitCode::Failed,
                "the enrolment listener does not open; nobody was invited",
            );
            failure.causes.push(why.to_owned());
            failure
                .hint("see which program has the port; or set another enrol_listen in the coordinator's configuration")
        };
        let mut door = self.door.clone();
        let settled = tokio::time::timeout(OPENING, door.wait_for(|door| *door != Door::Closed)).await;
        match settled {
            Ok(Ok(door)) => match &*door {
                Door::Open(address) => Ok(address.port()),
                Door::Stuck(why) => Err(unopened(why)),
                Door::Closed => Err(unopened("it is closed")),
            },
            Ok(Err(_)) => Err(unopened("the coordinator is stopping")),
            Err(_) => Err(unopened("it takes too long")),
        }
    }

    pub(super) async fn remove_node(
        &self,
        request: v1::RemoveNodeRequest,
        by: &Who,
    ) -> Result<v1::RemoveNodeReply, Failure> {
        by.within(&request.cluster)?;
        self.may_change()?;
        let name = node_ref(request.cluster, request.node)?;
        if let Some(holder) = self.rollouts.holding(&name.cluster).await? {
            let finding = Finding::new(
                Code::RolloutRunning,
                name.cluster.as_str(),
                format!(
                    "rollout {holder} holds cluster {}: none of its nodes is removed meanwhile",
                    name.cluster
                ),
                self.rollouts.next_about(&holder),
            );
            return Err(Failure::new(ExitCode::Refused, format!("can't remove {name} now")).with(vec![finding]));
        }
        if self.fleet.registry.node(&name).is_none() {
            return Err(Failure::new(ExitCode::NotFound, format!("there is no node {name}")).hint("quorate node list"));
        }
        let unknown = if request.even_if_member {
            String::new()
        } else {
            match counted(
                &name,
                &self.fleet.look(&self.of_cluster(&name), &[FacetName::Cluster]).await,
            ) {
                Counted::No => String::new(),
                Counted::Unknown(why) => why,
                Counted::By(who) => return Err(still_member(&name, &who)),
            }
        };
        let what = What::RemoveNode {
            node: name.to_string(),
            even_if_member: request.even_if_member,
        };
        self.note(by, &name, what).await?;
        let removed = self
            .fleet
            .remove(&name)
            .map_err(|error| Failure::new(ExitCode::Failed, format!("can't remove {name}")).because(&error))?;
        if !removed {
            return Err(Failure::new(ExitCode::NotFound, format!("there is no node {name}")).hint("quorate node list"));
        }
        tracing::info!(node = %name, by = by.name, "removed; its certificates are revoked");
        Ok(v1::RemoveNodeReply { unknown })
    }

    /// All enrolled servers of a server's cluster.
    fn of_cluster(&self, name: &NodeRef) -> BTreeSet<NodeRef> {
        let enrolled = self.fleet.registry.enrolled().into_iter();
        enrolled.filter(|other| other.cluster == name.cluster).collect()
    }

    /// Writes down what is done about a node, before it is done.
    async fn note(&self, by: &Who, name: &NodeRef, what: What) -> Result<(), Failure> {
        let act = Act::new(By::caller(by), what).in_cluster(&name.cluster);
        self.audit.note(act).await
    }

    /// A superseded coordinator changes nothing.
    pub(super) fn may_change(&self) -> Result<(), Failure> {
        self.seat.check().map(drop).map_err(|finding| {
            Failure::new(ExitCode::Refused, "another coordinator drives this fleet").with(vec![*finding])
        })
    }
}

/// Does its cluster count a server as a member?
#[derive(Debug, PartialEq, Eq)]
enum Counted {
    /// This one says so.
    By(NodeRef),
    No,
    /// Why it can't be told.
    Unknown(String),
}

/// Others' word counts before its own: of a server that was taken out properly, only it itself may still believe to be in.
fn counted(name: &NodeRef, seen: &[Sighting]) -> Counted {
    let (mut denied, mut unknown, mut itself) = (false, None, false);
    for sighting in seen {
        let observation = sighting.view.observation.as_ref();
        let cluster = observation.and_then(|o| o.cluster.get());
        match cluster.map(|cluster| cluster.member()) {
            Ok(Some(_)) if sighting.node == *name => itself = true,
            Ok(Some(member)) => {
                let listed = member.nodes.iter().map(|node| node.name.as_str());
                let configured = member.configured.iter().map(|node| node.name.as_str());
                if listed.chain(configured).any(|other| other == name.node.as_str()) {
                    return Counted::By(sighting.node.clone());
                }
                denied = true;
            }
            Ok(None) => {}
            Err(why) => unknown = unknown.or_else(|| Some(format!("{}: {}", sighting.node, why.reason))),
        }
    }
    match (denied, itself, unknown) {
        (true, _, _) => Counted::No,
        (false, true, _) => Counted::By(name.clone()),
        (false, false, Some(why)) => Counted::Unknown(why),
        (false, false, None) => Counted::No,
    }
}

fn still_member(name: &NodeRef, who: &NodeRef) -> Failure {
    let finding = Finding::new(
        Code::RemoveStillMember,
        name.to_string(),
        format!("{name} is still a member of its cluster, says {who}"),
        format!(
            "take it out: quorate node remove {name} (if its cluster was never applied from here, quorate adopt {} first); \
             only out of the fleet, as a member that nobody looks after: quorate node remove {name} --fleet-only",
            name.cluster
        ),
    );
    Failure::new(
        ExitCode::Refused,
        format!("{name} is not taken out of the fleet; nothing was changed"),
    )
    .with(vec![finding])
}

pub(super) fn node_ref(cluster: String, node: String) -> Result<NodeRef, Failure> {
    let bad = |error: quorate_proto::ConvertError| Failure::new(ExitCode::Usage, error.to_string());
    Ok(NodeRef::new(
        field("cluster", cluster).map_err(bad)?,
        field("node", node).map_err(bad)?,
    ))
}

fn agent_address(text: &str) -> Result<SocketAddr, Failure> {
    let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, AGENT_PORT));
    alone.or_else(|_| text.parse()).map_err(|_| {
        Failure::new(ExitCode::Usage, format!("`{text}` is no ADDRESS or ADDRESS:PORT"))
            .hint("write an address, not a name: tokens are bound to it; an IPv6 address with a port goes in brackets")
    })
}

fn host_and_port(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    }
}

fn not_invited(name: &NodeRef, error: &InviteError) -> Failure {
    let exit = if matches!(error, InviteError::Books(_)) {
        ExitCode::Failed
    } else {
        ExitCode::Refused
    };
    let failure = Failure::new(exit, format!("can't invite {name}")).because(error);
    match error {
        InviteError::Enrolled { .. } | InviteError::Frozen { .. } => failure.hint(format!(
            "to enrol it anew: quorate node remove {name}, then invite it again"
        )),
        InviteError::AddressTaken { other, .. } => failure.hint(format!("quorate node show {other}")),
        InviteError::Books(_) => failure,
    }
}

#[cfg(test)]
mod tests {
    use quorate_planner::testkit::Servers;

    use super::*;

    fn seen(servers: Servers) -> Vec<Sighting> {
        let sighting = |(node, view)| Sighting {
            node: NodeRef::new("hk1".parse().unwrap(), node),
            view,
            received_at: None,
            connection: None,
        };
        servers.view.nodes.into_iter().map(sighting).collect()
    }

    #[test]
    fn a_member_is_one_that_another_member_counts() {
        let node: NodeRef = "hk1/prox3".parse().unwrap();
        let by = |who: &str| Counted::By(who.parse().unwrap());
        let three = || Servers::bare(3);
        assert_eq!(counted(&node, &seen(three())), Counted::No);
        let all = three().members("hk1", &["prox1", "prox2", "prox3"], &[]);
        assert_eq!(counted(&node, &seen(all.clone())), by("hk1/prox1"));
        assert_eq!(counted(&node, &seen(all.clone().unreachable("prox3"))), by("hk1/prox1"));
        let alone = all.clone().unreachable("prox1").unreachable("prox2");
        assert_eq!(
            counted(&node, &seen(alone)),
            by("hk1/prox3"),
            "then its own word counts"
        );
        // A join that was begun: it is not in, and is counted.
        let half = three().members("hk1", &["prox1", "prox2"], &[]).counted("prox3", &[]);
        assert_eq!(counted(&node, &seen(half)), by("hk1/prox1"));
        // Taken out, and switched on again.
        let mut out = three().members("hk1", &["prox1", "prox2"], &[]);
        out.view
            .nodes
            .insert(node.node.clone(), all.view.nodes[&node.node].clone());
        assert_eq!(counted(&node, &seen(out)), Counted::No);
        let nobody = three().unreachable("prox1").unreachable("prox2").unreachable("prox3");
        assert!(matches!(counted(&node, &seen(nobody)), Counted::Unknown(why) if why.contains("prox1")));
    }

    #[test]
    fn addresses_have_the_agents_port_unless_they_say_another() {
        for (text, address) in [
            ("192.0.2.1", "192.0.2.1:7443"),
            ("192.0.2.1:9", "192.0.2.1:9"),
            ("2001:db8::1", "[2001:db8::1]:7443"),
            ("[2001:db8::1]:9", "[2001:db8::1]:9"),
        ] {
            assert_eq!(agent_address(text).unwrap().to_string(), address);
        }
        for bad in ["", "prox1", "prox1:7443", "192.0.2.1:x", "192.0.2.256"] {
            assert_eq!(agent_address(bad).unwrap_err().exit, ExitCode::Usage, "{bad}");
        }
    }

    #[test]
    fn what_is_to_be_typed_can_be_typed() {
        assert_eq!(host_and_port("quorate.example.com", 7441), "quorate.example.com:7441");
        assert_eq!(host_and_port("2001:db8::1", 7441), "[2001:db8::1]:7441");
    }
}
