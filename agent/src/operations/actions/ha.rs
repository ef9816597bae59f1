//! HA, disarmed before the membership changes and armed after it.

use std::collections::BTreeSet;

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::operation::HaService;
use quorate_model::plan::Condition;
use quorate_model::{Finding, Observation};
use quorate_tools::{CallError, ha_manager, systemctl};

use super::{Act, How, Said, State, local};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::DisarmHa`].
pub(super) struct Disarm<'a> {
    pub(super) cluster: &'a ClusterName,
}

/// See [`quorate_model::operation::Action::ArmHa`].
pub(super) struct Arm<'a> {
    pub(super) cluster: &'a ClusterName,
}

/// See [`quorate_model::operation::Action::StopHa`] and [`quorate_model::operation::Action::StartHa`].
pub(super) struct Daemon {
    pub(super) service: HaService,
    pub(super) run: bool,
}

impl Act for Disarm<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Ha]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    /// Nothing disarms without quorum.
    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        local::quorate_member(node, seen, self.cluster)
            .err()
            .unwrap_or_default()
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let condition = Condition::HaDisarmed {
            cluster: self.cluster.clone(),
            nodes: BTreeSet::from([node.clone()]),
        };
        local::awaited(node, seen, &condition)
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        ha_manager::disarm(tools).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_quiet(node, output, "ha-manager", "telling the HA master")
    }

    fn stays_here(&self) -> bool {
        false
    }
}

impl Act for Arm<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Ha]
    }

    fn precheck(&self, _node: &NodeName, _seen: &Observation) -> Vec<Finding> {
        // Nothing stands against arming.
        vec![]
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let condition = Condition::HaArmed {
            cluster: self.cluster.clone(),
            nodes: BTreeSet::from([node.clone()]),
        };
        local::awaited(node, seen, &condition)
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        ha_manager::arm(tools).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_quiet(node, output, "ha-manager", "telling the HA master")
    }

    fn stays_here(&self) -> bool {
        false
    }
}

impl Act for Daemon {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Ha]
    }

    fn precheck(&self, _node: &NodeName, _seen: &Observation) -> Vec<Finding> {
        vec![]
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let condition = Condition::HaService {
            node: node.clone(),
            service: self.service,
            running: self.run,
        };
        local::judged(node, seen, &condition)
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        let call = if self.run { systemctl::start } else { systemctl::stop };
        call(tools, self.service.unit()).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        let stage = if self.run {
            "starting"
        } else {
            "stopping: its guests are frozen first"
        };
        local::read_quiet(node, output, "systemctl", stage)
    }
}
