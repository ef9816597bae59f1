//! Agents get another version: one node after another, the one with the coordinator last. Each must answer again before the next is begun.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{ClusterName, NodeName, StepId};
use quorate_model::observation::{FacetName, Membership};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step, Undo, Verdict};
use quorate_model::spec::ClusterFile;
use quorate_model::wish::AgentUpgrade;
use quorate_model::{Release, View};

use crate::report::{Report, facet_unknown};

/// dpkg unpacks 8 MB and starts the agent anew; then it is looked at.
const TAKES: Duration = Duration::from_secs(15);

pub(crate) fn plan(file: &ClusterFile, what: &AgentUpgrade, view: &View, report: &mut Report) -> Vec<Step> {
    let mut nodes: Vec<&NodeName> = if what.nodes.is_empty() {
        file.nodes.keys().collect()
    } else {
        what.nodes.iter().collect()
    };
    // Where it fails, the coordinator's own server is not the first to find out.
    nodes.sort_by_key(|node| (view.coordinator_on.as_ref() == Some(*node), *node));
    let mut steps: Vec<Step> = Vec::new();
    for node in nodes {
        let Some(from) = runs(file, what, view, node, report) else {
            continue;
        };
        let before = steps.last().map(|step| step.id.clone());
        steps.extend(step(what, view, (node, from), before, report));
    }
    steps
}

/// Which version the node's agent is of, if it is to have another one.
fn runs(file: &ClusterFile, what: &AgentUpgrade, view: &View, node: &NodeName, report: &mut Report) -> Option<Release> {
    let wanted = what.version;
    if !file.nodes.contains_key(node) || !view.nodes.contains_key(node) {
        let cluster = &file.cluster.name.value;
        report.tell(Finding::new(
            Code::NodeNotEnrolled,
            node.as_str(),
            format!("{node} is no enrolled node of {cluster}"),
            "quorate node list",
        ));
        return None;
    }
    let version = match view.facet(node, |o| &o.system) {
        Ok(system) => &system.agent.version,
        Err(unknown) => {
            report.tell(facet_unknown(node, FacetName::System, "the agent's version", &unknown));
            return None;
        }
    };
    let Ok(from) = version.parse::<Release>() else {
        report.tell(Finding::new(
            Code::AgentVersionUnknown,
            node.as_str(),
            format!("its agent calls its version `{version}`"),
            format!("install the package there by hand: dpkg --install quorate-agent_{wanted}_amd64.deb"),
        ));
        return None;
    };
    if from > wanted {
        report.tell(Finding::new(
            Code::DowngradeRefused,
            node.as_str(),
            format!("its agent is of version {from}, and the package of {wanted}"),
            format!("use a package of {from} or later; or leave {node} out"),
        ));
        return None;
    }
    if !from.goes_with(wanted) {
        report.tell(Finding::new(
            Code::AgentVersionApart,
            node.as_str(),
            format!(
                "its agent is of version {from}, and the package of {wanted}: a version between them would be left out"
            ),
            "upgrade by one minor version at a time, agents and coordinator",
        ));
        return None;
    }
    (from != wanted).then_some(from)
}

fn step(
    what: &AgentUpgrade,
    view: &View,
    (node, from): (&NodeName, Release),
    before: Option<StepId>,
    report: &mut Report,
) -> Option<Step> {
    let to = what.version;
    // By its own word: one that is in no cluster yet has none to be quorate in.
    let membership = match view.facet(node, |o| &o.cluster) {
        Ok(seen) => &seen.membership,
        Err(unknown) => {
            report.tell(facet_unknown(node, FacetName::Cluster, "the membership", &unknown));
            return None;
        }
    };
    let cluster = match membership {
        Membership::Standalone => None,
        Membership::Member(member) => match ClusterName::new(member.cluster.as_str()) {
            Ok(name) => Some(name),
            Err(error) => {
                let unknown = Unknown::new(UnknownKind::Unparsable, error.to_string());
                report.tell(facet_unknown(
                    node,
                    FacetName::Cluster,
                    "the name of its cluster",
                    &unknown,
                ));
                return None;
            }
        },
    };
    let runs = |version| Condition::AgentRuns {
        node: node.clone(),
        version,
        cluster: cluster.clone(),
    };
    let (Verdict::NotYet(why) | Verdict::Unknown(why)) = runs(from).judge(view) else {
        return as_a_step(what, (node, from), before, (runs(from), runs(to)));
    };
    report.tell(Finding::new(
        Code::ClusterNotQuorate,
        node.as_str(),
        format!("no agent is upgraded on a server that is not well in its cluster: {why}"),
        format!("look on {node}: pvecm status; or leave {node} out"),
    ));
    None
}

fn as_a_step(
    what: &AgentUpgrade,
    (node, from): (&NodeName, Release),
    before: Option<StepId>,
    (gate, done_when): (Condition, Condition),
) -> Option<Step> {
    let to = what.version;
    Some(Step {
        id: StepId::new(format!("agent.upgrade/{node}")).ok()?,
        node: node.clone(),
        action: Action::UpgradeAgent {
            version: to,
            package: what.package.clone(),
            size: what.size,
        },
        title: format!("upgrade the agent of {node} from {from} to {to}"),
        why: vec![
            "the agent is started anew by its package; guests, cluster and tools that run go on meanwhile".to_owned(),
        ],
        needs: before.into_iter().collect(),
        gate: vec![gate],
        done_when,
        destroys: vec![],
        disks: BTreeSet::new(),
        estimate: TAKES,
        undo: Undo::Operator {
            how: format!(
                "on {node}: dpkg --install with the package of {from}; what {to} wrote it may not be able to read"
            ),
        },
        restores: None,
    })
}
