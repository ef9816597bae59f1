//! The nodes' tables of a draft, with what was seen of each as comments, and what to look at in the whole.

use std::collections::BTreeMap;
use std::net::IpAddr;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::NodeName;
use quorate_model::spec::{Draft, DraftLink, DraftNode, NodeRole};

use super::survey::{Pve, Server};

/// A member's table. Where a network does not tell which of several addresses is meant, all its addresses are written down.
pub(super) fn node(server: &Server, links: &[DraftLink]) -> Result<DraftNode, Failure> {
    let address = address(server)?;
    let ends: Vec<Vec<IpAddr>> = links
        .iter()
        .filter_map(|link| link.network.as_ref())
        .map(|network| server.within(network).into_iter().map(|end| end.address).collect())
        .collect();
    let unclear: Vec<&Vec<IpAddr>> = ends
        .iter()
        .filter(|ends| ends.len() > 1 && !ends.contains(&address))
        .collect();
    let mut comment = comment(server);
    let explicit: Option<Vec<IpAddr>> = match unclear.first() {
        None => None,
        Some(several) => {
            let several = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let meant = |ends: &Vec<IpAddr>| ends.iter().find(|end| **end == address).or(ends.first()).copied();
            // All its addresses can be written down, or none.
            let all: Option<Vec<IpAddr>> = ends.iter().map(meant).collect();
            let which = if all.is_some() {
                "which is meant is written down."
            } else {
                "write down which is meant, as its `links`, with its address on each of the others."
            };
            comment.push_str(&format!(
                "\nIt has several addresses in a link's network ({several}): {which}"
            ));
            all
        }
    };
    Ok(DraftNode {
        comment,
        address,
        role: NodeRole::Member,
        links: explicit,
    })
}

pub(super) fn third(host: &Server) -> Result<DraftNode, Failure> {
    Ok(DraftNode {
        comment: "Outside of the cluster: runs corosync-qnetd and votes when the members are split.".to_owned(),
        address: address(host)?,
        role: NodeRole::Qnetd,
        links: None,
    })
}

fn address(server: &Server) -> Result<IpAddr, Failure> {
    server.address.ok_or_else(|| {
        let mut failure = Failure::new(
            ExitCode::Refused,
            format!("the address of {} could not be seen", server.name),
        );
        failure.causes.clone_from(&server.unseen);
        failure.hint(format!(
            "quorate status --fresh; on {0}: getent ahosts {0}",
            server.name
        ))
    })
}

/// What was seen of a server, for whoever goes on with the file.
fn comment(server: &Server) -> String {
    let mut lines = Vec::new();
    if let Pve::Version(version) = &server.pve {
        lines.push(format!("PVE {version}"));
    }
    match &server.free {
        Some(disks) if disks.is_empty() => lines.push("no free disks".to_owned()),
        Some(disks) => {
            let each = disks
                .iter()
                .map(|disk| format!("free disk: {} ({}, for {})", disk.name, disk.what, disk.usable_for()));
            lines.extend(each);
        }
        None => {}
    }
    lines.extend(server.unseen.iter().map(|what| format!("not seen: {what}")));
    lines.join("\n")
}

/// What of the draft is to be looked at though it is a good file.
pub(super) fn advice(draft: &Draft, servers: &[Server]) -> Vec<String> {
    let by_name: BTreeMap<&NodeName, &Server> = servers.iter().map(|s| (&s.name, s)).collect();
    let members: Vec<&Server> = draft
        .nodes
        .iter()
        .filter(|(_, node)| node.role.votes())
        .filter_map(|(name, _)| by_name.get(name).copied())
        .collect();
    let mut advice = Vec::new();
    for network in draft.links.iter().filter_map(|link| link.network.as_ref()) {
        let without: Vec<&str> = members
            .iter()
            .filter(|m| m.within(network).is_empty())
            .map(|m| m.name.as_str())
            .collect();
        if !without.is_empty() {
            advice.push(format!("no address in {network} was seen on {}", without.join(", ")));
        }
    }
    let inside: Vec<String> = members
        .iter()
        .filter_map(|m| Some(format!("{} (in {})", m.name, m.cluster.as_ref()?)))
        .collect();
    if !inside.is_empty() {
        let cluster = &draft.name;
        advice.push(format!(
            "there is a cluster already: {}; for the file of a cluster as it is: quorate adopt {cluster}",
            inside.join(", ")
        ));
    }
    if draft.links.len() < 2 {
        advice.push("there is a single link: one switch or cable can cost the quorum".to_owned());
    }
    if members.len().is_multiple_of(2) && draft.third_vote.is_none() {
        let votes = members.len();
        advice.push(format!(
            "of {votes} votes one half is no majority: enrol a host outside of the cluster and name it by --qdevice"
        ));
    }
    advice.extend(
        members
            .iter()
            .filter(|m| m.pve == Pve::Not)
            .map(|m| format!("{} is no PVE server", m.name)),
    );
    advice
}
