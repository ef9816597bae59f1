//! `pvecm expected N`: quorum by fiat for what is left of a cluster.

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::observation::cluster::Cluster;
use quorate_model::plan::Condition;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::ExpectVotes`].
pub(super) struct ExpectVotes<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) votes: u32,
}

impl Act for ExpectVotes<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    /// corosync refuses fewer votes than are present; more than are present would not help.
    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let cluster = match seen.cluster.get() {
            Ok(cluster) => cluster,
            Err(reason) => return vec![precheck::unknown(node, "cluster", reason)],
        };
        let Some(member) = cluster.member().filter(|m| m.cluster == self.cluster.as_str()) else {
            return vec![Finding::new(
                Code::NodeInOtherCluster,
                node.as_str(),
                format!("it is not a member of {}", self.cluster),
                "quorate status; then plan again",
            )];
        };
        match member.votes.get() {
            Err(reason) => vec![precheck::unknown(node, "cluster", reason)],
            Ok(votes) if votes.total != self.votes => vec![Finding::new(
                Code::PlanChanged,
                node.as_str(),
                format!(
                    "{} votes are present, not the {} that were planned with",
                    votes.total, self.votes
                ),
                "plan again",
            )],
            Ok(_) => vec![],
        }
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let condition = Condition::Quorate {
            cluster: self.cluster.clone(),
            node: node.clone(),
        };
        local::judged(node, seen, &condition)
    }

    fn is_begun(&self, _node: &NodeName, seen: &Observation) -> bool {
        // Quorate already, and only /etc/pve is behind.
        let member = seen.cluster.get().ok().and_then(Cluster::member);
        member.is_some_and(|member| member.quorate)
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        quorate_tools::pvecm::expected(tools, self.votes).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_quiet(node, output, "pvecm expected", "telling corosync")
    }
}
