//! Which address of each server is its end of each link.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::network::Interface;
use quorate_model::observation::{FacetName, Network};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use super::members::Standing;
use crate::report::{Report, Weight, facet_unknown, in_a_row};

/// Link number → address, for each server that is to become a member.
pub(super) type Addresses<'v> = BTreeMap<&'v NodeName, BTreeMap<u8, IpAddr>>;

/// Finds the addresses; `None` if any of them can't be told.
pub(super) fn choose<'v>(
    file: &ClusterFile,
    view: &View,
    standing: &Standing<'v>,
    report: &mut Report,
) -> Option<Addresses<'v>> {
    let mut found = Addresses::new();
    let mut complete = existing_fits(file, standing, report);
    for node in standing.bare.keys() {
        let Some(network) = report.facet(view, node, FacetName::Network, Weight::Needed, |o| &o.network) else {
            complete = false;
            continue;
        };
        complete &= own_address(file, node, network, report);
        match of_node(file, node, network, report) {
            Some(links) => {
                found.insert(node, links);
            }
            None => complete = false,
        }
    }
    complete &= no_two_alike(file, standing, &found, report);
    complete.then_some(found)
}

/// How many links the file wants.
fn count(file: &ClusterFile) -> u8 {
    u8::try_from(file.cluster.links.len().max(1)).unwrap_or(u8::MAX)
}

/// The addresses of a server that could be its end of a link: those on interfaces that work. Its own address, as the file has it,
/// is what is meant where it is among several.
pub(super) fn candidates(file: &ClusterFile, node: &NodeName, network: &Network, link: u8) -> BTreeSet<IpAddr> {
    let own = file.nodes.get(node).map(|n| n.address.value);
    let usable: BTreeSet<IpAddr> = in_link(file, network, own, link)
        .filter(|(i, _)| works(i))
        .map(|(_, a)| a)
        .collect();
    match own {
        Some(own) if usable.contains(&own) => BTreeSet::from([own]),
        _ => usable,
    }
}

fn in_link<'n>(
    file: &ClusterFile,
    network: &'n Network,
    own: Option<IpAddr>,
    link: u8,
) -> impl Iterator<Item = (&'n Interface, IpAddr)> + use<'n> {
    let wanted = file.cluster.links.get(usize::from(link)).map(|l| l.value);
    network
        .addresses()
        .map(|(interface, a)| (interface, a.address))
        .filter(move |(_, address)| wanted.map_or(Some(*address) == own, |net| net.contains(address)))
}

/// Set up, and with a link where the port can tell. Corosync over a port without one would wait for quorum without end.
fn works(interface: &Interface) -> bool {
    interface.up && interface.carrier != Some(false)
}

fn state(interface: &Interface) -> &'static str {
    if interface.up {
        "sees no link: no cable, or the other end is down"
    } else {
        "is down"
    }
}

/// The server's own address must be on it: it is what other members will call it by.
fn own_address(file: &ClusterFile, node: &NodeName, network: &Network, report: &mut Report) -> bool {
    let Some(spec) = file.nodes.get(node) else { return false };
    let address = spec.address.value;
    let carriers: Vec<&Interface> = network
        .addresses()
        .filter(|(_, a)| a.address == address)
        .map(|(i, _)| i)
        .collect();
    if carriers.iter().any(|i| works(i)) {
        return true;
    }
    let (message, next) = match carriers.first() {
        None => {
            let there = in_a_row(
                network
                    .addresses()
                    .filter(|(i, _)| works(i))
                    .map(|(_, a)| a.address)
                    .collect::<BTreeSet<_>>(),
            );
            (
                format!("{node} has no address {address}; it has {there}"),
                "write the address that the server has, or give it this one".to_owned(),
            )
        }
        Some(i) => (
            format!("{node} has {address} on {}, which {}", i.name, state(i)),
            format!("on {node}: ip link set {} up", i.name),
        ),
    };
    report
        .tell(Finding::new(Code::AddressNotOnNode, node.as_str(), message, next).at(Some(spec.address.place.clone())));
    false
}

fn of_node(
    file: &ClusterFile,
    node: &NodeName,
    network: &Network,
    report: &mut Report,
) -> Option<BTreeMap<u8, IpAddr>> {
    let mut links = BTreeMap::new();
    for number in 0..count(file) {
        let candidates: Vec<IpAddr> = candidates(file, node, network, number).into_iter().collect();
        let place = file
            .cluster
            .links
            .get(usize::from(number))
            .map(|l| (l.value, l.place.clone()));
        match (candidates.as_slice(), place) {
            ([address], _) => {
                links.insert(number, *address);
            }
            // Without networks the link is the server's own address, and that it is missing has been told.
            (_, None) => {}
            ([], Some((net, place))) => {
                let down = in_link(file, network, None, number).next();
                let (message, next) = match down {
                    None => {
                        let there = in_a_row(network.addresses().map(|(_, a)| a.address).collect::<BTreeSet<_>>());
                        (
                            format!("{node} has no address in {net} (link {number}); it has {there}"),
                            format!("give {node} an address in {net}, or name another network"),
                        )
                    }
                    Some((i, address)) => (
                        format!(
                            "{node} has {address} in {net} (link {number}), but {} {}",
                            i.name,
                            state(i)
                        ),
                        format!("on {node}: ip link show {}", i.name),
                    ),
                };
                report.tell(Finding::new(Code::NoAddressInNetwork, node.as_str(), message, next).at(Some(place)));
            }
            (several, Some((net, place))) => report.tell(
                Finding::new(
                    Code::AmbiguousAddress,
                    node.as_str(),
                    format!(
                        "{node} has several addresses in {net} (link {number}): {}",
                        in_a_row(several)
                    ),
                    "name a narrower network in which each server has one address, or remove the other addresses",
                )
                .at(Some(place)),
            ),
        }
    }
    (links.len() == usize::from(count(file))).then_some(links)
}

/// PVE accepts an address that another member has, and the cluster breaks later.
fn no_two_alike(file: &ClusterFile, standing: &Standing<'_>, found: &Addresses<'_>, report: &mut Report) -> bool {
    let mut owners: BTreeMap<IpAddr, BTreeSet<String>> = BTreeMap::new();
    let configured = standing.any_member().into_iter().flat_map(|m| &m.configured);
    for (name, address) in configured.flat_map(|n| n.addresses.values().map(move |a| (&n.name, a))) {
        if let Ok(address) = address.parse() {
            owners.entry(address).or_default().insert(name.clone());
        }
    }
    for (node, address) in found
        .iter()
        .flat_map(|(node, links)| links.values().map(move |a| (node, *a)))
    {
        owners.entry(address).or_default().insert(node.to_string());
    }
    let mut unique = true;
    for (address, nodes) in owners.into_iter().filter(|(_, nodes)| nodes.len() > 1) {
        unique = false;
        report.tell(Finding::new(
            Code::SpecDuplicateAddress,
            file.cluster.name.value.as_str(),
            format!("{} all have {address}", in_a_row(&nodes)),
            "give each server its own address on each link",
        ));
    }
    unique
}

/// A joiner must come with exactly the links that the cluster has, in the same networks; changing the links of a cluster is
/// another matter.
fn existing_fits(file: &ClusterFile, standing: &Standing<'_>, report: &mut Report) -> bool {
    let Some(member) = standing.any_member() else {
        return true;
    };
    let joins = !standing.bare.is_empty();
    if file.links_by_address() && !joins {
        return true;
    }
    let cluster = &file.cluster.name;
    let there: BTreeSet<u8> = member
        .configured
        .iter()
        .flat_map(|n| n.addresses.keys().copied())
        .collect();
    let wanted: BTreeSet<u8> = (0..count(file)).collect();
    if there != wanted {
        let place = file.cluster.links.last().map_or(&cluster.place, |l| &l.place);
        report.tell(
            Finding::new(
                Code::SpecNotSupported,
                cluster.value.as_str(),
                format!("{} has the links {}, and the cluster file names {}", cluster.value, in_a_row(&there), in_a_row(&wanted)),
                "name the network of each link that the cluster has, in order; this version does not add or remove links",
            )
            .at(Some(place.clone())),
        );
        return false;
    }
    let mut fits = true;
    for (node, number, text) in member
        .configured
        .iter()
        .flat_map(|n| n.addresses.iter().map(move |(i, a)| (&n.name, *i, a)))
    {
        fits &= fits_link(file, node, number, text, Weight::needed_if(joins), report);
    }
    fits
}

fn fits_link(file: &ClusterFile, node: &str, number: u8, text: &str, joins: Weight, report: &mut Report) -> bool {
    let Ok(address) = text.parse::<IpAddr>() else {
        if let Ok(node) = NodeName::new(node) {
            let unknown = Unknown::new(
                UnknownKind::Unparsable,
                format!("corosync.conf has the name `{text}` for it, not an address"),
            );
            report.weigh(
                joins,
                facet_unknown(
                    &node,
                    FacetName::Cluster,
                    &format!("network of link {number}"),
                    &unknown,
                ),
            );
        }
        return false;
    };
    let link = file.cluster.links.get(usize::from(number));
    let own = file
        .nodes
        .iter()
        .find(|(n, _)| n.as_str() == node)
        .map(|(_, spec)| &spec.address);
    let (fits, wanted, place) = match (link, own) {
        (Some(link), _) => (link.value.contains(&address), link.value.to_string(), &link.place),
        (None, Some(own)) => (
            own.value == address,
            format!("its own address {}", own.value),
            &own.place,
        ),
        (None, None) => return true,
    };
    if !fits {
        report.tell(
            Finding::new(
                Code::SpecNotSupported,
                node,
                format!("link {number} of {node} runs over {address}, not over {wanted}"),
                "name the networks that the cluster's links are in; this version does not move links",
            )
            .at(Some(place.clone())),
        );
    }
    fits
}
