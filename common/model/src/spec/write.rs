//! A cluster file from values: canonical TOML, with comments for whoever will go on with it.

mod pools;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Located, NodeRole, NodeSpec};
use crate::ids::{ClusterName, NodeName, PoolName, StorageName};
use crate::maintenance::MaintenanceWindow;

pub use pools::{DraftDisks, DraftPool, DraftStorage};

/// What is to stand in a cluster file. Comments may have several lines; they have no `#` of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// At the top of the file, a paragraph each.
    pub comments: Vec<String>,
    /// `name`
    pub name: ClusterName,
    /// `links`, link 0 first. Left out of the file where no link has anything to say.
    pub links: Vec<DraftLink>,
    /// `migration_network`
    pub migration_network: Option<IpNet>,
    /// `third_vote`: the node that holds it.
    pub third_vote: Option<NodeName>,
    /// `maintenance`
    pub maintenance: Vec<MaintenanceWindow>,
    /// `[nodes.NAME]`
    pub nodes: BTreeMap<NodeName, DraftNode>,
    /// `[zfs.NAME]`
    pub pools: BTreeMap<PoolName, DraftPool>,
    /// `[storage.NAME]`
    pub storages: BTreeMap<StorageName, DraftStorage>,
    /// A comment at the end of the file.
    pub proposals: String,
}

/// A link of a draft.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DraftLink {
    /// Above it.
    pub comment: String,
    /// Its network.
    pub network: Option<IpNet>,
    /// Its priority.
    pub priority: Option<u8>,
}

/// A node of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftNode {
    /// Above its table.
    pub comment: String,
    /// `address`
    pub address: IpAddr,
    /// `role`: written unless it is the usual one.
    pub role: NodeRole,
    /// `links`
    pub links: Option<Vec<IpAddr>>,
}

impl Draft {
    /// A draft with a name and nothing else.
    #[must_use]
    pub fn new(name: ClusterName) -> Self {
        Self {
            comments: Vec::new(),
            name,
            links: Vec::new(),
            migration_network: None,
            third_vote: None,
            maintenance: Vec::new(),
            nodes: BTreeMap::new(),
            pools: BTreeMap::new(),
            storages: BTreeMap::new(),
            proposals: String::new(),
        }
    }
}

impl From<&NodeSpec> for DraftNode {
    fn from(node: &NodeSpec) -> Self {
        let values = |links: &Vec<Located<IpAddr>>| links.iter().map(|address| address.value).collect();
        Self {
            comment: String::new(),
            address: node.address.value,
            role: node.role,
            links: node.links.as_ref().map(values),
        }
    }
}

/// The draft as the text of a cluster file. Equal drafts give equal texts. Whether its parts fit together only reading it
/// ([`ClusterFile::parse`]) can tell.
#[must_use]
pub fn write(draft: &Draft) -> String {
    let mut text = String::new();
    for paragraph in &draft.comments {
        text.push_str(&comment("", paragraph));
        text.push('\n');
    }
    text.push_str("[cluster]\n");
    text.push_str(&format!("name = {}\n", quoted(&draft.name)));
    text.push_str(&links(&draft.links));
    if let Some(network) = &draft.migration_network {
        text.push_str(&format!("migration_network = {}\n", quoted(network)));
    }
    if let Some(node) = &draft.third_vote {
        text.push_str(&format!("third_vote = {{ qdevice = {} }}\n", quoted(node)));
    }
    if !draft.maintenance.is_empty() {
        text.push_str(&format!("maintenance = {}\n", list(&draft.maintenance)));
    }
    for (name, node) in &draft.nodes {
        text.push('\n');
        text.push_str(&comment("", &node.comment));
        text.push_str(&format!("[nodes.{name}]\n{}", node_keys(node)));
    }
    for (name, pool) in &draft.pools {
        text.push_str(&pools::pool(name, pool));
    }
    for (name, storage) in &draft.storages {
        text.push_str(&pools::storage(name, storage));
    }
    if !draft.proposals.is_empty() {
        text.push('\n');
        text.push_str(&comment("", &draft.proposals));
    }
    text
}

fn links(links: &[DraftLink]) -> String {
    let said = |link: &DraftLink| link.network.is_some() || link.priority.is_some();
    if !links.iter().any(said) {
        return String::new();
    }
    let item = |link: &DraftLink| match (&link.network, link.priority) {
        (Some(network), None) => quoted(network),
        (Some(network), Some(priority)) => format!("{{ network = {}, priority = {priority} }}", quoted(network)),
        (None, Some(priority)) => format!("{{ priority = {priority} }}"),
        (None, None) => "{}".to_owned(),
    };
    if links.iter().all(|link| link.comment.is_empty()) && links.len() <= 3 {
        let items: Vec<String> = links.iter().map(item).collect();
        return format!("links = [{}]\n", items.join(", "));
    }
    let lines = links
        .iter()
        .map(|link| format!("{}    {},\n", comment("    ", &link.comment), item(link)));
    format!("links = [\n{}]\n", lines.collect::<String>())
}

/// The keys of a node's table.
pub(super) fn node_keys(node: &DraftNode) -> String {
    let mut text = format!("address = {}\n", quoted(&node.address));
    if node.role != NodeRole::default() {
        text.push_str(&format!("role = {}\n", quoted(&node.role)));
    }
    if let Some(links) = &node.links {
        text.push_str(&format!("links = {}\n", list(links)));
    }
    text
}

fn list<T: Display>(items: &[T]) -> String {
    format!("[{}]", items.iter().map(quoted).collect::<Vec<_>>().join(", "))
}

/// Names, addresses, networks and windows have no characters that would have to be escaped.
fn quoted(value: &impl Display) -> String {
    format!("\"{value}\"")
}

/// Lines of a comment. TOML forbids control characters there.
pub(super) fn comment(indent: &str, text: &str) -> String {
    let line = |line: &str| {
        let clean: String = line.chars().filter(|c| !c.is_control()).collect();
        format!("{}\n", format!("{indent}# {clean}").trim_end())
    };
    text.lines().map(line).collect()
}
