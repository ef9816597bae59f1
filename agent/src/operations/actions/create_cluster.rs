//! `pvecm create`: a new cluster with this node as its only member.

use std::collections::BTreeMap;
use std::net::IpAddr;

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::observation::cluster::{Cluster, Member, Membership};
use quorate_model::{Finding, Observation};
use quorate_tools::CallError;
use quorate_tools::pvecm::{CreateStage, read_create};

use super::{Act, How, Said, State, local, member, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::CreateCluster`].
pub(super) struct CreateCluster<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) links: &'a BTreeMap<u8, IpAddr>,
    pub(super) priorities: &'a BTreeMap<u8, u8>,
}

impl Act for CreateCluster<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Network]
    }

    /// Guests do not stand against it: the node keeps them.
    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        precheck::common(node, seen, self.links)
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let cluster = match local::cluster(seen) {
            Ok(cluster) => cluster,
            Err(state) => return state,
        };
        let member = match &cluster.membership {
            Membership::Standalone => return member::alone(cluster),
            Membership::Member(member) => member,
        };
        if !is_ours(node, member, self.cluster) {
            return State::Between(format!(
                "the server is alone in cluster {}; now it is in {}",
                self.cluster, member.cluster
            ));
        }
        let other = self
            .priorities
            .iter()
            .find(|(link, wanted)| member.link_priority(**link) != (**wanted).max(1));
        if let Some((link, wanted)) = other {
            return State::Between(format!(
                "the cluster is made, but link {link} has priority {} in corosync.conf and not {wanted}",
                member.link_priority(*link)
            ));
        }
        match member::missing(cluster, member) {
            Some(missing) => State::Between(missing),
            None => State::Reached(member::evidence(member)),
        }
    }

    /// Was it made before, so that only its quorum is missing?
    fn is_begun(&self, node: &NodeName, seen: &Observation) -> bool {
        let member = seen.cluster.get().ok().and_then(Cluster::member);
        member.is_some_and(|member| is_ours(node, member, self.cluster))
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        quorate_tools::pvecm::create(tools, self.cluster, self.links, self.priorities).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        read(node, output)
    }
}

fn is_ours(node: &NodeName, member: &Member, name: &ClusterName) -> bool {
    let running = member.nodes.iter().map(|n| &n.name);
    let mut everybody = running.chain(member.configured.iter().map(|n| &n.name));
    member.cluster == name.as_str() && everybody.all(|other| other == node.as_str())
}

/// What pvecm said.
fn read(node: &NodeName, output: &Output) -> Said {
    let report = read_create(&output.stdout, &output.stderr);
    let stage = match report.stage {
        CreateStage::Begun => "checking this node",
        CreateStage::KeyMade => "corosync's key is made",
        CreateStage::ConfigWritten => "corosync.conf is written",
        CreateStage::Restarting => "starting corosync and pve-cluster anew",
    };
    Said {
        success: report.stage == CreateStage::Restarting && report.troubles.is_empty(),
        findings: report
            .troubles
            .iter()
            .map(|trouble| trouble.finding(node.as_str()))
            .collect(),
        changed: report.stage > CreateStage::Begun,
        stage: stage.to_owned(),
    }
}
