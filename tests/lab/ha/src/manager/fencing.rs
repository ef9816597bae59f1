//! Fencing: no service of a node that is away starts elsewhere before the master holds the lock of that node's LRM.

use std::collections::BTreeMap;

use super::{Manager, ManagerError, Round};
use crate::log::Level;
use crate::model::{NodeState, ServiceState, Sid};

use super::change::With;

impl Manager {
    /// Tries to fence the nodes whose services wait for it. True when one was.
    pub(super) fn fence_nodes(&mut self, round: &mut Round<'_>) -> Result<bool, ManagerError> {
        let mut fenced = false;
        let mut tried: BTreeMap<String, bool> = BTreeMap::new();
        let sids: Vec<Sid> = self.services.keys().cloned().collect();
        for sid in sids {
            let waiting = self
                .services
                .get(&sid)
                .filter(|status| status.state == ServiceState::Fence);
            let Some(node) = waiting.map(|status| status.node.clone()) else {
                continue;
            };
            let done = match tried.get(&node) {
                Some(done) => *done,
                None => self.fence(round, &node),
            };
            tried.insert(node, done);
            if done {
                self.change(round, &sid, ServiceState::Recovery, With::default())?;
                fenced = true;
            }
        }
        // Its services may have been removed while it waited; it must not wait for ever.
        let to_fence = |(node, state): (&String, &NodeState)| {
            (*state == NodeState::Fence && !tried.contains_key(node)).then(|| node.clone())
        };
        let lonely: Vec<String> = self.nodes.states().iter().filter_map(to_fence).collect();
        for node in lonely {
            round.log(
                Level::Notice,
                &format!("node '{node}' in fence state but no services to-fence! admin interference?!"),
            );
            fenced |= self.fence(round, &node);
        }
        Ok(fenced)
    }

    fn fence(&mut self, round: &mut Round<'_>, node: &str) -> bool {
        if self.nodes.state(node) != NodeState::Fence {
            self.nodes.set(round.env, node, NodeState::Fence);
            round.env.notify(&format!("FENCE: Try to fence node '{node}'"));
        }
        let done = round.env.take_agent_lock_of(node);
        if done {
            let message = format!("fencing: acknowledged - got agent lock for node '{node}'");
            round.info(&message);
            self.nodes.set(round.env, node, NodeState::Unknown);
            round.env.notify(&format!("SUCCEED: {message}"));
        }
        done
    }
}
