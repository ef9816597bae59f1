//! What the virtual cluster gives to an LRM.

use super::crm_env::DaemonEnv;
use super::guests::{Guest, KINDS};
use crate::env::{Act, CfsError, LrmEnv, NodeShutdown, Progress};
use crate::locks::agent_lock;
use crate::model::{LrmStatus, Sid};

impl LrmEnv for DaemonEnv<'_> {
    fn take_agent_lock(&mut self) -> bool {
        self.world.take_lock(&agent_lock(self.node), self.node, self.daemon)
    }

    fn release_agent_lock(&mut self) {
        self.world.release_lock(&agent_lock(self.node), self.node, self.daemon);
    }

    fn write_lrm_status(&mut self, status: &LrmStatus) -> Result<(), CfsError> {
        self.world.cfs(self.node)?;
        self.world.lrm_status.insert(self.node.to_owned(), status.clone());
        Ok(())
    }

    fn node_shutdown(&self) -> NodeShutdown {
        self.world
            .server(self.node)
            .map_or(NodeShutdown::No, |server| server.shutdown)
    }

    // Everything is done at once, one after the other.
    fn max_workers(&self) -> usize {
        usize::MAX
    }

    fn knows_type(&self, kind: &str) -> bool {
        KINDS.contains(&kind)
    }

    fn runs(&self, sid: &Sid) -> bool {
        self.world
            .running
            .get(self.node)
            .is_some_and(|running| running.contains(sid))
    }

    fn begin(&mut self, sid: &Sid, act: &Act) -> Progress {
        let guest = Guest {
            world: self.world,
            node: self.node,
            sid,
        };
        guest.act(act)
    }

    fn progress(&mut self, _sid: &Sid) -> Progress {
        // Nothing is ever under way.
        Progress::Failed
    }
}
