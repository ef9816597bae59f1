//! One node's observation, facet by facet, as `quorate-agent observe` prints it.

mod config;
mod ha;
pub(crate) mod pools;
mod readiness;
mod storages;

use quorate_model::facet::UnknownKind;
use quorate_model::observation::cluster::{LinkLatency, Member, Pmxcfs};
use quorate_model::observation::network::NameResolution;
use quorate_model::observation::{
    Cluster, Guest, GuestBackup, GuestKind, GuestStatus, Network, Observation, Stray, System,
};
use quorate_model::time::spoken;
use quorate_model::{Facet, Timestamp};
use std::time::Duration;

use crate::disks::{DiskDetail, DiskRow, disks, summary};
use crate::table::{count, indent, ms, or_dash, table};

pub(crate) use storages::{content as storage_content, nodes as storage_nodes};

/// Every facet that was asked for.
#[must_use]
pub fn observation(seen: &Observation) -> String {
    let mut text = format!("{} at {}\n", seen.hostname, seen.observed_at);
    section(&mut text, "System", &seen.system, system);
    section(&mut text, "Disks", &seen.disks, |known| {
        let row = DiskRow {
            node: String::new(),
            disks: &seen.disks,
        };
        format!("{}\n{}", summary(known), disks(&[row], DiskDetail::Usual))
    });
    section(&mut text, "Pools", &seen.pools, |known| {
        pools::pools(known, seen.observed_at)
    });
    section(&mut text, "Storages", &seen.storages, storages::storages);
    section(&mut text, "Network", &seen.network, network);
    section(&mut text, "Cluster", &seen.cluster, cluster);
    section(&mut text, "Guests", &seen.guests, |known| guests(known));
    section(&mut text, "Guests here", &seen.running, |known| running(known));
    section(&mut text, "Guests of others that run here", &seen.strays, |known| {
        strays(known)
    });
    section(&mut text, "Last backups made here", &seen.backups, |known| {
        backups(known, seen.observed_at)
    });
    section(&mut text, "HA", &seen.ha, |known| {
        ha::ha(known, &seen.hostname, seen.observed_at)
    });
    section(&mut text, "Configuration", &seen.config, config::config);
    section(&mut text, "Readiness", &seen.readiness, readiness::readiness);
    text
}

fn section<T>(text: &mut String, title: &str, facet: &Facet<T>, show: impl FnOnce(&T) -> String) {
    match facet.get() {
        Err(unknown) if unknown.kind == UnknownKind::NotAsked => {}
        Err(unknown) => text.push_str(&format!("\n{title}\n  {unknown}\n")),
        Ok(known) => text.push_str(&format!("\n{title}\n{}", indent(&show(known), 2))),
    }
}

fn system(system: &System) -> String {
    let pve = match system.pve.get() {
        Ok(Some(pve)) => format!("PVE {}", pve.manager),
        Ok(None) => "no PVE".to_owned(),
        Err(unknown) => format!("PVE {unknown}"),
    };
    let clock = match system.clock.synchronised.get() {
        Ok(sync) if sync.synchronised => format!("synchronised ({})", sync.source),
        Ok(sync) => format!("NOT synchronised ({})", sync.source),
        Err(unknown) => unknown.to_string(),
    };
    let [one, five, fifteen] = system.cpu.load;
    let memory = &system.memory;
    let mut text = format!(
        "{pve}, {}, kernel {}\n{}, {}, load {one:.2} {five:.2} {fifteen:.2}\nmemory {} of {} available, up {}\nclock {}, {clock}\n",
        system.os,
        system.kernel,
        system.cpu.model,
        count(usize::try_from(system.cpu.threads).unwrap_or(0), "thread"),
        memory.available.binary(),
        memory.total.binary(),
        spoken(Duration::from_secs(system.uptime_seconds)),
        system.clock.now,
    );
    if let Some(why) = &system.reboot_needed {
        text.push_str(&format!("reboot needed: {why}\n"));
    }
    text
}

fn network(network: &Network) -> String {
    let rows: Vec<Vec<String>> = network
        .interfaces
        .iter()
        .map(|i| {
            let state = match (i.up, i.carrier) {
                (false, _) => "down",
                (true, Some(false)) => "no link",
                (true, _) => "up",
            };
            let addresses: Vec<_> = i
                .addresses
                .iter()
                .map(|a| format!("{}/{}", a.address, a.prefix))
                .collect();
            vec![
                i.name.clone(),
                i.kind.as_str().to_owned(),
                state.to_owned(),
                i.speed_mbps.map_or_else(|| "-".to_owned(), speed),
                i.mtu.to_string(),
                or_dash(i.master.as_deref()),
                or_dash(Some(&addresses.join(", "))),
            ]
        })
        .collect();
    let resolution = |name: &str, found: &Facet<NameResolution>| match found.get() {
        Ok(found) => match found.usable() {
            Some(address) => format!("{} resolves to {address}\n", found.name),
            None if found.addresses.is_empty() => format!("{} does not resolve\n", found.name),
            None => format!("{} resolves to loopback addresses only\n", found.name),
        },
        Err(unknown) => format!("{name} {unknown}\n"),
    };
    let others = network.names.iter().map(|(name, found)| resolution(name, found));
    let names: String = [resolution("own name", &network.own_name)]
        .into_iter()
        .chain(others)
        .collect();
    table(
        &["INTERFACE", "KIND", "STATE", "SPEED", "MTU", "PART OF", "ADDRESSES"],
        &rows,
    ) + &names
}

/// `10 Gbit/s`, `100 Mbit/s`.
fn speed(mbps: u32) -> String {
    if mbps >= 1000 && mbps.is_multiple_of(1000) {
        format!("{} Gbit/s", mbps / 1000)
    } else {
        format!("{mbps} Mbit/s")
    }
}

fn cluster(cluster: &Cluster) -> String {
    let pmxcfs = match cluster.pmxcfs {
        Pmxcfs::Writable => "/etc/pve is writable",
        Pmxcfs::ReadOnly => "/etc/pve is read-only",
        Pmxcfs::NotMounted => "/etc/pve is not mounted",
    };
    let mut text = cluster.member().map_or_else(|| "in no cluster\n".to_owned(), member);
    text.push_str(pmxcfs);
    text.push('\n');
    if cluster.member().is_none() && (cluster.authkey_present || cluster.local_config_present) {
        text.push_str("files of an earlier cluster lie in /etc/corosync\n");
    }
    if let Some(age) = cluster.config_lock_age {
        let age = spoken(Duration::from_secs(age));
        text.push_str(&format!("corosync.conf is locked, for {age}\n"));
    }
    text
}

fn member(member: &Member) -> String {
    let quorum = if member.quorate { "quorate" } else { "NOT quorate" };
    let votes = match member.votes.get() {
        Ok(votes) => format!("{} of {} votes, {} needed", votes.total, votes.expected, votes.quorum),
        Err(unknown) => format!("votes {unknown}"),
    };
    let rows: Vec<Vec<String>> = member
        .nodes
        .iter()
        .map(|n| {
            let address = n.address.map(|a| a.to_string());
            vec![
                n.id.to_string(),
                n.name.clone(),
                if n.online { "online" } else { "OFFLINE" }.to_owned(),
                or_dash(address.as_deref()),
            ]
        })
        .collect();
    let links = match member.links.get() {
        Ok(links) => links
            .iter()
            .map(|l| {
                let state = if l.connected { "connected" } else { "NOT connected" };
                let latency = member.latency_of(l).map(latency).unwrap_or_default();
                format!(
                    "link {} to node {}: {} -> {} {state}{latency}\n",
                    l.number, l.peer, l.local, l.remote
                )
            })
            .collect(),
        Err(unknown) => format!("links {unknown}\n"),
    };
    let unmeasured = match member.latencies.get() {
        Err(unknown) if unknown.kind != UnknownKind::NotAsked && member.links.is_known() => {
            format!("latency of links {unknown}\n")
        }
        _ => String::new(),
    };
    format!(
        "cluster {}, {quorum}, {votes}, {}\n{}{links}{unmeasured}{}",
        member.cluster,
        versions(member),
        table(&["ID", "NODE", "STATE", "ADDRESS"], &rows),
        qdevice(member)
    )
}

/// What corosync measured itself.
fn latency(of: &LinkLatency) -> String {
    format!(
        ", {} on average, {} at worst",
        ms(of.average.into()),
        ms(of.longest.into())
    )
}

/// Which config version runs, here and where another one does.
fn versions(member: &Member) -> String {
    let mut text = if member.running_version == member.file_version {
        format!("config version {}", member.running_version)
    } else {
        format!(
            "config version {} runs, the file has {}",
            member.running_version, member.file_version
        )
    };
    match member.running_versions.get() {
        Ok(all) => {
            for other in all.iter().filter(|other| other.version != member.file_version) {
                text.push_str(&format!(", node {} runs with {}", other.id, other.version));
            }
        }
        Err(unknown) if unknown.kind == UnknownKind::NotAsked => {}
        Err(unknown) => text.push_str(&format!(", what members run with is {unknown}")),
    }
    text
}

fn qdevice(member: &Member) -> String {
    let Some(device) = &member.qdevice else {
        return String::new();
    };
    let given = match member.votes.get().map(|votes| votes.device) {
        Ok(Some(0) | None) => ", gives NO vote".to_owned(),
        Ok(Some(votes)) => format!(", gives {}", count(usize::try_from(votes).unwrap_or(0), "vote")),
        Err(_) => String::new(),
    };
    format!("qdevice at {} ({}){given}\n", device.host, device.algorithm)
}

fn guests(guests: &[Guest]) -> String {
    if guests.is_empty() {
        return "none\n".to_owned();
    }
    let rows: Vec<Vec<String>> = guests
        .iter()
        .map(|g| {
            let kind = match g.kind {
                GuestKind::Vm => "VM",
                GuestKind::Container => "container",
            };
            vec![g.vmid.to_string(), kind.to_owned(), g.node.clone()]
        })
        .collect();
    table(&["ID", "KIND", "NODE"], &rows)
}

fn running(guests: &[GuestStatus]) -> String {
    if guests.is_empty() {
        return "none\n".to_owned();
    }
    let row = |guest: &GuestStatus| {
        vec![
            guest.vmid.to_string(),
            guest.run.as_str().to_owned(),
            or_dash(guest.lock.as_deref()),
            match guest.memory_used {
                Some(used) => format!("{} of {}", used.binary(), guest.memory.binary()),
                None => format!("? of {}", guest.memory.binary()),
            },
            match guest.uptime_seconds {
                Some(seconds) => spoken(Duration::from_secs(seconds)),
                None => "?".to_owned(),
            },
        ]
    };
    let rows: Vec<Vec<String>> = guests.iter().map(row).collect();
    table(&["ID", "STATE", "LOCK", "MEMORY", "UP"], &rows)
}

fn strays(guests: &[Stray]) -> String {
    if guests.is_empty() {
        return "none\n".to_owned();
    }
    let row = |guest: &Stray| {
        vec![
            guest.vmid.to_string(),
            guest.owner.clone().unwrap_or_else(|| "nobody".to_owned()),
            guest.ended_by(),
        ]
    };
    let rows: Vec<Vec<String>> = guests.iter().map(row).collect();
    table(&["ID", "BELONGS TO", "ENDED BY"], &rows)
}

fn backups(all: &[GuestBackup], now: Timestamp) -> String {
    if all.is_empty() {
        return "none\n".to_owned();
    }
    let row = |backup: &GuestBackup| {
        vec![
            backup.vmid.to_string(),
            format!("{} ago", spoken(backup.at.age(now))),
            backup.end.told(),
        ]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    table(&["ID", "LOGGED", "END"], &rows)
}

#[cfg(test)]
mod tests;
