//! What an LRM reads of the master, and what it writes for it.

use super::Lrm;
use crate::env::LrmEnv;
use crate::log::Level;
use crate::model::{LrmMode, LrmStatus, NodeState};

impl Lrm {
    pub(super) fn write_status(&mut self, env: &mut dyn LrmEnv) -> bool {
        if !env.quorate() {
            return false;
        }
        let status = LrmStatus {
            state: Some(self.state),
            mode: Some(self.mode),
            timestamp: env.now(),
            results: self.results.clone(),
        };
        match env.write_lrm_status(&status) {
            Ok(()) => true,
            Err(error) => {
                env.log(Level::Error, &format!("unable to write lrm status file - {error}"));
                false
            }
        }
    }

    /// Takes over what the master wrote. False when that cannot be read.
    pub(super) fn look_at_manager(&mut self, env: &mut dyn LrmEnv) -> bool {
        match env.manager_status() {
            Ok(view) => self.view = view,
            Err(error) => {
                let line = format!("updating service status from manager failed: {error}");
                env.log(Level::Error, &line);
                return false;
            }
        }
        // Who is about to end has told the master so, and stays with it.
        if !self.shutdown_asked {
            if self.view.maintenance_asked(env.node()) {
                self.mode = LrmMode::Maintenance;
            } else if self.view.disarm.is_some() {
                self.mode = LrmMode::Disarm;
            } else if matches!(self.mode, LrmMode::Maintenance | LrmMode::Disarm) {
                self.mode = LrmMode::Active;
            }
        }
        true
    }

    pub(super) fn is_to_be_fenced(&self, env: &dyn LrmEnv) -> bool {
        let node = env.node();
        self.view.fenced_services(node) > 0 || self.view.node_status.get(node) == Some(&NodeState::Fence)
    }

    pub(super) fn active_services(&self, env: &dyn LrmEnv) -> usize {
        self.view.active_services(env.node())
    }

    /// Is any service assigned here, whatever is wanted of it?
    pub(super) fn has_service(&self, env: &dyn LrmEnv) -> bool {
        self.view
            .service_status
            .values()
            .any(|status| status.node == env.node())
    }
}
