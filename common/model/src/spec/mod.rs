//! The cluster file: what the operator wants. It is read once, into checked types that remember where in the file they stood.

mod read;
mod reader;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use sha2::{Digest, Sha256};

use crate::finding::{Finding, Place};
use crate::ids::{ClusterName, NodeName};

/// A value with its place in the operator's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// The cluster file, checked as far as it can be without looking at servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFile {
    /// SHA-256 of the file's text, in hex: what a plan was made from.
    pub digest: String,
    /// `[cluster]`
    pub cluster: ClusterSpec,
    /// `[nodes.NAME]`, at least one.
    pub nodes: BTreeMap<NodeName, NodeSpec>,
}

/// `[cluster]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSpec {
    /// `name`
    pub name: Located<ClusterName>,
    /// `links`: one network for each corosync link, link 0 first. Empty: one link over the nodes' addresses.
    pub links: Vec<Located<IpNet>>,
}

/// `[nodes.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Where the table begins.
    pub place: Place,
    /// `address`: the server's own management address, to which its name resolves.
    pub address: Located<IpAddr>,
}

/// As many links as corosync can have (knet: link 0 to 7).
pub const MOST_LINKS: usize = 8;

impl ClusterFile {
    /// Reads a cluster file.
    ///
    /// # Errors
    /// Every problem in the file at once, each with its place.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Vec<Finding>> {
        read::cluster_file(file_name, text, digest_of(text))
    }

    /// The address of a node on a link that is not found by a network but is the node's own address.
    #[must_use]
    pub fn links_by_address(&self) -> bool {
        self.cluster.links.is_empty()
    }
}

/// SHA-256 of a cluster file's text, in hex.
#[must_use]
pub fn digest_of(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

#[cfg(test)]
mod tests;
