//! Plans in few words.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use quorate_model::ids::{ClusterName, NodeName, StepId};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Plan, Step, Undo};

/// A plan of these steps for cluster `hk1`.
#[must_use]
pub fn plan(steps: Vec<Step>) -> Plan {
    Plan {
        cluster: cluster("hk1"),
        spec_digest: "0".repeat(64),
        steps,
        findings: vec![],
    }
}

/// `create/CLUSTER`: this node creates it.
#[must_use]
pub fn create(name: &str, on: &str) -> Step {
    let (cluster, node) = (cluster(name), node(on));
    let action = Action::CreateCluster {
        cluster: cluster.clone(),
        links: links(),
    };
    let gate = vec![Condition::Standalone { node: node.clone() }];
    step(
        format!("create/{name}"),
        node.clone(),
        action,
        gate,
        Condition::Members {
            cluster,
            nodes: BTreeSet::from([node]),
        },
        &[],
    )
}

/// `join/NODE`: this node joins those that are in the cluster, through the first of them, after these steps.
#[must_use]
pub fn join(name: &str, joiner: &str, inside: &[&str], needs: &[&str]) -> Step {
    let (cluster, joiner) = (cluster(name), node(joiner));
    let before: BTreeSet<NodeName> = inside.iter().map(|n| node(n)).collect();
    let mut after = before.clone();
    after.insert(joiner.clone());
    let member = node(inside.first().copied().unwrap_or_default());
    let action = Action::JoinCluster {
        cluster: cluster.clone(),
        member,
        member_address: IpAddr::from([192, 0, 2, 1]),
        links: links(),
    };
    let gate = vec![
        Condition::Members {
            cluster: cluster.clone(),
            nodes: before,
        },
        Condition::Standalone { node: joiner.clone() },
    ];
    step(
        format!("join/{joiner}"),
        joiner,
        action,
        gate,
        Condition::Members { cluster, nodes: after },
        needs,
    )
}

fn step(
    id: String,
    node: NodeName,
    action: Action,
    gate: Vec<Condition>,
    done_when: Condition,
    needs: &[&str],
) -> Step {
    Step {
        title: id.replace('/', " "),
        id: step_id(&id),
        node,
        action,
        why: vec!["a test wants it".to_owned()],
        needs: needs.iter().map(|n| step_id(n)).collect(),
        gate,
        done_when,
        destroys: vec![],
        estimate: Duration::from_secs(10),
        undo: Undo::Operator {
            how: "forget it".to_owned(),
        },
    }
}

fn links() -> BTreeMap<u8, IpAddr> {
    BTreeMap::from([(0, IpAddr::from([192, 0, 2, 1]))])
}

#[expect(clippy::expect_used, reason = "what tests write down is valid, or the test is wrong")]
pub(super) fn node(name: &str) -> NodeName {
    NodeName::new(name).expect("a valid node name")
}

#[expect(clippy::expect_used, reason = "what tests write down is valid, or the test is wrong")]
pub(super) fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name).expect("a valid cluster name")
}

#[expect(clippy::expect_used, reason = "what tests write down is valid, or the test is wrong")]
fn step_id(id: &str) -> StepId {
    StepId::new(id).expect("a valid step id")
}
