//! The steps: one creation where there is no cluster, then one join after another.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use quorate_model::ids::{ClusterName, NodeName, StepId};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step, Undo};
use quorate_model::spec::ClusterFile;

use super::links::Addresses;
use super::members::Standing;
use super::preflight::Founder;

/// `pvecm create` takes 2.5 s, and /etc/pve is read-only for about 5 s more.
const CREATE_TAKES: Duration = Duration::from_secs(8);
/// Seen live: 14 to 15.4 s each.
const JOIN_TAKES: Duration = Duration::from_secs(15);

pub(super) fn build(
    file: &ClusterFile,
    standing: &Standing<'_>,
    addresses: &Addresses<'_>,
    founder: Founder<'_>,
) -> Vec<Step> {
    let cluster = &file.cluster.name.value;
    let mut inside: BTreeSet<NodeName> = BTreeSet::new();
    for name in &standing.roster {
        // A member whose name can't be one of ours has been told, and leaves the steps untold.
        let Ok(name) = NodeName::new(*name) else {
            return Vec::new();
        };
        inside.insert(name);
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut via = inside.iter().find_map(|node| Via::of_member(file, standing, node));
    if let Founder::Creates { node, has_guests } = founder {
        let Some(step) = create(cluster, standing, addresses, node, has_guests) else {
            return Vec::new();
        };
        steps.push(step);
        inside.insert(node.clone());
        via = file.nodes.get(node).map(|spec| Via {
            member: node.clone(),
            address: spec.address.value,
        });
    }
    for node in standing
        .bare
        .keys()
        .copied()
        .filter(|node| !matches!(founder, Founder::Creates { node: first, .. } if first == *node))
    {
        let needs: Vec<StepId> = steps.last().map(|s| s.id.clone()).into_iter().collect();
        let Some(step) = via
            .as_ref()
            .and_then(|via| join(cluster, addresses, node, via, &inside, needs))
        else {
            return Vec::new();
        };
        steps.push(step);
        inside.insert(node.clone());
    }
    steps
}

/// The member through which the others join, with the address that it is called by.
#[derive(Debug)]
struct Via {
    member: NodeName,
    address: IpAddr,
}

impl Via {
    /// The published address is the one that PVE itself uses; the file's stands in where none is published yet.
    fn of_member(file: &ClusterFile, standing: &Standing<'_>, node: &NodeName) -> Option<Self> {
        let member = standing.inside.get(node)?;
        let published = member
            .nodes
            .iter()
            .find(|n| n.name == node.as_str() && n.online)?
            .address;
        let address = published.or_else(|| file.nodes.get(node).map(|spec| spec.address.value))?;
        Some(Self {
            member: node.clone(),
            address,
        })
    }
}

fn create(
    cluster: &ClusterName,
    standing: &Standing<'_>,
    addresses: &Addresses<'_>,
    node: &NodeName,
    has_guests: bool,
) -> Option<Step> {
    let mut why = vec![format!(
        "none of the servers is in a cluster yet; the name {cluster} can't be changed later"
    )];
    if has_guests {
        why.push(format!(
            "{node} has guests, and only the server that creates the cluster keeps its guests"
        ));
    }
    why.push("/etc/pve can't be written for some seconds while it restarts; guests keep running".to_owned());
    Some(Step {
        id: StepId::new("cluster.create").ok()?,
        node: node.clone(),
        action: Action::CreateCluster {
            cluster: cluster.clone(),
            links: addresses.get(node)?.clone(),
        },
        title: format!("create cluster {cluster} on {node}"),
        why,
        needs: vec![],
        gate: standing
            .bare
            .keys()
            .map(|node| Condition::Standalone { node: (*node).clone() })
            .collect(),
        done_when: Condition::Members {
            cluster: cluster.clone(),
            nodes: BTreeSet::from([node.clone()]),
        },
        destroys: vec![],
        estimate: CREATE_TAKES,
        undo: Undo::Operator {
            how: format!(
                "on {node}: systemctl stop pve-cluster corosync; pmxcfs -l; rm /etc/pve/corosync.conf /etc/corosync/authkey \
                 /etc/corosync/corosync.conf; killall pmxcfs; systemctl start pve-cluster"
            ),
        },
    })
}

fn join(
    cluster: &ClusterName,
    addresses: &Addresses<'_>,
    node: &NodeName,
    via: &Via,
    inside: &BTreeSet<NodeName>,
    needs: Vec<StepId>,
) -> Option<Step> {
    let member = &via.member;
    let mut after = inside.clone();
    after.insert(node.clone());
    let mut why = vec![format!(
        "{node} is in no cluster; joins go one after another, since two at once leave one of them hanging"
    )];
    if inside.len() == 1 {
        why.push(format!(
            "until {node} is in, {member} has one of two votes: it loses quorum and its /etc/pve is read-only for about 5 s, for longer if \
             {node} can't reach it"
        ));
    }
    why.push(format!(
        "{node}'s own /etc/pve is replaced by that of {cluster}: storage definitions, users, firewall rules; the old one is kept in \
         /var/lib/pve-cluster/backup"
    ));
    Some(Step {
        id: StepId::new(format!("cluster.join/{node}")).ok()?,
        node: node.clone(),
        action: Action::JoinCluster {
            cluster: cluster.clone(),
            member: member.clone(),
            member_address: via.address,
            links: addresses.get(node)?.clone(),
        },
        title: format!("join {node} to cluster {cluster} through {member}"),
        why,
        needs,
        gate: vec![
            Condition::Members {
                cluster: cluster.clone(),
                nodes: inside.clone(),
            },
            Condition::Standalone { node: node.clone() },
        ],
        done_when: Condition::Members {
            cluster: cluster.clone(),
            nodes: after,
        },
        destroys: vec![],
        estimate: JOIN_TAKES,
        undo: Undo::Operator {
            how: format!(
                "switch {node} off for good, then on {member}: pvecm delnode {node}; {node} has to be installed anew"
            ),
        },
    })
}
