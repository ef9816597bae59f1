//! `systemctl poweroff` of this server, before it is taken out of its cluster.

use quorate_exec::Tools;
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::PowerOff`].
pub(super) struct PowerOff;

impl Act for PowerOff {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Guests, FacetName::Ha]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut findings = Vec::new();
        match seen.guests.get() {
            Err(reason) => findings.push(precheck::unknown(node, "guests", reason)),
            Ok(guests) => {
                let own: Vec<String> = guests
                    .iter()
                    .filter(|guest| guest.node == node.as_str())
                    .map(|guest| guest.vmid.to_string())
                    .collect();
                if !own.is_empty() {
                    findings.push(Finding::new(
                        Code::NodeHasGuests,
                        node.as_str(),
                        format!("it still has guests: {}", own.join(", ")),
                        "migrate or remove them first",
                    ));
                }
            }
        }
        match seen.ha.get() {
            Err(reason) => findings.push(precheck::unknown(node, "ha", reason)),
            Ok(ha) if ha.watchdog_armed => findings.push(Finding::new(
                Code::PlanChanged,
                node.as_str(),
                "its watchdog is armed: HA must be disarmed first",
                "plan again",
            )),
            Ok(_) => {}
        }
        findings
    }

    fn state(&self, _node: &NodeName, _seen: &Observation) -> State {
        // Whoever can ask is not off.
        State::Untouched
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        quorate_tools::systemctl::poweroff(tools).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_quiet(node, output, "systemctl poweroff", "shutting down")
    }

    fn takes_its_word(&self) -> Option<&'static str> {
        Some("the server is shutting down")
    }
}
