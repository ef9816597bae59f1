//! A guest that can't be moved is shut down, and started again.

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::moves::service_id;
use quorate_model::observation::{FacetName, GuestKind};
use quorate_model::plan::Condition;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::{CallError, guest as tool};

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::RunGuest`].
pub(super) struct RunGuest<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) guest: u32,
    pub(super) kind: GuestKind,
    pub(super) run: bool,
}

impl Act for RunGuest<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Guests, FacetName::Running]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster, FacetName::Ha]
    }

    /// PVE hands what is under HA over to HA, where a guest that was shut down stays down until somebody says otherwise.
    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let quorate = local::quorate_member(node, seen, self.cluster);
        let mut against = quorate.err().unwrap_or_default();
        let subject = format!("guest {}", self.guest);
        match seen.guests.get() {
            Err(unknown) => against.push(precheck::unknown(node, "guests", unknown)),
            Ok(guests) => {
                let own = |guest: &&quorate_model::observation::Guest| {
                    guest.vmid == self.guest && guest.node == node.as_str() && guest.kind == self.kind
                };
                if guests.iter().find(own).is_none() {
                    let message = format!("{node} has no such guest (any more)");
                    against.push(Finding::new(Code::GuestAway, &subject, message, "plan again"));
                }
            }
        }
        match seen.ha.get().and_then(|ha| ha.resources.get()) {
            Err(unknown) => against.push(precheck::unknown(node, "ha", unknown)),
            Ok(resources) => {
                let sid = service_id(self.kind, self.guest);
                if resources.get(&sid).is_some_and(|resource| resource.state != "ignored") {
                    let message = "it is under HA by now, which would keep it down";
                    against.push(Finding::new(Code::PlanChanged, &subject, message, "plan again"));
                }
            }
        }
        against
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let condition = Condition::GuestAt {
            cluster: self.cluster.clone(),
            guest: self.guest,
            kind: self.kind,
            node: node.clone(),
            seen_by: [].into(),
            running: self.run,
            managed: false,
        };
        local::judged(node, seen, &condition)
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        let call = if self.run { tool::start } else { tool::shutdown };
        call(tools, self.kind, self.guest).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        let stage = if self.run { "starting it" } else { "shutting it down" };
        local::read_quiet(node, output, tool::name(self.kind), stage)
    }
}
