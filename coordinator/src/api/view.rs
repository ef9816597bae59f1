//! What is known of nodes: as the health streams said it last, or freshly asked.

use std::collections::BTreeSet;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::observation::FacetName;
use quorate_model::reach::Reach;
use quorate_model::{ClusterName, NodeName, NodeRef};
use quorate_proto::{ConvertError, Sighting, Wire, field, v1};

use super::Api;
use crate::incoming::Who;
use crate::overview::over;
use crate::trust;

impl Api {
    pub(super) async fn get_view(&self, request: v1::GetViewRequest, by: &Who) -> Result<v1::GetViewReply, Failure> {
        let facets = facets(&request.facets)?;
        if !request.cluster.is_empty() {
            by.within(&request.cluster)?;
        }
        let theirs = |cluster: &str| by.scope.holds(cluster);
        let mut names = self.selected(&request.cluster, &request.node)?;
        names.retain(|name| theirs(name.cluster.as_str()));
        let mut seen = if request.fresh {
            let fresh = self.fleet.look(&names, &facets).await;
            over(self.fleet.last_seen(&names), fresh)
        } else {
            self.fleet.last_seen(&names)
        };
        let now = trust::now(&self.fleet.clock);
        let mut findings = self.own_findings(by);
        findings.extend(self.overview.findings(&seen, now));
        let clusters: BTreeSet<&ClusterName> = names.iter().map(|name| &name.cluster).collect();
        for cluster in clusters {
            findings.extend(self.drills.overdue(cluster));
            findings.extend(self.drills.left(cluster));
        }
        for sighting in &mut seen {
            if let Ok(observation) = &mut sighting.view.observation {
                observation.leave_out(&facets);
            }
        }
        // Of no use where it can't be read: then nothing is proved.
        let reach = self.reaches.all().unwrap_or_else(|error| {
            let reason = trust::sentence(&error);
            tracing::warn!(
                reason,
                "what canaries have shown can't be read; nothing counts as shown"
            );
            Vec::new()
        });
        let asked = |reach: &Reach| names.iter().any(|name| name.cluster == reach.cluster);
        let reach: Vec<Reach> = reach.into_iter().filter(asked).collect();
        Ok(v1::GetViewReply {
            reach: reach.into_wire(),
            now: Some(now).into_wire(),
            nodes: seen.into_iter().map(Sighting::into_wire).collect(),
            findings: findings.into_iter().map(Wire::into_wire).collect(),
        })
    }

    /// The enrolled nodes that are meant; naming none that exists is an error.
    fn selected(&self, cluster: &str, node: &str) -> Result<BTreeSet<NodeRef>, Failure> {
        let bad = |error: ConvertError| Failure::new(ExitCode::Usage, error.to_string());
        let named = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let cluster: Option<ClusterName> = named(cluster).map(|c| field("cluster", c)).transpose().map_err(bad)?;
        let node: Option<NodeName> = named(node).map(|n| field("node", n)).transpose().map_err(bad)?;
        let meant = |name: &NodeRef| {
            cluster.as_ref().is_none_or(|cluster| *cluster == name.cluster)
                && node.as_ref().is_none_or(|node| *node == name.node)
        };
        let names: BTreeSet<NodeRef> = self.fleet.registry.enrolled().into_iter().filter(meant).collect();
        match (&cluster, &node) {
            (None, None) => Ok(names),
            _ if !names.is_empty() => Ok(names),
            (Some(cluster), None) => Err(none(&format!("cluster {cluster} has no enrolled node"))),
            (Some(cluster), Some(node)) => Err(none(&format!("there is no enrolled node {cluster}/{node}"))),
            (None, Some(node)) => Err(none(&format!("no cluster has an enrolled node {node}"))),
        }
    }
}

fn none(message: &str) -> Failure {
    Failure::new(ExitCode::NotFound, message).hint("quorate node list")
}

/// What was asked for; nothing means everything.
fn facets(wire: &[i32]) -> Result<Vec<FacetName>, Failure> {
    if wire.is_empty() {
        return Ok(FacetName::ALL.to_vec());
    }
    let read = |facet: &i32| field("facets", *facet);
    wire.iter()
        .map(read)
        .collect::<Result<_, ConvertError>>()
        .map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))
}
