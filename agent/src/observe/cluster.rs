//! Membership, votes, quorum, links.

use std::io;

use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::observation::cluster::{
    Cluster, ConfiguredNode, Link, LinkLatency, LocalConfig, Member, MemberNode, Membership, Pmxcfs, RunningVersion,
    Totem, Votes,
};
use quorate_tools::corosync_conf::{self, CorosyncConf};
use quorate_tools::pmxcfs::Members;
use quorate_tools::pmxcfs::members;
use quorate_tools::{corosync_cfgtool, corosync_cmapctl, corosync_quorumtool, systemctl};

use super::{finished, hostname};
use crate::host::{Host, ReadError, complaint, text, unparsable, unreadable};

/// What pmxcfs publishes of the membership.
pub(crate) const MEMBERS: &str = "/etc/pve/.members";
const CONFIG: &str = "/etc/pve/corosync.conf";
/// What corosync was started with.
pub(crate) const LOCAL_CONFIG: &str = "/etc/corosync/corosync.conf";
const AUTHKEY: &str = "/etc/corosync/authkey";

/// The folder that is the lock of corosync.conf: who makes it holds the lock, and touches it to keep it.
const CONFIG_LOCK: &str = "/etc/pve/priv/lock/file-corosync_conf";

/// All that pmxcfs holds. Without it there is no membership and no guest.
const DATABASE: &str = "/var/lib/pve-cluster/config.db";

/// pmxcfs's program: where it is installed, /etc/pve should be mounted.
const PMXCFS: &str = "/usr/bin/pmxcfs";

/// Observes the cluster as this node sees it.
pub(super) async fn observe(host: &Host) -> Result<Cluster, Unknown> {
    let begun = host.clock().monotonic();
    let authkey_present = host.root().exists(AUTHKEY).map_err(unreadable)?;
    let local_config_present = host.root().exists(LOCAL_CONFIG).map_err(unreadable)?;
    let members = match published(host, MEMBERS).await? {
        Some(text) => Some(members::read(&text).map_err(unparsable)?),
        None => None,
    };
    let config = match published(host, CONFIG).await? {
        // Every member has the same file: until it is mended, nothing can be done with any of them.
        Some(text) => Some(read_config(CONFIG, &text).map_err(|Unknown { kind, reason }| {
            Unknown::new(kind, format!("{reason}; mend it in a copy, and mv that over it"))
        })?),
        None => None,
    };
    let pmxcfs = pmxcfs(host, members.as_ref()).await?;
    let config_lock_age = config_lock_age(host).await?;
    let membership = membership(host, members, config, local_config_present).await?;
    let changes = host.memberships().note(begun, host.now(), &membership);
    Ok(Cluster {
        membership,
        pmxcfs,
        authkey_present,
        local_config_present,
        local_config: finished(host, local_config(host)),
        config_lock_age,
        changes,
    })
}

fn read_config(path: &str, text: &str) -> Result<CorosyncConf, Unknown> {
    corosync_conf::read(text).map_err(|error| {
        let unknown = unparsable(error);
        Unknown::new(unknown.kind, format!("{path}: {}", unknown.reason))
    })
}

fn local_config(host: &Host) -> Result<Option<LocalConfig>, Unknown> {
    let text = match host.root().read_text(LOCAL_CONFIG) {
        Err(ReadError::NotFound { .. }) => return Ok(None),
        read => read.map_err(unreadable)?,
    };
    let config = read_config(LOCAL_CONFIG, &text)?;
    Ok(Some(LocalConfig {
        cluster: config.cluster,
        version: config.config_version,
        nodes: config.nodes,
    }))
}

/// A lock from the future, after the clock was set back, is as old as one that was just taken.
async fn config_lock_age(host: &Host) -> Result<Option<u64>, Unknown> {
    let taken = match host.modified(CONFIG_LOCK).await {
        Err(error) if pmxcfs_is_gone(&error) => None,
        read => read.map_err(unreadable)?,
    };
    let now = host.now().seconds();
    Ok(taken.map(|taken| u64::try_from(now.saturating_sub(taken)).unwrap_or(0)))
}

/// Mode bits show whether pmxcfs has quorum: without it folders lose their write bit. In the moments around a start
/// .members may already know better than the bits, or the other way: the worse of the two counts.
async fn pmxcfs(host: &Host, members: Option<&Members>) -> Result<Pmxcfs, Unknown> {
    const OWNER_WRITES: u32 = 0o200;
    let Some(members) = members else {
        return Ok(Pmxcfs::NotMounted);
    };
    let quorate = members.cluster.as_ref().is_none_or(|cluster| cluster.quorate);
    let mode = host.mode("/etc/pve").await.map_err(unreadable)?;
    match mode {
        None => Ok(Pmxcfs::NotMounted),
        Some(mode) if quorate && mode & OWNER_WRITES != 0 => Ok(Pmxcfs::Writable),
        Some(_) => Ok(Pmxcfs::ReadOnly),
    }
}

async fn membership(
    host: &Host,
    members: Option<Members>,
    config: Option<CorosyncConf>,
    local_config_present: bool,
) -> Result<Membership, Unknown> {
    let unclear = |reason: &str| Err(Unknown::new(UnknownKind::Failed, reason));
    match (members, config) {
        (
            Some(Members {
                cluster: Some(state),
                nodes,
                ..
            }),
            Some(config),
        ) => {
            let (votes, links, versions, latencies, totem) = tokio::join!(
                votes(host),
                links(host),
                running_versions(host),
                latencies(host),
                totem(host)
            );
            Ok(Membership::Member(Box::new(Member {
                cluster: state.name,
                running_version: state.version,
                file_version: config.config_version,
                quorate: state.quorate,
                nodes,
                configured: config.nodes,
                interfaces: config.interfaces,
                qdevice: config.qdevice,
                running_versions: finished(host, versions),
                votes: finished(host, votes),
                links: finished(host, links),
                latencies: finished(host, latencies),
                totem: finished(host, totem),
            })))
        }
        (Some(Members { cluster: None, .. }), None) => Ok(Membership::Standalone),
        (Some(Members { cluster: None, .. }), Some(config)) => cut_off(host, config).await,
        (Some(_), None) => unclear("pmxcfs knows of a cluster, but /etc/pve/corosync.conf does not exist"),
        (None, _) if local_config_present => without_pmxcfs(host).await,
        (None, _) => Ok(Membership::Standalone),
    }
}

/// pmxcfs is down, or was never there. Who belongs to the cluster says the copy of the configuration that corosync started with; who is
/// there, and whether that is enough, corosync knows by itself.
async fn without_pmxcfs(host: &Host) -> Result<Membership, Unknown> {
    let pve = pve_is_installed(host)?;
    // A join takes the database away before it starts pmxcfs with the new one: what is not there holds no membership.
    if pve && has_no_database(host)? {
        return Ok(Membership::Standalone);
    }
    let votes = match votes(host).await {
        Ok(votes) => votes,
        Err(Unknown { kind, reason }) => {
            let seen = "/etc/corosync/corosync.conf exists: the node belongs to a cluster that can't be seen";
            let told = if pve {
                format!("/etc/pve is not mounted, but {seen}; systemctl start pve-cluster brings it back; {reason}")
            } else {
                format!("{seen}: {reason}")
            };
            return Err(Unknown::new(kind, told));
        }
    };
    let config = read_config(LOCAL_CONFIG, &host.root().read_text(LOCAL_CONFIG).map_err(unreadable)?)?;
    let (links, versions, latencies, totem) =
        tokio::join!(links(host), running_versions(host), latencies(host), totem(host));
    let own = hostname(host);
    let node = |node: &ConfiguredNode| MemberNode {
        name: node.name.clone(),
        id: node.id,
        online: votes.rows.iter().any(|row| row.id == node.id),
        address: None,
    };
    let own_id = config.nodes.iter().find(|node| node.name == own).map(|node| node.id);
    let running = versions.iter().flatten().find(|running| Some(running.id) == own_id);
    Ok(Membership::Member(Box::new(Member {
        running_version: running.map_or(config.config_version, |running| running.version),
        file_version: config.config_version,
        quorate: votes.quorate,
        nodes: config.nodes.iter().map(node).collect(),
        cluster: config.cluster,
        configured: config.nodes,
        interfaces: config.interfaces,
        qdevice: config.qdevice,
        running_versions: finished(host, versions),
        votes: finished(host, Ok(votes)),
        links: finished(host, links),
        latencies: finished(host, latencies),
        totem: finished(host, totem),
    })))
}

/// pmxcfs was started for a cluster, and has heard nothing of it from corosync since. If that does not run, so much is certain: the node
/// is configured as a member, and sees nobody, not even itself. As after a join that corosync did not live to see the end of.
async fn cut_off(host: &Host, config: CorosyncConf) -> Result<Membership, Unknown> {
    let stdout = host.ask(systemctl::show(host.tools(), "corosync")).await?;
    let unit = systemctl::read(&stdout).map_err(unparsable)?;
    if !["inactive", "failed"].contains(&unit.active.as_str()) {
        return Err(Unknown::new(
            UnknownKind::Failed,
            "/etc/pve/corosync.conf exists, but pmxcfs knows of no cluster yet: corosync was just started",
        ));
    }
    let not_running = (UnknownKind::Failed, "corosync does not run");
    let unseen = |node: &ConfiguredNode| MemberNode {
        name: node.name.clone(),
        id: node.id,
        online: false,
        address: None,
    };
    Ok(Membership::Member(Box::new(Member {
        cluster: config.cluster,
        // What would run if it were started.
        running_version: config.config_version,
        file_version: config.config_version,
        quorate: false,
        nodes: config.nodes.iter().map(unseen).collect(),
        configured: config.nodes,
        interfaces: config.interfaces,
        qdevice: config.qdevice,
        running_versions: Facet::unknown(not_running.0, not_running.1),
        votes: Facet::unknown(not_running.0, not_running.1),
        links: Facet::unknown(not_running.0, not_running.1),
        latencies: Facet::unknown(not_running.0, not_running.1),
        totem: Facet::unknown(not_running.0, not_running.1),
    })))
}

pub(super) async fn votes(host: &Host) -> Result<Votes, Unknown> {
    const NAME: &str = corosync_quorumtool::NAME;
    let finished = host.run(corosync_quorumtool::status(host.tools())).await?;
    if !corosync_quorumtool::reported(finished.exit) {
        return Err(complaint(NAME, &finished));
    }
    corosync_quorumtool::read(&text(NAME, &finished)?).map_err(unparsable)
}

async fn links(host: &Host) -> Result<Vec<Link>, Unknown> {
    let stdout = host.ask(corosync_cfgtool::nodes(host.tools())).await?;
    corosync_cfgtool::read(&stdout).map_err(unparsable)
}

async fn latencies(host: &Host) -> Result<Vec<LinkLatency>, Unknown> {
    let stdout = host.ask(corosync_cmapctl::link_statistics(host.tools())).await?;
    corosync_cmapctl::read_latencies(&stdout).map_err(unparsable)
}

async fn totem(host: &Host) -> Result<Totem, Unknown> {
    let stdout = host.ask(corosync_cmapctl::timers(host.tools())).await?;
    corosync_cmapctl::read_timers(&stdout).map_err(unparsable)
}

/// With which version each member runs that is in the membership now; who left has none.
async fn running_versions(host: &Host) -> Result<Vec<RunningVersion>, Unknown> {
    let stdout = host.ask(corosync_cmapctl::members(host.tools())).await?;
    let members = corosync_cmapctl::read(&stdout).map_err(unparsable)?;
    let joined = members.into_iter().filter(|(_, member)| member.joined);
    let versions = joined.map(|(id, member)| RunningVersion {
        id,
        version: member.config_version,
    });
    Ok(versions.collect())
}

/// Reads a file of pmxcfs; `None` if it has none of that name, or does not run: a mount whose pmxcfs has died answers
/// every access with an error of its own.
pub(crate) async fn published(host: &Host, path: &str) -> Result<Option<String>, Unknown> {
    match host.read_if_there(path).await {
        Err(error) if pmxcfs_is_gone(&error) => Ok(None),
        read => read.map_err(unreadable),
    }
}

/// The same, but `None` only if pmxcfs is there to say so, or the host has no PVE.
///
/// # Errors
/// Where it can't be read, or /etc/pve is not mounted: then what the file would say is unknown.
pub(super) async fn published_for_sure(host: &Host, path: &str) -> Result<Option<String>, Unknown> {
    if let Some(text) = published(host, path).await? {
        return Ok(Some(text));
    }
    mounted(host, path).await?;
    // It may have been mounted between the two.
    published(host, path).await
}

/// Makes sure that what is not found below /etc/pve is really not there.
///
/// # Errors
/// /etc/pve is not mounted on a host with PVE.
pub(super) async fn mounted(host: &Host, path: &str) -> Result<(), Unknown> {
    match published(host, MEMBERS).await? {
        Some(_) => Ok(()),
        None => absent_means_no_pve(host, path),
    }
}

/// What a mount answers whose pmxcfs has died.
pub(crate) fn pmxcfs_is_gone(error: &ReadError) -> bool {
    use io::ErrorKind::{ConnectionAborted, NotConnected};
    matches!(error, ReadError::Failed { source, .. } if matches!(source.kind(), NotConnected | ConnectionAborted))
}

/// Is pmxcfs without a database? Then it is down, and when it starts it begins with an empty one: there are no guests.
///
/// # Errors
/// It can't be seen.
pub(super) fn has_no_database(host: &Host) -> Result<bool, Unknown> {
    Ok(!host.root().exists(DATABASE).map_err(unreadable)?)
}

/// A file of pmxcfs is missing: fine where PVE is not installed.
///
/// # Errors
/// Where it is: then pmxcfs is down, and what it would show is unknown.
pub(super) fn absent_means_no_pve(host: &Host, path: &str) -> Result<(), Unknown> {
    if pve_is_installed(host)? {
        return Err(Unknown::new(
            UnknownKind::Failed,
            format!("{path} does not exist: /etc/pve is not mounted"),
        ));
    }
    Ok(())
}

fn pve_is_installed(host: &Host) -> Result<bool, Unknown> {
    Ok(host.root().exists(PMXCFS).map_err(unreadable)? || host.tools().find("pveversion").is_ok())
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
