//! What is decided about a cluster beside its plans: frozen or not, what was applied last, and how a rollout could be undone.

use std::collections::BTreeSet;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::{ClusterName, Frozen, NodeRef, RolloutId};
use quorate_proto::{Wire, field, v1};

use super::Api;
use crate::audit::{Act, By, What};
use crate::documents::DocumentError;
use crate::incoming::Who;
use crate::trust;

impl Api {
    pub(super) async fn freeze(&self, request: v1::FreezeRequest, by: &Who) -> Result<v1::FreezeReply, Failure> {
        by.within(&request.cluster)?;
        self.may_change()?;
        let cluster = self.known_cluster(request.cluster)?;
        let act = Act::new(
            By::caller(by),
            What::Freeze {
                frozen: request.frozen,
                reason: request.reason.clone(),
            },
        );
        self.audit.note(act.in_cluster(&cluster)).await?;
        let frozen = request.frozen.then(|| Frozen {
            by: by.name.clone(),
            since: trust::now(&self.fleet.clock),
            reason: request.reason,
        });
        let hold = self
            .clusters
            .freeze(&cluster, frozen)
            .map_err(|error| unusable(&error))?;
        let untold = self.fleet.hold(&self.seat.driver(), &cluster, &hold).await;
        for (node, reason) in &untold {
            tracing::warn!(%node, reason, "an agent could not be told what holds its cluster up; it is before its next operation");
        }
        Ok(v1::FreezeReply {
            hold: Some(hold.into_wire()),
            untold: untold.into_keys().map(|name| name.to_string()).collect(),
        })
    }

    pub(super) fn applied(&self, request: v1::AppliedRequest, by: &Who) -> Result<v1::AppliedReply, Failure> {
        by.within(&request.cluster)?;
        let cluster = self.known_cluster(request.cluster)?;
        let decided = self.clusters.decided(&cluster).map_err(|error| unusable(&error))?;
        Ok(v1::AppliedReply {
            spec: decided.newest().cloned().map(Wire::into_wire),
            hold: Some(decided.hold.into_wire()),
        })
    }

    pub(super) async fn undo_info(&self, request: v1::UndoInfoRequest, by: &Who) -> Result<v1::UndoInfoReply, Failure> {
        let id: RolloutId =
            field("rollout", request.rollout).map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))?;
        self.theirs(&id, by).await?;
        let created = self.rollouts.created(&id).await?;
        let before = self
            .rollouts
            .before(&id)
            .map_err(|error| unusable(&error))?
            .unwrap_or_default();
        let cluster = match &created {
            Some((plan, _)) => plan.cluster.clone(),
            None => cluster_of(&id)?,
        };
        let names: BTreeSet<NodeRef> = before
            .keys()
            .map(|node| NodeRef::new(cluster.clone(), node.clone()))
            .collect();
        let mut now = self.fleet.snapshots(&names).await;
        let nodes = before.into_iter().map(|(node, files)| {
            let present = now.remove(&NodeRef::new(cluster.clone(), node.clone()));
            let mut unknown = match &files {
                Ok(_) => String::new(),
                Err(why) => format!("before: {why}"),
            };
            let present = match present {
                Some(Ok(files)) => files,
                Some(Err(why)) => {
                    unknown = format!("{unknown} now: {why}").trim().to_owned();
                    vec![]
                }
                None => vec![],
            };
            v1::NodeSnapshot {
                node: node.to_string(),
                before: files.unwrap_or_default().into_iter().map(Into::into).collect(),
                now: present,
                unknown,
            }
        });
        let nodes = nodes.collect();
        let (plan, created_at) = created.unzip();
        Ok(v1::UndoInfoReply {
            nodes,
            created_at: created_at.into_wire(),
            plan: plan.into_wire(),
        })
    }

    /// A cluster that has a server, or about which something was decided.
    pub(super) fn known_cluster(&self, name: String) -> Result<ClusterName, Failure> {
        let cluster: ClusterName =
            field("cluster", name).map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))?;
        let enrolled = self.fleet.registry.enrolled();
        let decided = self.clusters.decided(&cluster).map_err(|error| unusable(&error))?;
        if enrolled.iter().any(|node| node.cluster == cluster) || decided.newest().is_some() {
            return Ok(cluster);
        }
        Err(Failure::new(
            ExitCode::NotFound,
            format!("no server of a cluster {cluster} is enrolled"),
        )
        .hint("quorate node list"))
    }
}

/// Rollouts are named after their clusters, a time and a number.
fn cluster_of(id: &RolloutId) -> Result<ClusterName, Failure> {
    let cluster = id.as_str().rsplitn(4, '-').nth(3).and_then(|name| name.parse().ok());
    cluster.ok_or_else(|| Failure::new(ExitCode::NotFound, format!("there is no rollout {id}")))
}

fn unusable(error: &DocumentError) -> Failure {
    Failure::new(
        ExitCode::Failed,
        "what was decided about the cluster can't be read or kept",
    )
    .because(error)
}
