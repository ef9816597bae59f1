//! In what a storage that is there differs from what is wanted, and what may be done about it.

use std::collections::BTreeSet;
use std::fmt;

use super::StorageDefinition;
use crate::observation::storages::DefinedStorage;

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What, in the cluster file's words.
    pub what: &'static str,
    /// What is there; `None`: nothing is written.
    pub is: Option<String>,
    /// What is wanted.
    pub wanted: String,
    /// What may be done about it.
    pub remedy: Remedy,
}

/// What may be done about a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remedy {
    /// It only becomes more: nobody loses anything by it.
    Extend,
    /// PVE can change it; whether that is right for what is kept there only people can tell.
    ByHand,
    /// It is another storage: PVE never changes this.
    Never,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, is, wanted, .. } = self;
        match is {
            Some(is) => write!(f, "{what} is {is}, not {wanted}"),
            None => write!(f, "{what} is not set, not {wanted}"),
        }
    }
}

pub(super) fn between(wanted: &StorageDefinition, there: &DefinedStorage) -> Vec<Difference> {
    let mut found = Vec::new();
    if there.kind != wanted.kind.as_str() {
        found.push(Difference {
            what: "type",
            is: Some(there.kind.clone()),
            wanted: wanted.kind.to_string(),
            remedy: Remedy::Never,
        });
        return found;
    }
    for (property, value) in &wanted.properties {
        let is = there.properties.get(property.of_pve()).map(String::as_str);
        if is.or(property.unwritten()).is_some_and(|is| property.same(is, value)) {
            continue;
        }
        let fixed = wanted.kind.required().contains(property);
        found.push(Difference {
            what: property.as_str(),
            is: is.map(str::to_owned),
            wanted: value.clone(),
            remedy: if fixed { Remedy::Never } else { Remedy::ByHand },
        });
    }
    found.extend(content(wanted, there));
    found.extend(nodes(wanted, there));
    if there.is_disabled() {
        found.push(Difference {
            what: "disable",
            is: Some("1".to_owned()),
            wanted: "0".to_owned(),
            remedy: Remedy::ByHand,
        });
    }
    found
}

fn content(wanted: &StorageDefinition, there: &DefinedStorage) -> Option<Difference> {
    if wanted.content.is_empty() {
        return None;
    }
    let new: BTreeSet<&str> = wanted.content.iter().map(|content| content.as_str()).collect();
    let old = there.content();
    (old != new).then(|| Difference {
        what: "content",
        is: (!old.is_empty()).then(|| row(&old)),
        wanted: row(&new),
        remedy: if old.is_subset(&new) && !old.is_empty() {
            Remedy::Extend
        } else {
            Remedy::ByHand
        },
    })
}

fn nodes(wanted: &StorageDefinition, there: &DefinedStorage) -> Option<Difference> {
    let old = there.nodes();
    let new: Option<BTreeSet<&str>> = wanted
        .nodes
        .as_ref()
        .map(|nodes| nodes.iter().map(|node| node.as_str()).collect());
    let remedy = match &new {
        // No restriction is one to all that there are and will be.
        None if old.is_empty() => return None,
        None => Remedy::Extend,
        Some(new) if *new == old => return None,
        Some(new) if !old.is_empty() && old.is_subset(new) => Remedy::Extend,
        Some(_) => Remedy::ByHand,
    };
    let all = || "all".to_owned();
    Some(Difference {
        what: "nodes",
        is: Some(if old.is_empty() { all() } else { row(&old) }),
        wanted: new.map_or_else(all, |new| row(&new)),
        remedy,
    })
}

fn row(words: &BTreeSet<&str>) -> String {
    words.iter().copied().collect::<Vec<_>>().join(",")
}
