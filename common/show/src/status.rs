//! `quorate status`: one block for each cluster, one row for each node, and what is worth saying.

use std::time::Duration;

use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::observation::cluster::{Link, Member};
use quorate_model::observation::pools::VdevState;
use quorate_model::observation::{Observation, Pool};
use quorate_model::time::spoken;
use quorate_model::{Facet, Finding, Timestamp};

use crate::findings::problems;
use crate::membership::changes;
use crate::table::{count, ms, table};

/// A cluster as it is shown.
#[derive(Debug)]
pub struct ClusterStatus<'a> {
    /// Its name in the fleet.
    pub name: String,
    /// Its enrolled nodes.
    pub nodes: Vec<NodeStatus<'a>>,
    /// What is worth saying about it.
    pub findings: Vec<Finding>,
}

/// A node as it is shown.
#[derive(Debug)]
pub struct NodeStatus<'a> {
    /// Its name.
    pub name: String,
    /// What was seen last, or why nothing is known.
    pub seen: Result<&'a Observation, &'a Unknown>,
    /// When that reached the coordinator.
    pub received_at: Option<Timestamp>,
    /// Microseconds by which its clock is ahead of the coordinator's.
    pub clock_offset_micros: Option<i64>,
}

/// Older than this, what is shown is marked: health comes every second.
const STALE_AFTER: Duration = Duration::from_secs(10);

/// The whole status at `now` on the coordinator's clock.
#[must_use]
pub fn status(clusters: &[ClusterStatus<'_>], now: Timestamp) -> String {
    if clusters.is_empty() {
        return "No nodes are enrolled yet. Begin with: quorate node invite CLUSTER/NODE --address ADDRESS\n"
            .to_owned();
    }
    let blocks: Vec<String> = clusters.iter().map(|c| block(c, now)).collect();
    blocks.join("\n")
}

fn block(cluster: &ClusterStatus<'_>, now: Timestamp) -> String {
    let mut text = format!("Cluster {}: {}\n\n", cluster.name, headline(cluster));
    let mut rows: Vec<Vec<String>> = cluster.nodes.iter().map(|n| row(n, cluster, now)).collect();
    let mut headers = vec![
        "NODE",
        "MEMBER",
        "LINKS",
        "PVE",
        "KERNEL",
        "LOAD",
        "MEMORY USED",
        "UP",
        "CLOCK",
        "SEEN",
    ];
    let pools: Vec<String> = cluster.nodes.iter().map(pools).collect();
    // Where there is no pool anywhere, nobody misses the column.
    if pools.iter().any(|pools| pools != NO_POOLS) {
        headers.insert(POOLS_AT, "POOLS");
        rows.iter_mut()
            .zip(pools)
            .for_each(|(row, pools)| row.insert(POOLS_AT.min(row.len()), pools));
    }
    text.push_str(&table(&headers, &rows));
    let told = problems(&cluster.findings);
    if !told.is_empty() {
        text.push_str(&format!("\n{told}"));
    }
    let changes = changes(cluster, now);
    if !changes.is_empty() {
        text.push_str(&format!("\n{changes}"));
    }
    text
}

/// Behind what the node runs, before how long.
const POOLS_AT: usize = 7;
const NO_POOLS: &str = "-";

/// Each with how full it is, or with what is wrong with it.
fn pools(node: &NodeStatus<'_>) -> String {
    let Ok(seen) = node.seen else {
        return NO_POOLS.to_owned();
    };
    let told = |pool: &Pool| match pool.state {
        VdevState::Online => format!("{} {} %", pool.name, pool.fill()),
        state => format!("{} {}", pool.name, state.as_str()),
    };
    match seen.pools.get() {
        Ok(pools) if pools.is_empty() => NO_POOLS.to_owned(),
        Ok(pools) => pools.iter().map(told).collect::<Vec<_>>().join(", "),
        Err(unknown) if unknown.kind == UnknownKind::NotAsked => NO_POOLS.to_owned(),
        Err(_) => "unknown".to_owned(),
    }
}

fn members<'a>(cluster: &'a ClusterStatus<'_>) -> impl Iterator<Item = (&'a str, &'a Member)> {
    cluster.nodes.iter().filter_map(|n| {
        let member = n.seen.ok()?.cluster.get().ok()?.member()?;
        Some((n.name.as_str(), member))
    })
}

/// The majority's view: of the members that are quorate, any; else any member.
fn headline(cluster: &ClusterStatus<'_>) -> String {
    let enrolled = count(cluster.nodes.len(), "node");
    let best = members(cluster)
        .find(|(_, m)| m.quorate)
        .or_else(|| members(cluster).next());
    let Some((by, member)) = best else {
        let all_known = cluster.nodes.iter().all(|n| n.seen.is_ok_and(|o| o.cluster.is_known()));
        return if all_known {
            format!("not created yet, {enrolled} enrolled")
        } else {
            format!("not known whether it exists, {enrolled} enrolled")
        };
    };
    let quorum = if member.quorate { "quorate" } else { "NOT QUORATE" };
    let votes = match member.votes.get() {
        Ok(v) => format!("{} of {} votes, {} needed", v.total, v.expected, v.quorum),
        Err(unknown) => format!("votes {unknown}"),
    };
    format!(
        "{quorum}, {} of {} members online, {votes}  (as {by} sees it)",
        member.online().count(),
        member.nodes.len()
    )
}

fn row(node: &NodeStatus<'_>, cluster: &ClusterStatus<'_>, now: Timestamp) -> Vec<String> {
    let seen_at = match node.received_at {
        None => "never".to_owned(),
        Some(at) => {
            let age = at.age(now);
            if age > STALE_AFTER {
                format!("STALE, {} ago", spoken(age))
            } else {
                "now".to_owned()
            }
        }
    };
    let mut row = vec![node.name.clone()];
    match node.seen {
        Err(unknown) => {
            row.push(format!("unknown: {}", unknown.reason));
            row.extend(std::iter::repeat_n("-".to_owned(), 7));
        }
        Ok(observation) => {
            row.push(membership(observation, cluster));
            row.push(links(observation));
            row.extend(system(observation));
            row.push(node.clock_offset_micros.map_or_else(|| "?".to_owned(), offset));
        }
    }
    row.push(seen_at);
    row
}

fn membership(observation: &Observation, cluster: &ClusterStatus<'_>) -> String {
    match observation.cluster.get() {
        Err(unknown) => unknown.to_string(),
        Ok(seen) => match seen.member() {
            None => "no".to_owned(),
            Some(member) if member.cluster != cluster.name => format!("of {}", member.cluster),
            Some(member) if member.quorate => "yes, quorate".to_owned(),
            Some(_) => "yes, NO QUORUM".to_owned(),
        },
    }
}

/// `2/2, 0.2 ms`: connected links to other nodes, of all, and what corosync measures on the slowest of them.
fn links(observation: &Observation) -> String {
    let Some(member) = observation.cluster.get().ok().and_then(|c| c.member()) else {
        return "-".to_owned();
    };
    match member.links.get() {
        Err(_) => "?".to_owned(),
        Ok(links) => {
            // A node that has no link left vanishes from the tool's list: what is expected comes from the configuration.
            let expected: usize = member
                .configured
                .iter()
                .filter(|n| n.name != observation.hostname)
                .map(|n| n.addresses.len())
                .sum();
            let connected: Vec<&Link> = links.iter().filter(|l| l.connected).collect();
            let slowest = connected
                .iter()
                .filter_map(|link| member.latency_of(link))
                .map(|l| l.average)
                .max();
            let latency = slowest
                .map(|micros| format!(", {}", ms(micros.into())))
                .unwrap_or_default();
            format!("{}/{expected}{latency}", connected.len())
        }
    }
}

fn system(observation: &Observation) -> Vec<String> {
    match observation.system.get() {
        Err(_) => vec!["?".to_owned(); 5],
        Ok(system) => {
            let pve = match &system.pve {
                Facet::Known { value: Some(pve), .. } => pve.manager.clone(),
                Facet::Known { value: None, .. } => "no PVE".to_owned(),
                Facet::Unknown(_) => "?".to_owned(),
            };
            let total = system.memory.total;
            let used = quorate_model::ByteSize(total.0.saturating_sub(system.memory.available.0));
            vec![
                pve,
                system.kernel.clone(),
                format!("{:.2}", system.cpu.load[0]),
                format!("{} of {}", used.binary(), total.binary()),
                spoken(Duration::from_secs(system.uptime_seconds)),
            ]
        }
    }
}

fn offset(micros: i64) -> String {
    let size = Duration::from_micros(micros.unsigned_abs());
    if size < Duration::from_millis(100) {
        "ok".to_owned()
    } else {
        format!("{}{}", if micros < 0 { "-" } else { "+" }, spoken(size))
    }
}
