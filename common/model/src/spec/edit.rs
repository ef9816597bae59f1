//! Changes to a cluster file's text that leave everything else in it as the operator wrote it: comments, order, blanks.

mod mentions;
mod protect;

use std::collections::BTreeMap;
use std::net::IpAddr;

use toml_edit::{Array, DocumentMut, InlineTable, Item, Key, Table, TableLike, Value, value};

use super::write::comment;
use super::{ClusterFile, DraftNode, NodeRole};
use crate::finding::Finding;
use crate::ids::NodeName;

pub use protect::{Protection, protect_guest};

/// Why a file was not changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EditError {
    /// It can't be used as it is.
    #[error("the cluster file has problems already")]
    Unusable(Vec<Finding>),
    /// It names no such node.
    #[error("the cluster file names no node {0}")]
    NoSuchNode(NodeName),
    /// It has a node of that name already.
    #[error("the cluster file names {0} already")]
    NodeExists(NodeName),
    /// It names the guest already, with other servers or another schedule, in this line's table.
    #[error("the cluster file names guest {0} with something else, in line {1}")]
    GuestNamed(u32, u32),
    /// It would not be usable afterwards.
    #[error("the cluster file would not be usable afterwards")]
    WouldNotDo(Vec<Finding>),
}

impl EditError {
    /// What is, or would be, wrong with the file.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Unusable(findings) | Self::WouldNotDo(findings) => findings,
            Self::NoSuchNode(_) | Self::NodeExists(_) | Self::GuestNamed(..) => &[],
        }
    }
}

/// The file without this node, and without its disks in pools and its name in storages' `nodes`. The comment right above its table goes with
/// it; one set apart by a blank line stays.
///
/// # Errors
/// It has no such node; or it would not do without it: it is the last one, or it holds the third vote.
pub fn without_node(text: &str, name: &NodeName) -> Result<String, EditError> {
    let mut file = File::open(text)?;
    file.must_have(name)?;
    let removed = match file.nodes() {
        Some(Nodes::Table(nodes)) => nodes.remove(name.as_str()),
        Some(Nodes::Inline(nodes)) => nodes.remove(name.as_str()).map(Item::Value),
        None => None,
    };
    if let Some(Item::Table(removed)) = removed {
        file.keep_what_stood_apart(&removed);
    }
    mentions::remove(&mut file.document, name);
    file.close()
}

/// The file with `new` in the place of `dead`: its role, third vote, place in storages' `nodes` and what is said of its disks go over to it, its
/// comments stay. Of its explicit links those
/// at the dead node's management address move to the new one; the others stay, unless `links` gives them all. The names may be the
/// same: a server that was installed anew.
///
/// # Errors
/// It has no node `dead`, or has `new` already; or it would not do: another node has that address.
pub fn replace_node(
    text: &str,
    dead: &NodeName,
    new: &NodeName,
    address: IpAddr,
    links: Option<&[IpAddr]>,
) -> Result<String, EditError> {
    let mut file = File::open(text)?;
    let old = file.must_have(dead)?;
    if dead != new {
        file.must_not_have(new)?;
    }
    let links: Option<Vec<IpAddr>> = match (links, &old.links) {
        (Some(links), _) => Some(links.to_vec()),
        (None, Some(stay)) => Some(
            stay.iter()
                .map(|l| if *l == old.address { address } else { *l })
                .collect(),
        ),
        (None, None) => None,
    };
    if let Some(table) = file.node(dead) {
        set(table, "address", address.to_string());
        if let Some(links) = links.filter(|l| old.links.as_ref() != Some(l)) {
            set_links(table, &links);
        }
    }
    match file.nodes() {
        Some(Nodes::Table(nodes)) => rename_table(nodes, dead, new),
        Some(Nodes::Inline(nodes)) => rename_inline(nodes, dead, new),
        None => {}
    }
    let vote = file.document.get_mut("cluster").and_then(|c| c.get_mut("third_vote"));
    if let Some(vote) = vote.and_then(Item::as_table_like_mut)
        && vote.get("qdevice").and_then(Item::as_str) == Some(dead.as_str())
    {
        set(vote, "qdevice", new.as_str());
    }
    mentions::rename(&mut file.document, dead, new);
    file.close()
}

/// The file with one more node, after the others.
///
/// # Errors
/// It has a node of that name; or it would not do: another node has that address, or its links are not the cluster's.
pub fn add_node(text: &str, name: &NodeName, node: &DraftNode) -> Result<String, EditError> {
    let mut file = File::open(text)?;
    file.must_not_have(name)?;
    match file.nodes() {
        Some(Nodes::Table(nodes)) => {
            let mut table = Table::new();
            fill(&mut table, node);
            table
                .decor_mut()
                .set_prefix(format!("\n{}", comment("", &node.comment)));
            nodes.insert(name.as_str(), Item::Table(table));
        }
        Some(Nodes::Inline(nodes)) => {
            let mut table = InlineTable::new();
            fill(&mut table, node);
            nodes.insert(name.as_str(), Value::InlineTable(table));
        }
        None => {}
    }
    file.close()
}

/// A name for findings: who changes the text knows where it lies.
const NAME: &str = "the cluster file";

/// A file that could be read, and its text as a document that can be changed.
struct File {
    read: BTreeMap<NodeName, DraftNode>,
    document: DocumentMut,
}

/// `nodes` as it is written.
enum Nodes<'d> {
    Table(&'d mut Table),
    Inline(&'d mut InlineTable),
}

impl File {
    fn open(text: &str) -> Result<Self, EditError> {
        let read = ClusterFile::parse(NAME, text).map_err(EditError::Unusable)?;
        // What the reader took, the editor takes: they share their parser.
        let document = text.parse().map_err(|_| EditError::Unusable(Vec::new()))?;
        let nodes = read.nodes.iter();
        Ok(Self {
            read: nodes.map(|(name, node)| (name.clone(), node.into())).collect(),
            document,
        })
    }

    fn must_have(&self, name: &NodeName) -> Result<DraftNode, EditError> {
        let node = self.read.get(name).cloned();
        node.ok_or_else(|| EditError::NoSuchNode(name.clone()))
    }

    fn must_not_have(&self, name: &NodeName) -> Result<(), EditError> {
        match self.read.get(name) {
            None => Ok(()),
            Some(_) => Err(EditError::NodeExists(name.clone())),
        }
    }

    fn nodes(&mut self) -> Option<Nodes<'_>> {
        match self.document.get_mut("nodes") {
            Some(Item::Table(nodes)) => Some(Nodes::Table(nodes)),
            Some(Item::Value(Value::InlineTable(nodes))) => Some(Nodes::Inline(nodes)),
            _ => None,
        }
    }

    fn node(&mut self, name: &NodeName) -> Option<&mut dyn TableLike> {
        let nodes = self.document.get_mut("nodes")?.as_table_like_mut()?;
        nodes.get_mut(name.as_str())?.as_table_like_mut()
    }

    /// Moves comments above a table that was taken out to what follows it, unless they stand right above it and so are about it.
    fn keep_what_stood_apart(&mut self, removed: &Table) {
        let prefix = removed.decor().prefix().and_then(|p| p.as_str()).unwrap_or_default();
        let lines: Vec<&str> = prefix.split_inclusive('\n').collect();
        let apart = lines.iter().rposition(|line| line.trim().is_empty()).unwrap_or(0);
        let kept: String = lines.into_iter().take(apart).collect();
        let kept = kept.trim_end();
        if kept.is_empty() {
            return;
        }
        let ahead = |of: &str| {
            let blank = if of.is_empty() || of.starts_with(['\n', '\r']) {
                ""
            } else {
                "\n"
            };
            format!("{kept}\n{blank}{of}")
        };
        let after = removed.position().unwrap_or(isize::MAX);
        let mut positions = Vec::new();
        each_table(self.document.as_table_mut(), &mut |table| {
            positions.extend(table.position().filter(|p| *p > after && !table.is_implicit()));
        });
        match positions.into_iter().min() {
            Some(next) => each_table(self.document.as_table_mut(), &mut |table| {
                if table.position() == Some(next) && !table.is_implicit() {
                    let moved = ahead(table.decor().prefix().and_then(|p| p.as_str()).unwrap_or_default());
                    table.decor_mut().set_prefix(moved);
                }
            }),
            None => {
                let moved = ahead(self.document.trailing().as_str().unwrap_or_default());
                self.document.set_trailing(moved);
            }
        }
    }

    /// The changed text, if it is a good cluster file.
    fn close(self) -> Result<String, EditError> {
        let text = self.document.to_string();
        ClusterFile::parse(NAME, &text).map_err(EditError::WouldNotDo)?;
        Ok(text)
    }
}

/// Does something to every table below this one.
fn each_table(table: &mut Table, act: &mut impl FnMut(&mut Table)) {
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(table) => {
                act(table);
                each_table(table, act);
            }
            Item::ArrayOfTables(tables) => {
                for table in tables.iter_mut() {
                    act(table);
                    each_table(table, act);
                }
            }
            _ => {}
        }
    }
}

/// Sets a key, and leaves what stands around its value.
fn set(table: &mut dyn TableLike, key: &str, new: impl Into<Value>) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => replace(old, new),
        None => drop(table.insert(key, value(new))),
    }
}

fn set_links(table: &mut dyn TableLike, links: &[IpAddr]) {
    if let Some(old) = table.get_mut("links").and_then(Item::as_array_mut)
        && old.len() == links.len()
    {
        old.iter_mut()
            .zip(links)
            .for_each(|(old, new)| replace(old, new.to_string()));
        return;
    }
    set(table, "links", Array::from_iter(links.iter().map(ToString::to_string)));
}

fn replace(old: &mut Value, new: impl Into<Value>) {
    let mut new = new.into();
    *new.decor_mut() = old.decor().clone();
    *old = new;
}

fn fill(table: &mut dyn TableLike, node: &DraftNode) {
    set(table, "address", node.address.to_string());
    if node.role != NodeRole::default() {
        set(table, "role", node.role.as_str());
    }
    if let Some(links) = &node.links {
        set_links(table, links);
    }
}

/// Another name for a key, in the same place: a map that keeps its order can't do that but by being filled anew.
fn rename_table(nodes: &mut Table, from: &NodeName, to: &NodeName) {
    let names: Vec<String> = nodes.iter().map(|(name, _)| name.to_owned()).collect();
    for (key, item) in names
        .iter()
        .filter_map(|name| nodes.remove_entry(name))
        .collect::<Vec<_>>()
    {
        nodes.insert_formatted(&renamed(key, from, to), item);
    }
}

fn rename_inline(nodes: &mut InlineTable, from: &NodeName, to: &NodeName) {
    let names: Vec<String> = nodes.iter().map(|(name, _)| name.to_owned()).collect();
    for (key, item) in names
        .iter()
        .filter_map(|name| nodes.remove_entry(name))
        .collect::<Vec<_>>()
    {
        nodes.insert_formatted(&renamed(key, from, to), item);
    }
}

fn renamed(key: Key, from: &NodeName, to: &NodeName) -> Key {
    if key.get() != from.as_str() {
        return key;
    }
    Key::new(to.as_str())
        .with_leaf_decor(key.leaf_decor().clone())
        .with_dotted_decor(key.dotted_decor().clone())
}
