//! `pvesh get /cluster/config/join`: what a joining node must know. Half a second of processor time: for joins only.

use std::collections::BTreeMap;
use std::net::IpAddr;

use quorate_exec::{Invocation, Tools};
use serde::Deserialize;

use crate::{CallError, ParseError, json, lenient};

/// Its name.
pub const NAME: &str = "pvesh";

/// Asks for the join information. The path must be the second word.
///
/// # Errors
/// When pvesh is not installed.
pub fn get_join(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools
        .call(NAME)?
        .args(["get", "/cluster/config/join", "--output-format", "json"])
        .build()?)
}

/// What a joining node must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinInfo {
    /// The cluster's name.
    pub cluster: String,
    /// config_version of corosync.conf.
    pub config_version: u64,
    /// The member that was asked.
    pub preferred_node: String,
    /// All members, by name.
    pub nodes: Vec<JoinNode>,
    /// Numbers of the links that every node must have an address on.
    pub links: Vec<u8>,
}

impl JoinInfo {
    /// The member that was asked.
    #[must_use]
    pub fn preferred(&self) -> Option<&JoinNode> {
        self.nodes.iter().find(|node| node.name == self.preferred_node)
    }
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinNode {
    /// Its name.
    pub name: String,
    /// Its corosync id.
    pub id: u32,
    /// Where its API listens (port 8006); missing for a member whose pmxcfs has not published it.
    pub address: Option<IpAddr>,
    /// SHA-256 of its API certificate: 32 pairs of hexadecimal digits with colons.
    pub fingerprint: String,
    /// Link number → address as written in corosync.conf.
    pub links: BTreeMap<u8, String>,
}

#[derive(Deserialize)]
struct Answer {
    nodelist: Vec<Node>,
    preferred_node: String,
    totem: Totem,
}

#[derive(Deserialize)]
struct Node {
    name: String,
    #[serde(deserialize_with = "lenient::u32")]
    nodeid: u32,
    pve_addr: Option<IpAddr>,
    pve_fp: String,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Totem {
    cluster_name: String,
    #[serde(deserialize_with = "lenient::u64")]
    config_version: u64,
    #[serde(default)]
    interface: BTreeMap<String, serde_json::Value>,
}

/// Reads the join information. All its numbers are strings, and its nodes come in random order.
///
/// # Errors
/// When it is no JSON, or what is needed is missing, or a fingerprint is none.
pub fn read_join(stdout: &str) -> Result<JoinInfo, ParseError> {
    let answer: Answer = json::read(NAME, stdout)?;
    let links = answer.totem.interface.keys().map(|number| {
        number
            .parse()
            .map_err(|_| ParseError::at(NAME, number, "expected a link's number"))
    });
    let mut nodes = answer.nodelist.into_iter().map(node).collect::<Result<Vec<_>, _>>()?;
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(JoinInfo {
        cluster: answer.totem.cluster_name,
        config_version: answer.totem.config_version,
        preferred_node: answer.preferred_node,
        nodes,
        links: links.collect::<Result<_, _>>()?,
    })
}

fn node(node: Node) -> Result<JoinNode, ParseError> {
    if !is_fingerprint(&node.pve_fp) {
        return Err(ParseError::at(NAME, &node.pve_fp, "expected a SHA-256 fingerprint"));
    }
    let link = |(key, value): (&String, &serde_json::Value)| {
        let number = key.strip_prefix("ring")?.strip_suffix("_addr")?.parse().ok()?;
        Some((number, value.as_str()?.to_owned()))
    };
    Ok(JoinNode {
        links: node.rest.iter().filter_map(link).collect(),
        name: node.name,
        id: node.nodeid,
        address: node.pve_addr,
        fingerprint: node.pve_fp,
    })
}

/// 32 pairs of hexadecimal digits, parted by colons: what `pvecm add --fingerprint` accepts.
#[must_use]
pub fn is_fingerprint(text: &str) -> bool {
    let is_pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(':').count() == 32 && text.split(':').all(is_pair)
}

/// Whether pvesh said that this node is in no cluster (`424 node is not in a cluster, no join info available!`).
#[must_use]
pub fn says_standalone(stderr: &str) -> bool {
    stderr.lines().any(|line| line.starts_with("424 "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn join_information_of_three_nodes() {
        let call = get_join(&Tools::imagined()).unwrap().to_string();
        assert_eq!(call, "/usr/bin/pvesh get /cluster/config/join --output-format json");
        let info = read_join(fixture!("pvesh/pve-8.4/join-three-nodes.out")).unwrap();
        assert_eq!(
            (info.cluster.as_str(), info.config_version, info.links.as_slice()),
            ("lab1", 5, &[0][..])
        );
        let names: Vec<_> = info.nodes.iter().map(|node| (node.name.as_str(), node.id)).collect();
        assert_eq!(names, [("prox1", 1), ("prox2", 2), ("prox3", 3)]);
        let asked = info.preferred().unwrap();
        assert_eq!(
            (asked.name.as_str(), asked.address.unwrap().to_string()),
            ("prox1", "10.77.0.1".to_owned())
        );
        assert!(asked.fingerprint.starts_with("5B:0F:5B:3C") && asked.links[&0] == "10.77.0.1");
        assert_eq!(
            read_join(fixture!("pvesh/pve-8.4/join-one-node.out"))
                .unwrap()
                .nodes
                .len(),
            1
        );
    }

    #[test]
    fn a_standalone_node_says_so() {
        assert!(says_standalone(fixture!("pvesh/pve-8.4/join-standalone.err")));
        assert!(!says_standalone("unknown node 'x'\n"));
    }

    #[test]
    fn a_fingerprint_must_be_one() {
        let text = fixture!("pvesh/pve-8.4/join-one-node.out").replace("5B:0F", "5B0F");
        assert!(read_join(&text).unwrap_err().reason.contains("fingerprint"));
        assert!(!is_fingerprint(&"5B:".repeat(32)) && !is_fingerprint("") && is_fingerprint(&["aF"; 32].join(":")));
    }
}
