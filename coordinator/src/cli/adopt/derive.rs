//! From what a cluster is to the file that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use quorate_model::facet::Unknown;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::cluster::Member;
use quorate_model::spec::{Draft, DraftLink, DraftNode, NodeRole};
use quorate_model::{Code, Finding, Observation};

use super::pools::pools;
use super::storages::storages;

/// An enrolled server.
#[derive(Debug)]
pub(super) struct Server<'o> {
    pub(super) name: NodeName,
    /// With which it is enrolled.
    pub(super) address: Option<IpAddr>,
    pub(super) observation: &'o Observation,
}

impl Server<'_> {
    /// It was seen not to be a PVE server.
    pub(super) fn is_no_pve(&self) -> bool {
        let system = self.observation.system.get();
        system.is_ok_and(|system| matches!(system.pve.get(), Ok(None)))
    }
}

/// What could not be seen of a server, which is never taken for absent.
pub(super) fn unseen(server: &Server<'_>, what: &str, facet: &str, unknown: &Unknown) -> Failure {
    let name = &server.name;
    refused(
        Code::FacetUnknown,
        name.as_str(),
        format!("{what} can't be seen on {name}: {}", unknown.reason),
        format!("look on {name}: quorate-agent observe {facet}"),
    )
}

/// The draft of a cluster as its members see it.
pub(super) fn derive(cluster: &ClusterName, servers: &[Server<'_>]) -> Result<Draft, Failure> {
    let mut members: Vec<(&Server<'_>, &Member)> = Vec::new();
    for server in servers {
        match server.observation.cluster.get() {
            Ok(seen) => {
                let member = seen.member().filter(|m| m.cluster == cluster.as_str());
                members.extend(member.map(|member| (server, member)));
            }
            // A host that is no PVE server has no cluster to see.
            Err(_) if server.is_no_pve() => {}
            Err(unknown) => return Err(unseen(server, "whether it is a member", "cluster", unknown)),
        }
    }
    let Some((_, member)) = members.first() else {
        return Err(Failure::new(
            ExitCode::NotFound,
            format!("no enrolled server is a member of a cluster {cluster}"),
        )
        .hint("servers are enrolled under the name of their cluster; look: quorate status"));
    };
    if let Some((other, _)) = members.iter().find(|(_, m)| m.configured != member.configured) {
        return Err(refused(
            Code::SplitMembership,
            cluster.as_str(),
            format!("{} has another corosync.conf than the others", other.name),
            "quorate status; mend that first".to_owned(),
        ));
    }
    let mut draft = Draft::new(cluster.clone());
    draft.comments = vec![format!(
        "The cluster file of {cluster} as it was found, by `quorate adopt`. It is yours now.\n\
         What would be done:   quorate plan FILE"
    )];
    let links = links(cluster, member, servers)?;
    for configured in &member.configured {
        let name: NodeName = configured
            .name
            .parse()
            .map_err(|error: quorate_model::ids::InvalidName| {
                refused(
                    Code::SpecBadName,
                    cluster.as_str(),
                    error.to_string(),
                    "Quorate can't look after a member of that name".to_owned(),
                )
            })?;
        let server = servers.iter().find(|server| server.name == name);
        let published = member
            .nodes
            .iter()
            .find(|n| n.name == configured.name)
            .and_then(|n| n.address);
        let address = published
            .or_else(|| server.and_then(|server| server.address))
            .ok_or_else(|| {
                refused(
                    Code::NameDoesNotResolve,
                    name.as_str(),
                    format!("the address of {name} can't be told: its pmxcfs has not published one"),
                    format!("bring {name} online once, or enrol it"),
                )
            })?;
        let comment = match server {
            Some(_) => String::new(),
            None => format!("Not enrolled yet: quorate node invite {cluster}/{name} --address {address}"),
        };
        let node = DraftNode {
            comment,
            address,
            role: NodeRole::Member,
            links: links.explicit.as_ref().and_then(|all| all.get(&name).cloned()),
        };
        draft.nodes.insert(name, node);
    }
    draft.links = links.links;
    third_vote(&mut draft, member, servers);
    pools(&mut draft, servers)?;
    storages(&mut draft, servers)?;
    Ok(draft)
}

/// The links of a cluster.
struct Links {
    links: Vec<DraftLink>,
    /// Where networks do not tell the addresses: every node's, by link.
    explicit: Option<BTreeMap<NodeName, Vec<IpAddr>>>,
}

fn links(cluster: &ClusterName, member: &Member, servers: &[Server<'_>]) -> Result<Links, Failure> {
    let numbers: BTreeSet<u8> = member
        .configured
        .iter()
        .flat_map(|n| n.addresses.keys().copied())
        .collect();
    if !numbers
        .iter()
        .copied()
        .eq(0..u8::try_from(numbers.len()).unwrap_or(u8::MAX))
    {
        let shown: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        return Err(refused(
            Code::LinksDiffer,
            cluster.as_str(),
            format!(
                "its links are numbered {}, and a cluster file counts them from 0 without gaps",
                shown.join(", ")
            ),
            "renumber them by hand in corosync.conf first".to_owned(),
        ));
    }
    let mut addresses: BTreeMap<NodeName, Vec<IpAddr>> = BTreeMap::new();
    for node in &member.configured {
        let name: NodeName = match node.name.parse() {
            Ok(name) => name,
            Err(_) => continue,
        };
        let each = node.addresses.values().map(|text| text.parse::<IpAddr>());
        let each: Result<Vec<IpAddr>, _> = each.collect();
        let each = each.map_err(|_| {
            refused(
                Code::LinksDiffer,
                name.as_str(),
                format!("corosync.conf has a host name for {name} where an address should be"),
                "write the address into corosync.conf by PVE's procedure first".to_owned(),
            )
        })?;
        addresses.insert(name, each);
    }
    let networks: Vec<Option<IpNet>> = numbers
        .iter()
        .map(|number| network_of(usize::from(*number), &addresses, servers))
        .collect();
    let known: Vec<IpNet> = networks.iter().flatten().copied().collect();
    let apart = known.iter().collect::<BTreeSet<_>>().len() == numbers.len();
    let link = |number: &u8, network| DraftLink {
        comment: String::new(),
        network,
        priority: member.interfaces.get(number).copied().flatten(),
    };
    if apart {
        let links = numbers
            .iter()
            .zip(known)
            .map(|(number, network)| link(number, Some(network)));
        return Ok(Links {
            links: links.collect(),
            explicit: None,
        });
    }
    let links = numbers.iter().map(|number| link(number, None));
    Ok(Links {
        links: links.collect(),
        explicit: Some(addresses),
    })
}

/// The one network in which every node's address on a link lies, as the servers that we see have it, if they have exactly one each there.
fn network_of(number: usize, addresses: &BTreeMap<NodeName, Vec<IpAddr>>, servers: &[Server<'_>]) -> Option<IpNet> {
    let mut networks = BTreeSet::new();
    for (name, links) in addresses {
        let address = links.get(number)?;
        let server = servers.iter().find(|server| server.name == *name)?;
        let network = server.observation.network.get().ok()?;
        let (_, on) = network.addresses().find(|(_, on)| on.address == *address)?;
        let net = IpNet::new(on.address, on.prefix).ok()?.trunc();
        let within = network.addresses().filter(|(_, on)| net.contains(&on.address)).count();
        if within != 1 {
            return None;
        }
        networks.insert(net);
    }
    match networks.len() {
        1 => networks.into_iter().next(),
        _ => None,
    }
}

fn third_vote(draft: &mut Draft, member: &Member, servers: &[Server<'_>]) {
    let Some(device) = &member.qdevice else { return };
    let host = servers
        .iter()
        .find(|server| server.is_no_pve() && server.address.is_some_and(|address| device.host.parse() == Ok(address)));
    match host {
        Some(host) => {
            let node = DraftNode {
                comment: "Holds the third vote.".to_owned(),
                address: host.address.unwrap_or(IpAddr::from([0, 0, 0, 0])),
                role: NodeRole::Qnetd,
                links: None,
            };
            draft.nodes.insert(host.name.clone(), node);
            draft.third_vote = Some(host.name.clone());
        }
        None => draft.comments.push(format!(
            "The cluster has a QDevice at {}, which is no enrolled host: it is left as it is, and not looked after.\n\
             To have it looked after, enrol that host, and write: [cluster.third_vote] qdevice = \"NAME\"",
            device.host
        )),
    }
}

fn refused(code: Code, subject: &str, message: String, next: String) -> Failure {
    let finding = Finding::new(code, subject, message.clone(), next);
    Failure::new(ExitCode::Refused, message).with(vec![finding])
}
