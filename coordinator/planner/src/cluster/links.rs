//! Which address of each server is its end of each link, and which links the cluster does not have yet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use quorate_model::finding::{Code, Finding, Place};
use quorate_model::ids::NodeName;
use quorate_model::observation::network::{AddressState, Interface};
use quorate_model::observation::{FacetName, Network};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use super::Changes;
use super::members::Standing;
use super::unfinished::Unfinished;
use crate::report::{Report, Weight, in_a_row};

/// Link number → address, for each server that is to become a member.
pub(super) type Addresses<'v> = BTreeMap<&'v NodeName, BTreeMap<u8, IpAddr>>;

/// What is known of the links.
#[derive(Debug)]
pub(super) struct Links<'v> {
    /// The ends of those that are to join, on every link of the file.
    pub(super) joiners: Addresses<'v>,
    /// Links that the cluster does not have yet: number → each member's address.
    pub(super) new: BTreeMap<u8, BTreeMap<NodeName, IpAddr>>,
    /// Links that it has; none before it is made.
    pub(super) there: BTreeSet<u8>,
}

/// How many links the file wants.
pub(super) fn count(file: &ClusterFile) -> u8 {
    u8::try_from(file.cluster.links.len().max(1)).unwrap_or(u8::MAX)
}

/// The links of the file that the cluster does not have.
pub(super) fn missing(file: &ClusterFile, standing: &Standing<'_>) -> BTreeSet<u8> {
    if !standing.founded() || file.links_by_address() {
        return BTreeSet::new();
    }
    let there = there(standing);
    (0..count(file)).filter(|number| !there.contains(number)).collect()
}

/// The links of the cluster, by number.
pub(super) fn there(standing: &Standing<'_>) -> BTreeSet<u8> {
    let members = standing.any_member().into_iter().flat_map(|m| &m.configured);
    members.flat_map(|n| n.addresses.keys().copied()).collect()
}

/// Finds the addresses; `None` if any of them can't be told.
pub(super) fn choose<'v>(
    file: &ClusterFile,
    view: &View,
    standing: &Standing<'v>,
    changes: &Changes,
    report: &mut Report,
) -> Option<Links<'v>> {
    let mut links = Links {
        joiners: Addresses::new(),
        new: BTreeMap::new(),
        there: there(standing),
    };
    let mut complete = super::link_changes::compare(file, standing, changes, report);
    for node in joining(standing) {
        let Some(network) = report.facet(view, node, FacetName::Network, Weight::Needed, |o| &o.network) else {
            complete = false;
            continue;
        };
        complete &= own_address(file, node, network, report);
        let own = of_node(file, node, network, &(0..count(file)).collect(), report);
        match own {
            Some(own) => {
                links.joiners.insert(node, own);
            }
            None => complete = false,
        }
    }
    complete &= new_links(file, view, standing, &mut links, report);
    complete &= no_two_alike(file, view, standing, &links, changes, report);
    complete.then_some(links)
}

/// Servers that are to join by `pvecm add` (or found the cluster).
pub(super) fn joining<'v>(standing: &Standing<'v>) -> Vec<&'v NodeName> {
    let again = standing
        .unfinished
        .iter()
        .filter(|(_, how_far)| **how_far == (Unfinished::Bare { undo: false }));
    let mut nodes: Vec<&NodeName> = standing
        .bare
        .keys()
        .chain(again.map(|(node, _)| node))
        .copied()
        .collect();
    nodes.sort();
    nodes
}

/// Every member needs an address on a link that is to be added, also those that the file does not name.
fn new_links(
    file: &ClusterFile,
    view: &View,
    standing: &Standing<'_>,
    links: &mut Links<'_>,
    report: &mut Report,
) -> bool {
    let missing = missing(file, standing);
    if missing.is_empty() {
        return true;
    }
    let mut complete = true;
    let finished = standing
        .unfinished
        .iter()
        .filter(|(_, how_far)| **how_far == Unfinished::Begun { undo: false })
        .map(|(node, _)| *node);
    let members: Vec<&NodeName> = standing.staying().map(|(node, _)| node).chain(finished).collect();
    for node in members {
        let Some(network) = report.facet(view, node, FacetName::Network, Weight::Needed, |o| &o.network) else {
            complete = false;
            continue;
        };
        match of_node(file, node, network, &missing, report) {
            Some(own) => {
                for (number, address) in own {
                    links.new.entry(number).or_default().insert(node.clone(), address);
                }
            }
            None => complete = false,
        }
    }
    for (node, own) in &links.joiners {
        for (number, address) in own.iter().filter(|(number, _)| missing.contains(number)) {
            links.new.entry(*number).or_default().insert((*node).clone(), *address);
        }
    }
    complete
}

/// The addresses of a server that could be its end of a link: those on interfaces that work. Its own address, as the file has it,
/// is what is meant where it is among several.
pub(super) fn candidates(file: &ClusterFile, node: &NodeName, network: &Network, link: u8) -> BTreeSet<IpAddr> {
    let own = file.nodes.get(node).map(|n| n.address.value);
    let usable: BTreeSet<IpAddr> = in_link(file, node, network, link)
        .filter(|(i, _)| works(i))
        .map(|(_, a)| a)
        .collect();
    match own {
        Some(own) if usable.contains(&own) => BTreeSet::from([own]),
        _ => usable,
    }
}

/// What the file says about a server's end of a link.
pub(super) enum Wanted {
    /// This address, which stands there.
    Address(IpAddr, Place),
    /// The one that it has in this network, which stands there.
    In(ipnet::IpNet, Place),
    /// Nothing: it is not named, and the link has no network.
    Nothing,
}

pub(super) fn wanted(file: &ClusterFile, node: &str, link: u8) -> Wanted {
    let spec = file
        .nodes
        .iter()
        .find(|(name, _)| name.as_str() == node)
        .map(|(_, spec)| spec);
    let explicit = spec.and_then(|s| s.links.as_ref()?.get(usize::from(link)));
    if let Some(address) = explicit {
        return Wanted::Address(address.value, address.place.clone());
    }
    let network = file
        .cluster
        .links
        .get(usize::from(link))
        .and_then(|l| l.network.as_ref());
    match (network, spec) {
        (Some(network), _) => Wanted::In(network.value, network.place.clone()),
        (None, Some(spec)) if link == 0 => Wanted::Address(spec.address.value, spec.address.place.clone()),
        (None, _) => Wanted::Nothing,
    }
}

fn in_link<'n>(
    file: &ClusterFile,
    node: &NodeName,
    network: &'n Network,
    link: u8,
) -> impl Iterator<Item = (&'n Interface, IpAddr)> + use<'n> {
    let wanted = wanted(file, node.as_str(), link);
    network
        .addresses()
        .filter(move |(_, a)| match &wanted {
            // By name, also one that will go: whoever wrote it down meant it.
            Wanted::Address(wanted, _) => *wanted == a.address && a.state.works(),
            Wanted::In(net, _) => a.state == AddressState::Usable && net.contains(&a.address),
            Wanted::Nothing => false,
        })
        .map(|(interface, a)| (interface, a.address))
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
    on_node(node, network, spec.address.value, &spec.address.place, report)
}

fn on_node(node: &NodeName, network: &Network, address: IpAddr, place: &Place, report: &mut Report) -> bool {
    let named = || network.addresses().filter(|(_, a)| a.address == address);
    if let Some((interface, a)) = named().next()
        && !named().any(|(_, a)| a.state.works())
    {
        let why = if a.state == AddressState::Duplicate {
            "another host on that network has it too (duplicate address detection failed)"
        } else {
            "whether another host has it is still being found out (tentative)"
        };
        let message = format!("{node} has {address} on {}, but {why}", interface.name);
        let next = format!("on {node}: ip -6 address show dev {}", interface.name);
        report.tell(Finding::new(Code::AddressNotOnNode, node.as_str(), message, next).at(Some(place.clone())));
        return false;
    }
    let carriers: Vec<&Interface> = named().map(|(i, _)| i).collect();
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
    report.tell(Finding::new(Code::AddressNotOnNode, node.as_str(), message, next).at(Some(place.clone())));
    false
}

fn of_node(
    file: &ClusterFile,
    node: &NodeName,
    network: &Network,
    numbers: &BTreeSet<u8>,
    report: &mut Report,
) -> Option<BTreeMap<u8, IpAddr>> {
    let mut links = BTreeMap::new();
    for number in numbers.iter().copied() {
        let candidates: Vec<IpAddr> = candidates(file, node, network, number).into_iter().collect();
        match (candidates.as_slice(), wanted(file, node.as_str(), number)) {
            ([address], _) => {
                links.insert(number, *address);
            }
            (_, Wanted::Nothing) => {
                let place = file.cluster.links.get(usize::from(number)).map(|l| l.place.clone());
                report.tell(
                    Finding::new(
                        Code::NoAddressInNetwork,
                        node.as_str(),
                        format!(
                            "link {number} has no network, and the cluster file does not name {node}'s address on it"
                        ),
                        format!("add [nodes.{node}] with its `links`, or name the network of link {number}"),
                    )
                    .at(place),
                );
            }
            (_, Wanted::Address(address, place)) => {
                on_node(node, network, address, &place, report);
            }
            ([], Wanted::In(net, place)) => {
                let (message, next) = match in_link(file, node, network, number).next() {
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
            (several, Wanted::In(net, place)) => report.tell(
                Finding::new(
                    Code::AmbiguousAddress,
                    node.as_str(),
                    format!(
                        "{node} has several addresses in {net} (link {number}): {}",
                        in_a_row(several)
                    ),
                    format!(
                        "name them in [nodes.{node}] (`links`), or a narrower network in which each server has one"
                    ),
                )
                .at(Some(place)),
            ),
        }
    }
    (links.len() == numbers.len()).then_some(links)
}

/// PVE accepts an address that another server has, and the cluster breaks later. What is to be used must be nobody else's, neither
/// on an interface nor in corosync.conf.
fn no_two_alike(
    file: &ClusterFile,
    view: &View,
    standing: &Standing<'_>,
    links: &Links<'_>,
    changes: &Changes,
    report: &mut Report,
) -> bool {
    let mut used: BTreeMap<IpAddr, BTreeSet<String>> = BTreeMap::new();
    for (node, own) in &links.joiners {
        let management = file.nodes.get(*node).map(|spec| spec.address.value);
        for address in own.values().copied().chain(management) {
            used.entry(address).or_default().insert(node.to_string());
        }
    }
    for (node, address) in links.new.values().flatten() {
        used.entry(*address).or_default().insert(node.to_string());
    }
    let mut owners = used.clone();
    // One that is taken out first leaves its address to whoever takes its place.
    let configured = standing.any_member().into_iter().flat_map(|m| &m.configured);
    let configured =
        configured.filter(|n| !standing.leaving.contains(n.name.as_str()) && !standing.entry_goes(&n.name));
    let mut written: BTreeSet<IpAddr> = BTreeSet::new();
    for (name, address) in configured.flat_map(|n| n.addresses.values().map(move |a| (&n.name, a))) {
        if let Ok(address) = address.parse::<IpAddr>() {
            written.insert(address);
            owners.entry(address).or_default().insert(name.clone());
        }
    }
    for (node, seen) in &view.nodes {
        let Ok(observation) = &seen.observation else { continue };
        let Ok(network) = observation.network.get() else {
            continue;
        };
        for (_, on) in network.addresses() {
            owners.entry(on.address).or_default().insert(node.to_string());
        }
    }
    let mut unique = true;
    for (address, nodes) in owners
        .into_iter()
        .filter(|(a, nodes)| (used.contains_key(a) || written.contains(a)) && nodes.len() > 1)
    {
        // What is so already holds up a change, and nothing else.
        let weight = Weight::needed_if(used.contains_key(&address) || changes.corosync());
        unique &= weight == Weight::Told;
        report.weigh(
            weight,
            Finding::new(
                Code::AddressTaken,
                file.cluster.name.value.as_str(),
                format!("{} all have {address}", in_a_row(&nodes)),
                "give each server its own address on each link: ip address show, on each of them, and /etc/pve/corosync.conf",
            ),
        );
    }
    unique
}
