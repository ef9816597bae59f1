//! `quorate node`: the fleet.

use std::net::IpAddr;

use quorate_model::Timestamp;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{NodeName, NodeRef};
use quorate_model::time::spoken;
use quorate_proto::v1;
use serde::Serialize;

use super::add;
use super::leave::{self, Common};
use super::moves;
use super::wire::{self, Client};
use super::{Answer, Context, output, upgrade};

/// `quorate node …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a token with which a server can enrol, once
    Invite {
        /// CLUSTER/NODE: the node's own host name, and the cluster it is in or meant for
        node: NodeRef,
        /// Where its agent will answer: ADDRESS or ADDRESS:PORT (port 7443 if none)
        #[arg(long)]
        address: String,
        /// Minutes for which the token is valid
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440))]
        minutes: u32,
    },
    /// Install the agent on a server by ssh, and enrol it, in one go. May be typed again, whatever kept it from its end
    Add(add::Args),
    /// All nodes
    List,
    /// One node
    Show {
        /// CLUSTER/NODE
        node: NodeRef,
    },
    /// Take a server out of its cluster for good (PVE's order: guests, replication, HA, Ceph, QDevice, power, membership, clean-up), then
    /// out of the fleet. One that is in no cluster only leaves the fleet
    Remove {
        /// CLUSTER/NODE
        node: NodeRef,
        /// Only take it out of the fleet, whatever its cluster says: it goes on there, and nobody looks after it
        #[arg(long, conflicts_with_all = ["file", "is_off", "accept", "detach"])]
        fleet_only: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Give the agents of servers another version, one after another. Each checks the package's signature itself
    Upgrade(upgrade::Args),
    /// Move everything that runs on a server elsewhere, and keep HA from bringing it back: by maintenance mode what is under HA, the rest one
    /// by one. Containers are restarted; what can't be moved is refused, or shut down by --stop
    Drain(moves::Drain),
    /// Let HA use a drained server again; it brings back what it moved away
    Undrain(moves::Undrain),
    /// Take a dead server out of its cluster, and let another one join in its place
    Replace {
        /// CLUSTER/NODE: the dead one
        dead: NodeRef,
        /// The new one's name; it is enrolled already
        new: NodeName,
        /// The new one's address in the cluster file; none: the one that it is enrolled with
        #[arg(long)]
        address: Option<IpAddr>,
        #[command(flatten)]
        common: Common,
    },
}

/// A node as printed for programs.
#[derive(Debug, Serialize)]
struct Node {
    node: String,
    address: String,
    state: &'static str,
    since: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    connection: &'static str,
    connection_since: Option<Timestamp>,
    connection_reason: String,
    certificate_not_after: Option<Timestamp>,
    certificate_fingerprint: String,
    agent_version: String,
}

impl From<v1::Node> for Node {
    fn from(node: v1::Node) -> Self {
        use v1::connection::State as Link;
        use v1::node::State;
        let state = match node.state() {
            State::Invited => "invited",
            State::Enrolled => "enrolled",
            State::Frozen => "FROZEN",
            State::Unspecified => "unknown",
        };
        let connection = node.connection.unwrap_or_default();
        Self {
            node: format!("{}/{}", node.cluster, node.name),
            address: node.address,
            state,
            since: wire::time(node.since),
            expires_at: wire::time(node.expires_at),
            connection: match connection.state() {
                Link::Connected => "connected",
                Link::Connecting => "connecting",
                Link::Lost => "LOST",
                Link::Unspecified => "-",
            },
            connection_since: wire::time(connection.since),
            connection_reason: connection.reason,
            certificate_not_after: wire::time(node.certificate_not_after),
            certificate_fingerprint: node.certificate_fingerprint,
            agent_version: node.agent_version,
        }
    }
}

pub(crate) async fn run(context: &Context, command: Command) -> Answer {
    let mut client = wire::connect(context).await?;
    match command {
        Command::Invite { node, address, minutes } => invite(context, &mut client, node, address, minutes).await,
        Command::Add(args) => add::run(context, &mut client, args).await,
        Command::List => {
            let nodes = list(&mut client).await?;
            output::either(context.format, &nodes, || table(&nodes));
            Ok(ExitCode::Done)
        }
        Command::Show { node } => {
            let found = list(&mut client)
                .await?
                .into_iter()
                .find(|n| n.node == node.to_string());
            let found = found.ok_or_else(|| {
                Failure::new(ExitCode::NotFound, format!("there is no node {node}")).hint("quorate node list")
            })?;
            output::either(context.format, &found, || details(&found));
            Ok(ExitCode::Done)
        }
        Command::Remove {
            node,
            fleet_only,
            common,
        } => leave::remove(context, &mut client, node, fleet_only, common).await,
        Command::Upgrade(args) => upgrade::run(context, &mut client, args).await,
        Command::Drain(args) => moves::drain(context, &mut client, args).await,
        Command::Undrain(args) => moves::undrain(context, &mut client, args).await,
        Command::Replace {
            dead,
            new,
            address,
            common,
        } => leave::replace(context, &mut client, dead, new, address, common).await,
    }
}

async fn list(client: &mut Client) -> Result<Vec<Node>, Failure> {
    let reply = client
        .list_nodes(v1::ListNodesRequest {})
        .await
        .map_err(wire::refused)?;
    Ok(reply.into_inner().nodes.into_iter().map(Node::from).collect())
}

fn table(nodes: &[Node]) -> String {
    if nodes.is_empty() {
        return "No nodes yet. Begin with: quorate node invite CLUSTER/NODE --address ADDRESS\n".to_owned();
    }
    let rows: Vec<Vec<String>> = nodes
        .iter()
        .map(|n| {
            let until = n
                .certificate_not_after
                .or(n.expires_at)
                .map_or_else(|| "-".to_owned(), |t| t.to_string());
            let version = if n.agent_version.is_empty() {
                "-".to_owned()
            } else {
                n.agent_version.clone()
            };
            let connection = match n.connection {
                "LOST" => format!("LOST: {}", n.connection_reason),
                other => other.to_owned(),
            };
            vec![
                n.node.clone(),
                n.address.clone(),
                n.state.to_owned(),
                connection,
                version,
                until,
            ]
        })
        .collect();
    quorate_show::table(
        &["NODE", "ADDRESS", "STATE", "CONNECTION", "AGENT", "VALID UNTIL"],
        &rows,
    )
}

fn details(node: &Node) -> String {
    let mut lines = vec![
        ("node", node.node.clone()),
        ("address", node.address.clone()),
        ("state", node.state.to_owned()),
        (
            "connection",
            format!("{} {}", node.connection, node.connection_reason)
                .trim_end()
                .to_owned(),
        ),
        ("agent", node.agent_version.clone()),
        ("certificate", node.certificate_fingerprint.clone()),
    ];
    if let Some(until) = node.certificate_not_after {
        lines.push(("valid until", until.to_string()));
    }
    if let Some(until) = node.expires_at {
        lines.push(("token expires", until.to_string()));
    }
    lines
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:<14} {value}\n"))
        .collect()
}

async fn invite(context: &Context, client: &mut Client, node: NodeRef, address: String, minutes: u32) -> Answer {
    let request = v1::InviteNodeRequest {
        cluster: node.cluster.to_string(),
        node: node.node.to_string(),
        address,
        valid_seconds: minutes * 60,
    };
    let reply = client.invite_node(request).await.map_err(wire::refused)?.into_inner();
    let command = format!("quorate-agent enroll {}", reply.enrol_at);
    let document = serde_json::json!({
        "node": node,
        "token": reply.token,
        "fingerprint": reply.root_fingerprint,
        "enrol_at": reply.enrol_at,
        "command": command,
        "expires_at": wire::time(reply.expires_at),
    });
    output::either(context.format, &document, || {
        let valid = spoken(std::time::Duration::from_secs(u64::from(minutes) * 60));
        format!(
            "On {}, as root, run\n\n    {command}\n\nand give it this token when it asks (valid once, for {valid}):\n\n    {}\n\n\
             Both sides show the fleet's fingerprint; it must be the same:\n\n    {}\n",
            node.node, reply.token, reply.root_fingerprint
        )
    });
    Ok(ExitCode::Done)
}
