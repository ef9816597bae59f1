//! What `delnode` leaves behind.

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::plan::Condition;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::CleanUpAfter`].
pub(super) struct CleanUpAfter<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) removed: &'a NodeName,
    pub(super) keep_folder: bool,
}

impl Act for CleanUpAfter<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Config]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut findings = Vec::new();
        let member = match local::quorate_member(node, seen, self.cluster) {
            Ok(member) => member,
            Err(findings) => return findings,
        };
        if member.configured.iter().any(|n| n.name == self.removed.as_str()) {
            findings.push(Finding::new(
                Code::PlanChanged,
                self.removed.as_str(),
                "it is still a member: nothing of it is removed",
                "plan again",
            ));
        }
        match seen.config.get().map(|config| config.node_folders.get()) {
            Err(reason) | Ok(Err(reason)) => findings.push(precheck::unknown(node, "config", reason)),
            Ok(Ok(folders)) => {
                let guests = folders
                    .get(self.removed.as_str())
                    .map(|folder| folder.guests.as_slice());
                if let (Some(left @ [_, ..]), false) = (guests, self.keep_folder) {
                    let left: Vec<String> = left.iter().map(ToString::to_string).collect();
                    findings.push(Finding::new(
                        Code::NodeHasGuests,
                        self.removed.as_str(),
                        format!(
                            "the configuration of its guests {} lies in /etc/pve/nodes/{}",
                            left.join(", "),
                            self.removed
                        ),
                        "restore them elsewhere, or move or remove their configuration, then apply again",
                    ));
                }
            }
        }
        findings
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let condition = Condition::CleanedUp {
            cluster: self.cluster.clone(),
            removed: self.removed.clone(),
            on: node.clone(),
            keep_folder: self.keep_folder,
        };
        local::judged(node, seen, &condition)
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }
}
