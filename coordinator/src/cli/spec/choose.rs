//! From what was seen and what the operator wants to the draft of a cluster file.

use std::collections::BTreeSet;

use ipnet::IpNet;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::spec::{Draft, DraftLink, MOST_LINKS};

use super::asking::{Question, Way};
use super::pool::pool;
use super::survey::{Pve, Server, Shared, networks};
use super::tables::{node, third};

/// What was given by flags.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) links: Vec<DraftLink>,
    /// One link over the servers' addresses.
    pub(super) no_links: bool,
    pub(super) nodes: Vec<NodeName>,
    pub(super) qdevice: Option<NodeName>,
    /// No third vote.
    pub(super) no_qdevice: bool,
}

/// Makes the draft. `servers` are all that are enrolled in the cluster.
pub(super) fn draft(
    cluster: &ClusterName,
    servers: &[Server],
    wanted: &Wanted,
    mut way: Way<'_>,
) -> Result<Draft, Failure> {
    let members = members(cluster, servers, wanted, &mut way)?;
    // Of all servers, as they were shown: the numbers are the same.
    let all: Vec<&Server> = servers.iter().collect();
    let seen = networks(&all);
    let links = links(&members, &seen, wanted, &mut way)?;
    let qdevice = third_vote(servers, &members, wanted, &mut way)?;

    let mut draft = Draft::new(cluster.clone());
    draft.comments = vec![format!(
        "The cluster file of {cluster}, begun by `quorate spec init` from what its enrolled servers showed. It is yours now.\n\
         What is wrong in it:  quorate spec check FILE\n\
         What would be done:   quorate plan FILE"
    )];
    for server in &members {
        draft.nodes.insert(server.name.clone(), node(server, &links)?);
    }
    if let Some(host) = qdevice {
        draft.nodes.insert(host.name.clone(), third(host)?);
        draft.third_vote = Some(host.name.clone());
    }
    draft.links = links;
    draft.proposals = pool(&members).unwrap_or_default();
    Ok(draft)
}

fn members<'s>(
    cluster: &ClusterName,
    servers: &'s [Server],
    wanted: &Wanted,
    way: &mut Way<'_>,
) -> Result<Vec<&'s Server>, Failure> {
    if !wanted.nodes.is_empty() {
        let found = wanted.nodes.iter().map(|name| named(cluster, servers, name));
        return unique(found.collect::<Result<_, _>>()?).map_err(|why| Failure::new(ExitCode::Usage, why));
    }
    let usual = servers
        .iter()
        .filter(|s| s.pve != Pve::Not && wanted.qdevice.as_ref() != Some(&s.name));
    let usual = usual.map(|s| s.name.as_str()).collect::<Vec<_>>().join(" ");
    let question = Question {
        text: "which servers are its members?",
        flag: "--node NAME",
        proposed: (!usual.is_empty()).then_some(usual.as_str()),
    };
    way.find(&question, |answer| {
        let found: Result<Vec<&Server>, String> = words(answer)
            .map(|word| {
                let server = servers.iter().find(|s| s.name.as_str() == word);
                server.ok_or_else(|| format!("{word} is not enrolled in {cluster}"))
            })
            .collect();
        match found?.as_slice() {
            [] => Err("name at least one server".to_owned()),
            found => unique(found.to_vec()),
        }
    })
}

fn unique(servers: Vec<&Server>) -> Result<Vec<&Server>, String> {
    let mut names = BTreeSet::new();
    match servers.iter().find(|server| !names.insert(&server.name)) {
        None => Ok(servers),
        Some(twice) => Err(format!("{} is named twice", twice.name)),
    }
}

fn named<'s>(cluster: &ClusterName, servers: &'s [Server], name: &NodeName) -> Result<&'s Server, Failure> {
    servers.iter().find(|s| s.name == *name).ok_or_else(|| {
        Failure::new(
            ExitCode::NotFound,
            format!("{cluster}/{name} is not enrolled, so nothing is known of it"),
        )
        .hint(format!(
            "enrol it: quorate node invite {cluster}/{name} --address ADDRESS"
        ))
    })
}

fn links(
    members: &[&Server],
    seen: &[Shared<'_>],
    wanted: &Wanted,
    way: &mut Way<'_>,
) -> Result<Vec<DraftLink>, Failure> {
    let comment = |network: &IpNet| {
        seen.iter()
            .find(|s| s.network == *network)
            .map(|s| s.describe(members))
            .unwrap_or_default()
    };
    if wanted.no_links {
        return Ok(Vec::new());
    }
    if !wanted.links.is_empty() {
        let with_comment = |link: &DraftLink| DraftLink {
            comment: link.network.as_ref().map(comment).unwrap_or_default(),
            ..link.clone()
        };
        return Ok(wanted.links.iter().map(with_comment).collect());
    }
    let usual: Vec<String> = seen
        .iter()
        .enumerate()
        .filter(|(_, shared)| shared.joins(members))
        .take(MOST_LINKS)
        .map(|(index, _)| (index + 1).to_string())
        .collect();
    let usual = if usual.is_empty() {
        NONE.to_owned()
    } else {
        usual.join(" ")
    };
    let question = Question {
        text: "which networks are its links, link 0 first? (numbers or networks; none: one link over the servers' addresses)",
        flag: "--link NETWORK or --no-links",
        proposed: Some(&usual),
    };
    way.find(&question, |answer| {
        if answer == NONE {
            return Ok(Vec::new());
        }
        let network = |word: &str| {
            let by_number = word.parse::<usize>().ok().and_then(|n| seen.get(n.checked_sub(1)?));
            match (by_number, word.parse::<IpNet>()) {
                (Some(shared), _) => Ok(shared.network),
                (None, Ok(network)) if network.trunc() == network => Ok(network),
                _ => Err(format!("{word} is neither a number of the list above nor a network")),
            }
        };
        let found = words(answer).map(network).collect::<Result<Vec<_>, _>>()?;
        if found.len() > MOST_LINKS {
            return Err(format!("corosync has at most {MOST_LINKS} links"));
        }
        for (index, network) in found.iter().enumerate() {
            if let Some(other) = found
                .iter()
                .take(index)
                .find(|o| o.contains(network) || network.contains(*o))
            {
                return Err(format!(
                    "{network} overlaps {other}: two links over one network fail together"
                ));
            }
            let clash = seen
                .iter()
                .find(|s| s.network == *network)
                .and_then(|s| s.clash(members));
            if let Some(address) = clash {
                return Err(format!(
                    "several servers have {address} in {network}: it does not join them"
                ));
            }
        }
        let link = |network: IpNet| DraftLink {
            comment: comment(&network),
            network: Some(network),
            priority: None,
        };
        Ok(found.into_iter().map(link).collect())
    })
}

const NONE: &str = "none";

/// Answers are separated by blanks or commas.
fn words(answer: &str) -> impl Iterator<Item = &str> {
    answer.split([' ', ',']).filter(|word| !word.is_empty())
}

/// Of an even number of votes one half is no majority: then a third vote is asked for.
fn third_vote<'s>(
    servers: &'s [Server],
    members: &[&Server],
    wanted: &Wanted,
    way: &mut Way<'_>,
) -> Result<Option<&'s Server>, Failure> {
    let others: Vec<&Server> = servers
        .iter()
        .filter(|s| members.iter().all(|m| m.name != s.name))
        .collect();
    let found = |name: &str| {
        let host = others.iter().find(|s| s.name.as_str() == name).copied();
        host.ok_or_else(|| {
            format!("{name} is not an enrolled host outside of the cluster, so it can't hold the third vote")
        })
    };
    if let Some(name) = &wanted.qdevice {
        let host = found(name.as_str()).map_err(|why| {
            Failure::new(ExitCode::Usage, why).hint(format!(
                "enrol the host first: quorate node invite CLUSTER/{name} --address ADDRESS"
            ))
        })?;
        return Ok(Some(host));
    }
    if wanted.no_qdevice || !members.len().is_multiple_of(2) || others.is_empty() {
        return Ok(None);
    }
    // A host may be called like the answer that means no host.
    let (nobody, text) = if others.iter().any(|s| s.name.as_str() == NONE) {
        (
            "-",
            "which host outside of the cluster holds the third vote? (-: no third vote)",
        )
    } else {
        (
            NONE,
            "which host outside of the cluster holds the third vote? (none: no third vote)",
        )
    };
    // A host of which it isn't even known what it is, is not proposed.
    let usual = others
        .iter()
        .find(|s| s.pve == Pve::Not)
        .map_or(nobody, |s| s.name.as_str());
    let question = Question {
        text,
        flag: "--qdevice NAME or --no-qdevice",
        proposed: Some(usual),
    };
    way.find(&question, |answer| {
        if answer == nobody {
            return Ok(None);
        }
        found(answer).map(Some)
    })
}
