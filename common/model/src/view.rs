//! What is known of a cluster's nodes at one moment: the planner's second input.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::facet::{Facet, Unknown};
use crate::ids::NodeName;
use crate::measurement::Baseline;
use crate::observation::{Cluster, Observation};

/// The nodes of one cluster, as their agents see themselves.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct View {
    /// One entry for each enrolled node of the cluster.
    pub nodes: BTreeMap<NodeName, NodeView>,
    /// The node of this cluster on which the coordinator itself runs, if it runs on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinator_on: Option<NodeName>,
    /// The addresses from which the coordinator calls the agents, as far as it knows them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub coordinator_addresses: BTreeSet<IpAddr>,
    /// What was measured between the nodes, as far as it still counts; `None`: nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measurements: Option<Baseline>,
}

/// One node in a view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// What its agent saw, or why nothing is known: unreachable, refused, too old.
    pub observation: Result<Observation, Unknown>,
    /// How far the node's clock is ahead of the coordinator's, in microseconds, and by how much that may be wrong.
    pub clock_offset: Option<ClockOffset>,
}

/// A clock comparison as NTP makes it: from the send and receive times of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockOffset {
    /// Microseconds by which the node's clock is ahead of the coordinator's; negative: behind.
    pub micros: i64,
    /// Half of the round trip in microseconds: the true offset lies within ± this.
    pub error_micros: u64,
}

impl View {
    /// The cluster facet of a node, or why it isn't known.
    ///
    /// # Errors
    /// Why not: the node is not in the view, unreachable, or the facet itself is unknown.
    pub fn cluster_of(&self, node: &NodeName) -> Result<&Cluster, Unknown> {
        self.facet(node, |o| &o.cluster)
    }

    /// Any facet of a node, or why it isn't known.
    ///
    /// # Errors
    /// As for [`View::cluster_of`].
    pub fn facet<T>(&self, node: &NodeName, pick: impl FnOnce(&Observation) -> &Facet<T>) -> Result<&T, Unknown> {
        let view = self
            .nodes
            .get(node)
            .ok_or_else(|| Unknown::new(crate::facet::UnknownKind::NotAsked, format!("{node} is not enrolled")))?;
        match &view.observation {
            Ok(observation) => pick(observation).get().map_err(Clone::clone),
            Err(unknown) => Err(unknown.clone()),
        }
    }
}
