//! Who is to be taken out of the cluster, in what state it is, and what still stands against it.

mod leans;
mod quorum;

use quorate_model::Severity;
use quorate_model::facet::UnknownKind;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::{FacetName, PveConfig};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;
use quorate_model::wish::Wish;

use super::members::Standing;
use super::unfinished::Unfinished;
use crate::report::{Report, Weight, facet_unknown, in_a_row};

pub(super) use quorum::keeps_quorum;

/// A server that is to be taken out.
#[derive(Debug, Clone)]
pub(super) struct Removal {
    /// Who.
    pub(super) node: NodeName,
    /// Its corosync id; `None`: it is no member any more, and only what it left is cleared up.
    pub(super) id: Option<u32>,
    /// In what state it is.
    pub(super) state: State,
}

/// In what state a server is that is to be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It answers, and is in: it is switched off first.
    Alive,
    /// It does not answer, nobody sees it, and the operator says that it is off for good.
    Dead {
        /// Its agent is known, so that its silence can be seen.
        enrolled: bool,
    },
    /// It answers, and stands alone by its own word: installed anew.
    Bare,
    /// It is no member any more.
    Gone,
}

/// Everything that is to be taken out, with what stands against it told.
pub(super) fn check(
    file: &ClusterFile,
    wish: &Wish,
    view: &View,
    standing: &Standing<'_>,
    report: &mut Report,
) -> Vec<Removal> {
    replacements(file, wish, report);
    let mut removals = Vec::new();
    for node in wish.removed() {
        if file.nodes.contains_key(node) {
            report.tell(still_named(file, wish, node));
            continue;
        }
        if !standing.roster.contains(node.as_str()) {
            gone(file, view, standing, node, &mut removals, report);
            continue;
        }
        let id = unique_id(standing, node, report);
        if view.coordinator_on.as_ref() == Some(node) {
            report.tell(Finding::new(
                Code::RemoveCoordinator,
                node.as_str(),
                format!("this coordinator runs on {node}, which is to be switched off"),
                "move it first: quorate backup here, quorate init --restore on another host",
            ));
        }
        let state = state(wish, view, standing, node, report);
        leans::on(file, view, standing, node, state != Some(State::Alive), report);
        if let (Some(id), Some(state)) = (id, state) {
            removals.push(Removal {
                node: node.clone(),
                id: Some(id),
                state,
            });
        }
    }
    // An entry that is taken out so that its server can join afresh, or because its join is undone, may be that of a server which was
    // in for years and was installed anew: then guests lean on it.
    for (node, how_far) in &standing.unfinished {
        if matches!(how_far, Unfinished::Bare { .. } | Unfinished::Begun { undo: true }) {
            unique_id(standing, node, report);
            leans::on(file, view, standing, node, true, report);
        }
    }
    removals.sort_by(|a, b| a.node.cmp(&b.node));
    removals.dedup_by(|a, b| a.node == b.node);
    // Nobody would be left to do it.
    if standing.founded() && standing.staying().next().is_none() && !removals.is_empty() {
        report.tell(Finding::new(
            Code::RemoveLosesQuorum,
            file.cluster.name.value.as_str(),
            format!("all members of {} are to be taken out", file.cluster.name.value),
            "leave at least one in; a single server is taken out of its own cluster by hand (PVE's manual, \"Separate a Node\")",
        ));
    }
    removals
}

fn replacements(file: &ClusterFile, wish: &Wish, report: &mut Report) {
    for (dead, new) in &wish.replace {
        if !file.members().any(|(name, _)| name == new) {
            report.tell(Finding::new(
                Code::ReplaceNotNamed,
                new.as_str(),
                format!("{new} is to take the place of {dead}, and the cluster file does not name it as a member"),
                format!("write [nodes.{new}] with its address instead of [nodes.{dead}]"),
            ));
        }
    }
}

fn still_named(file: &ClusterFile, wish: &Wish, node: &NodeName) -> Finding {
    let next = match wish.replace.get(node) {
        Some(new) => format!("write [nodes.{new}] instead of [nodes.{node}], and plan again"),
        None => format!("take [nodes.{node}] out of the file, and plan again"),
    };
    Finding::new(
        Code::RemoveStillNamed,
        node.as_str(),
        format!(
            "{node} is to be taken out of {}, and the cluster file names it",
            file.cluster.name.value
        ),
        next,
    )
    .at(file.nodes.get(node).map(|spec| spec.place.clone()))
}

/// No member: perhaps it was taken out before, and what it left is still there.
fn gone(
    file: &ClusterFile,
    view: &View,
    standing: &Standing<'_>,
    node: &NodeName,
    removals: &mut Vec<Removal>,
    report: &mut Report,
) {
    let cluster = &file.cluster.name.value;
    let Some((speaker, _)) = standing.staying().next() else {
        // Where all are to go, that is told. Where nobody is in, somebody who can't be seen may be.
        if standing.founded() {
            return;
        }
        let seen = view.nodes.keys().all(|node| view.cluster_of(node).is_ok());
        let mut finding = Finding::new(
            Code::RemoveNotMember,
            node.as_str(),
            format!("no server that can be seen is in {cluster}: there is nobody who could take {node} out"),
            if seen {
                String::new()
            } else {
                format!("quorate status; once a member of {cluster} can be seen, plan again")
            },
        );
        if !seen {
            finding.severity = Severity::Refusal;
        }
        return report.tell(finding);
    };
    let Some(config) = report.facet(view, speaker, FacetName::Config, Weight::Needed, |o| &o.config) else {
        return;
    };
    let folders = match (config.node_folders.get(), config.authorized_keys.get()) {
        (Ok(folders), Ok(_)) => folders,
        (folders, keys) => {
            let unknown = [
                ("folders of nodes", folders.err()),
                ("keys in authorized_keys", keys.err()),
            ];
            for (what, why) in unknown.into_iter().filter_map(|(what, why)| Some((what, why?))) {
                report.weigh(Weight::Needed, facet_unknown(speaker, FacetName::Config, what, why));
            }
            return;
        }
    };
    let has_key = lets_in(config, node);
    match folders.get(node.as_str()) {
        // That guests are in it is told with the folder.
        Some(folder) if !folder.guests.is_empty() => {}
        Some(_) => removals.push(gone_already(node)),
        None if has_key => removals.push(gone_already(node)),
        // It was never meant as a member, and what it is there for is told with the QDevice.
        None if super::qdevice::lets_go(view, standing, node) => {}
        None => report.tell(Finding::new(
            Code::RemoveNotMember,
            node.as_str(),
            format!("{node} is no member of {cluster}, and left nothing behind there"),
            "",
        )),
    }
}

/// Is a key of this server among those that root lets in?
pub(super) fn lets_in(config: &PveConfig, node: &NodeName) -> bool {
    let key = format!("root@{node}");
    config
        .authorized_keys
        .get()
        .is_ok_and(|keys| keys.iter().any(|k| k.name == key))
}

fn gone_already(node: &NodeName) -> Removal {
    Removal {
        node: node.clone(),
        id: None,
        state: State::Gone,
    }
}

/// `delnode` kills by id: an id that is given twice, or differently by different members, is not touched.
fn unique_id(standing: &Standing<'_>, node: &NodeName, report: &mut Report) -> Option<u32> {
    let id = standing.configured(node.as_str())?.id;
    for (speaker, member) in &standing.inside {
        let same_id: Vec<&str> = member
            .configured
            .iter()
            .filter(|n| n.id == id)
            .map(|n| n.name.as_str())
            .collect();
        if same_id != [node.as_str()] {
            report.tell(Finding::new(
                Code::RemoveIdTwice,
                node.as_str(),
                format!(
                    "corosync.conf gives the id {id} to {}, says {speaker}: pvecm delnode {node} could kill another one",
                    in_a_row(same_id)
                ),
                format!("mend it by hand first: {}", super::link_changes::EDIT),
            ));
            return None;
        }
        // It kills whoever runs with the id, whatever the file says.
        let running = member.nodes.iter().find(|n| n.id == id && n.name != node.as_str());
        if let Some(other) = running {
            report.tell(Finding::new(
                Code::RemoveIdTwice,
                node.as_str(),
                format!(
                    "{} runs with the id {id}, says {speaker}, which corosync.conf gives to {node}: pvecm delnode {node} would kill it",
                    other.name
                ),
                format!("mend it by hand first: {}", super::link_changes::EDIT),
            ));
            return None;
        }
    }
    Some(id)
}

fn state(wish: &Wish, view: &View, standing: &Standing<'_>, node: &NodeName, report: &mut Report) -> Option<State> {
    let not_off = |message: String, next: String| Finding::new(Code::RemoveNotOff, node.as_str(), message, next);
    let said_off = wish.is_off.contains(node);
    let online = standing.seen_online(node.as_str());
    let silent = match view.nodes.get(node).map(|seen| &seen.observation) {
        None => true,
        Some(Err(unknown)) if unknown.kind == UnknownKind::Unreachable => true,
        Some(Err(unknown)) => {
            report.tell(not_off(
                format!("nothing is known of {node}: {}", unknown.reason),
                format!("quorate node show {node}; or switch it off for good, then: --is-off {node}"),
            ));
            return None;
        }
        Some(Ok(_)) => false,
    };
    if silent && online {
        report.tell(not_off(
            format!(
                "{node}'s agent does not answer, but the other members see {node} in the membership: it is not off"
            ),
            format!("on {node}: systemctl start quorate-agent; or switch it off for good, then: --is-off {node}"),
        ));
        return None;
    }
    if silent {
        if !said_off {
            report.tell(not_off(
                format!("{node} does not answer; whether it is off, nobody can see from here"),
                format!("switch it off for good, so that it never comes back with its old configuration; then say so: --is-off {node} (node remove, node replace: --is-off)"),
            ));
            return None;
        }
        return Some(State::Dead {
            enrolled: view.nodes.contains_key(node),
        });
    }
    if said_off {
        report.tell(not_off(
            format!("{node} answers, and was said to be off"),
            format!("leave --is-off {node} out: it is switched off by the plan"),
        ));
        return None;
    }
    match view.cluster_of(node) {
        Err(unknown) => {
            report.weigh(
                Weight::Needed,
                facet_unknown(node, FacetName::Cluster, "membership", &unknown),
            );
            None
        }
        Ok(_) if standing.inside.contains_key(node) => Some(State::Alive),
        Ok(seen) if seen.member().is_none() && !online => Some(State::Bare),
        Ok(_) => {
            let mut finding = not_off(
                format!("{node} is in another cluster by its own word, and in this one by that of the members"),
                format!("compare pvecm status on {node} and on a member"),
            );
            finding.severity = Severity::Refusal;
            report.tell(finding);
            None
        }
    }
}
