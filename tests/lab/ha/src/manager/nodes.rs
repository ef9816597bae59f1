//! The nodes in the master's view (`PVE::HA::NodeStatus`).

use std::collections::BTreeMap;

use crate::constants::{FENCE_DELAY, GONE_DELAY};
use crate::env::CrmEnv;
use crate::log::Level;
use crate::model::{LrmMode, NodeState, Seconds};

/// All nodes, and when this master last saw each of them. A new master has seen nobody yet, and begins to wait anew.
#[derive(Debug, Clone, Default)]
pub struct NodeStatus {
    states: BTreeMap<String, NodeState>,
    last_online: BTreeMap<String, Seconds>,
}

impl NodeStatus {
    /// The nodes as the master before knew them.
    #[must_use]
    pub fn new(states: BTreeMap<String, NodeState>) -> Self {
        Self {
            states,
            last_online: BTreeMap::new(),
        }
    }

    /// All nodes.
    #[must_use]
    pub fn states(&self) -> &BTreeMap<String, NodeState> {
        &self.states
    }

    /// One node; unknown, if nobody ever saw it.
    #[must_use]
    pub fn state(&self, node: &str) -> NodeState {
        self.states.get(node).copied().unwrap_or(NodeState::Unknown)
    }

    /// May it be given work?
    #[must_use]
    pub fn is_online(&self, node: &str) -> bool {
        self.state(node) == NodeState::Online
    }

    /// Is it in the quorate partition?
    #[must_use]
    pub fn is_operational(&self, node: &str) -> bool {
        matches!(self.state(node), NodeState::Online | NodeState::Maintenance)
    }

    /// Those that may be given work.
    #[must_use]
    pub fn online(&self) -> Vec<String> {
        let online = |(node, state): (&String, &NodeState)| (*state == NodeState::Online).then(|| node.clone());
        self.states.iter().filter_map(online).collect()
    }

    /// Are these other nodes than those we know?
    #[must_use]
    pub fn differ_from(&self, members: &BTreeMap<String, bool>) -> bool {
        !self.states.keys().eq(members.keys())
    }

    /// Has the node been away long enough to be fenced? The first time that somebody asks for a node nobody has seen begins its wait.
    pub fn is_offline_delayed(&mut self, node: &str, now: Seconds) -> bool {
        self.offline_for(node, now, FENCE_DELAY)
    }

    fn offline_for(&mut self, node: &str, now: Seconds, delay: Seconds) -> bool {
        if self.is_online(node) {
            return false;
        }
        match self.last_online.get(node) {
            Some(seen) => now.saturating_sub(*seen) >= delay,
            None => {
                self.last_online.insert(node.to_owned(), now);
                false
            }
        }
    }

    /// Takes in who is there, and what the LRMs are up to.
    pub fn update(
        &mut self,
        env: &mut dyn CrmEnv,
        members: &BTreeMap<String, bool>,
        modes: &BTreeMap<String, LrmMode>,
    ) {
        let in_maintenance = |node: &str| modes.get(node) == Some(&LrmMode::Maintenance);
        let here = |node: &str| members.get(node).copied().unwrap_or(false);
        for node in members.keys().filter(|node| here(node)) {
            self.last_online.insert(node.clone(), env.now());
            match (self.state(node), in_maintenance(node)) {
                (NodeState::Online, true) => self.set(env, node, NodeState::Maintenance),
                (NodeState::Unknown | NodeState::Gone, _) | (NodeState::Maintenance, false) => {
                    self.set(env, node, NodeState::Online);
                }
                // One that is to be fenced stays so, even if it is back.
                (NodeState::Fence, _) | (NodeState::Online, false) | (NodeState::Maintenance, true) => {}
            }
        }
        let away: Vec<String> = self.states.keys().filter(|node| !here(node)).cloned().collect();
        for node in away {
            match self.state(&node) {
                NodeState::Online => self.set(env, &node, NodeState::Unknown),
                // A node that goes down for its maintenance is expected to be away.
                NodeState::Maintenance if !in_maintenance(&node) => self.set(env, &node, NodeState::Unknown),
                NodeState::Unknown if !members.contains_key(&node) => self.set(env, &node, NodeState::Gone),
                NodeState::Gone if self.offline_for(&node, env.now(), GONE_DELAY) => self.forget(env, &node),
                NodeState::Maintenance | NodeState::Unknown | NodeState::Gone | NodeState::Fence => {}
            }
        }
    }

    /// Sets a node's state.
    pub fn set(&mut self, env: &mut dyn CrmEnv, node: &str, state: NodeState) {
        let before = self.state(node);
        if before != state {
            self.states.insert(node.to_owned(), state);
            env.log(
                Level::Info,
                &format!("node '{node}': state changed from '{before}' => '{state}'"),
            );
        }
    }

    fn forget(&mut self, env: &mut dyn CrmEnv, node: &str) {
        self.states.remove(node);
        self.last_online.remove(node);
        env.log(
            Level::Notice,
            &format!("deleting gone node '{node}', not a cluster member anymore."),
        );
    }
}
