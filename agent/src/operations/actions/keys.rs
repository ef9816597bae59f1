//! A cluster's root key, let in to the host of its QDevice for minutes.

use std::collections::BTreeSet;

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName, SshPublicKey};
use quorate_model::observation::FacetName;
use quorate_model::plan::Condition;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// Nobody needs longer: a set-up takes seconds.
const MOST_MINUTES: u32 = 60;

/// See [`quorate_model::operation::Action::AdmitKeys`] and [`quorate_model::operation::Action::WithdrawKeys`].
pub(super) struct Keys<'a> {
    pub(super) cluster: &'a ClusterName,
    /// `None`: they are withdrawn.
    pub(super) keys: Option<&'a BTreeSet<SshPublicKey>>,
    pub(super) minutes: u32,
}

impl Act for Keys<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Readiness]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::System]
    }

    /// Withdrawing is always right. Letting in is for hosts outside: a member of a cluster lets root of another in to everything.
    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        if self.keys.is_none() {
            return vec![];
        }
        let mut findings = Vec::new();
        match seen.system.get().map(|system| system.pve.get()) {
            Err(reason) | Ok(Err(reason)) => findings.push(precheck::unknown(node, "system", reason)),
            Ok(Ok(Some(_))) => findings.push(Finding::new(
                Code::PolicyForbids,
                node.as_str(),
                "it is a PVE server: another cluster's key is never let in there",
                "run corosync-qnetd on a host that is no PVE node",
            )),
            Ok(Ok(None)) => {}
        }
        if self.minutes == 0 || self.minutes > MOST_MINUTES {
            findings.push(Finding::new(
                Code::PolicyForbids,
                node.as_str(),
                format!(
                    "a key is let in for at most {MOST_MINUTES} minutes, not {}",
                    self.minutes
                ),
                "plan again",
            ));
        }
        findings
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let condition = Condition::KeysAdmitted {
            node: node.clone(),
            cluster: self.cluster.clone(),
            keys: self.keys.cloned().unwrap_or_default(),
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
