//! What must hold between the tables of a cluster file, as far as it can be told without looking at servers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::drills::{self, DrillSpec, ReadDrill};
use super::ha::HaSpec;
use super::links::ReadLink;
use super::nodes::ReadNode;
use super::pools::{PoolSpec, ReadPool};
use super::read::{ReadCluster, ReadNodes};
use super::reader::Reader;
use super::replication::{self, ReplicationSpec};
use super::storages::{self, ReadStorage, StorageSpec};
use super::{ClusterSpec, DiskChoice, LinkSpec, NodeRole, NodeSpec, Pick, ThirdVote};
use crate::finding::{Code, Place};
use crate::ids::{DrillName, NodeName, PoolName, StorageName};
use crate::pool_fits::refuses_beside;

type Nodes = BTreeMap<NodeName, NodeSpec>;
type Pools = BTreeMap<PoolName, PoolSpec>;
type Storages = BTreeMap<StorageName, StorageSpec>;
type Drills = BTreeMap<DrillName, DrillSpec>;

/// Where guests and backups lie, as far as it could be read.
pub(super) struct Stores {
    pub(super) pools: Vec<ReadPool>,
    pub(super) storages: Vec<ReadStorage>,
}

/// How guests are protected, as far as it could be read.
pub(super) struct Protection {
    pub(super) replication: Vec<Option<ReplicationSpec>>,
    /// `Some(None)`: it is there, and could not be read.
    pub(super) ha: Option<Option<HaSpec>>,
    pub(super) drills: Vec<ReadDrill>,
}

/// All of a file that fits together.
type Checked = (
    ClusterSpec,
    Nodes,
    (Pools, Storages),
    (Vec<ReplicationSpec>, Option<HaSpec>, Drills),
);

/// Tells what does not fit together, and puts together what could be read; `None` if something that is needed could not.
pub(super) fn check(
    reader: &mut Reader<'_>,
    cluster: Option<ReadCluster>,
    nodes: Option<ReadNodes<'_>>,
    Stores { pools, storages }: Stores,
    Protection {
        replication,
        ha,
        drills,
    }: Protection,
) -> Option<Checked> {
    if let Some(nodes) = &nodes {
        if let Some(cluster) = &cluster {
            number_of_links(reader, cluster.links.as_deref(), &nodes.nodes);
            in_their_networks(reader, cluster.links.as_deref().unwrap_or_default(), &nodes.nodes);
            one_family(reader, cluster.links.is_none(), &nodes.nodes);
            if let Some(vote) = &cluster.third_vote {
                third_vote(reader, vote, &nodes.nodes);
            }
        }
        for pool in pools.iter().filter_map(|pool| pool.spec.as_ref()) {
            disks_of_members(reader, pool, &nodes.nodes);
        }
        storages::rules(reader, &storages, &pools, &nodes.nodes);
        replication::rules(reader, &replication, &nodes.nodes);
        drills::rules(reader, &drills, &nodes.nodes);
        roles(reader, nodes);
        no_address_twice(reader, &nodes.nodes);
    }
    let (cluster, nodes) = (cluster?, nodes?.nodes);
    let links = match cluster.links {
        Some(links) => links.into_iter().collect::<Option<Vec<LinkSpec>>>()?,
        None => links_of_nodes(&nodes),
    };
    let cluster = ClusterSpec {
        name: cluster.name?,
        links,
        migration_network: cluster.migration_network,
        third_vote: cluster.third_vote,
        maintenance: cluster.maintenance,
    };
    let nodes = nodes.into_iter().map(node).collect::<Option<Nodes>>()?;
    let pool = |pool: ReadPool| Some((pool.name?, pool.spec?));
    let pools = pools.into_iter().map(pool).collect::<Option<Pools>>()?;
    let storage = |storage: ReadStorage| Some((storage.name?, storage.spec?));
    let storages = storages.into_iter().map(storage).collect::<Option<Storages>>()?;
    let replication = replication.into_iter().collect::<Option<Vec<_>>>()?;
    let ha = match ha {
        Some(ha) => Some(ha?),
        None => None,
    };
    let drill = |drill: ReadDrill| Some((drill.name?, drill.spec?));
    let drills = drills.into_iter().map(drill).collect::<Option<Drills>>()?;
    Some((cluster, nodes, (pools, storages), (replication, ha, drills)))
}

fn node(read: ReadNode<'_>) -> Option<(NodeName, NodeSpec)> {
    let links = match read.links {
        None => None,
        Some(links) => Some(links.addresses.into_iter().collect::<Option<Vec<_>>>()?),
    };
    let spec = NodeSpec {
        place: read.place,
        address: read.address?,
        role: read.role?,
        links,
    };
    Some((read.name?, spec))
}

/// The links that only the nodes' own lists tell of.
fn links_of_nodes(nodes: &[ReadNode<'_>]) -> Vec<LinkSpec> {
    let first = nodes.iter().filter(|n| n.votes()).find_map(|n| n.links.as_ref());
    let addresses = first.into_iter().flat_map(|links| links.addresses.iter().flatten());
    addresses
        .map(|address| LinkSpec {
            place: address.place.clone(),
            network: None,
            priority: None,
        })
        .collect()
}

/// Every node that names its addresses names one for each link; and where no network says how to find them, every node does.
fn number_of_links(reader: &mut Reader<'_>, links: Option<&[ReadLink]>, nodes: &[ReadNode<'_>]) {
    let voters = || nodes.iter().filter(|n| n.votes());
    let first = voters().find_map(|n| Some((n, n.links.as_ref()?.addresses.len())));
    let (wanted, who) = match (links, first) {
        (Some(links), _) => (links.len(), "[cluster]".to_owned()),
        (None, Some((node, count))) => (count, format!("[nodes.{}]", node.key)),
        (None, None) => return,
    };
    for (node, own) in voters().filter_map(|n| Some((n, n.links.as_ref()?))) {
        let count = own.addresses.len();
        if count != wanted {
            let (has, names) = (links_in_words(wanted), addresses_in_words(count));
            let message = format!("`links` in [nodes.{}] has {names}, but {who} has {has}", node.key);
            let next = "name one address for each link, link 0 first";
            reader.problem(Code::SpecBadValue, own.place.clone(), message, next);
        }
    }
    let without: Vec<&ReadNode<'_>> = voters().filter(|n| n.links.is_none()).collect();
    match links {
        None => {
            for node in without {
                let message = format!(
                    "[nodes.{}] has no `links`, but {who} has, and [cluster] names no networks",
                    node.key
                );
                let next = format!(
                    "name its address on each of the {}, or name the links' networks in [cluster]",
                    links_in_words(wanted)
                );
                reader.problem(Code::SpecMissingKey, node.place.clone(), message, next);
            }
        }
        Some(links) if !without.is_empty() => {
            let names: Vec<&str> = without.iter().map(|n| n.key).collect();
            for (number, link) in links.iter().enumerate() {
                let Some(LinkSpec {
                    place, network: None, ..
                }) = link
                else {
                    continue;
                };
                let verb = if names.len() == 1 { "has" } else { "have" };
                let message = format!(
                    "link {number} has no network, and {} {verb} no `links`",
                    names.join(", ")
                );
                let next =
                    "name its network, or each node's address on every link: links = [\"10.10.10.11\"] in its table";
                reader.problem(Code::SpecMissingKey, place.clone(), message, next);
            }
        }
        Some(_) => {}
    }
}

fn in_their_networks(reader: &mut Reader<'_>, links: &[ReadLink], nodes: &[ReadNode<'_>]) {
    for node in nodes.iter().filter(|n| n.votes()) {
        let addresses = node.links.iter().flat_map(|own| &own.addresses);
        for (number, (address, link)) in addresses.zip(links).enumerate() {
            let (Some(address), Some(network)) = (address, link.as_ref().and_then(|l| l.network.as_ref())) else {
                continue;
            };
            if !network.value.contains(&address.value) {
                let message = format!(
                    "{} is not in {}, the network of link {number}",
                    address.value, network.value
                );
                let next = format!(
                    "write the address that {} has in {}; link 0 comes first",
                    node.key, network.value
                );
                reader.problem(Code::SpecBadAddress, address.place.clone(), message, next);
            }
        }
    }
}

/// The two ends of a connection are both IPv4 or both IPv6. Without any links, the nodes' addresses are the ends.
fn one_family(reader: &mut Reader<'_>, no_networks: bool, nodes: &[ReadNode<'_>]) {
    let mut first: BTreeMap<usize, (&str, IpAddr)> = BTreeMap::new();
    let voters = || nodes.iter().filter(|n| n.votes());
    let by_address = no_networks && voters().all(|n| n.links.is_none());
    for node in voters() {
        let own = node.address.as_slice().iter().filter(|_| by_address).map(Some);
        let links = node.links.iter().flat_map(|own| &own.addresses).map(Option::as_ref);
        let addresses = own.chain(links).enumerate();
        for (number, address) in addresses.filter_map(|(n, a)| Some((n, a?))) {
            let (other, theirs) = *first.entry(number).or_insert((node.key, address.value));
            if theirs.is_ipv4() != address.value.is_ipv4() {
                let message = format!(
                    "link {number} has {} on {} and {theirs} on {other}: one of them is IPv4 and the other IPv6",
                    address.value, node.key
                );
                let next = "give all nodes addresses of one kind on each link; different links may differ";
                reader.problem(Code::SpecBadAddress, address.place.clone(), message, next);
            }
        }
    }
}

fn third_vote(reader: &mut Reader<'_>, vote: &ThirdVote, nodes: &[ReadNode<'_>]) {
    let name = vote.qdevice.value.as_str();
    let (message, next) = match nodes.iter().find(|n| n.key == name).map(|n| n.role) {
        Some(None | Some(NodeRole::Qnetd)) => return,
        None => (
            format!("`qdevice` is {name}, which is no node of this file"),
            format!("add [nodes.{name}] with its address and role = \"qnetd\""),
        ),
        Some(Some(role)) => (
            format!("`qdevice` is {name}, which has the role {role}: a member can't hold the third vote as well"),
            format!("name a host outside of the cluster; if {name} is one, add role = \"qnetd\" to [nodes.{name}]"),
        ),
    };
    reader.problem(Code::SpecBadValue, vote.qdevice.place.clone(), message, next);
}

/// Disks are named for members only, for each of them, and in a number that the layout takes.
fn disks_of_members(reader: &mut Reader<'_>, pool: &PoolSpec, nodes: &[ReadNode<'_>]) {
    let raid = pool.raid.value;
    let of_data = |count| {
        raid.refuses(count, usize::from(pool.vdevs))
            .map(|why| format!("{raid} {why}"))
    };
    choice(reader, &pool.disks, nodes, &of_data);
    let may_lose = may_lose(pool);
    for (class, disks) in &pool.beside {
        choice(reader, disks, nodes, &|count| refuses_beside(*class, count, may_lose));
    }
}

/// How many disks each vdev of the data may lose; `None`: it is not told how many it has, or not the same everywhere.
fn may_lose(pool: &PoolSpec) -> Option<usize> {
    let of = |pick: &Pick| match pick {
        Pick::Named(names) => Some(names.len()),
        Pick::Matching(selector) => selector.count.as_ref().map(|count| usize::from(count.value)),
    };
    let losses = |count: usize| pool.raid.value.may_lose(count / usize::from(pool.vdevs).max(1));
    let picks = pool.disks.on.values().chain(&pool.disks.everywhere);
    let counts: BTreeSet<Option<usize>> = picks.filter(|pick| !pick.is_none()).map(of).collect();
    // Only of a mirror it hangs on how many they are.
    if pool.raid.value.may_lose(2) == pool.raid.value.may_lose(3) {
        return Some(losses(2));
    }
    match counts.into_iter().collect::<Vec<_>>()[..] {
        [Some(count)] => Some(losses(count)),
        _ => None,
    }
}

/// `refuses`: why so many disks don't go.
fn choice(
    reader: &mut Reader<'_>,
    disks: &DiskChoice,
    nodes: &[ReadNode<'_>],
    refuses: &dyn Fn(usize) -> Option<String>,
) {
    let place = &disks.place;
    for (name, pick) in &disks.on {
        let node = nodes.iter().find(|node| node.key == name.as_str());
        let message = match node.map(|node| node.role) {
            Some(None | Some(NodeRole::Member)) => None,
            Some(Some(role)) => Some(format!("{name} has the role {role}, and gets no pool")),
            None => Some(format!("{name} is no node of this file")),
        };
        if let Some(message) = message {
            let next = "name disks of members only";
            reader.problem(Code::SpecBadValue, place.clone(), message, next);
        }
        if !pick.is_none() {
            number_of_disks(reader, place, pick, refuses);
        }
    }
    match &disks.everywhere {
        Some(pick) => number_of_disks(reader, place, pick, refuses),
        None => {
            let without = nodes
                .iter()
                .filter(|node| node.role == Some(NodeRole::Member))
                .filter(|node| !disks.on.keys().any(|name| name.as_str() == node.key));
            for node in without {
                let message = format!("no disks are named for {}", node.key);
                let next = format!(
                    "name disks for each member, or one selector for all; {} = [] where there is to be none",
                    node.key
                );
                reader.problem(Code::SpecMissingKey, place.clone(), message, next);
            }
        }
    }
}

fn number_of_disks(reader: &mut Reader<'_>, place: &Place, pick: &Pick, refuses: &dyn Fn(usize) -> Option<String>) {
    let count = match pick {
        Pick::Named(names) => Some((names.len(), place)),
        Pick::Matching(selector) => selector
            .count
            .as_ref()
            .map(|count| (usize::from(count.value), &count.place)),
    };
    if let Some((count, place)) = count
        && let Some(why) = refuses(count)
    {
        let next = "name another number of disks, or another layout";
        reader.problem(
            Code::SpecBadValue,
            place.clone(),
            format!("{why}, and {count} are asked for"),
            next,
        );
    }
}

fn roles(reader: &mut Reader<'_>, nodes: &ReadNodes<'_>) {
    let is = |role: NodeRole| move |n: &&ReadNode<'_>| n.role == Some(role);
    for node in nodes.nodes.iter().filter(is(NodeRole::Qnetd)) {
        if let Some(links) = &node.links {
            let message = format!(
                "{} has the role qnetd: it is no member, and has no corosync links",
                node.key
            );
            let next = "take `links` out; the members reach it at its address";
            reader.problem(Code::SpecBadValue, links.place.clone(), message, next);
        }
    }
    let all_known = nodes.nodes.iter().all(|n| n.role.is_some());
    if all_known && !nodes.nodes.is_empty() && !nodes.nodes.iter().any(|n| n.role == Some(NodeRole::Member)) {
        let message = "no node has the role member: there is nowhere for guests to run";
        let next = "take `role` out of at least one server's table";
        reader.problem(Code::SpecBadValue, nodes.place.clone(), message, next);
    }
}

/// PVE accepts an address that is there already, and the cluster breaks later.
fn no_address_twice(reader: &mut Reader<'_>, nodes: &[ReadNode<'_>]) {
    /// Whose it is, and whether as an end of a link.
    struct Use<'k> {
        node: &'k str,
        link: bool,
    }
    let mut used: BTreeMap<IpAddr, Use<'_>> = BTreeMap::new();
    for node in nodes {
        let links = node.links.iter().flat_map(|own| own.addresses.iter().flatten());
        let all = node.address.iter().map(|a| (a, false)).chain(links.map(|a| (a, true)));
        for (address, link) in all {
            match used.get_mut(&address.value) {
                None => {
                    used.insert(address.value, Use { node: node.key, link });
                }
                // A link may run over the server's management address.
                Some(before) if before.node == node.key && !before.link => before.link = link,
                Some(before) => {
                    let (message, next) = if before.node == node.key {
                        let message = format!(
                            "{} has {} on two links: they would fail together",
                            node.key, address.value
                        );
                        (message, "give it an address of its own on each link")
                    } else {
                        let message = format!(
                            "{} and {} have the same address {}",
                            node.key, before.node, address.value
                        );
                        (message, "give each node its own")
                    };
                    reader.problem(Code::SpecDuplicateAddress, address.place.clone(), message, next);
                }
            }
        }
    }
}

fn links_in_words(count: usize) -> String {
    if count == 1 {
        "1 link".to_owned()
    } else {
        format!("{count} links")
    }
}

fn addresses_in_words(count: usize) -> String {
    if count == 1 {
        "1 address".to_owned()
    } else {
        format!("{count} addresses")
    }
}
