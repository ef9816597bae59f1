//! Membership, votes, quorum, links.

use std::io;

use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::observation::cluster::{Cluster, Link, Member, MemberNode, Membership, Pmxcfs, Votes};
use quorate_tools::corosync_conf::{self, CorosyncConf};
use quorate_tools::pmxcfs::Members;
use quorate_tools::pmxcfs::members::{self, ClusterState};
use quorate_tools::{corosync_cfgtool, corosync_quorumtool};

use super::finished;
use crate::host::{Host, ReadError, complaint, text, unparsable, unreadable};

/// What pmxcfs publishes of the membership.
pub(super) const MEMBERS: &str = "/etc/pve/.members";
const CONFIG: &str = "/etc/pve/corosync.conf";
const LOCAL_CONFIG: &str = "/etc/corosync/corosync.conf";
const AUTHKEY: &str = "/etc/corosync/authkey";

/// pmxcfs's program: where it is installed, /etc/pve should be mounted.
const PMXCFS: &str = "/usr/bin/pmxcfs";

/// Observes the cluster as this node sees it.
pub(super) async fn observe(host: &Host) -> Result<Cluster, Unknown> {
    let authkey_present = host.root().exists(AUTHKEY).map_err(unreadable)?;
    let local_config_present = host.root().exists(LOCAL_CONFIG).map_err(unreadable)?;
    let members = match published(host, MEMBERS).await? {
        Some(text) => Some(members::read(&text).map_err(unparsable)?),
        None => None,
    };
    let config = match published(host, CONFIG).await? {
        Some(text) => Some(corosync_conf::read(&text).map_err(unparsable)?),
        None => None,
    };
    let pmxcfs = pmxcfs(host, members.as_ref()).await?;
    Ok(Cluster {
        membership: membership(host, members, config, local_config_present).await?,
        pmxcfs,
        authkey_present,
        local_config_present,
    })
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
            let (votes, links) = tokio::join!(votes(host), links(host));
            Ok(Membership::Member(Box::new(member(
                state,
                nodes,
                config,
                finished(host, votes),
                finished(host, links),
            ))))
        }
        (Some(Members { cluster: None, .. }), None) => Ok(Membership::Standalone),
        (Some(Members { cluster: None, .. }), Some(_)) => unclear(
            "/etc/pve/corosync.conf exists, but pmxcfs knows of no cluster yet: corosync does not run, or has just been started",
        ),
        (Some(_), None) => unclear("pmxcfs knows of a cluster, but /etc/pve/corosync.conf does not exist"),
        (None, _) if local_config_present => unclear(
            "/etc/pve is not mounted, but /etc/corosync/corosync.conf exists: the node belongs to a cluster that can't be seen",
        ),
        (None, _) => Ok(Membership::Standalone),
    }
}

fn member(
    state: ClusterState,
    nodes: Vec<MemberNode>,
    config: CorosyncConf,
    votes: Facet<Votes>,
    links: Facet<Vec<Link>>,
) -> Member {
    Member {
        cluster: state.name,
        running_version: state.version,
        file_version: config.config_version,
        quorate: state.quorate,
        nodes,
        configured: config.nodes,
        qdevice: config.qdevice,
        votes,
        links,
    }
}

async fn votes(host: &Host) -> Result<Votes, Unknown> {
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

/// Reads a file of pmxcfs; `None` if it has none of that name, or does not run: a mount whose pmxcfs has died answers
/// every access with an error of its own.
pub(super) async fn published(host: &Host, path: &str) -> Result<Option<String>, Unknown> {
    match host.read_if_there(path).await {
        Err(ReadError::Failed { source, .. })
            if matches!(
                source.kind(),
                io::ErrorKind::NotConnected | io::ErrorKind::ConnectionAborted
            ) =>
        {
            Ok(None)
        }
        read => read.map_err(unreadable),
    }
}

/// A file of pmxcfs is missing: fine where PVE is not installed.
///
/// # Errors
/// Where it is: then pmxcfs is down, and what it would show is unknown.
pub(super) fn absent_means_no_pve(host: &Host, path: &str) -> Result<(), Unknown> {
    let installed = host.root().exists(PMXCFS).map_err(unreadable)? || host.tools().find("pveversion").is_ok();
    if installed {
        return Err(Unknown::new(
            UnknownKind::Failed,
            format!("{path} does not exist: /etc/pve is not mounted"),
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
