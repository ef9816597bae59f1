//! `pvecm add`: this node joins a cluster through one of its members.

use std::collections::BTreeMap;
use std::net::IpAddr;

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::observation::cluster::{Cluster, Member, Membership};
use quorate_model::{Finding, Observation};
use quorate_tools::CallError;
use quorate_tools::pvecm::{JoinStage, PeerChange, read_join};

use super::{Act, How, Said, State, local, member, precheck};
use crate::operations::follow::Output;
use crate::operations::join_secret::JoinSecret;
use crate::operations::passed::{Passed, PassedKind};

/// See [`quorate_model::operation::Action::JoinCluster`].
pub(super) struct JoinCluster<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) member: &'a NodeName,
    pub(super) member_address: IpAddr,
    pub(super) links: &'a BTreeMap<u8, IpAddr>,
}

impl Act for JoinCluster<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Network, FacetName::Guests]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut findings = precheck::common(node, seen, self.links);
        findings.extend(precheck::guests(node, seen));
        findings
    }

    /// Does the node itself see that it belongs to the cluster? The other side is the coordinator's to look at.
    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let cluster = match local::cluster(seen) {
            Ok(cluster) => cluster,
            Err(state) => return state,
        };
        let member = match &cluster.membership {
            Membership::Standalone => return member::alone(cluster),
            Membership::Member(member) => member,
        };
        if member.cluster != self.cluster.as_str() {
            return State::Between(format!(
                "membership in cluster {}; it is in cluster {}",
                self.cluster, member.cluster
            ));
        }
        if let Some(missing) = member::missing(cluster, member) {
            return State::Between(missing);
        }
        for needed in [node, self.member] {
            if !member.online().any(|online| online == needed.as_str()) {
                return State::Between(format!("{needed} is in the membership"));
            }
        }
        State::Reached(member::evidence(member))
    }

    /// Was it taken in before, so that only the rest is missing?
    fn is_begun(&self, node: &NodeName, seen: &Observation) -> bool {
        let both = |member: &Member| {
            [node, self.member]
                .into_iter()
                .all(|needed| member.configured.iter().any(|n| n.name == needed.as_str()))
        };
        let member = seen.cluster.get().ok().and_then(Cluster::member);
        member.is_some_and(|member| member.cluster == self.cluster.as_str() && both(member))
    }

    fn needs(&self) -> Option<PassedKind> {
        Some(PassedKind::Join)
    }

    fn how(&self, tools: &Tools, passed: Option<&Passed>) -> Result<How, CallError> {
        // Without a secret nothing gets here; an empty one makes pvecm refuse.
        let nothing = JoinSecret::default();
        let JoinSecret { password, fingerprint } = match passed {
            Some(Passed::Join(secret)) => secret,
            Some(Passed::CorosyncConf(_) | Passed::Storage(_) | Passed::Program(_)) | None => &nothing,
        };
        quorate_tools::pvecm::add(tools, self.member_address, fingerprint, self.links, password).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        read(node, output)
    }

    /// After its wait for quorum pvecm makes certificates and restarts pveproxy; so do finishing the join, and undoing it.
    fn only_waits(&self, output: &Output) -> bool {
        read_join(&output.stdout, &output.stderr).stage == JoinStage::WaitingForQuorum
    }

    /// The member may have taken the node in before the node itself was changed.
    fn stays_here(&self) -> bool {
        false
    }
}

/// What pvecm said.
fn read(node: &NodeName, output: &Output) -> Said {
    let report = read_join(&output.stdout, &output.stderr);
    Said {
        success: report.stage == JoinStage::Succeeded,
        findings: report
            .troubles
            .iter()
            .map(|trouble| trouble.finding(node.as_str()))
            .collect(),
        changed: report.peer_change() != PeerChange::No,
        stage: report.stage.as_str().to_owned(),
    }
}
