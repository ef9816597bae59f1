//! What is weak in the cluster as the file wants it.

use std::collections::BTreeSet;

use quorate_model::NodeName;
use quorate_model::finding::{Code, Finding};
use quorate_model::observation::FacetName;
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;
use quorate_model::wish::Wish;

use super::Changes;
use super::guests::knows_guest;
use super::links;
use super::members::Standing;
use super::qdevice;
use crate::report::{Report, Weight, facet_unknown, in_a_row};

pub(super) fn weaknesses(
    file: &ClusterFile,
    wish: &Wish,
    view: &View,
    standing: &Standing<'_>,
    changes: Changes,
    report: &mut Report,
) {
    coordinator_on(file, view, report);
    coordinator_in_guest(view, report);
    folders(wish, view, standing, report);
    let cluster = &file.cluster.name;
    let numbers: BTreeSet<u8> = links::there(standing)
        .into_iter()
        .chain(0..links::count(file))
        .collect();
    if numbers.len() == 1 {
        report.tell(
            Finding::new(
                Code::OneLink,
                cluster.value.as_str(),
                format!(
                    "{} has a single corosync link: one switch or cable can cost the quorum",
                    cluster.value
                ),
                "name a second network in `links`, over other cables and another switch",
            )
            .at(file.cluster.links.first().map(|l| l.place.clone())),
        );
    }
    votes(file, wish, view, standing, changes, report);
}

fn votes(file: &ClusterFile, wish: &Wish, view: &View, standing: &Standing<'_>, changes: Changes, report: &mut Report) {
    let cluster = &file.cluster.name.value;
    let votes = if standing.clear {
        votes_after(standing)
    } else {
        votes_meant(file, standing)
    };
    // One that goes by consent is no third vote any more.
    let third = file.qnetd().is_some() || qdevice::stays(wish, view, standing);
    if !votes.is_multiple_of(2) || third {
        return;
    }
    let message = if votes == 2 {
        format!("{cluster} will have 2 votes: when one server fails, the other has no quorum either")
    } else {
        format!(
            "{cluster} will have {votes} votes: it survives the loss of no more servers than with {}",
            votes - 1
        )
    };
    report.tell(Finding::new(
        Code::EvenVotes,
        cluster.as_str(),
        message,
        "add a server (role = \"witness\" if it is only to vote), or a third vote outside of the cluster: [cluster.third_vote]",
    ));
    if votes != 2 {
        return;
    }
    let mut under_ha: BTreeSet<&str> = BTreeSet::new();
    for node in standing.concerned(file) {
        let Some(ha) = report.facet(view, node, FacetName::Ha, Weight::Told, |o| &o.ha) else {
            continue;
        };
        match ha.resources.get() {
            Ok(resources) => under_ha.extend(resources.keys().map(String::as_str)),
            Err(unknown) => {
                report.weigh(
                    Weight::Told,
                    facet_unknown(node, FacetName::Ha, "guests under HA", unknown),
                );
            }
        }
    }
    if !under_ha.is_empty() {
        report.weigh(
            changes.weight(),
            Finding::new(
                Code::TwoServersHa,
                cluster.as_str(),
                format!(
                    "{} under HA in a cluster of two votes: when one server fails, the other loses quorum and resets itself as well",
                    are(&under_ha)
                ),
                "three ways out: a third vote on a host outside ([cluster.third_vote] qdevice = \"NAME\"); a third server (role = \
                 \"witness\" if it is only to vote); or no HA, and recovery by hand after a failure: ha-manager remove SID",
            ),
        );
    }
}

fn are(names: &BTreeSet<&str>) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", in_a_row(names))
}

/// The same where somebody's standing is not clear: as the file and the members mean it.
fn votes_meant(file: &ClusterFile, standing: &Standing<'_>) -> u32 {
    let named = file.members().map(|(node, _)| node.as_str());
    let mut names: BTreeSet<&str> = named.chain(standing.roster.iter().copied()).collect();
    names.retain(|name| !standing.leaving.contains(name));
    u32::try_from(names.len()).unwrap_or(u32::MAX)
}

/// Votes of servers once the plan is done.
pub(super) fn votes_after(standing: &Standing<'_>) -> u32 {
    let configured: u32 = standing.any_member().map_or(0, |m| {
        let stay = m
            .configured
            .iter()
            .filter(|n| !standing.leaving.contains(n.name.as_str()) && !standing.entry_goes(&n.name));
        stay.map(|n| n.votes).sum()
    });
    configured + u32::try_from(links::joining(standing).len()).unwrap_or(u32::MAX)
}

/// A folder of a node that is no member: PVE shows it as a server that is offline for ever.
fn folders(wish: &Wish, view: &View, standing: &Standing<'_>, report: &mut Report) {
    let Some((speaker, _)) = standing.inside.iter().next() else {
        return;
    };
    let Some(config) = report.facet(view, speaker, FacetName::Config, Weight::Told, |o| &o.config) else {
        return;
    };
    let folders = match config.node_folders.get() {
        Ok(folders) => folders,
        Err(unknown) => {
            let finding = facet_unknown(speaker, FacetName::Config, "folders of nodes", unknown);
            report.weigh(Weight::Told, finding);
            return;
        }
    };
    let cleared = |name: &str| wish.removed().any(|removed| removed.as_str() == name);
    let left = folders
        .iter()
        .filter(|(name, _)| !standing.roster.contains(name.as_str()));
    for (name, folder) in left.filter(|(name, folder)| !(cleared(name) && folder.guests.is_empty())) {
        let guests = if folder.guests.is_empty() {
            String::new()
        } else {
            format!("; the configuration of {} is in it", in_a_row(&folder.guests))
        };
        let next = if folder.guests.is_empty() {
            format!("have it cleared up, with a copy kept: --remove {name}")
        } else {
            format!(
                "on {speaker}: move what is needed, such as mv /etc/pve/nodes/{name}/qemu-server/ID.conf /etc/pve/nodes/{speaker}/qemu-server/"
            )
        };
        report.tell(Finding::new(
            Code::NodeFolderLeft,
            name.as_str(),
            format!("/etc/pve/nodes/{name} is there, and {name} is no member{guests}"),
            next,
        ));
    }
}

fn coordinator_on(file: &ClusterFile, view: &View, report: &mut Report) {
    let Some(node) = view.coordinator_on.as_ref().filter(|node| is_member(file, node)) else {
        return;
    };
    report.tell(Finding::new(
        Code::CoordinatorOnNode,
        node.as_str(),
        format!("this coordinator runs on {node}, a server of the cluster: when {node} fails, nobody watches the others; it is handled last"),
        "put the coordinator on a host of its own: quorate backup there, quorate init --restore here",
    ));
}

/// Unlike a container, which has the name of its host's boot, a virtual machine is known by its MAC address.
fn coordinator_in_guest(view: &View, report: &mut Report) {
    // Who can't tell its guests is told where something depends on it.
    let Ok(Some(server)) = knows_guest(view, &view.coordinator_macs, None) else {
        return;
    };
    report.tell(Finding::new(
        Code::CoordinatorInGuest,
        "",
        format!("this coordinator seems to run in a guest of the cluster: {server} knows one with its MAC address; when that guest's server fails, nobody watches the others"),
        "put the coordinator on a host of its own: quorate backup there, quorate init --restore here",
    ));
}

fn is_member(file: &ClusterFile, node: &NodeName) -> bool {
    file.members().any(|(name, _)| name == node)
}
