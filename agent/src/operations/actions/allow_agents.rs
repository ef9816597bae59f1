//! Rules in the cluster's firewall that let the coordinator reach the agents.

use std::collections::BTreeSet;
use std::net::IpAddr;

use quorate_exec::Tools;
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::plan::Condition;
use quorate_model::{Finding, Observation, Passage};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::AllowAgents`].
pub(super) struct AllowAgents<'a> {
    pub(super) passages: &'a BTreeSet<Passage>,
    pub(super) from: &'a BTreeSet<IpAddr>,
}

impl Act for AllowAgents<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Config]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        match seen.config.get().map(|config| config.firewall.get()) {
            Err(reason) | Ok(Err(reason)) => vec![precheck::unknown(node, "config", reason)],
            Ok(Ok(_)) => vec![],
        }
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let condition = Condition::AgentsAllowed {
            node: node.clone(),
            passages: self.passages.clone(),
            from: self.from.clone(),
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
