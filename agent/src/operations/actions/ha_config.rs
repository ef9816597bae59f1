//! Guests under HA, and the rules and groups that bind them to nodes.

use std::collections::BTreeSet;

use quorate_exec::Tools;
use quorate_model::guest_ids::{HaName, Sid};
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::ha::HaPlacement;
use quorate_model::observation::{FacetName, GuestRun};
use quorate_model::plan::Condition;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::{CallError, ha_manager};

use super::{Act, How, Said, State, local, precheck, said};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// What a service is to be told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resource<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) service: Sid,
    pub(super) max_restart: Option<u32>,
    pub(super) max_relocate: Option<u32>,
    pub(super) group: Option<&'a HaName>,
    pub(super) no_failback: bool,
}

impl Resource<'_> {
    fn told(&self) -> ha_manager::Told<'_> {
        ha_manager::Told {
            max_restart: self.max_restart,
            max_relocate: self.max_relocate,
            group: self.group,
            no_failback: self.no_failback,
        }
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let set = Condition::HaResourceSet {
            node: node.clone(),
            service: self.service,
            max_restart: self.max_restart,
            max_relocate: self.max_relocate,
            group: self.group.cloned(),
            no_failback: self.no_failback,
        };
        local::judged(node, seen, &set)
    }
}

/// See [`quorate_model::operation::Action::AddHaResource`].
pub(super) struct Add<'a> {
    pub(super) resource: Resource<'a>,
    pub(super) started: bool,
}

/// See [`quorate_model::operation::Action::ChangeHaResource`].
pub(super) struct Change<'a>(pub(super) Resource<'a>);

/// See [`quorate_model::operation::Action::SetHaRule`] and [`quorate_model::operation::Action::SetHaGroup`].
pub(super) struct Bind<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) name: &'a HaName,
    /// The service of a rule; `None`: it is a group.
    pub(super) service: Option<Sid>,
    pub(super) nodes: &'a BTreeSet<NodeName>,
    pub(super) exists: bool,
}

impl Act for Add<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Ha]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster, FacetName::Running]
    }

    fn hangs_on(&self) -> Option<u32> {
        Some(self.resource.service.vmid)
    }

    /// HA makes the guest what it is told: added as stopped, one that runs would be stopped.
    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut findings = against(node, seen, self.resource.cluster);
        let Sid { vmid, kind } = self.resource.service;
        let running = match seen.running.get() {
            Ok(running) => running,
            Err(unknown) => {
                findings.push(precheck::unknown(node, "running", unknown));
                return findings;
            }
        };
        let message = match running.iter().find(|guest| guest.vmid == vmid && guest.kind == kind) {
            None => format!("guest {vmid} is not on {node} any more"),
            Some(guest) => match (&guest.run, self.started) {
                (GuestRun::Running, true) | (GuestRun::Stopped, false) => return findings,
                (run, true) => format!("guest {vmid} is {} now: HA would start it", run.as_str()),
                (run, false) => format!("guest {vmid} is {} now: HA would stop it", run.as_str()),
            },
        };
        findings.push(Finding::new(Code::PlanChanged, node.as_str(), message, "plan again"));
        findings
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        self.resource.state(node, seen)
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        ha_manager::add(tools, self.resource.service, self.started, self.resource.told()).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        said::of(node, output, ha_manager::NAME, "writing resources.cfg")
    }
}

impl Act for Change<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Ha]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut findings = against(node, seen, self.0.cluster);
        let service = self.0.service.to_string();
        let resources = seen.ha.get().and_then(|ha| ha.resources.get());
        if resources.is_ok_and(|resources| !resources.contains_key(&service)) {
            let message = format!("{service} is not under HA any more");
            findings.push(Finding::new(Code::PlanChanged, node.as_str(), message, "plan again"));
        }
        findings
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        self.0.state(node, seen)
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        ha_manager::set(tools, self.0.service, self.0.told()).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        said::of(node, output, ha_manager::NAME, "writing resources.cfg")
    }
}

impl Bind<'_> {
    fn kind(&self) -> &'static str {
        if self.service.is_some() {
            HaPlacement::NODES
        } else {
            HaPlacement::GROUP
        }
    }
}

impl Act for Bind<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Ha]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut findings = against(node, seen, self.cluster);
        let Ok(placements) = seen.ha.get().and_then(|ha| ha.placements.get()) else {
            return findings;
        };
        let named = |there: &HaPlacement| there.name == self.name.as_str();
        let there = placements.iter().any(|there| named(there) && there.kind == self.kind());
        let service = self.service.map(|service| service.to_string());
        let theirs = placements.iter().find(|there| {
            let about = service.as_ref().is_some_and(|service| there.services.contains(service));
            about && !named(there) && there.kind == HaPlacement::NODES && !there.disabled
        });
        let message = match theirs {
            Some(other) => format!("the rule {} binds the guest meanwhile", other.name),
            None if there && !self.exists => format!("there is {} already, which was not planned so", self.name),
            None if !there && self.exists => format!("there is no {} any more", self.name),
            None => return findings,
        };
        findings.push(Finding::new(Code::PlanChanged, node.as_str(), message, "plan again"));
        findings
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let bound = Condition::HaBound {
            node: node.clone(),
            name: self.name.clone(),
            service: self.service,
            nodes: self.nodes.clone(),
        };
        local::judged(node, seen, &bound)
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        let named = (self.name, self.exists);
        let call = match self.service {
            Some(service) => ha_manager::set_rule(tools, named, service, self.nodes),
            None => ha_manager::set_group(tools, named, self.nodes),
        };
        call.map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        said::of(node, output, ha_manager::NAME, "writing HA's rules")
    }
}

/// What stands against any change of HA's configuration here and now.
fn against(node: &NodeName, seen: &Observation, cluster: &ClusterName) -> Vec<Finding> {
    let mut findings = local::quorate_member(node, seen, cluster).err().unwrap_or_default();
    match seen.ha.get() {
        Err(unknown) => findings.push(precheck::unknown(node, "ha", unknown)),
        Ok(ha) => {
            if let Err(unknown) = ha.resources.get() {
                findings.push(precheck::unknown(node, "ha", unknown));
            }
            if let Err(unknown) = ha.placements.get() {
                findings.push(precheck::unknown(node, "ha", unknown));
            }
        }
    }
    findings
}

#[cfg(test)]
#[path = "ha_config_tests.rs"]
mod tests;
