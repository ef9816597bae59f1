//! `[[replication]]`

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::guests::{self, GuestChoice, GuestPick};
use super::nodes::ReadNode;
use super::read::bad_name;
use super::reader::{Reader, Table, Value};
use super::{Located, NodeRole};
use crate::finding::{Code, Place};
use crate::held::Held;
use crate::ids::NodeName;
use crate::schedule::Schedule;

/// `[[replication]]`: guests that have copies on several servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationSpec {
    /// Where the table begins.
    pub place: Place,
    /// `guests` and `except`
    pub guests: GuestChoice,
    /// `copies_on`: members of the file, at least two. Whoever of them owns a guest copies it to the others.
    pub copies_on: Located<BTreeSet<NodeName>>,
    /// `every`, if it is written.
    pub every: Option<Located<Schedule>>,
    /// `rate`, if it is written: the most that a job sends, in MB/s (10^6 bytes).
    pub rate: Option<Located<u32>>,
    /// `returning_node`
    pub returning_node: ReturningNode,
}

impl ReplicationSpec {
    /// In PVE's words.
    #[must_use]
    pub fn schedule(&self) -> &str {
        let every = self.every.as_ref().map(|every| every.value.as_str());
        every.unwrap_or(crate::observation::replication::DEFAULT_SCHEDULE)
    }
}

/// What becomes of what a server wrote after its last copy, when it returns after its guests were recovered elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturningNode {
    /// Copying back to it stops, until somebody decides.
    #[default]
    Hold,
    /// It is overwritten, as PVE does it: the copying back rolls its disks back to the last common copy.
    Discard,
}

impl ReturningNode {
    /// Both, the usual one first.
    pub const ALL: [Self; 2] = [Self::Hold, Self::Discard];

    /// As written in the cluster file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Discard => "discard",
        }
    }

    /// What a job of ours says of it in its comment, where each server's agent can read it.
    #[must_use]
    pub fn comment(self) -> &'static str {
        match self {
            Self::Hold => "quorate hold",
            Self::Discard => "quorate discard",
        }
    }

    /// What a job's comment says; `None`: it is none of ours, or says something else.
    #[must_use]
    pub fn of_comment(comment: &str) -> Option<Self> {
        // That a copy is held, and since when, the agent adds to it.
        if Held::of_comment(comment).is_some() {
            return Some(Self::Hold);
        }
        Self::ALL.into_iter().find(|one| one.comment() == comment.trim())
    }
}

impl fmt::Display for ReturningNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that says nothing of a server that returns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is nothing that is done when a server returns")]
pub struct InvalidReturning(String);

impl FromStr for ReturningNode {
    type Err = InvalidReturning;

    fn from_str(text: &str) -> Result<Self, InvalidReturning> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| InvalidReturning(text.to_owned()))
    }
}

pub(super) fn read<'t>(reader: &mut Reader<'t>, tables: &[Table<'t, '_>]) -> Vec<Option<ReplicationSpec>> {
    tables.iter().map(|table| one(reader, table)).collect()
}

fn one<'t>(reader: &mut Reader<'t>, table: &Table<'t, '_>) -> Option<ReplicationSpec> {
    let guests = guests::read(reader, table);
    let copies_on = reader
        .required(table, "copies_on")
        .and_then(|value| copies_on(reader, value));
    let every = table.get("every").map(|value| {
        reader.parsed::<Schedule>("`every`", value, Code::SpecBadValue, |error| {
            let next = "write an interval such as \"5m\", \"1h\" or \"1d\", or an event such as \"mon..fri 22:30\"";
            (error.to_string(), next.to_owned())
        })
    });
    let rate = table.get("rate").map(|value| rate(reader, value));
    let returning_node = table.get("returning_node").map(|value| {
        let words = ReturningNode::ALL.map(ReturningNode::as_str);
        reader.word::<ReturningNode, 2>("`returning_node`", value, words)
    });
    Some(ReplicationSpec {
        place: table.place.clone(),
        guests: guests?,
        copies_on: copies_on?,
        // What is written and can't be read is told already; nothing takes its place.
        every: every.map_or(Some(None), |every| every.map(Some))?,
        rate: rate.map_or(Some(None), |rate| rate.map(Some))?,
        returning_node: returning_node.map_or(Some(ReturningNode::default()), |word| word.map(|word| word.value))?,
    })
}

fn copies_on<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Located<BTreeSet<NodeName>>> {
    let place = reader.place(value.span());
    let next = "name two servers or more: the guest's own, and where its copies are to be";
    let items = reader.array("`copies_on`", value, next)?;
    let mut found = BTreeSet::new();
    let mut bad = false;
    for item in items {
        match reader.parsed::<NodeName>("each node", item, Code::SpecBadName, bad_name) {
            Some(node) if found.contains(&node.value) => {
                let message = format!("`copies_on` names {} twice", node.value);
                reader.problem(Code::SpecBadValue, node.place, message, "take one of them out");
                bad = true;
            }
            Some(node) => drop(found.insert(node.value)),
            None => bad = true,
        }
    }
    if found.len() < 2 && !bad {
        let message = format!("`copies_on` names {} server", found.len());
        reader.problem(Code::SpecBadValue, place, message, next);
        return None;
    }
    Some(Located { value: found, place })
}

fn rate<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Located<u32>> {
    let next = "write whole MB/s, at least 1; leave `rate` out for what the network bears";
    let rate = reader.number::<u32>("`rate`", value, next)?;
    if rate.value == 0 {
        reader.problem(Code::SpecBadValue, rate.place, "`rate` is 0", next);
        return None;
    }
    Some(rate)
}

/// What concerns replication and nodes together, and the tables among each other.
pub(super) fn rules(reader: &mut Reader<'_>, all: &[Option<ReplicationSpec>], nodes: &[ReadNode<'_>]) {
    let mut by_id: BTreeMap<u32, &ReplicationSpec> = BTreeMap::new();
    for one in all.iter().flatten() {
        for node in &one.copies_on.value {
            let known = nodes.iter().find(|read| read.key == node.as_str());
            let (message, next) = match known.map(|node| node.role) {
                Some(None | Some(NodeRole::Member)) => continue,
                Some(Some(role)) => (
                    format!("`copies_on` names {node}, which has the role {role} and gets no copies"),
                    "name members only",
                ),
                None => (
                    format!("`copies_on` names {node}, which is no node of this file"),
                    "name members of this file",
                ),
            };
            reader.problem(Code::SpecBadValue, one.copies_on.place.clone(), message, next);
        }
        for pick in one.guests.ids() {
            let GuestPick::Id(id) = pick.value else { continue };
            let before = by_id.insert(id, one);
            if let Some(before) = before {
                let message = if before.copies_on.value == one.copies_on.value {
                    format!(
                        "the guest {id} stands in two tables of replication, also in line {}",
                        before.place.line
                    )
                } else {
                    format!(
                        "the guest {id} stands in two tables of replication with copies on other servers, also in line {}",
                        before.place.line
                    )
                };
                let next = "name it in one of them; a table that names it by id goes before those that mean it by tag, pool or \"all\"";
                reader.problem(Code::SpecBadValue, pick.place.clone(), message, next);
            }
        }
    }
}
