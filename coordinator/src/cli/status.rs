//! `quorate status`: quorum, members, links, versions, load; what is stale is marked as stale.

use std::collections::BTreeMap;

use quorate_model::failure::ExitCode;
use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::{Finding, Observation, Severity, Timestamp};
use quorate_proto::v1;
use quorate_show::{ClusterStatus, NodeStatus};
use serde::Serialize;

use super::wire::{self, Client};
use super::{Answer, Context, output};

/// Options of `quorate status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this cluster
    cluster: Option<String>,
    /// Ask the agents now instead of showing what they said last
    #[arg(long)]
    fresh: bool,
}

/// A node of the view, as read from the wire.
#[derive(Debug, Serialize)]
pub(crate) struct Seen {
    pub(crate) cluster: String,
    pub(crate) node: String,
    pub(crate) observation: Result<Observation, Unknown>,
    pub(crate) received_at: Option<Timestamp>,
    pub(crate) clock_offset_micros: Option<i64>,
}

/// Nodes, the coordinator's time, and what it has to say.
#[derive(Debug, Serialize)]
pub(crate) struct Look {
    pub(crate) now: Timestamp,
    pub(crate) nodes: Vec<Seen>,
    pub(crate) findings: Vec<Finding>,
}

/// Asks the daemon what is known.
pub(crate) async fn look(
    client: &mut Client,
    cluster: &str,
    node: &str,
    facets: &[v1::FacetName],
    fresh: bool,
) -> Result<Look, quorate_model::failure::Failure> {
    let request = v1::GetViewRequest {
        cluster: cluster.to_owned(),
        node: node.to_owned(),
        facets: facets.iter().map(|f| i32::from(*f)).collect(),
        fresh,
    };
    let reply = client.get_view(request).await.map_err(wire::refused)?.into_inner();
    let mut nodes = Vec::new();
    for node in reply.nodes {
        let observation = match node.state {
            Some(v1::node_view::State::Observation(seen)) => Ok(seen.try_into().map_err(wire::unreadable)?),
            Some(v1::node_view::State::Unknown(unknown)) => Err(unknown.try_into().map_err(wire::unreadable)?),
            None => Err(Unknown::new(UnknownKind::Unreachable, "nothing was heard of it yet")),
        };
        nodes.push(Seen {
            cluster: node.cluster,
            node: node.node,
            observation,
            received_at: wire::time(node.received_at),
            clock_offset_micros: node.clock_offset_micros,
        });
    }
    let findings = reply.findings.into_iter().map(TryInto::try_into).collect::<Result<_, _>>().map_err(wire::unreadable)?;
    Ok(Look { now: wire::time(reply.now).unwrap_or_default(), nodes, findings })
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let mut client = wire::connect(context).await?;
    let facets = [v1::FacetName::FacetSystem, v1::FacetName::FacetCluster];
    let look = look(&mut client, args.cluster.as_deref().unwrap_or(""), "", &facets, args.fresh).await?;
    output::either(context.format, &look, || show(&look));
    let degraded = look.findings.iter().any(|f| f.severity > Severity::Note) || look.nodes.iter().any(|n| n.observation.is_err());
    Ok(if degraded { ExitCode::Degraded } else { ExitCode::Done })
}

fn show(look: &Look) -> String {
    let mut clusters: BTreeMap<&str, Vec<NodeStatus<'_>>> = BTreeMap::new();
    for seen in &look.nodes {
        clusters.entry(&seen.cluster).or_default().push(NodeStatus {
            name: seen.node.clone(),
            seen: seen.observation.as_ref(),
            received_at: seen.received_at,
            clock_offset_micros: seen.clock_offset_micros,
        });
    }
    let only_one = clusters.len() <= 1;
    let shown: Vec<_> = clusters
        .into_iter()
        .map(|(name, nodes)| ClusterStatus {
            name: name.to_owned(),
            nodes,
            findings: look.findings.iter().filter(|f| only_one || about(f, name)).cloned().collect(),
        })
        .collect();
    quorate_show::status(&shown, look.now)
}

/// Subjects are `CLUSTER` or `CLUSTER/NODE`.
fn about(finding: &Finding, cluster: &str) -> bool {
    finding.subject.split('/').next() == Some(cluster)
}
