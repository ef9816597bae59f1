//! A node's maintenance by HA: all that HA looks after leaves it, or may come back.

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::plan::Condition;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::{CallError, guest};

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::SetMaintenance`].
pub(super) struct SetMaintenance<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) of: &'a NodeName,
    pub(super) on: bool,
}

impl Act for SetMaintenance<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Ha]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    /// The command ends well in any case; the master would refuse it in its own log alone.
    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let member = match local::quorate_member(node, seen, self.cluster) {
            Ok(member) => member,
            Err(findings) => return findings,
        };
        let refuse = |code, message: String, next: &str| vec![Finding::new(code, self.of.as_str(), message, next)];
        let online = member.online().any(|name| name == self.of.as_str());
        if self.on && !online {
            let message = format!(
                "{} is not online: HA's master puts no such node into maintenance",
                self.of
            );
            return refuse(Code::MemberOffline, message, "quorate status");
        }
        let manager = match seen.ha.get().and_then(|ha| ha.manager.get()) {
            Ok(manager) => manager,
            Err(unknown) => return vec![precheck::unknown(node, "ha", unknown)],
        };
        if manager.is_none() {
            let message = "there has never been an HA master: nobody would carry it out".to_owned();
            return refuse(Code::HaCommandLost, message, "ha-manager status");
        }
        vec![]
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let condition = Condition::Maintenance {
            cluster: self.cluster.clone(),
            node: self.of.clone(),
            on: self.on,
            seen_by: node.clone(),
        };
        local::awaited(node, seen, &condition)
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        let mut said = local::read_task(node, output);
        for finding in &mut said.findings {
            let code = match guest::trouble(&output.stderr) {
                Code::HaCommandLost => Code::HaCommandLost,
                _ => finding.code,
            };
            let next = "on the HA master: journalctl -u pve-ha-crm; on any member: ha-manager status";
            *finding = Finding::new(code, self.of.as_str(), finding.message.clone(), next);
        }
        said
    }

    fn stays_here(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::facet::Facet;
    use quorate_model::observation::cluster::Membership;
    use quorate_model::{Timestamp, observation::cluster::Cluster};

    use super::*;
    use crate::operations::actions::testing::member;

    #[test]
    fn a_node_that_is_offline_is_not_asked_into_maintenance() {
        let (hk1, of, node) = (
            "hk1".parse().unwrap(),
            "prox3".parse().unwrap(),
            "prox1".parse().unwrap(),
        );
        let mut cluster: Cluster = member(&["prox1", "prox2", "prox3"]);
        if let Membership::Member(member) = &mut cluster.membership {
            member.nodes[2].online = false;
        }
        let mut seen = Observation::empty("prox1", Timestamp(0));
        seen.cluster = Facet::known(cluster, Timestamp(0));
        let codes = |on| {
            let act = SetMaintenance {
                cluster: &hk1,
                of: &of,
                on,
            };
            let against = act.precheck(&node, &seen);
            against.iter().map(|finding| finding.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(true), [Code::MemberOffline]);
        // Taking it back must be possible also of one that is down; here only HA itself is not seen.
        assert_eq!(codes(false), [Code::FacetUnknown]);
    }
}
