//! Asks whether a server lives: packets on each network on which it has an address, and what the cluster says of it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::libc;
use quorate_model::facet::Unknown;
use quorate_model::observation::Network;
use quorate_model::observation::cluster::Member;
use quorate_model::passage::AGENT_PORT;
use quorate_tools::pve_config::ha;
use quorate_tools::{ping, proc};
use tokio::net::TcpSocket;

use super::evidence::{Evidence, Sign, Trace, Way, Witness};
use crate::host::{Host, text, unparsable, unreadable};

/// What answers on a server of PVE: our agent, pveproxy, sshd.
const PORTS: [(u16, &str); 3] = [(AGENT_PORT, "its agent"), (8006, "its API"), (22, "its sshd")];

/// The kernel asks three times, a second apart, who has an address; then it says that nobody does.
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);

const ROUTES: &str = "/proc/net/route";

/// An address of the lost server, how this server goes there, and whom else it knows there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Road {
    name: String,
    lost: IpAddr,
    own: Option<IpAddr>,
    others: Vec<(IpAddr, String)>,
}

/// Asks everywhere.
pub(crate) async fn look(
    host: &Host,
    member: &Member,
    network: Result<&Network, &Unknown>,
    own: &str,
    lost: &str,
) -> Evidence {
    let before = published(host, lost).await;
    let gateways = gateways(host);
    let mut ways = Vec::new();
    for road in roads(member, network, &gateways, own, lost) {
        ways.push(ask(host, road).await);
    }
    let mut cluster = by_corosync(member, lost);
    cluster.extend(by_links_without_address(member, lost));
    cluster.push(by_publishing(before, published(host, lost).await));
    Evidence { cluster, ways }
}

/// By the links of corosync.conf, and by the address that its pmxcfs has published.
fn roads(
    member: &Member,
    network: Result<&Network, &Unknown>,
    gateways: &[IpAddr],
    own: &str,
    lost: &str,
) -> Vec<Road> {
    let of = |name: &str| {
        let node = member.configured.iter().find(|node| node.name == name);
        let mut found: BTreeMap<String, IpAddr> = node
            .into_iter()
            .flat_map(|node| &node.addresses)
            .filter_map(|(link, address)| Some((format!("link {link}"), address.parse().ok()?)))
            .collect();
        let published = member
            .nodes
            .iter()
            .find(|node| node.name == name)
            .and_then(|node| node.address);
        if let Some(address) = published
            && !found.values().any(|known| *known == address)
        {
            found.insert(PUBLISHED.to_owned(), address);
        }
        found
    };
    let (here, there) = (of(own), of(lost));
    let roads = there.into_iter().map(|(name, address)| {
        let mut others: Vec<(IpAddr, String)> = member
            .nodes
            .iter()
            .filter(|node| node.name != own && node.name != lost)
            .filter_map(|node| Some((*of(&node.name).get(&name)?, node.name.clone())))
            .collect();
        let source = here.get(&name).copied();
        others.extend(
            gateways
                .iter()
                .filter(|gateway| source.is_some_and(|source| is_beside(network, source, **gateway)))
                .map(|gateway| (*gateway, "the gateway".to_owned())),
        );
        Road {
            name,
            lost: address,
            own: source,
            others,
        }
    });
    roads.collect()
}

/// The network of the address under which a node's pmxcfs is known; PVE's API and ssh go there.
const PUBLISHED: &str = "PVE's own network";

/// Do both lie in the network of the interface that has the first one?
fn is_beside(network: Result<&Network, &Unknown>, own: IpAddr, other: IpAddr) -> bool {
    let Ok(network) = network else { return false };
    let prefix = network.addresses().find(|(_, address)| address.address == own);
    let Some((_, address)) = prefix else { return false };
    match (own, other) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(address.prefix.min(32)))
                .unwrap_or(0);
            u32::from(a) & mask == u32::from(b) & mask
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(address.prefix.min(128)))
                .unwrap_or(0);
            u128::from(a) & mask == u128::from(b) & mask
        }
        _ => false,
    }
}

fn gateways(host: &Host) -> Vec<IpAddr> {
    // Without them there are only the other members to be asked, which is told.
    let text = host.root().read_text(ROUTES).unwrap_or_default();
    let found = proc::default_gateways(&text).unwrap_or_default();
    found.into_iter().map(IpAddr::V4).collect()
}

async fn ask(host: &Host, road: Road) -> Way {
    let [agent, api, sshd] = PORTS;
    let (pinged, agent, api, sshd) = tokio::join!(
        pinged(host, road.lost),
        dialled(host, &road, agent),
        dialled(host, &road, api),
        dialled(host, &road, sshd),
    );
    let witness = witness(host, &road.others).await;
    Way {
        name: road.name,
        address: road.lost,
        traces: vec![pinged, agent, api, sshd],
        witness,
    }
}

async fn witness(host: &Host, others: &[(IpAddr, String)]) -> Witness {
    if others.is_empty() {
        return Witness::Nobody;
    }
    let mut silent = Vec::new();
    for (address, name) in others {
        let told = format!("{name} ({address})");
        if pinged(host, *address).await.sign == Sign::Alive {
            return Witness::Heard(told);
        }
        silent.push(told);
    }
    Witness::Silent(silent)
}

async fn pinged(host: &Host, address: IpAddr) -> Trace {
    let about = "ping";
    let finished = match host.run(ping::ask(host.tools(), address)).await {
        Ok(finished) => finished,
        Err(unknown) => return Trace::new(about, Sign::Unproven, unknown.reason),
    };
    let received = text(ping::NAME, &finished).and_then(|text| ping::read(&text).map_err(unparsable));
    match received {
        Ok(0) => Trace::new(about, Sign::Silent, "no answer"),
        Ok(count) => Trace::new(about, Sign::Alive, format!("answers ({count} of 3)")),
        Err(unknown) => {
            let words = finished.stderr_text();
            let words = words
                .lines()
                .map(str::trim)
                .find(|line| !line.is_empty())
                .map(str::to_owned);
            Trace::new(about, Sign::Unproven, words.unwrap_or(unknown.reason))
        }
    }
}

/// A BMC lives as long as there is power: neither its answer nor its silence says how its server stands.
pub(super) async fn bmc(host: &Host, address: IpAddr) -> Trace {
    let said = pinged(host, address).await.said;
    let about = format!("a ping to its BMC at {address}");
    let worth = "that says whether there is power and a way to it, and nothing of the server";
    Trace::new(about, Sign::Unproven, format!("{said}; {worth}"))
}

/// What came of a connection that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dial {
    Answers,
    Refuses,
    Nobody,
    Silent,
    NoWay,
}

async fn dialled(host: &Host, road: &Road, (port, name): (u16, &str)) -> Trace {
    let about = format!("{name}, TCP port {port}");
    if !host.links().is_real() {
        return Trace::new(about, Sign::Unproven, "not tried: a simulated server has no such port");
    }
    let (to, from) = (road.lost, road.own);
    let within = host.pace().of(CONNECTS_WITHIN);
    match dial(SocketAddr::new(to, port), from, within).await {
        Ok(Dial::Answers) => Trace::new(about, Sign::Alive, "a connection was made"),
        Ok(Dial::Refuses) => Trace::new(
            about,
            Sign::Alive,
            "refused: nothing listens, but somebody is there to say so",
        ),
        Ok(Dial::Nobody) => Trace::new(about, Sign::Silent, "nobody has the address"),
        Ok(Dial::Silent) => Trace::new(about, Sign::Silent, "no answer"),
        Ok(Dial::NoWay) => Trace::new(about, Sign::Unproven, "this server has no way to it"),
        Err(error) => Trace::new(about, Sign::Unproven, format!("could not be tried: {error}")),
    }
}

/// By the address of this server on that network, so that no other way is taken.
async fn dial(to: SocketAddr, from: Option<IpAddr>, within: Duration) -> io::Result<Dial> {
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    if let Some(from) = from {
        match socket.bind(SocketAddr::new(from, 0)) {
            // It has lost its own address there, and with it the way.
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => return Ok(Dial::NoWay),
            bound => bound?,
        }
    }
    match tokio::time::timeout(within, socket.connect(to)).await {
        Err(_) => Ok(Dial::Silent),
        Ok(Ok(_)) => Ok(Dial::Answers),
        Ok(Err(error)) => match error.raw_os_error() {
            Some(libc::ECONNREFUSED | libc::ECONNRESET) => Ok(Dial::Refuses),
            Some(libc::EHOSTUNREACH) => Ok(Dial::Nobody),
            Some(libc::ETIMEDOUT) => Ok(Dial::Silent),
            Some(libc::ENETUNREACH | libc::EADDRNOTAVAIL) => Ok(Dial::NoWay),
            _ => Err(error),
        },
    }
}

/// What this node's corosync says of it.
fn by_corosync(member: &Member, lost: &str) -> Vec<Trace> {
    let Some(node) = member.nodes.iter().find(|node| node.name == lost) else {
        return vec![Trace::new(
            "/etc/pve/.members",
            Sign::Unproven,
            format!("does not name {lost}"),
        )];
    };
    let mut traces = vec![if node.online {
        Trace::new("/etc/pve/.members", Sign::Alive, "has it online")
    } else {
        Trace::new("/etc/pve/.members", Sign::Silent, "has it offline")
    }];
    traces.push(match member.votes.get() {
        Ok(votes) if votes.rows.iter().any(|row| row.id == node.id) => {
            Trace::new("corosync-quorumtool", Sign::Alive, "counts its vote")
        }
        Ok(_) => Trace::new("corosync-quorumtool", Sign::Silent, "does not count its vote"),
        Err(unknown) => Trace::new("corosync-quorumtool", Sign::Unproven, unknown.reason.clone()),
    });
    traces.push(match member.links.get() {
        Ok(links) => {
            let connected: Vec<String> = links
                .iter()
                .filter(|link| link.peer == node.id && link.connected)
                .map(|link| link.number.to_string())
                .collect();
            if connected.is_empty() {
                Trace::new("corosync-cfgtool", Sign::Silent, "no link to it is connected")
            } else {
                Trace::new(
                    "corosync-cfgtool",
                    Sign::Alive,
                    format!("link {} to it is connected", connected.join(", ")),
                )
            }
        }
        Err(unknown) => Trace::new("corosync-cfgtool", Sign::Unproven, unknown.reason.clone()),
    });
    traces
}

/// corosync.conf may hold names; those are not asked.
fn by_links_without_address(member: &Member, lost: &str) -> Vec<Trace> {
    let node = member.configured.iter().find(|node| node.name == lost);
    let names = node.into_iter().flat_map(|node| &node.addresses);
    names
        .filter(|(_, address)| address.parse::<IpAddr>().is_err())
        .map(|(link, name)| {
            let said = format!("corosync.conf has the name {name}, no address: it was not asked there");
            Trace::new(format!("link {link}"), Sign::Unproven, said)
        })
        .collect()
}

/// When its LRM published last, by its own clock.
async fn published(host: &Host, lost: &str) -> Result<Option<i64>, Unknown> {
    let path = format!("/etc/pve/nodes/{lost}/lrm_status");
    let text = host.read_if_there(&path).await.map_err(unreadable)?;
    let Some(text) = text else { return Ok(None) };
    let status = ha::read_lrm_status(&text).map_err(unparsable)?;
    Ok(Some(status.at.seconds()))
}

/// It publishes every few seconds while it lives and is heard: what counts is that it goes on, not how its clock stands.
fn by_publishing(before: Result<Option<i64>, Unknown>, after: Result<Option<i64>, Unknown>) -> Trace {
    let about = "what its LRM publishes in /etc/pve";
    match (before, after) {
        (Ok(Some(before)), Ok(Some(after))) if before != after => {
            Trace::new(about, Sign::Alive, "was written while it was looked at")
        }
        (Ok(Some(_)), Ok(Some(at))) => {
            let at = quorate_model::Timestamp::from_seconds(at);
            Trace::new(
                about,
                Sign::Unproven,
                format!("was written at {at} by its clock, and not since"),
            )
        }
        (Ok(None), Ok(None)) => Trace::new(about, Sign::Unproven, "it never has published anything"),
        (Err(unknown), _) | (_, Err(unknown)) => Trace::new(about, Sign::Unproven, unknown.reason),
        (Ok(None), Ok(Some(_))) => Trace::new(about, Sign::Alive, "was written while it was looked at"),
        (Ok(Some(_)), Ok(None)) => Trace::new(about, Sign::Unproven, "was removed while it was looked at"),
    }
}

#[cfg(test)]
#[path = "probes_tests.rs"]
mod tests;
