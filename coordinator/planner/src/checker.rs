//! What a sound plan is, stated a second time and independently of the planner: run on every plan in tests, and by the
//! coordinator before it executes one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use quorate_model::View;
use quorate_model::ids::{NodeName, StepId};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Plan, Step, Undo};
use quorate_model::spec::ClusterFile;

/// A rule that a plan breaks. Each one is a bug in the planner, or a plan that was altered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {rule}")]
pub struct Complaint {
    /// The step that breaks it.
    pub step: StepId,
    /// How.
    pub rule: String,
}

/// All complaints about a plan made from this file and view; a sound plan has none.
#[must_use]
pub fn check(file: &ClusterFile, view: &View, plan: &Plan) -> Vec<Complaint> {
    let mut checker = Checker {
        file,
        view,
        plan,
        complaints: Vec::new(),
    };
    checker.shape();
    checker.membership();
    if !plan.refused() {
        checker.fit_to_start();
    }
    checker.complaints
}

struct Checker<'a> {
    file: &'a ClusterFile,
    view: &'a View,
    plan: &'a Plan,
    complaints: Vec<Complaint>,
}

impl Checker<'_> {
    fn complain(&mut self, step: &Step, rule: impl Into<String>) {
        self.complaints.push(Complaint {
            step: step.id.clone(),
            rule: rule.into(),
        });
    }

    fn demand(&mut self, step: &Step, holds: bool, rule: &str) {
        if !holds {
            self.complain(step, rule);
        }
    }

    /// What every step must have, whatever it does.
    fn shape(&mut self) {
        let mut earlier: BTreeSet<&StepId> = BTreeSet::new();
        for step in &self.plan.steps {
            self.demand(step, !earlier.contains(&step.id), "its id is not unique");
            self.demand(
                step,
                step.needs.iter().all(|n| earlier.contains(n)),
                "it needs a step that does not come before it",
            );
            self.demand(
                step,
                self.file.nodes.contains_key(&step.node),
                "its node is not in the cluster file",
            );
            self.demand(step, !step.gate.is_empty(), "it has no gate");
            self.demand(
                step,
                step.done_when.nodes().contains(&step.node),
                "its done_when does not ask the node itself",
            );
            self.demand(
                step,
                !step.title.is_empty() && !step.why.is_empty(),
                "it does not say what it does and why",
            );
            self.demand(step, !step.estimate.is_zero(), "it has no estimate");
            let Undo::Operator { how } = &step.undo;
            self.demand(step, !how.is_empty(), "it does not say how it is undone");
            earlier.insert(&step.id);
        }
    }

    /// Plays the membership through: who is in before each step, and what the step does to the votes.
    fn membership(&mut self) {
        let mut inside = self.members_now();
        let mut votes = self.votes_now();
        let mut before: Vec<&StepId> = Vec::new();
        let mut taken: BTreeMap<IpAddr, &NodeName> = BTreeMap::new();
        let mut numbers: Option<BTreeSet<u8>> = None;
        for step in &self.plan.steps {
            let (Action::CreateCluster { cluster, links } | Action::JoinCluster { cluster, links, .. }) = &step.action;
            self.demand(
                step,
                *cluster == self.plan.cluster && *cluster == self.file.cluster.name.value,
                "it is about another cluster",
            );
            self.demand(step, !inside.contains(&step.node), "its node is a member already");
            let serial = before.iter().all(|earlier| self.comes_after(step, earlier));
            self.demand(step, serial, "it may run beside another change of the membership");
            self.demand(
                step,
                step.gate.contains(&Condition::Standalone {
                    node: step.node.clone(),
                }),
                "its gate does not see the node standalone",
            );

            let present: u32 = votes.values().sum();
            match &step.action {
                Action::CreateCluster { .. } => {
                    self.demand(
                        step,
                        inside.is_empty() && before.is_empty(),
                        "it creates a cluster where there is one",
                    );
                }
                Action::JoinCluster {
                    member, member_address, ..
                } => {
                    let gate = Condition::Members {
                        cluster: cluster.clone(),
                        nodes: inside.clone(),
                    };
                    self.demand(
                        step,
                        step.gate.contains(&gate),
                        "its gate does not see exactly the members so far",
                    );
                    self.demand(
                        step,
                        inside.contains(member),
                        "it joins through a server that is no member by then",
                    );
                    self.demand(
                        step,
                        self.addresses_of(member).contains(member_address),
                        "the member does not have that address",
                    );
                    // The joiner counts before it votes. A lone member can't avoid losing its quorum for that moment.
                    let expected = present + 1;
                    let needed = expected / 2 + 1;
                    self.demand(
                        step,
                        present >= needed || inside.len() == 1,
                        "it takes the quorum from the members that are in",
                    );
                }
            }
            self.demand(step, !links.is_empty(), "it has no link");
            self.demand(
                step,
                numbers
                    .get_or_insert_with(|| links.keys().copied().collect())
                    .iter()
                    .eq(links.keys()),
                "it has other links",
            );
            for address in links.values() {
                let unique = taken.insert(*address, &step.node).is_none();
                self.demand(step, unique, "one of its addresses is used twice");
            }

            inside.insert(step.node.clone());
            votes.insert(step.node.to_string(), 1);
            let done = Condition::Members {
                cluster: cluster.clone(),
                nodes: inside.clone(),
            };
            self.demand(
                step,
                step.done_when == done,
                "its done_when is not the membership with it",
            );
            before.push(&step.id);
        }
    }

    /// A plan that nothing forbids must fit what is seen at this moment.
    fn fit_to_start(&mut self) {
        for (index, step) in self.plan.steps.iter().enumerate() {
            for condition in &step.gate {
                // What an earlier step brings about can't be seen yet.
                let now = index == 0 || matches!(condition, Condition::Standalone { .. });
                self.demand(
                    step,
                    !now || condition.judge(self.view).holds(),
                    "its gate does not hold on what is seen",
                );
            }
            let guests = self.view.facet(&step.node, |o| &o.guests);
            let may_have_guests = matches!(step.action, Action::CreateCluster { .. });
            self.demand(
                step,
                guests.is_ok_and(|g| may_have_guests || g.is_empty()),
                "its node has guests, or nobody knows",
            );
            let offset = self.view.nodes.get(&step.node).and_then(|n| n.clock_offset);
            self.demand(step, offset.is_some(), "nobody knows how far its node's clock is off");
            let own = self.addresses_of(&step.node);
            let (Action::CreateCluster { links, .. } | Action::JoinCluster { links, .. }) = &step.action;
            self.demand(
                step,
                links.values().all(|a| own.contains(a)),
                "its node does not have the address of a link",
            );
        }
    }

    /// Is `earlier` among what `step` needs, directly or through others?
    fn comes_after(&self, step: &Step, earlier: &StepId) -> bool {
        let mut open: Vec<&StepId> = step.needs.iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if id == earlier {
                return true;
            }
            if seen.insert(id) {
                open.extend(self.plan.step(id).into_iter().flat_map(|s| &s.needs));
            }
        }
        false
    }

    /// Everybody whom anybody in the view counts as a member of this cluster.
    fn members_now(&self) -> BTreeSet<NodeName> {
        let members = self
            .view
            .nodes
            .keys()
            .filter_map(|n| self.view.cluster_of(n).ok()?.member());
        members
            .filter(|m| m.cluster == self.plan.cluster.as_str())
            .flat_map(|m| {
                m.nodes
                    .iter()
                    .map(|n| &n.name)
                    .chain(m.configured.iter().map(|n| &n.name))
            })
            .filter_map(|name| NodeName::new(name.as_str()).ok())
            .collect()
    }

    fn votes_now(&self) -> BTreeMap<String, u32> {
        let members = self
            .view
            .nodes
            .keys()
            .filter_map(|n| self.view.cluster_of(n).ok()?.member());
        members
            .filter(|m| m.cluster == self.plan.cluster.as_str())
            .flat_map(|m| m.configured.iter().map(|n| (n.name.clone(), n.votes)))
            .collect()
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
