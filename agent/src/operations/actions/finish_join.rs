//! Finishing a join that was accepted and did not come to its end.

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::{Passed, PassedKind};

/// See [`quorate_model::operation::Action::FinishJoin`].
pub(super) struct FinishJoin<'a> {
    pub(super) cluster: &'a ClusterName,
}

impl Act for FinishJoin<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Guests]
    }

    /// It replaces this node's own copy of corosync.conf: only where that is of this very cluster, and there are no guests whose
    /// /etc/pve would go.
    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut findings: Vec<Finding> = precheck::guests(node, seen).into_iter().collect();
        match seen.cluster.get().map(|cluster| cluster.local_config.get()) {
            Err(reason) | Ok(Err(reason)) => findings.push(precheck::unknown(node, "cluster", reason)),
            Ok(Ok(Some(local))) if local.cluster == self.cluster.as_str() => {}
            Ok(Ok(other)) => {
                let message = match other {
                    Some(local) => format!("its /etc/corosync/corosync.conf is of cluster {}", local.cluster),
                    None => "it has no /etc/corosync/corosync.conf: no join has come that far here".to_owned(),
                };
                findings.push(Finding::new(Code::PlanChanged, node.as_str(), message, "plan again"));
            }
        }
        findings
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let cluster = match local::cluster(seen) {
            Ok(cluster) => cluster,
            Err(state) => return state,
        };
        let Some(member) = cluster.member().filter(|m| m.cluster == self.cluster.as_str()) else {
            return State::Between(format!("the server is a member of {}", self.cluster));
        };
        if let Some(missing) = super::member::missing(cluster, member) {
            return State::Between(missing);
        }
        if member.online().any(|online| online == node.as_str()) && member.online().count() > 1 {
            State::Reached(super::member::evidence(member))
        } else {
            State::Between(format!("{node} and another member are in the membership"))
        }
    }

    fn needs(&self) -> Option<PassedKind> {
        Some(PassedKind::CorosyncConf)
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }
}
