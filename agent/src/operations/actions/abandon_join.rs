//! Back to standing alone, for a node whose join was begun and never came to its end.

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::plan::Condition;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::AbandonJoin`].
pub(super) struct AbandonJoin<'a> {
    pub(super) cluster: &'a ClusterName,
}

impl Act for AbandonJoin<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Guests]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut findings: Vec<Finding> = precheck::guests(node, seen).into_iter().collect();
        let cluster = match seen.cluster.get() {
            Ok(cluster) => cluster,
            Err(reason) => {
                findings.push(precheck::unknown(node, "cluster", reason));
                return findings;
            }
        };
        let mut refuse = |message: String| {
            findings.push(Finding::new(Code::PlanChanged, node.as_str(), message, "plan again"));
        };
        if let Some(member) = cluster.member() {
            if member.quorate {
                refuse(format!(
                    "it is a quorate member of {}: its join has come to its end",
                    member.cluster
                ));
            }
            if member.cluster != self.cluster.as_str() {
                refuse(format!("it is a member of {}, not of {}", member.cluster, self.cluster));
            }
        }
        match cluster.local_config.get() {
            Ok(Some(local)) if local.cluster != self.cluster.as_str() => {
                refuse(format!(
                    "its /etc/corosync/corosync.conf is of cluster {}",
                    local.cluster
                ));
            }
            Ok(_) => {}
            Err(reason) => findings.push(precheck::unknown(node, "cluster", reason)),
        }
        findings
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        local::awaited(node, seen, &Condition::Standalone { node: node.clone() })
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }
}
