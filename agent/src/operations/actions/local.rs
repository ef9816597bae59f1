//! What actions have in common that are judged by what this node alone sees.

use quorate_model::facet::Facet;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::cluster::{Cluster, Member};
use quorate_model::plan::{Condition, Verdict};
use quorate_model::view::{NodeView, View};
use quorate_model::{Code, Finding, Observation};

use super::{Said, State, precheck};
use crate::operations::follow::Output;

/// Judges one of the plan's conditions on this node alone. What does not hold has not been begun: for actions that may be
/// done again at any point.
pub(super) fn judged(node: &NodeName, seen: &Observation, condition: &Condition) -> State {
    match condition.judge(&alone(node, seen)) {
        Verdict::Holds(evidence) => State::Reached(evidence),
        Verdict::NotYet(_) => State::Untouched,
        Verdict::Unknown(why) => State::Between(format!("{condition}; it can't be seen: {why}")),
    }
}

/// Judges an action that leads from one condition to another: where neither holds, something of it is there.
pub(super) fn from_to(node: &NodeName, seen: &Observation, from: &Condition, to: &Condition) -> State {
    match judged(node, seen, to) {
        State::Untouched => match judged(node, seen, from) {
            State::Reached(_) => State::Untouched,
            State::Untouched | State::Between(_) => State::Between(format!("{to}")),
        },
        state => state,
    }
}

/// As [`judged`], for actions whose tool is done before what it brings about is to be seen.
pub(super) fn awaited(node: &NodeName, seen: &Observation, condition: &Condition) -> State {
    match condition.judge(&alone(node, seen)) {
        Verdict::Holds(evidence) => State::Reached(evidence),
        Verdict::NotYet(why) => State::Between(format!("{condition}; so far {why}")),
        Verdict::Unknown(why) => State::Between(format!("{condition}; it can't be seen: {why}")),
    }
}

/// What one of the plan's conditions comes to, by this node alone.
pub(super) fn condition(node: &NodeName, seen: &Observation, condition: &Condition) -> Verdict {
    condition.judge(&alone(node, seen))
}

fn alone(node: &NodeName, seen: &Observation) -> View {
    let seen = NodeView {
        observation: Ok(seen.clone()),
        clock_offset: None,
    };
    View {
        nodes: [(node.clone(), seen)].into(),
        alone: true,
        ..View::default()
    }
}

/// The cluster facet, or what to say as long as it can't be seen.
pub(super) fn cluster(seen: &Observation) -> Result<&Cluster, State> {
    let facet: &Facet<Cluster> = &seen.cluster;
    facet
        .get()
        .map_err(|unknown| State::Between(format!("the cluster's state can be seen ({})", unknown.reason)))
}

/// This node's view of the cluster that is meant, if it is a quorate member of it; else why the action can't begin.
pub(super) fn quorate_member<'o>(
    node: &NodeName,
    seen: &'o Observation,
    name: &ClusterName,
) -> Result<&'o Member, Vec<Finding>> {
    let refused = |code, message: String, next: String| Err(vec![Finding::new(code, node.as_str(), message, next)]);
    let cluster = match seen.cluster.get() {
        Ok(cluster) => cluster,
        Err(unknown) => return Err(vec![precheck::unknown(node, "cluster", unknown)]),
    };
    let Some(member) = cluster.member() else {
        let next = "quorate status; then plan again".to_owned();
        return refused(
            Code::NodeInOtherCluster,
            format!("it is in no cluster, not in {name}"),
            next,
        );
    };
    if member.cluster != name.as_str() {
        let message = format!("it is a member of {}, not of {name}", member.cluster);
        return refused(
            Code::NodeInOtherCluster,
            message,
            "quorate status; then plan again".to_owned(),
        );
    }
    if let Some(missing) = super::member::missing(cluster, member) {
        let message = format!("not yet: {missing}");
        return refused(
            Code::ClusterNotQuorate,
            message,
            format!("look on {node}: pvecm status"),
        );
    }
    Ok(member)
}

/// A tool that says nothing on success and complains on stderr.
pub(super) fn read_quiet(node: &NodeName, output: &Output, tool: &str, stage: &str) -> Said {
    let complaint = output
        .stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    let findings = if complaint.is_empty() {
        vec![]
    } else {
        vec![Finding::new(
            Code::StepFailed,
            node.as_str(),
            format!("{tool} said: {complaint}"),
            "look at its output above; when the reason is gone, apply again",
        )]
    };
    Said {
        // Its exit code is no proof, nor is its silence: what is seen afterwards decides.
        success: findings.is_empty(),
        changed: true,
        findings,
        stage: stage.to_owned(),
    }
}

/// Our own task: every line on stdout is a stage, stderr is why it ended early.
pub(super) fn read_task(node: &NodeName, output: &Output) -> Said {
    let stage = output.stdout.lines().last().unwrap_or("beginning").to_owned();
    let done = output.stdout.lines().any(|line| line == crate::operations::task::DONE);
    let complaint = output.stderr.trim().replace('\n', "; ");
    let findings = if complaint.is_empty() || done {
        vec![]
    } else {
        vec![Finding::new(
            Code::StepFailed,
            node.as_str(),
            complaint,
            "when the reason is gone, apply again",
        )]
    };
    let changed = output
        .stdout
        .lines()
        .any(|line| line == crate::operations::task::CHANGING);
    Said {
        success: done,
        findings,
        changed,
        stage,
    }
}
