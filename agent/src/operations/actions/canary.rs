//! Canaries come and go: guests of ours, told by their tag.

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::{ConfiguredGuest, FacetName, GuestKind};
use quorate_model::plan::{Condition, Verdict};
use quorate_model::{Code, Finding, Observation, canary};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::{Passed, PassedKind};

const FACETS: &[FacetName] = &[FacetName::Guests, FacetName::Running, FacetName::Config];

/// See [`quorate_model::operation::Action::CreateCanary`].
pub(super) struct Create<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) guest: u32,
    pub(super) kind: GuestKind,
}

/// See [`quorate_model::operation::Action::DestroyCanary`].
pub(super) struct Destroy<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) guest: u32,
    pub(super) kind: GuestKind,
}

/// The guest of this id, as its configuration has it; `None`: there is none.
fn configured(seen: &Observation, node: &NodeName, guest: u32) -> Result<Option<ConfiguredGuest>, Finding> {
    let guests = seen.config.get().and_then(|config| config.guests.get());
    let guests = guests.map_err(|unknown| precheck::unknown(node, "config", unknown))?;
    Ok(guests.iter().find(|one| one.guest.vmid == guest).cloned())
}

/// Whether it is a canary of ours on this node; else why not, or that this can't be told.
fn ours(node: &NodeName, kind: GuestKind, there: &ConfiguredGuest) -> Result<(), String> {
    let guest = &there.guest;
    if guest.node != node.as_str() {
        return Err(format!("guest {} is on {}", guest.vmid, guest.node));
    }
    if guest.kind != kind {
        return Err(format!("guest {} is of another kind", guest.vmid));
    }
    match canary::is_tagged(there) {
        Some(true) => Ok(()),
        Some(false) => Err(format!("guest {} does not bear the tag {}", guest.vmid, canary::TAG)),
        None => Err(format!("the configuration of guest {} can't be read", guest.vmid)),
    }
}

impl Create<'_> {
    fn there(&self, node: &NodeName) -> Condition {
        Condition::Canary {
            cluster: self.cluster.clone(),
            guest: self.guest,
            kind: self.kind,
            node: node.clone(),
            there: true,
        }
    }
}

impl Act for Create<'_> {
    fn facets(&self) -> &'static [FacetName] {
        FACETS
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut against = local::quorate_member(node, seen, self.cluster)
            .err()
            .unwrap_or_default();
        match configured(seen, node, self.guest) {
            Err(finding) => against.push(finding),
            Ok(None) => {}
            Ok(Some(there)) => {
                if let Err(message) = ours(node, self.kind, &there) {
                    let subject = format!("guest {}", self.guest);
                    let next = "name another id, or none: --id";
                    against.push(Finding::new(Code::CanaryIdTaken, subject, message, next));
                }
            }
        }
        against
    }

    /// What is made and does not run yet is neither.
    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let condition = self.there(node);
        let verdict = local::condition(node, seen, &condition);
        match (verdict, configured(seen, node, self.guest)) {
            (Verdict::Holds(evidence), _) => State::Reached(evidence),
            (Verdict::NotYet(_), Ok(None)) => State::Untouched,
            (Verdict::NotYet(why) | Verdict::Unknown(why), _) => State::Between(format!("{condition}; so far {why}")),
        }
    }

    fn needs(&self) -> Option<PassedKind> {
        Some(PassedKind::Program)
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }
}

impl Act for Destroy<'_> {
    fn facets(&self) -> &'static [FacetName] {
        FACETS
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster, FacetName::Ha]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut against = local::quorate_member(node, seen, self.cluster)
            .err()
            .unwrap_or_default();
        match configured(seen, node, self.guest) {
            Err(finding) => against.push(finding),
            Ok(None) => {}
            Ok(Some(there)) => {
                if let Err(message) = ours(node, self.kind, &there) {
                    let subject = format!("guest {}", self.guest);
                    against.push(Finding::new(Code::CanaryNotOurs, subject, message, "plan again"));
                }
            }
        }
        if let Err(unknown) = seen.ha.get().and_then(|ha| ha.resources.get()) {
            against.push(precheck::unknown(node, "ha", unknown));
        }
        against
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let gone = Condition::Canary {
            cluster: self.cluster.clone(),
            guest: self.guest,
            kind: self.kind,
            node: node.clone(),
            there: false,
        };
        local::judged(node, seen, &gone)
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }
}

#[cfg(test)]
#[path = "canary_tests.rs"]
mod tests;
