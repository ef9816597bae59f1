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
        .map(|(name, node)| MemberNode {
            name,
            id: node.id,
            online: node.online,
            address: node.ip,
        })
        .collect();
    nodes.sort_by_key(|node| node.id);
    if let Some(cluster) = &file.cluster
        && u64::try_from(nodes.len()) != Ok(cluster.nodes)
    {
        let reason = format!("says {} nodes and lists {}", cluster.nodes, nodes.len());
        return Err(ParseError::missing(NAME, reason));
    }
    Ok(Members {
        nodename: file.nodename,
        version: file.version,
        cluster: file.cluster,
        nodes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standalone() {
        let members = read(fixture!("pmxcfs/pve-8.4/members-standalone.json")).unwrap();
        assert_eq!(
            (members.nodename.as_str(), members.cluster, members.nodes.len()),
            ("prox1", None, 0)
        );
    }

    #[test]
    fn three_nodes_with_and_without_quorum() {
        let members = read(fixture!("pmxcfs/pve-8.4/members-three-nodes.json")).unwrap();
        let cluster = members.cluster.unwrap();
        assert_eq!(
            (cluster.name.as_str(), cluster.version, cluster.nodes, cluster.quorate),
            ("lab1", 5, 3, true)
        );
        let nodes: Vec<_> = members
            .nodes
            .iter()
            .map(|node| (node.name.as_str(), node.id, node.online))
            .collect();
        assert_eq!(nodes, [("prox1", 1, true), ("prox2", 2, true), ("prox3", 3, true)]);
        let isolated = read(fixture!("pmxcfs/pve-8.4/members-not-quorate.json")).unwrap();
        assert!(!isolated.cluster.unwrap().quorate);
        assert_eq!(isolated.nodes.iter().filter(|node| node.online).count(), 1);
        assert_eq!(
            read(fixture!("pmxcfs/pve-8.4/members-one-node.json"))
                .unwrap()
                .nodes
                .len(),
            1
        );
    }

    #[test]
    fn a_node_that_has_not_published_its_address_has_none() {
        let members = read(fixture!("pmxcfs/pve-8.4/members-joining.json")).unwrap();
        assert_eq!(members.nodes[0].address.unwrap().to_string(), "10.77.0.1");
        assert_eq!(members.nodes[1].address, None);
    }

    #[test]
    fn a_list_that_was_cut_is_an_error() {
        let text = fixture!("pmxcfs/pve-8.4/members-three-nodes.json").replace("\"nodes\": 3", "\"nodes\": 4");
        assert_eq!(
            read(&text).unwrap_err().to_string(),
            "/etc/pve/.members: says 4 nodes and lists 3"
        );
        assert!(read("").is_err() && read("{").is_err());
    }
}
