//! HA, disarmed before the membership changes and armed after it.

use std::collections::BTreeSet;

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::observation::cluster::{Cluster, Pmxcfs};
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

    /// Nothing disarms without quorum. A server that stands alone has it always: it is about to found a cluster.
    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let alone = |c: &Cluster| c.member().is_none() && c.pmxcfs == Pmxcfs::Writable;
        if seen.cluster.get().is_ok_and(alone) {
            return vec![];
        }
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

#[cfg(test)]
mod tests {
    use quorate_model::facet::Facet;
    use quorate_model::{Observation, Timestamp};

    use super::*;
    use crate::operations::actions::testing::{alone, member};

    fn against(cluster: Cluster) -> Vec<Finding> {
        let mut seen = Observation::empty("prox1", Timestamp(0));
        seen.cluster = Facet::known(cluster, Timestamp(0));
        let hk1 = "hk1".parse().unwrap();
        Disarm { cluster: &hk1 }.precheck(&"prox1".parse().unwrap(), &seen)
    }

    #[test]
    fn a_server_that_is_about_to_found_a_cluster_can_be_disarmed() {
        assert_eq!(against(alone(Pmxcfs::Writable)), []);
        assert!(!against(alone(Pmxcfs::NotMounted)).is_empty());
        assert_eq!(against(member(&["prox1", "prox2"])), []);
    }
}
