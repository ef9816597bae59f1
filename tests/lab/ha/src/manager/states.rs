//! What follows from each state but `started`, which has a file of its own.

use super::change::With;
use super::{Manager, ManagerError, Round};
use crate::constants::STALE_GUEST_LOCKS;
use crate::log::Level;
use crate::model::{Exit, LrmMode, NodeState, Order, Requested, ServiceConfig, ServiceState, Sid};
use crate::rules::Compiled;
use crate::select::Seek;

/// The state in which a service is to be that has just arrived somewhere.
fn arrived(config: &ServiceConfig) -> ServiceState {
    match config.state {
        Requested::Started => ServiceState::Started,
        Requested::Stopped | Requested::Disabled | Requested::Ignored => ServiceState::RequestStop,
    }
}

impl Manager {
    pub(super) fn next_state(
        &mut self,
        round: &mut Round<'_>,
        sid: &Sid,
        state: ServiceState,
    ) -> Result<(), ManagerError> {
        let Some(node) = self.services.get(sid).map(|status| status.node.clone()) else {
            return Ok(());
        };
        let config = match round.config.get(sid) {
            Some(config) => config.clone(),
            None => ServiceConfig::new(&node, Requested::Disabled),
        };
        let result = self.result_of(round, sid);
        match state {
            ServiceState::RequestStart => self.when_request_start(round, sid, &config, &node),
            ServiceState::RequestStartBalance | ServiceState::Migrate | ServiceState::Relocate => {
                self.when_motion(round, sid, &config, &node, result)
            }
            ServiceState::Started => self.when_started(round, sid, &config, &node, result),
            ServiceState::RequestStop => self.when_request_stop(round, sid, &node, result),
            ServiceState::Stopped => self.when_stopped(round, sid, &config, node),
            // Its node is fenced below, together with all its services.
            ServiceState::Fence => Ok(()),
            ServiceState::Recovery => self.when_recovery(round, sid, &config, &node),
            ServiceState::Freeze => self.when_freeze(round, sid, &config, &node),
            ServiceState::Error => self.when_error(round, sid, &config),
        }
    }

    /// Services of a node whose LRM restarts are not to be touched meanwhile.
    pub(super) fn freeze_for_restart(&mut self, round: &mut Round<'_>, sid: &Sid) -> Result<(), ManagerError> {
        let Some(status) = self.services.get(sid) else {
            return Ok(());
        };
        let restarts = round.modes.get(&status.node) == Some(&LrmMode::Restart);
        let quiet = matches!(
            status.state,
            ServiceState::Started | ServiceState::Stopped | ServiceState::RequestStop
        );
        match restarts && quiet {
            true => self.change(round, sid, ServiceState::Freeze, With::default()),
            false => Ok(()),
        }
    }

    /// Its node was away long enough: it must be fenced. True when that is so.
    fn fence_if_away(&mut self, round: &mut Round<'_>, sid: &Sid, node: &str) -> Result<bool, ManagerError> {
        let away = self.nodes.is_offline_delayed(node, round.env.now());
        if away {
            self.change(round, sid, ServiceState::Fence, With::default())?;
        }
        Ok(away)
    }

    fn when_request_start(
        &mut self,
        round: &mut Round<'_>,
        sid: &Sid,
        config: &ServiceConfig,
        node: &str,
    ) -> Result<(), ManagerError> {
        if self.rebalance_on_start {
            let chosen = self
                .selection(&Compiled::default())
                .node_for(sid, config, Seek::BestScore);
            // Where no node may have it, it stays, and its start decides.
            if let Some(chosen) = chosen {
                let which = if chosen == node { "current" } else { "new" };
                round.info(&format!(
                    "service {sid}: re-balance selected {which} node {chosen} for startup"
                ));
                if chosen != node {
                    let with = With::node(node).to(&chosen);
                    return self.change(round, sid, ServiceState::RequestStartBalance, with);
                }
            }
        }
        self.change(round, sid, ServiceState::Started, With::node(node))
    }

    fn when_request_stop(
        &mut self,
        round: &mut Round<'_>,
        sid: &Sid,
        node: &str,
        result: Option<Exit>,
    ) -> Result<(), ManagerError> {
        match result {
            Some(Exit::Success) => self.change(round, sid, ServiceState::Stopped, With::default()),
            Some(exit) => {
                round.log(Level::Error, &format!("service '{sid}' stop failed (exit code {exit})"));
                self.change(round, sid, ServiceState::Error, With::default())
            }
            None => self.fence_if_away(round, sid, node).map(drop),
        }
    }

    fn when_motion(
        &mut self,
        round: &mut Round<'_>,
        sid: &Sid,
        config: &ServiceConfig,
        node: &str,
        result: Option<Exit>,
    ) -> Result<(), ManagerError> {
        match result {
            None => {}
            Some(Exit::Success) => {
                let target = self.services.get(sid).and_then(|status| status.target.clone());
                let with = With::node(target.as_deref().unwrap_or(node));
                return self.change(round, sid, arrived(config), with);
            }
            Some(Exit::WrongNode) => {
                round.log(
                    Level::Error,
                    &format!("service '{sid}' - migration failed: service registered on wrong node!"),
                );
                self.change(round, sid, ServiceState::Error, With::default())?;
            }
            Some(Exit::Ignored) => {
                round.info(&format!(
                    "service '{sid}' - rebalance-on-start request ignored - service already running"
                ));
                self.change(round, sid, arrived(config), With::node(node))?;
            }
            Some(exit) => {
                round.log(
                    Level::Error,
                    &format!("service '{sid}' - migration failed (exit code {exit})"),
                );
                return self.change(round, sid, arrived(config), With::node(node));
            }
        }
        self.fence_if_away(round, sid, node).map(drop)
    }

    fn when_stopped(
        &mut self,
        round: &mut Round<'_>,
        sid: &Sid,
        config: &ServiceConfig,
        mut node: String,
    ) -> Result<(), ManagerError> {
        if node != config.node {
            // It moved just before its node was fenced.
            round.info(&format!("fixup service '{sid}' location ({node} => {})", config.node));
            node.clone_from(&config.node);
            if let Some(status) = self.services.get_mut(sid) {
                status.node.clone_from(&config.node);
            }
        }
        match self.services.get_mut(sid).and_then(|status| status.cmd.take()) {
            Some(Order::Move(motion, target)) if self.may_move(round, sid, motion, &node, &target) => {
                let with = With::node(&node).to(&target);
                return self.change(round, sid, motion.state(), with);
            }
            Some(Order::Move(..)) => {}
            Some(Order::Stop(_)) => {
                round.info(&format!(
                    "ignore service '{sid}' stop request - service already stopped"
                ));
            }
            None => {}
        }
        if config.state == Requested::Disabled {
            return Ok(());
        }
        let away = self.nodes.is_offline_delayed(&node, round.env.now());
        if away && self.nodes.state(&node) != NodeState::Maintenance {
            return self.change(round, sid, ServiceState::Fence, With::default());
        }
        match config.state {
            // Where it starts is decided on the next pass.
            Requested::Started => self.change(round, sid, ServiceState::RequestStart, With::node(&node)),
            Requested::Ignored => {
                self.unknown_wish(round, sid, config);
                Ok(())
            }
            Requested::Stopped | Requested::Disabled => Ok(()),
        }
    }

    pub(super) fn unknown_wish(&self, round: &mut Round<'_>, sid: &Sid, config: &ServiceConfig) {
        round.log(
            Level::Error,
            &format!(
                "service '{sid}' - unknown state '{}' in service configuration",
                config.state
            ),
        );
    }

    fn when_freeze(
        &mut self,
        round: &mut Round<'_>,
        sid: &Sid,
        config: &ServiceConfig,
        node: &str,
    ) -> Result<(), ManagerError> {
        match round.modes.get(node) {
            Some(LrmMode::Active) => self.change(round, sid, arrived(config), With::default()),
            _ => Ok(()),
        }
    }

    fn when_error(&mut self, round: &mut Round<'_>, sid: &Sid, config: &ServiceConfig) -> Result<(), ManagerError> {
        if config.state != Requested::Disabled {
            return Ok(());
        }
        self.forget_failures(sid);
        self.change(round, sid, ServiceState::Stopped, With::default())
    }

    fn forget_failures(&mut self, sid: &Sid) {
        if let Some(status) = self.services.get_mut(sid) {
            status.failed_nodes.clear();
        }
    }

    fn when_recovery(
        &mut self,
        round: &mut Round<'_>,
        sid: &Sid,
        config: &ServiceConfig,
        fenced: &str,
    ) -> Result<(), ManagerError> {
        let chosen = self
            .selection(&Compiled::default())
            .node_for(sid, config, Seek::BestScore);
        let Some(chosen) = chosen else {
            round.log(
                Level::Error,
                &format!("recovering service '{sid}' from fenced node '{fenced}' failed, no recovery node found"),
            );
            // Whoever disables it gives it up; it runs nowhere, so there is nothing to stop.
            if config.state == Requested::Disabled {
                self.forget_failures(sid);
                self.change(round, sid, ServiceState::Stopped, With::default())?;
            }
            return Ok(());
        };
        round.info(&match chosen == fenced {
            true => format!("recover service '{sid}' to previous failed and fenced node '{fenced}' again"),
            false => format!("recover service '{sid}' from fenced node '{fenced}' to node '{chosen}'"),
        });
        if let Some(lock) = round.env.remove_guest_lock(sid, &STALE_GUEST_LOCKS) {
            round.log(
                Level::Warning,
                &format!("removed leftover lock '{lock}' from recovered service '{sid}' to allow its start."),
            );
        }
        round.env.steal_service(sid, fenced, &chosen)?;
        if let Some(config) = round.config.get_mut(sid) {
            config.node.clone_from(&chosen);
        }
        self.change(round, sid, arrived(config), With::node(&chosen))
    }
}
