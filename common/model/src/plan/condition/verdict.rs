//! What a view answers when it is asked for a condition.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::facet::Unknown;
use crate::ids::NodeName;

/// What a view answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "because")]
pub enum Verdict {
    /// It holds; this was seen.
    Holds(String),
    /// It does not hold (yet); this is why.
    NotYet(String),
    /// It can't be told.
    Unknown(String),
}

impl Verdict {
    /// Does it hold?
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self, Self::Holds(_))
    }
}

/// Why something does not hold on a node.
pub(super) enum Not {
    /// It does not (yet).
    Yet(String),
    /// It can't be told.
    Known(String),
}

impl From<Unknown> for Not {
    fn from(unknown: Unknown) -> Self {
        Self::Known(unknown.reason)
    }
}

impl From<&Unknown> for Not {
    fn from(unknown: &Unknown) -> Self {
        Self::Known(unknown.reason.clone())
    }
}

/// Judges something on each of some nodes: what can't be told on one can't be told at all.
pub(super) fn on_each<'n>(
    nodes: impl IntoIterator<Item = &'n NodeName>,
    evidence: impl FnOnce() -> String,
    mut judge: impl FnMut(&NodeName) -> Result<(), Not>,
) -> Verdict {
    let mut not_yet = None;
    for node in nodes {
        match judge(node) {
            Ok(()) => {}
            Err(Not::Known(why)) => return Verdict::Unknown(format!("{node}: {why}")),
            Err(Not::Yet(why)) => {
                not_yet.get_or_insert(format!("{node} {why}"));
            }
        }
    }
    not_yet.map_or_else(|| Verdict::Holds(evidence()), Verdict::NotYet)
}

/// Names in a row, for sentences.
pub(super) fn row<T: fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|n| n.to_string()).collect();
    names.join(", ")
}
