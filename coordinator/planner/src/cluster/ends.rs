//! Where each server's end of each link is: as corosync.conf has it, and where it has none, as the cluster file wants it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::ids::NodeName;
use quorate_model::observation::Membership;
use quorate_model::observation::cluster::Member;
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use super::links;

/// Link number → address, or why it can't be told, for each server that is a member or is to be one.
pub type LinkEnds = BTreeMap<NodeName, BTreeMap<u8, Result<IpAddr, Unknown>>>;

/// The ends of the links of the cluster of `view`, and of those that `file` wants besides.
#[must_use]
pub fn link_ends(file: Option<&ClusterFile>, view: &View) -> LinkEnds {
    let mut ends = LinkEnds::new();
    if let Some(member) = speaker(file, view) {
        for node in &member.configured {
            // A name that is none can't be enrolled either.
            let Ok(name) = NodeName::new(node.name.clone()) else {
                continue;
            };
            let addresses = node
                .addresses
                .iter()
                .map(|(number, text)| (*number, address(&node.name, *number, text)));
            ends.insert(name, addresses.collect());
        }
    }
    let Some(file) = file else { return ends };
    for (node, _) in file.members() {
        let own = ends.entry(node.clone()).or_default();
        for number in 0..links::count(file) {
            own.entry(number).or_insert_with(|| wanted(file, view, node, number));
        }
    }
    ends
}

/// The member whose word counts: the first that has quorum, or else the first.
fn speaker<'v>(file: Option<&ClusterFile>, view: &'v View) -> Option<&'v Member> {
    let members = view
        .nodes
        .keys()
        .filter_map(|node| match &view.cluster_of(node).ok()?.membership {
            Membership::Member(member) => Some(&**member),
            Membership::Standalone => None,
        });
    let meant = |member: &&Member| file.is_none_or(|file| member.cluster == file.cluster.name.value.as_str());
    let mut members: Vec<&Member> = members.filter(meant).collect();
    members.sort_by_key(|member| !member.quorate);
    members.first().copied()
}

fn address(node: &str, number: u8, text: &str) -> Result<IpAddr, Unknown> {
    text.parse().map_err(|_| {
        let reason = format!("corosync.conf has the name `{text}` for link {number} of {node}, and not an address");
        Unknown::new(UnknownKind::Unparsable, reason)
    })
}

fn wanted(file: &ClusterFile, view: &View, node: &NodeName, number: u8) -> Result<IpAddr, Unknown> {
    let network = view.facet(node, |o| &o.network)?;
    let candidates = links::candidates(file, node, network, number);
    let mut found = candidates.iter();
    match (found.next(), found.next()) {
        (Some(address), None) => Ok(*address),
        (None, _) => Err(Unknown::new(
            UnknownKind::Failed,
            format!("{node} has no address that works on link {number}"),
        )),
        (Some(_), Some(_)) => Err(Unknown::new(
            UnknownKind::Failed,
            format!("{node} has several addresses that could be its end of link {number}"),
        )),
    }
}
