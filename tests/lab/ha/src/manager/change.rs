//! How a service goes from one state to another.

use super::{Manager, ManagerError, Round};
use crate::model::{Seconds, ServiceState, Sid};

/// What comes with a new state, beside where the service is and what is remembered of it.
#[derive(Debug, Clone, Default)]
pub(super) struct With {
    node: Option<String>,
    target: Option<String>,
    timeout: Option<Seconds>,
}

impl With {
    /// On this node.
    pub(super) fn node(node: &str) -> Self {
        Self {
            node: Some(node.to_owned()),
            ..Self::default()
        }
    }

    /// On its way there.
    pub(super) fn to(self, target: &str) -> Self {
        Self {
            target: Some(target.to_owned()),
            ..self
        }
    }

    /// With so many seconds for the stop.
    pub(super) fn timeout(timeout: Seconds) -> Self {
        Self {
            timeout: Some(timeout),
            ..Self::default()
        }
    }

    fn text(&self) -> String {
        let node = self.node.as_ref().map(|node| format!("node = {node}"));
        let target = self.target.as_ref().map(|target| format!("target = {target}"));
        let timeout = self.timeout.map(|timeout| format!("timeout = {timeout}"));
        let parts: Vec<String> = [node, target, timeout].into_iter().flatten().collect();
        match parts.is_empty() {
            true => String::new(),
            false => format!("  ({})", parts.join(", ")),
        }
    }
}

impl Manager {
    /// A new state is a new request: what was asked and answered before does not count for it.
    pub(super) fn change(
        &mut self,
        round: &mut Round<'_>,
        sid: &Sid,
        state: ServiceState,
        with: With,
    ) -> Result<(), ManagerError> {
        let Some(status) = self.services.get_mut(sid) else {
            return Ok(());
        };
        let before = status.state;
        if before == state {
            return Err(ManagerError::NoChange(sid.clone()));
        }
        let text = with.text();
        status.state = state;
        if let Some(node) = with.node {
            status.node = node;
        }
        status.target = with.target;
        status.timeout = with.timeout;
        status.running = false;
        status.cmd = None;
        status.uid = Some(round.env.fresh_uid());
        self.usage.remove(sid);
        self.usage.add(sid, status);
        round.info(&format!(
            "service '{sid}': state changed from '{before}' to '{state}'{text}"
        ));
        Ok(())
    }
}
