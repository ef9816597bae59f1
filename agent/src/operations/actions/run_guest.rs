//! A guest that can't be moved is shut down, and started again.

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::moves::service_id;
use quorate_model::observation::{FacetName, GuestKind, GuestRun};
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

    fn hangs_on(&self) -> Option<u32> {
        Some(self.guest)
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
        match seen.running.get() {
            Err(unknown) => against.push(precheck::unknown(node, "running", unknown)),
            Ok(running) => {
                let own = running
                    .iter()
                    .find(|one| one.vmid == self.guest && one.kind == self.kind);
                if let Some(GuestRun::Held(word)) = own.map(|one| &one.run) {
                    let message = format!("it is {word} now, neither running nor stopped");
                    let next = format!(
                        "let it go on (on {node}: qm resume {}), or stop it; then plan again",
                        self.guest
                    );
                    against.push(Finding::new(Code::PlanChanged, &subject, message, next));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quorate_model::facet::{Facet, UnknownKind};
    use quorate_model::observation::{Guest, GuestStatus, Ha};
    use quorate_model::{ByteSize, Timestamp};

    use super::*;
    use crate::operations::actions::testing::member;

    const THEN: Timestamp = Timestamp(0);

    fn seen(run: GuestRun) -> Observation {
        let mut seen = Observation::empty("prox1", THEN);
        seen.cluster = Facet::known(member(&["prox1", "prox2"]), THEN);
        let guest = Guest {
            vmid: 100,
            node: "prox1".to_owned(),
            kind: GuestKind::Vm,
        };
        seen.guests = Facet::known(vec![guest], THEN);
        let status = GuestStatus {
            vmid: 100,
            kind: GuestKind::Vm,
            run,
            uptime_seconds: None,
            memory_used: None,
            memory: ByteSize(1),
            lock: None,
        };
        seen.running = Facet::known(vec![status], THEN);
        let ha = Ha {
            version: Facet::not_asked(),
            watchdog_armed: false,
            lrm: Facet::not_asked(),
            crm: Facet::not_asked(),
            lrm_status: Facet::not_asked(),
            manager: Facet::not_asked(),
            resources: Facet::known(BTreeMap::new(), THEN),
            placements: Facet::known(vec![], THEN),
        };
        seen.ha = Facet::known(ha, THEN);
        seen
    }

    fn of<T>(run: bool, work: impl FnOnce(&RunGuest<'_>, &NodeName) -> T) -> T {
        let (cluster, node) = ("hk1".parse().unwrap(), "prox1".parse().unwrap());
        let act = RunGuest {
            cluster: &cluster,
            guest: 100,
            kind: GuestKind::Vm,
            run,
        };
        work(&act, &node)
    }

    #[test]
    fn a_guest_is_started_or_shut_down_from_the_other_state_alone() {
        let refused = |run, seen: &Observation| {
            let found = of(run, |act, node| act.precheck(node, seen));
            found.into_iter().map(|finding| finding.message).collect::<Vec<_>>()
        };
        assert!(refused(false, &seen(GuestRun::Running)).is_empty());
        assert!(refused(true, &seen(GuestRun::Stopped)).is_empty());
        let paused = seen(GuestRun::Held("paused".to_owned()));
        for run in [false, true] {
            assert_eq!(refused(run, &paused), ["it is paused now, neither running nor stopped"]);
            let state = of(run, |act, node| act.state(node, &paused));
            assert_eq!(state, State::Untouched, "one that is paused is no guest that runs");
        }
        let mut blind = seen(GuestRun::Running);
        blind.running = Facet::unknown(UnknownKind::TimedOut, "guest 100 was asked how it runs: no answer");
        assert_eq!(refused(false, &blind).len(), 1, "unknown is not running");
    }

    #[test]
    fn it_is_asked_itself_in_the_instant_before() {
        assert_eq!(of(true, |act, _| act.hangs_on()), Some(100));
    }
}
