//! The rules of `rules.cfg`: which nodes a service may be on, and which services go together or apart (facts C.8).
//!
//! [`Rules::parse`] reads them, [`Rules::make_feasible`] drops those that cannot hold together and adds what follows from the rest,
//! and [`Compiled`] answers the questions of the choice of a node.

mod compiled;
mod feasible;
mod implied;
mod read;
mod section;

use std::collections::{BTreeMap, BTreeSet};

pub use compiled::{Compiled, Neighbours};
pub use section::Complaint;
pub(crate) use section::{list, node_priority, sections, truth};

use crate::model::Sid;

/// What a rule demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    /// The services belong on these nodes.
    Nodes {
        /// The nodes with their priorities; the highest is the best.
        nodes: BTreeMap<String, i64>,
        /// On no other one, even if none of them is there.
        strict: bool,
    },
    /// The services belong on one node.
    Together,
    /// No two of the services may be on one node.
    Apart,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The services.
    pub resources: BTreeSet<Sid>,
    /// What it demands of them.
    pub demand: Demand,
    /// It does not count.
    pub disabled: bool,
    /// What somebody wrote to it.
    pub comment: Option<String>,
}

impl Rule {
    fn shares(&self, resources: &BTreeSet<Sid>) -> bool {
        !self.resources.is_disjoint(resources)
    }
}

/// All rules, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// The rules.
    pub all: BTreeMap<String, Rule>,
}

impl Rules {
    /// Those that count and demand what `like` accepts.
    fn like(&self, like: impl Fn(&Demand) -> bool) -> Vec<(&str, &Rule)> {
        self.all
            .iter()
            .filter(|(_, rule)| !rule.disabled && like(&rule.demand))
            .map(|(name, rule)| (name.as_str(), rule))
            .collect()
    }

    fn on_nodes(&self) -> Vec<(&str, &Rule)> {
        self.like(|demand| matches!(demand, Demand::Nodes { .. }))
    }

    fn together(&self) -> Vec<(&str, &Rule)> {
        self.like(|demand| *demand == Demand::Together)
    }

    fn apart(&self) -> Vec<(&str, &Rule)> {
        self.like(|demand| *demand == Demand::Apart)
    }
}

/// Rules that are bound together by a shared service, one after the other.
#[derive(Debug, Clone)]
struct Bundle {
    rules: Vec<String>,
    resources: BTreeSet<Sid>,
}

/// Joins rules that share a service, beginning with the one that has the lowest service.
fn bundles(rules: &[(&str, &Rule)]) -> Vec<Bundle> {
    let mut sorted: Vec<_> = rules.to_vec();
    sorted.sort_by_key(|(name, rule)| (rule.resources.first(), *name));
    let mut bundles: Vec<Bundle> = Vec::new();
    for (name, rule) in sorted {
        match bundles.iter_mut().find(|bundle| rule.shares(&bundle.resources)) {
            Some(bundle) => {
                bundle.rules.push(name.to_owned());
                bundle.resources.extend(rule.resources.iter().cloned());
            }
            None => bundles.push(Bundle {
                rules: vec![name.to_owned()],
                resources: rule.resources.clone(),
            }),
        }
    }
    bundles
}
