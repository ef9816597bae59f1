//! `quorate status`: quorum, members, links, versions, load; what is stale is marked as stale.

use std::collections::BTreeMap;

use quorate_model::facet::Unknown;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::observation::FacetName;
use quorate_model::reach::Reach;
use quorate_model::view::ClockOffset;
use quorate_model::{Code, Finding, Observation, Severity, Timestamp};
use quorate_proto::{Sighting, Wire, v1};
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

/// A node of the view, as printed for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Seen {
    pub(crate) cluster: String,
    pub(crate) node: String,
    pub(crate) observation: Result<Observation, Unknown>,
    pub(crate) received_at: Option<Timestamp>,
    pub(crate) clock_offset: Option<ClockOffset>,
}

impl From<Sighting> for Seen {
    fn from(sighting: Sighting) -> Self {
        Self {
            cluster: sighting.node.cluster.to_string(),
            node: sighting.node.node.to_string(),
            observation: sighting.view.observation,
            received_at: sighting.received_at,
            clock_offset: sighting.view.clock_offset,
        }
    }
}

/// Nodes, the coordinator's time, and what it has to say.
#[derive(Debug, Serialize)]
pub(crate) struct Look {
    pub(crate) now: Timestamp,
    pub(crate) nodes: Vec<Seen>,
    pub(crate) findings: Vec<Finding>,
    /// What canaries have shown.
    #[serde(skip)]
    pub(crate) reach: Vec<Reach>,
}

/// Asks the daemon what is known.
pub(crate) async fn look(
    client: &mut Client,
    cluster: &str,
    node: &str,
    facets: &[FacetName],
    fresh: bool,
) -> Result<Look, Failure> {
    let request = v1::GetViewRequest {
        cluster: cluster.to_owned(),
        node: node.to_owned(),
        facets: facets.to_vec().into_wire(),
        fresh,
    };
    let reply = client.get_view(request).await.map_err(wire::refused)?.into_inner();
    let nodes: Vec<Sighting> = Wire::from_wire(reply.nodes).map_err(wire::unreadable)?;
    let findings = Wire::from_wire(reply.findings).map_err(wire::unreadable)?;
    Ok(Look {
        now: wire::time(reply.now).unwrap_or_default(),
        nodes: nodes.into_iter().map(Seen::from).collect(),
        findings,
        reach: Wire::from_wire(reply.reach).map_err(wire::unreadable)?,
    })
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let mut client = wire::connect(context).await?;
    let facets = [FacetName::System, FacetName::Cluster, FacetName::Pools];
    let look = look(
        &mut client,
        args.cluster.as_deref().unwrap_or(""),
        "",
        &facets,
        args.fresh,
    )
    .await?;
    output::either(context.format, &look, || show(&look));
    let degraded = look.findings.iter().any(is_trouble) || look.nodes.iter().any(|n| n.observation.is_err());
    Ok(if degraded { ExitCode::Degraded } else { ExitCode::Done })
}

/// What should be done some day is shown, and is no reason for a script to raise the alarm every minute until then.
fn is_trouble(finding: &Finding) -> bool {
    let some_day = [
        Code::BackupMissing,
        Code::BackupOutdated,
        Code::CoordinatorOnNode,
        Code::GuestUnprotected,
        Code::GuestNoBackup,
    ];
    finding.severity > Severity::Note && !some_day.contains(&finding.code)
}

fn show(look: &Look) -> String {
    let mut clusters: BTreeMap<&str, Vec<NodeStatus<'_>>> = BTreeMap::new();
    for seen in &look.nodes {
        clusters.entry(&seen.cluster).or_default().push(NodeStatus {
            name: seen.node.clone(),
            seen: seen.observation.as_ref(),
            received_at: seen.received_at,
            clock_offset_micros: seen.clock_offset.map(|o| o.micros),
        });
    }
    if clusters.is_empty() && !look.findings.is_empty() {
        return quorate_show::problems(&look.findings);
    }
    let only_one = clusters.len() == 1;
    let shown: Vec<_> = clusters
        .into_iter()
        .map(|(name, nodes)| ClusterStatus {
            name: name.to_owned(),
            nodes,
            findings: look
                .findings
                .iter()
                .filter(|f| only_one || about(f, name))
                .cloned()
                .collect(),
        })
        .collect();
    let mut text = quorate_show::status(&shown, look.now);
    let nobodys = |f: &&Finding| !only_one && !shown.iter().any(|cluster| about(f, &cluster.name));
    let others: Vec<Finding> = look.findings.iter().filter(nobodys).cloned().collect();
    if !others.is_empty() {
        text.push_str(&format!("\n{}", quorate_show::problems(&others)));
    }
    text
}

/// Subjects are `CLUSTER` or `CLUSTER/NODE`.
fn about(finding: &Finding, cluster: &str) -> bool {
    finding.subject.split('/').next() == Some(cluster)
}
