//! Joins that were begun and did not come to their end: who is counted without being in, and how far each came.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::observation::cluster::{Cluster, LocalConfig, Member};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;
use quorate_model::wish::Wish;

use super::members::Standing;
use crate::report::{Report, Weight, facet_unknown};

/// How far a join came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// The members count it, and it has nothing of the cluster itself: the entry is taken out, then it joins afresh.
    Bare {
        /// It is not to join.
        undo: bool,
    },
    /// The members count it, and it has this cluster's corosync.conf: it can be finished.
    Begun {
        /// It is to be undone all the same.
        undo: bool,
    },
    /// It has this cluster's corosync.conf, and the members do not count it: only undone, by the operator's word.
    Uncounted,
}

/// Takes out of the members those that say so themselves but never got the cluster's database: pmxcfs began with an empty one, so
/// that they have no folder of any other node. Only where another member has them: else nobody knows whose word is good.
pub(super) fn half_synced(file: &ClusterFile, view: &View, standing: &mut Standing<'_>) {
    let alone = |node: &NodeName, member: &Member| !member.quorate && member.online().all(|o| o == node.as_str());
    let empty = |node: &NodeName| {
        view.facet(node, |o| &o.config).is_ok_and(|config| {
            let folders = config.node_folders.get();
            folders.is_ok_and(|folders| folders.keys().all(|name| name == node.as_str()))
        })
    };
    let half: BTreeSet<&NodeName> = standing
        .inside
        .iter()
        .filter(|(node, member)| file.nodes.contains_key(**node) && alone(node, member) && empty(node))
        .map(|(node, _)| *node)
        .collect();
    let others: BTreeMap<&NodeName, &Member> = standing
        .inside
        .iter()
        .filter(|(node, _)| !half.contains(*node))
        .map(|(node, member)| (*node, *member))
        .collect();
    if others.is_empty() {
        return;
    }
    for node in half {
        standing.inside.remove(node);
        let counted = others
            .values()
            .any(|m| m.configured.iter().any(|n| n.name == node.as_str()));
        let how_far = if counted {
            Unfinished::Begun { undo: false }
        } else {
            Unfinished::Uncounted
        };
        standing.unfinished.insert(node, how_far);
    }
}

/// Tells which of the servers in no cluster are counted by it or have its files, and what will be done about each.
pub(super) fn sort_out(file: &ClusterFile, wish: &Wish, standing: &mut Standing<'_>, report: &mut Report) {
    let bare: Vec<(&NodeName, &Cluster)> = standing.bare.iter().map(|(n, c)| (*n, *c)).collect();
    for (node, cluster) in bare {
        let counted = standing.roster.contains(node.as_str());
        if standing.seen_online(node.as_str()) {
            standing.clear = false;
            standing.bare.remove(node);
            report.tell(contradiction(file, node));
            continue;
        }
        let local = match cluster.local_config.get() {
            Ok(local) => local.as_ref(),
            Err(_) if !cluster.local_config_present => None,
            Err(unknown) => {
                // Of one that nobody counts the leftovers are told, whatever is in them.
                if counted {
                    standing.clear = false;
                    standing.bare.remove(node);
                    let finding = facet_unknown(node, FacetName::Cluster, "/etc/corosync/corosync.conf", unknown);
                    report.weigh(Weight::Needed, finding);
                }
                continue;
            }
        };
        let of_ours = |local: &LocalConfig| local.cluster == file.cluster.name.value.as_str();
        let undo = wish.undo_join.contains(node);
        let clean = !cluster.authkey_present && !cluster.local_config_present;
        let how_far = match (counted, local) {
            (true, Some(local)) if of_ours(local) => Unfinished::Begun { undo },
            (true, _) if clean => Unfinished::Bare { undo },
            (true, None) if undo => Unfinished::Begun { undo },
            (false, Some(local)) if of_ours(local) && undo && standing.founded() => Unfinished::Uncounted,
            // Files of another cluster, or a key without a configuration: told as leftovers, and nothing is done about them.
            (true, _) => {
                standing.clear = false;
                continue;
            }
            (false, _) => continue,
        };
        standing.bare.remove(node);
        standing.unfinished.insert(node, how_far);
    }
    for (node, how_far) in &mut standing.unfinished {
        if let Unfinished::Begun { undo } = how_far {
            *undo = wish.undo_join.contains(*node);
        }
    }
    // What is undone is not begun again by the same plan.
    let undone: Vec<&NodeName> = standing
        .bare
        .keys()
        .filter(|n| wish.undo_join.contains(**n))
        .copied()
        .collect();
    for node in undone {
        standing.bare.remove(node);
        report.tell(note(
            node,
            format!("{node} is in no cluster, and stays so: its join was to be undone"),
            String::new(),
        ));
    }
    tell(file, wish, standing, report);
}

/// It may be coming in just now, or another machine bears its name and address.
fn contradiction(file: &ClusterFile, node: &NodeName) -> Finding {
    let cluster = &file.cluster.name.value;
    Finding::new(
        Code::SplitMembership,
        node.as_str(),
        format!("{cluster} sees {node} online, but {node} is in no cluster by its own word"),
        format!("plan again in a moment; if it stays so, compare pvecm status on a member with ip address on {node}"),
    )
}

fn note(node: &NodeName, message: String, next: String) -> Finding {
    let mut finding = Finding::new(Code::JoinUnfinished, node.as_str(), message, next);
    finding.severity = quorate_model::Severity::Note;
    finding
}

fn tell(file: &ClusterFile, wish: &Wish, standing: &mut Standing<'_>, report: &mut Report) {
    let cluster = &file.cluster.name.value;
    let told: Vec<(&NodeName, Unfinished)> = standing.unfinished.iter().map(|(n, h)| (*n, *h)).collect();
    for (node, how_far) in told {
        let undo = wish.undo_join.contains(node);
        let (message, next) = match how_far {
            Unfinished::Bare { .. } => (
                format!(
                    "{cluster} counts {node} among its members, but {node} is in no cluster: a join that was not finished, or a member \
                     that was installed anew; its entry is taken out"
                ),
                if undo {
                    String::new()
                } else {
                    format!("nothing, if {node} is to join afresh; else: --undo-join {node}")
                },
            ),
            Unfinished::Begun { undo: false } => (
                format!("{node} began to join {cluster}, which counts it, and never came in; its join is finished"),
                format!("nothing, if {node} is to be a member; else: --undo-join {node}"),
            ),
            Unfinished::Begun { undo: true } => (
                format!("{node} began to join {cluster}, which counts it, and never came in; its join is undone"),
                String::new(),
            ),
            Unfinished::Uncounted => (
                format!("{node} has the corosync.conf of {cluster}, which does not count it"),
                if undo {
                    String::new()
                } else {
                    format!("undo what is left of the join: --undo-join {node}")
                },
            ),
        };
        let mut finding = Finding::new(Code::JoinUnfinished, node.as_str(), message, next);
        if how_far == Unfinished::Uncounted && !undo {
            // Neither a member nor able to join: the file can't be met before somebody decides.
            finding.severity = quorate_model::Severity::Refusal;
            standing.clear = false;
        }
        report.tell(finding);
    }
}
