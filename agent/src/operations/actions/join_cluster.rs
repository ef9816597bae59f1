//! `pvecm add`: this node joins a cluster through one of its members.

use std::collections::BTreeMap;
use std::net::IpAddr;

use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::cluster::{Cluster, Membership};
use quorate_model::{Finding, Observation};
use quorate_tools::pvecm::{JoinStage, PeerChange, read_join};

use super::{Said, State, member, precheck};
use crate::operations::follow::Output;

/// What stands against it.
pub(super) fn precheck(
    node: &NodeName,
    observation: &Observation,
    cluster: &Cluster,
    links: &BTreeMap<u8, IpAddr>,
) -> Vec<Finding> {
    let mut findings = precheck::common(node, observation, cluster, links);
    findings.extend(precheck::guests(node, observation));
    findings
}

/// Does the node itself see that it belongs to the cluster? The other side is the coordinator's to look at.
pub(super) fn state(node: &NodeName, cluster: &Cluster, name: &ClusterName, through: &NodeName) -> State {
    let member = match &cluster.membership {
        Membership::Standalone => return member::alone(cluster),
        Membership::Member(member) => member,
    };
    if member.cluster != name.as_str() {
        return State::Between(format!(
            "membership in cluster {name}; it is in cluster {}",
            member.cluster
        ));
    }
    if let Some(missing) = member::missing(cluster, member) {
        return State::Between(missing);
    }
    for needed in [node, through] {
        if !member.online().any(|online| online == needed.as_str()) {
            return State::Between(format!("{needed} is in the membership"));
        }
    }
    State::Reached(member::evidence(member))
}

/// Was it taken in before, so that only the rest is missing?
pub(super) fn is_begun(node: &NodeName, cluster: &Cluster, name: &ClusterName, through: &NodeName) -> bool {
    let both = |member: &quorate_model::observation::cluster::Member| {
        [node, through]
            .into_iter()
            .all(|needed| member.configured.iter().any(|n| n.name == needed.as_str()))
    };
    cluster
        .member()
        .is_some_and(|member| member.cluster == name.as_str() && both(member))
}

/// What pvecm said.
pub(super) fn read(node: &NodeName, output: &Output) -> Said {
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
