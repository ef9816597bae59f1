//! /etc/pve/.members: who belongs to the cluster and who is there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use quorate_model::observation::cluster::MemberNode;
use serde::Deserialize;

use crate::{ParseError, json, lenient};

const NAME: &str = "/etc/pve/.members";

/// Its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The node's own name.
    pub nodename: String,
    /// Counts changes.
    pub version: u64,
    /// `None` where pmxcfs knows of no cluster: on a standalone node, and on a member until corosync has answered once.
    pub cluster: Option<ClusterState>,
    /// All nodes by id; empty without a cluster.
    pub nodes: Vec<MemberNode>,
}

/// The part `cluster`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ClusterState {
    /// The cluster's name.
    pub name: String,
    /// config_version that corosync runs with.
    #[serde(deserialize_with = "lenient::u64")]
    pub version: u64,
    /// How many nodes the configuration names.
    #[serde(deserialize_with = "lenient::u64")]
    pub nodes: u64,
    /// Is there quorum?
    #[serde(deserialize_with = "lenient::flag")]
    pub quorate: bool,
}

#[derive(Deserialize)]
struct File {
    nodename: String,
    #[serde(deserialize_with = "lenient::u64")]
    version: u64,
    cluster: Option<ClusterState>,
    #[serde(default)]
    nodelist: BTreeMap<String, Node>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(deserialize_with = "lenient::u32")]
    id: u32,
    #[serde(deserialize_with = "lenient::flag")]
    online: bool,
    ip: Option<IpAddr>,
}

/// Reads the file.
///
/// # Errors
/// When it is no JSON, or what is needed is missing, or the list of nodes has another length than announced.
pub fn read(text: &str) -> Result<Members, ParseError> {
    let file: File = json::read(NAME, text)?;
    let mut nodes: Vec<MemberNode> = file
        .nodelist
        .into_iter()
        .map(|(name, node)| MemberNode { name, id: node.id, online: node.online, address: node.ip })
        .collect();
    nodes.sort_by_key(|node| node.id);
    if let Some(cluster) = &file.cluster
        && u64::try_from(nodes.len()) != Ok(cluster.nodes)
    {
        let reason = format!("says {} nodes and lists {}", cluster.nodes, nodes.len());
        return Err(ParseError::missing(NAME, reason));
    }
    Ok(Members { nodename: file.nodename, version: file.version, cluster: file.cluster, nodes })
}
