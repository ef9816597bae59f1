//! A third vote, set up and taken off by pvecm itself.

use std::collections::BTreeSet;
use std::net::IpAddr;

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::observation::cluster::{Cluster, Member};
use quorate_model::plan::Condition;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::SetUpQdevice`].
pub(super) struct SetUp<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) address: IpAddr,
}

/// See [`quorate_model::operation::Action::RemoveQdevice`].
pub(super) struct Remove<'a> {
    pub(super) cluster: &'a ClusterName,
}

/// Both need every configured node to be online.
fn all_online(node: &NodeName, member: &Member) -> Vec<Finding> {
    let online: BTreeSet<&str> = member.online().collect();
    let missing = member.configured.iter().filter(|n| !online.contains(n.name.as_str()));
    missing
        .map(|n| {
            Finding::new(
                Code::MemberOffline,
                n.name.as_str(),
                format!("it is offline as {node} sees it; a QDevice is set up or removed only with all members there"),
                "bring it back, or take it out of the cluster, then apply again",
            )
        })
        .collect()
}

fn condition(cluster: &ClusterName, node: &NodeName, host: Option<IpAddr>) -> Condition {
    Condition::Qdevice {
        cluster: cluster.clone(),
        nodes: BTreeSet::from([node.clone()]),
        host,
    }
}

impl Act for SetUp<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let member = match local::quorate_member(node, seen, self.cluster) {
            Ok(member) => member,
            Err(findings) => return findings,
        };
        let mut findings = all_online(node, member);
        if let Some(device) = &member.qdevice {
            findings.push(Finding::new(
                Code::PlanChanged,
                node.as_str(),
                format!("a QDevice at {} is configured already", device.host),
                "plan again",
            ));
        }
        findings
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        match seen.cluster.get().ok().and_then(Cluster::member) {
            Some(member) if member.qdevice.is_none() => State::Untouched,
            _ => local::awaited(node, seen, &condition(self.cluster, node, Some(self.address))),
        }
    }

    /// Configured, and only its vote is missing: it comes by itself when qnetd answers.
    fn is_begun(&self, _node: &NodeName, seen: &Observation) -> bool {
        let member = seen.cluster.get().ok().and_then(Cluster::member);
        let device = member.and_then(|member| member.qdevice.as_ref());
        device.is_some_and(|device| device.host.parse() == Ok(self.address))
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }

    fn stays_here(&self) -> bool {
        false
    }
}

impl Act for Remove<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        match local::quorate_member(node, seen, self.cluster) {
            Ok(member) => all_online(node, member),
            Err(findings) => findings,
        }
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        local::judged(node, seen, &condition(self.cluster, node, None))
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        quorate_tools::pvecm::qdevice_remove(tools).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        let mut said = local::read_quiet(node, output, "pvecm qdevice remove", "clearing one node after another");
        said.success = output.stdout.lines().any(|line| line.trim() == "Removed Qdevice.");
        said
    }

    fn stays_here(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::Timestamp;
    use quorate_model::facet::Facet;
    use quorate_model::observation::Membership;

    use super::*;
    use crate::operations::actions::testing::member;

    #[test]
    fn both_need_every_member_online() {
        let hk1: ClusterName = "hk1".parse().unwrap();
        let node: NodeName = "prox1".parse().unwrap();
        let mut cluster = member(&["prox1", "prox2"]);
        let seen = |cluster: &Cluster| {
            let mut seen = Observation::empty("prox1", Timestamp(0));
            seen.cluster = Facet::known(cluster.clone(), Timestamp(0));
            seen
        };
        let set_up = SetUp {
            cluster: &hk1,
            address: "192.0.2.9".parse().unwrap(),
        };
        let remove = Remove { cluster: &hk1 };
        assert_eq!(set_up.precheck(&node, &seen(&cluster)), []);
        if let Membership::Member(member) = &mut cluster.membership {
            member.nodes[1].online = false;
        }
        for findings in [
            set_up.precheck(&node, &seen(&cluster)),
            remove.precheck(&node, &seen(&cluster)),
        ] {
            assert!(
                findings
                    .iter()
                    .any(|f| f.code == Code::MemberOffline && f.subject == "prox2"),
                "{findings:?}"
            );
        }
    }
}
