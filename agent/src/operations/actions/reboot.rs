//! `systemctl reboot` of this server, once nothing runs on it.

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::plan::{Condition, Verdict};
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::RebootNode`].
pub(super) struct RebootNode<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) boot: &'a str,
}

impl RebootNode<'_> {
    /// Is this another boot than the one that was to end?
    fn began_anew(&self, seen: &Observation) -> Result<bool, String> {
        let system = seen.system.get().map_err(|unknown| unknown.reason.clone())?;
        Ok(system.boot_id != self.boot)
    }
}

impl Act for RebootNode<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::System, FacetName::Cluster]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Running]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let drained = Condition::Drained { node: node.clone() };
        let finding = |code, why: String, next: String| vec![Finding::new(code, node.as_str(), why, next)];
        match local::condition(node, seen, &drained) {
            Verdict::Holds(_) => vec![],
            Verdict::NotYet(why) => finding(Code::NodeHasGuests, why, format!("quorate node drain {node}")),
            Verdict::Unknown(why) => finding(
                Code::FacetUnknown,
                why,
                format!("look on {node}: quorate-agent observe running"),
            ),
        }
    }

    /// By the boot: whoever has started anew is not restarted again, whatever became of the first request.
    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let back = Condition::Rebooted {
            cluster: self.cluster.clone(),
            node: node.clone(),
            boot: self.boot.to_owned(),
        };
        match self.began_anew(seen) {
            Err(why) => State::Between(format!("its boot can be seen ({why})")),
            Ok(false) => State::Untouched,
            Ok(true) => local::awaited(node, seen, &back),
        }
    }

    fn is_begun(&self, _node: &NodeName, seen: &Observation) -> bool {
        self.began_anew(seen).unwrap_or(false)
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        quorate_tools::systemctl::reboot(tools).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_quiet(node, output, "systemctl reboot", "shutting down")
    }

    fn takes_its_word(&self) -> Option<&'static str> {
        Some("the server is shutting down, to start anew")
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::Timestamp;
    use quorate_model::facet::{Facet, UnknownKind};
    use quorate_model::observation::{GuestRun, GuestStatus};

    use super::*;

    #[test]
    fn nothing_may_run_here_and_what_can_t_be_seen_counts_as_running() {
        let (hk1, node) = ("hk1".parse().unwrap(), "prox1".parse().unwrap());
        let act = RebootNode {
            cluster: &hk1,
            boot: "b",
        };
        let codes = |running| {
            let mut seen = Observation::empty("prox1", Timestamp(0));
            seen.running = running;
            let against = act.precheck(&node, &seen);
            against.iter().map(|finding| finding.code).collect::<Vec<_>>()
        };
        let guest = |run| GuestStatus {
            vmid: 100,
            kind: quorate_model::observation::GuestKind::Vm,
            run,
            uptime_seconds: None,
            memory_used: None,
            memory: quorate_model::ByteSize(1),
            lock: None,
        };
        let known = |run| Facet::known(vec![guest(run)], Timestamp(0));
        assert_eq!(codes(known(GuestRun::Stopped)), []);
        assert_eq!(codes(known(GuestRun::Running)), [Code::NodeHasGuests]);
        assert_eq!(codes(known(GuestRun::Held("paused".into()))), [Code::NodeHasGuests]);
        assert_eq!(
            codes(Facet::unknown(UnknownKind::TimedOut, "pvesh hangs")),
            [Code::FacetUnknown]
        );
    }
}
