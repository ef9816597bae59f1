//! A guest of a server that is off becomes this one's.

use std::collections::BTreeSet;

use quorate_exec::Tools;
use quorate_model::guest_ids::JobId;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::moves::service_id;
use quorate_model::observation::{FacetName, GuestKind};
use quorate_model::plan::Condition;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::TakeGuest`].
pub(super) struct TakeGuest<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) guest: u32,
    pub(super) kind: GuestKind,
    pub(super) lost: &'a NodeName,
    pub(super) jobs: &'a BTreeSet<JobId>,
}

impl Act for TakeGuest<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Guests, FacetName::Running]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster, FacetName::Config, FacetName::Ha, FacetName::Network]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut against = self.is_away(node, seen);
        against.extend(self.is_its_guest(node, seen));
        match seen.ha.get().and_then(|ha| ha.resources.get()) {
            Err(unknown) => against.push(precheck::unknown(node, "ha", unknown)),
            Ok(resources) => {
                let sid = service_id(self.kind, self.guest);
                if resources.get(&sid).is_some_and(|resource| resource.state != "ignored") {
                    against.push(self.changed("it is under HA by now, which takes it over by itself".to_owned()));
                }
            }
        }
        against
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let here = Condition::GuestAt {
            cluster: self.cluster.clone(),
            guest: self.guest,
            kind: self.kind,
            node: node.clone(),
            seen_by: BTreeSet::new(),
            running: false,
            managed: false,
        };
        local::judged(node, seen, &here)
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }
}

impl TakeGuest<'_> {
    fn changed(&self, message: String) -> Finding {
        let next = format!("quorate recover --lost {}", self.lost);
        Finding::new(Code::PlanChanged, format!("guest {}", self.guest), message, next)
    }

    /// By this node's corosync, which has quorum.
    fn is_away(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let member = match local::quorate_member(node, seen, self.cluster) {
            Ok(member) => member,
            Err(against) => return against,
        };
        match member.nodes.iter().find(|one| one.name == self.lost.as_str()) {
            Some(lost) if lost.online => vec![Finding::new(
                Code::LostNodeAlive,
                self.lost.as_str(),
                format!("{} is in the cluster: nothing is taken over from it", self.lost),
                "quorate guests shows whose each guest is now",
            )],
            Some(_) => vec![],
            None => vec![self.changed(format!("{} is no member (any more)", self.lost))],
        }
    }

    /// It is still the lost server's, and its jobs are what was planned with.
    fn is_its_guest(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let config = match seen.config.get() {
            Ok(config) => config,
            Err(unknown) => return vec![precheck::unknown(node, "config", unknown)],
        };
        let (guests, jobs) = match (config.guests.get(), config.replication.get()) {
            (Ok(guests), Ok(jobs)) => (guests, jobs),
            (Err(unknown), _) | (_, Err(unknown)) => return vec![precheck::unknown(node, "config", unknown)],
        };
        let mut against = Vec::new();
        match guests.iter().find(|one| one.guest.vmid == self.guest) {
            None => against.push(self.changed(format!("there is no guest {}", self.guest))),
            Some(one) if one.guest.node != self.lost.as_str() => {
                against.push(self.changed(format!("it belongs to {}, not to {}", one.guest.node, self.lost)))
            }
            Some(one) if one.guest.kind != self.kind => {
                against.push(self.changed("it is another kind of guest".to_owned()));
            }
            Some(_) => {}
        }
        let here: BTreeSet<String> = jobs
            .iter()
            .filter(|job| job.guest == self.guest && job.target == node.as_str())
            .map(|job| job.id.clone())
            .collect();
        let planned: BTreeSet<String> = self.jobs.iter().map(ToString::to_string).collect();
        if here != planned {
            against.push(self.changed(format!("other jobs lead to {node} than the plan has")));
        }
        against
    }
}

#[cfg(test)]
#[path = "take_guest_tests.rs"]
mod tests;
