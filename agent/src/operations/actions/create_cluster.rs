//! `pvecm create`: a new cluster with this node as its only member.

use std::collections::BTreeMap;
use std::net::IpAddr;

use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::cluster::{Cluster, Member, Membership};
use quorate_model::{Finding, Observation};
use quorate_tools::pvecm::{CreateStage, read_create};

use super::{Said, State, member, precheck};
use crate::operations::follow::Output;

/// What stands against it. Guests do not: the node keeps them.
pub(super) fn precheck(
    node: &NodeName,
    observation: &Observation,
    cluster: &Cluster,
    links: &BTreeMap<u8, IpAddr>,
) -> Vec<Finding> {
    precheck::common(node, observation, cluster, links)
}

/// Is it there?
pub(super) fn state(node: &NodeName, cluster: &Cluster, name: &ClusterName) -> State {
    let member = match &cluster.membership {
        Membership::Standalone => return member::alone(cluster),
        Membership::Member(member) => member,
    };
    if !is_ours(node, member, name) {
        return State::Between(format!(
            "the server is alone in cluster {name}; now it is in {}",
            member.cluster
        ));
    }
    match member::missing(cluster, member) {
        Some(missing) => State::Between(missing),
        None => State::Reached(member::evidence(member)),
    }
}

/// Was it made before, so that only its quorum is missing?
pub(super) fn is_begun(node: &NodeName, cluster: &Cluster, name: &ClusterName) -> bool {
    cluster.member().is_some_and(|member| is_ours(node, member, name))
}

fn is_ours(node: &NodeName, member: &Member, name: &ClusterName) -> bool {
    let running = member.nodes.iter().map(|n| &n.name);
    let mut everybody = running.chain(member.configured.iter().map(|n| &n.name));
    member.cluster == name.as_str() && everybody.all(|other| other == node.as_str())
}

/// What pvecm said.
pub(super) fn read(node: &NodeName, output: &Output) -> Said {
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
