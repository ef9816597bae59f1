//! What a sound plan is, stated a second time and independently of the planner: run on every plan in tests, and by the
//! coordinator before it executes one.

mod canaries;
mod moves;
mod order;
mod play;
mod pools;
mod protection;
mod recover;
mod restores;
mod shape;
mod start;
mod storages;

use std::collections::BTreeSet;
use std::net::IpAddr;

use quorate_model::facet::UnknownKind;
use quorate_model::finding::Finding;
use quorate_model::ids::{NodeName, StepId};
use quorate_model::observation::cluster::Member;
use quorate_model::plan::{Plan, Step};
use quorate_model::spec::ClusterFile;
use quorate_model::{View, Wish};

use order::Order;

/// A rule that a plan breaks. Each one is a bug in the planner, or a plan that was altered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {rule}")]
pub struct Complaint {
    /// The step that breaks it.
    pub step: StepId,
    /// How.
    pub rule: String,
}

/// All complaints about a plan (or a selection of one) made from this file, wish and view; a sound plan has none. What would be
/// done is played through only where nothing forbids it that could not be accepted.
#[must_use]
pub fn check(file: &ClusterFile, wish: &Wish, view: &View, plan: &Plan) -> Vec<Complaint> {
    let mut checker = Checker {
        file,
        wish,
        view,
        plan,
        order: Order::of(plan),
        complaints: Vec::new(),
    };
    checker.shape();
    checker.restores();
    let forbidden = |finding: &Finding| finding.refuses() && !finding.code.entry().overridable;
    if !plan.findings.iter().any(forbidden) {
        checker.play();
        checker.fit_to_start();
    }
    checker.complaints
}

struct Checker<'a> {
    file: &'a ClusterFile,
    wish: &'a Wish,
    view: &'a View,
    plan: &'a Plan,
    order: Order,
    complaints: Vec<Complaint>,
}

impl<'a> Checker<'a> {
    fn demand(&mut self, step: &Step, holds: bool, rule: &str) {
        if !holds {
            self.complaints.push(Complaint {
                step: step.id.clone(),
                rule: rule.to_owned(),
            });
        }
    }

    /// What members of this cluster say, by name.
    fn members(&self) -> impl Iterator<Item = (&'a NodeName, &'a Member)> + use<'a> {
        let (view, cluster) = (self.view, self.plan.cluster.as_str());
        let members = view
            .nodes
            .keys()
            .filter_map(move |n| Some((n, view.cluster_of(n).ok()?.member()?)));
        members.filter(move |(_, m)| m.cluster == cluster)
    }

    /// Is it in no cluster, by its own word?
    fn stands_alone(&self, node: &NodeName) -> bool {
        self.view.cluster_of(node).is_ok_and(|c| c.member().is_none())
    }

    fn silent(&self, node: &NodeName) -> bool {
        match self.view.nodes.get(node).map(|seen| &seen.observation) {
            None => true,
            Some(Err(unknown)) => unknown.kind == UnknownKind::Unreachable,
            Some(Ok(_)) => false,
        }
    }

    fn is_removed(&self, node: &NodeName) -> bool {
        self.wish.removed().any(|removed| removed == node)
    }

    /// Addresses that a server is known by: on its interfaces, in the file, published in the cluster.
    fn addresses_of(&self, node: &NodeName) -> BTreeSet<IpAddr> {
        let interfaces = self
            .view
            .facet(node, |o| &o.network)
            .into_iter()
            .flat_map(|n| n.addresses().map(|(_, a)| a.address));
        let published = self
            .view
            .cluster_of(node)
            .ok()
            .and_then(|c| c.member())
            .and_then(|m| m.nodes.iter().find(|n| n.name == node.as_str())?.address);
        let written = self.file.nodes.get(node).map(|n| n.address.value);
        interfaces.chain(published).chain(written).collect()
    }
}
