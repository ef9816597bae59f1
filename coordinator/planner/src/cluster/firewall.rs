//! A server that joins gets the cluster's firewall: does that let the coordinator and the other agents through, and what PVE itself
//! needs?

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::config::Firewall;
use quorate_model::observation::{FacetName, Network};
use quorate_model::passage::{AGENT_PORT, Direction, MEASURE_PORTS, Passage};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use super::links::{self, Links};
use super::members::Standing;
use super::preflight::Founder;
use super::unfinished::Unfinished;
use crate::report::{Report, Weight, in_a_row};

/// corosync's port on link 0; each further link has the next one.
const COROSYNC_PORT: u16 = 5405;

/// What a joining server calls the member at: PVE's API, and ssh.
const PVE_PORTS: [u16; 2] = [8006, 22];

/// What the comments of our own rules begin with.
const OURS: &str = "# quorate:";

/// What has to be let through, and for whom.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) passages: BTreeSet<Passage>,
    pub(super) from: BTreeSet<IpAddr>,
}

/// What has to be opened before servers join, if anything.
pub(super) fn check(
    file: &ClusterFile,
    view: &View,
    standing: &Standing<'_>,
    links: Option<&Links<'_>>,
    via: Option<&NodeName>,
    founder: Option<Founder<'_>>,
    report: &mut Report,
) -> Option<Opening> {
    let via = via?;
    let joining = links::joining(standing).into_iter();
    // Whoever has begun gets the cluster's /etc/pve when that is finished.
    let begun = standing
        .unfinished
        .iter()
        .filter(|(_, how_far)| **how_far == Unfinished::Begun { undo: false })
        .map(|(node, _)| *node);
    let joiners: BTreeSet<&NodeName> = joining
        .chain(begun)
        .filter(|node| *node != via && !founder.is_some_and(|f| f.is(node)))
        .collect();
    if joiners.is_empty() {
        return None;
    }
    let config = report.facet(view, via, FacetName::Config, Weight::Needed, |o| &o.config)?;
    let firewall = match config.firewall.get() {
        Ok(firewall) => firewall,
        Err(unknown) => {
            let finding = crate::report::facet_unknown(via, FacetName::Config, "firewall", unknown);
            report.weigh(Weight::Needed, finding);
            return None;
        }
    };
    let opening = agents(file, view, standing, links, firewall, (via, &joiners), report);
    corosync(file, view, firewall, (via, &joiners), report);
    member(file, view, firewall, (via, &joiners), report);
    opening
}

/// The cluster's firewall against what the agents need on a server that gets it. What is in the member's own host.fw does not come to it.
fn agents(
    file: &ClusterFile,
    view: &View,
    standing: &Standing<'_>,
    links: Option<&Links<'_>>,
    firewall: &Firewall,
    (via, joiners): (&NodeName, &BTreeSet<&NodeName>),
    report: &mut Report,
) -> Option<Opening> {
    let mut passages: BTreeSet<Passage> = joiners
        .iter()
        .map(|node| Passage::tcp_in(agent_port(view, node)))
        .collect();
    for node in joiners.iter().copied().chain(standing.inside.keys().copied()) {
        let ports = measure_ports(view, node);
        passages.extend([Direction::In, Direction::Out].map(|direction| Passage::udp(direction, &ports)));
    }
    let from = callers(file, view, standing, links);
    let kept_out = kept_out(&firewall.of_cluster(), &passages, &from);
    if kept_out.is_empty() {
        return None;
    }
    report.tell(Finding::new(
        Code::FirewallKeepsOut,
        file.cluster.name.value.as_str(),
        format!(
            "pve-firewall is on in /etc/pve/firewall/cluster.fw on {via} (policy {}), and may keep out what the agents need: {}; {} would get \
             it by joining, and could not be reached or measured any more",
            firewall.policy_in,
            listed(&kept_out),
            in_a_row(joiners),
        ),
        format!(
            "let the plan add rules for the agents first: --accept {}; or add them yourself, before those that drop: {}",
            Code::FirewallKeepsOut.as_str(),
            in_a_row(kept_out.keys().map(|passage| format!("`{}`", example(*passage)))),
        ),
    ));
    // Our earlier rules are replaced by the new ones, so these have to be enough without them.
    let mut others = firewall.of_cluster();
    others.rules.retain(|rule| !rule.text.contains(OURS));
    Some(Opening {
        passages: self::kept_out(&others, &passages, &from).into_keys().collect(),
        from,
    })
}

/// PVE lets corosync through by itself, but only after the rules that are written: one that drops comes before.
fn corosync(
    file: &ClusterFile,
    view: &View,
    firewall: &Firewall,
    (via, joiners): (&NodeName, &BTreeSet<&NodeName>),
    report: &mut Report,
) {
    let mut kept_out: BTreeMap<Passage, BTreeSet<IpAddr>> = BTreeMap::new();
    let ends = super::ends::link_ends(Some(file), view);
    for (number, address) in ends.values().flatten() {
        let Ok(address) = address else { continue };
        let port = COROSYNC_PORT.saturating_add(u16::from(*number));
        for direction in [Direction::In, Direction::Out] {
            let passage = Passage::udp(direction, &(port..=port));
            if firewall.of_cluster().rules_say(passage, *address) == Some(false) {
                kept_out.entry(passage).or_default().insert(*address);
            }
        }
    }
    if !kept_out.is_empty() {
        report.tell(Finding::new(
            Code::FirewallKeepsOut,
            file.cluster.name.value.as_str(),
            format!(
                "rules in /etc/pve/firewall/cluster.fw on {via} may keep out corosync itself: {}; {} would wait for quorum for ever",
                listed(&kept_out),
                in_a_row(joiners),
            ),
            "narrow the rules that drop, or move them behind one that accepts these ports between the servers; PVE's own rules for \
             corosync come after all that are written"
                .to_owned(),
        ));
    }
}

/// The member that the others join through, with its own host.fw: a joining server calls its API, and by ssh.
fn member(
    file: &ClusterFile,
    view: &View,
    firewall: &Firewall,
    (via, joiners): (&NodeName, &BTreeSet<&NodeName>),
    report: &mut Report,
) {
    let own = file.nodes.get(via).map(|spec| spec.address.value);
    let network = view.facet(via, |o| &o.network).ok();
    let mut kept_out: BTreeMap<Passage, BTreeSet<IpAddr>> = BTreeMap::new();
    for address in joiners
        .iter()
        .filter_map(|node| Some(file.nodes.get(*node)?.address.value))
    {
        for passage in PVE_PORTS.map(Passage::tcp_in) {
            // PVE's own rules let the management set in, to which the server's own network belongs.
            let managed = || firewall.manages_from(address) || network.is_some_and(|n| shares_network(n, own, address));
            let through = match firewall.rules_say(passage, address) {
                Some(said) => said,
                None => firewall.lets(passage, address) || managed(),
            };
            if !through {
                kept_out.entry(passage).or_default().insert(address);
            }
        }
    }
    if !kept_out.is_empty() {
        report.tell(Finding::new(
            Code::FirewallKeepsOut,
            via.as_str(),
            format!(
                "{via}'s firewall (cluster.fw and its own host.fw) may keep out what a join needs there: {}",
                listed(&kept_out)
            ),
            format!(
                "on {via}, before the rules that drop: {}; or put the addresses into the IP set `management`",
                in_a_row(kept_out.keys().map(|passage| format!("`{}`", example(*passage)))),
            ),
        ));
    }
}

/// Is that address in the network in which the server has its own?
fn shares_network(network: &Network, own: Option<IpAddr>, other: IpAddr) -> bool {
    let mut of_own = network.addresses().filter(|(_, a)| Some(a.address) == own);
    of_own.any(|(_, a)| ipnet::IpNet::new(a.address, a.prefix).is_ok_and(|net| net.contains(&other)))
}

fn kept_out(
    firewall: &Firewall,
    passages: &BTreeSet<Passage>,
    from: &BTreeSet<IpAddr>,
) -> BTreeMap<Passage, BTreeSet<IpAddr>> {
    let of = |passage: &Passage| -> BTreeSet<IpAddr> {
        let shut = from
            .iter()
            .copied()
            .filter(|address| !firewall.lets(*passage, *address));
        shut.collect()
    };
    let each = passages.iter().map(|passage| (*passage, of(passage)));
    each.filter(|(_, addresses)| !addresses.is_empty()).collect()
}

/// `7443/tcp (192.168.1.11 and 192.168.1.12); 7450-7459/udp (…)`.
fn listed(kept_out: &BTreeMap<Passage, BTreeSet<IpAddr>>) -> String {
    /// More addresses than this help nobody.
    const SHOWN: usize = 6;
    let one = |(passage, addresses): (&Passage, &BTreeSet<IpAddr>)| {
        let mut shown: Vec<String> = addresses.iter().take(SHOWN).map(IpAddr::to_string).collect();
        if addresses.len() > SHOWN {
            shown.push(format!("{} more", addresses.len() - SHOWN));
        }
        format!("{passage} ({})", in_a_row(shown))
    };
    kept_out.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn example(passage: Passage) -> String {
    let direction = match passage.direction {
        Direction::In => "IN",
        Direction::Out => "OUT",
    };
    let ports = if passage.first == passage.last {
        passage.first.to_string()
    } else {
        format!("{}:{}", passage.first, passage.last)
    };
    format!("{direction} ACCEPT -p {} -dport {ports}", passage.protocol)
}

/// As its agent tells; an older one does not, and has the usual one.
fn agent_port(view: &View, node: &NodeName) -> u16 {
    let system = view.facet(node, |o| &o.system);
    system.ok().and_then(|s| s.agent.port).unwrap_or(AGENT_PORT)
}

/// As its agent tells.
pub(super) fn measure_ports(view: &View, node: &NodeName) -> RangeInclusive<u16> {
    let system = view.facet(node, |o| &o.system);
    let ports = system.ok().and_then(|s| s.agent.measure_ports);
    ports.map_or(MEASURE_PORTS, |ports| ports.first..=ports.last)
}

/// The coordinator, and every address that an agent may call another one from.
fn callers(file: &ClusterFile, view: &View, standing: &Standing<'_>, links: Option<&Links<'_>>) -> BTreeSet<IpAddr> {
    let own = file.members().map(|(_, spec)| spec.address.value);
    let configured = standing.any_member().into_iter().flat_map(|m| &m.configured);
    let on_links = configured
        .flat_map(|n| n.addresses.values())
        .filter_map(|a| a.parse().ok());
    let joiners = links
        .into_iter()
        .flat_map(|l| l.joiners.values())
        .flat_map(|l| l.values().copied());
    let new = links
        .into_iter()
        .flat_map(|l| l.new.values())
        .flat_map(|l| l.values().copied());
    let all = own.chain(on_links).chain(joiners).chain(new);
    all.chain(view.coordinator_addresses.iter().copied()).collect()
}
