//! Joins that were begun: finished, undone, or their entry taken out so that the server can join afresh.

use quorate_model::ids::NodeName;
use quorate_model::operation::Action;
use quorate_model::plan::Condition;

use super::line::{Draft, Line};
use super::remove;
use crate::cluster::unfinished::Unfinished;

const FINISH_SECONDS: u64 = 15;
const ABANDON_SECONDS: u64 = 10;

pub(super) fn settle(line: &mut Line<'_>) -> Option<()> {
    let unfinished: Vec<(&NodeName, Unfinished)> = line
        .intent
        .standing
        .unfinished
        .iter()
        .map(|(node, how_far)| (*node, *how_far))
        .collect();
    // Finishing gives votes, taking out needs them.
    for (node, _) in unfinished
        .iter()
        .filter(|(_, h)| *h == (Unfinished::Begun { undo: false }))
    {
        finish(line, node)?;
    }
    for (node, how_far) in unfinished {
        match how_far {
            Unfinished::Begun { undo: false } => {}
            Unfinished::Begun { undo: true } => {
                abandon(line, node)?;
                take_out(line, node, "its join is undone, by your word")?;
                remove::clean_up(line, node)?;
            }
            Unfinished::Bare { undo: false } => {
                take_out(
                    line,
                    node,
                    "the members count it, and it is in no cluster: so that it can join afresh",
                )?;
                remove::old_key(line, node)?;
            }
            Unfinished::Bare { undo: true } => take_out(
                line,
                node,
                "the members count it, and it is in no cluster; by your word it stays so",
            )?,
            Unfinished::Uncounted => abandon(line, node)?,
        }
    }
    Some(())
}

fn take_out(line: &mut Line<'_>, node: &NodeName, why: &str) -> Option<()> {
    let id = line.intent.standing.configured(node.as_str())?.id;
    remove::entry(line, node, id, why, vec![Condition::Standalone { node: node.clone() }])
}

/// Without quorum nobody can say who is in: that is what finishing brings back.
fn seen(line: &Line<'_>) -> Vec<Condition> {
    let mut gate = vec![line.at_rest()];
    if line.quorate {
        gate.insert(0, line.members());
    }
    gate
}

fn finish(line: &mut Line<'_>, node: &NodeName) -> Option<()> {
    let (via, cluster) = (line.via(), line.cluster());
    let gate = seen(line);
    line.offline.remove(node);
    line.online.insert(node.clone());
    line.next(Draft {
        id: format!("cluster.finish-join/{node}"),
        node: node.clone(),
        action: Action::FinishJoin {
            cluster: cluster.clone(),
            member: via.clone(),
        },
        title: format!("finish the join of {node} to cluster {cluster}"),
        why: vec![format!(
            "{cluster} counts {node}, which has an older corosync.conf or never started with it: it gets the one of {via}"
        )],
        gate,
        done_when: line.members(),
        seconds: FINISH_SECONDS,
        undo: format!("plan again with --undo-join {node}, as long as it is not in"),
        destroys: vec![],
        restores: None,
    })?;
    line.quorate = true;
    Some(())
}

fn abandon(line: &mut Line<'_>, node: &NodeName) -> Option<()> {
    let cluster = line.cluster();
    line.next(Draft {
        id: format!("cluster.abandon-join/{node}"),
        node: node.clone(),
        action: Action::AbandonJoin {
            cluster: cluster.clone(),
        },
        title: format!("take {node} back to standing alone"),
        why: vec![format!(
            "its join to {cluster} was begun and is not wanted; corosync's files on {node} are moved aside"
        )],
        gate: seen(line),
        done_when: Condition::Standalone { node: node.clone() },
        seconds: ABANDON_SECONDS,
        undo: format!("let {node} join again: plan without --undo-join"),
        destroys: vec![format!(
            "what {node} has of {cluster}: /etc/corosync/authkey, /etc/corosync/corosync.conf"
        )],
        restores: None,
    })?;
    Some(())
}
