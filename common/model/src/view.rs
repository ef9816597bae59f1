//! What is known of a cluster's nodes at one moment: the planner's second input.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::facet::{Facet, Unknown};
use crate::finding::Finding;
use crate::ids::NodeName;
use crate::lost::Search;
use crate::measurement::Baseline;
use crate::observation::{Cluster, Ha, Observation};
use crate::operation::{Action, HaService};
use crate::reach::Reach;

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
    /// The MAC addresses of the host that the coordinator runs on, in lower case: by them the cluster would know it as a guest of its own.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub coordinator_macs: BTreeSet<String>,
    /// The address at which each enrolled node's agent is called: known also of one that does not answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<NodeName, IpAddr>,
    /// What rollouts of ours put to rest and did not take back, as far as the coordinator knows. What the servers say goes first: only
    /// what is still at rest by their word is woken.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub at_rest: BTreeSet<Rest>,
    /// What was measured between the nodes, as far as it still counts; `None`: nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measurements: Option<Baseline>,
    /// All that the coordinator had to say of the cluster at that moment, from what its health streams bring; unknown: nobody was asked.
    #[serde(default, skip_serializing_if = "Facet::is_not_asked")]
    pub findings: Facet<Vec<Finding>>,
    /// What canaries have shown of the way to guests on these nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reach: Vec<Reach>,
    /// What was asked about a server that is said to be lost; `None`: nobody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Search>,
    /// How the clocks stand of enrolled nodes that were not looked at for this view, as far as they were ever compared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clocks: BTreeMap<NodeName, ClockOffset>,
    /// An agent judges by what its own node sees, and knows no other clock.
    #[serde(skip)]
    pub alone: bool,
}

/// A part of a cluster's HA that can be put to rest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// All of it, by `disarm-ha`.
    Whole,
    /// A daemon of one node.
    Daemon {
        /// The node.
        node: NodeName,
        /// Which daemon.
        service: HaService,
    },
    /// A node is in maintenance: HA keeps its guests elsewhere.
    Maintenance {
        /// The node.
        node: NodeName,
    },
}

impl Rest {
    /// What an action on a node puts to rest, or wakes (`true`); `None`: it does neither.
    #[must_use]
    pub fn by(node: &NodeName, action: &Action) -> Option<(Self, bool)> {
        let daemon = |service: &HaService| Self::Daemon {
            node: node.clone(),
            service: *service,
        };
        match action {
            Action::DisarmHa { .. } => Some((Self::Whole, false)),
            Action::ArmHa { .. } => Some((Self::Whole, true)),
            Action::StopHa { service, .. } => Some((daemon(service), false)),
            Action::StartHa { service, .. } => Some((daemon(service), true)),
            Action::SetMaintenance { node, on, .. } => Some((Self::Maintenance { node: node.clone() }, !on)),
            _ => None,
        }
    }

    /// Is it still at rest, as this node says? `None`: it does not know, or it is not for it to say.
    #[must_use]
    pub fn is_so(&self, node: &NodeName, ha: &Ha) -> Option<bool> {
        match self {
            Self::Whole => Some(ha.manager.get().ok()?.as_ref().is_some_and(|m| m.disarm.is_some())),
            Self::Daemon { node: its, service } if its == node => {
                let daemon = match service {
                    HaService::Lrm => &ha.lrm,
                    HaService::Crm => &ha.crm,
                };
                Some(!daemon.get().ok()?.is_running())
            }
            Self::Daemon { .. } => None,
            // The master's word is the same everywhere.
            Self::Maintenance { node } => {
                let manager = ha.manager.get().ok()?.as_ref();
                // Only the request was ours. The node's state follows it, but not while the node is off.
                Some(manager.is_some_and(|m| m.maintenance.contains(node.as_str())))
            }
        }
    }
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("HA is disarmed"),
            Self::Daemon { node, service } => write!(f, "{} is stopped on {node}", service.unit()),
            Self::Maintenance { node } => write!(f, "{node} is in maintenance by HA"),
        }
    }
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
