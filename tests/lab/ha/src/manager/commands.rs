//! Commands: what administrators ask by way of `ha-manager` (facts C.1, C.10).

use super::{Manager, ManagerError, Round};
use crate::log::Level;
use crate::model::{
    CrmCommand, Disarm, DisarmMode, DisarmState, Motion, NodeState, Order, Seconds, ServiceStatus, Sid,
};

impl Manager {
    pub(super) fn take_commands(&mut self, round: &mut Round<'_>) -> Result<(), ManagerError> {
        for line in round.env.take_commands()? {
            match CrmCommand::parse(&line) {
                Ok(command) => self.command(round, command)?,
                Err(_) => round.log(Level::Error, &format!("unable to parse crm command: {line}")),
            }
        }
        Ok(())
    }

    fn command(&mut self, round: &mut Round<'_>, command: CrmCommand) -> Result<(), ManagerError> {
        let text = command.to_string();
        match command {
            CrmCommand::Move { motion, sid, target } => self.ask_move(round, &text, motion, &sid, &target),
            CrmCommand::Stop { sid, timeout } => self.ask_stop(round, &text, &sid, timeout),
            CrmCommand::EnableMaintenance(node) => self.ask_maintenance(round, &text, node),
            CrmCommand::DisableMaintenance(node) => self.end_maintenance(round, &node),
            CrmCommand::Disarm(mode) => self.ask_disarm(round, mode),
            CrmCommand::Arm => self.ask_arm(round)?,
        }
        Ok(())
    }

    fn ask_move(&mut self, round: &mut Round<'_>, text: &str, motion: Motion, sid: &Sid, target: &str) {
        let Some(status) = self.services.get(sid) else {
            round.log(Level::Error, &format!("crm command error - no such service: {text}"));
            return;
        };
        if !self.nodes.is_online(target) {
            round.log(Level::Error, &format!("crm command error - node not online: {text}"));
        } else if status.node == target {
            round.info(&format!("ignore crm command - service already on target node: {text}"));
        } else {
            self.queue_motion(round, text, motion, sid, target);
        }
    }

    /// Has a service moved, and with it those it belongs to; not to where one is that it must keep away from.
    pub(super) fn queue_motion(&mut self, round: &mut Round<'_>, text: &str, motion: Motion, sid: &Sid, target: &str) {
        let bonds = self
            .rules
            .as_ref()
            .map(|rules| rules.neighbours(sid))
            .unwrap_or_default();
        let is_there = |status: &&ServiceStatus| {
            status.node == target && status.target.as_deref().is_none_or(|other| other == target)
        };
        let foe = bonds
            .apart
            .iter()
            .find(|other| self.services.get(*other).filter(is_there).is_some());
        if let Some(foe) = foe {
            round.log(
                Level::Error,
                &format!(
                    "crm command '{text}' error - service '{foe}' on node '{target}' in negative affinity with \
                     service '{sid}'"
                ),
            );
            return;
        }
        round.info(&format!("got crm command: {text}"));
        self.order(sid, Order::Move(motion, target.to_owned()));
        for other in bonds.together {
            let follows = self.services.get(&other).is_some_and(|status| {
                status.node != target && status.target.as_deref().is_none_or(|other| other != target)
            });
            if follows {
                round.info(&format!(
                    "crm command '{text}' - {motion} service '{other}' to node '{target}' (service '{other}' in \
                     positive affinity with service '{sid}')"
                ));
                self.order(&other, Order::Move(motion, target.to_owned()));
            }
        }
    }

    fn order(&mut self, sid: &Sid, order: Order) {
        if let Some(status) = self.services.get_mut(sid) {
            status.cmd = Some(order);
        }
    }

    fn ask_stop(&mut self, round: &mut Round<'_>, text: &str, sid: &Sid, timeout: Seconds) {
        if self.services.contains_key(sid) {
            round.info(&format!("got crm command: {text}"));
            self.order(sid, Order::Stop(timeout));
        } else {
            round.log(Level::Error, &format!("crm command error - no such service: {text}"));
        }
    }

    fn ask_maintenance(&mut self, round: &mut Round<'_>, text: &str, node: String) {
        if self.disarm.is_some() {
            round.log(
                Level::Warning,
                &format!("ignoring maintenance command for node {node} - HA stack is disarmed"),
            );
            return;
        }
        match self.nodes.state(&node) {
            NodeState::Online => self.node_request.entry(node).or_default().maintenance = true,
            NodeState::Maintenance => round.info(&format!(
                "ignoring crm command - node {node} is already in maintenance state"
            )),
            NodeState::Unknown | NodeState::Fence | NodeState::Gone => {
                round.log(Level::Error, &format!("crm command error - node not online: {text}"));
            }
        }
    }

    fn end_maintenance(&mut self, round: &mut Round<'_>, node: &str) {
        let state = self.nodes.state(node);
        if state != NodeState::Maintenance {
            round.log(
                Level::Warning,
                &format!("clearing maintenance of node {node} requested, but it's in state {state}"),
            );
        }
        self.node_request.entry(node.to_owned()).or_default().maintenance = false;
    }

    fn ask_disarm(&mut self, round: &mut Round<'_>, mode: DisarmMode) {
        if let Some(disarm) = self.disarm {
            round.log(
                Level::Notice,
                &format!(
                    "ignoring disarm-ha command - already in disarm state ({})",
                    disarm.state
                ),
            );
            return;
        }
        round.info(&format!("got crm command: disarm-ha {mode}"));
        if mode == DisarmMode::Ignore {
            for sid in self.services.keys() {
                round.info(&format!("disarm: suspending HA tracking for service '{sid}'"));
            }
        }
        self.disarm = Some(Disarm {
            mode,
            state: DisarmState::Disarming,
        });
    }

    fn ask_arm(&mut self, round: &mut Round<'_>) -> Result<(), ManagerError> {
        let Some(disarm) = self.disarm else {
            round.log(Level::Notice, "ignoring arm-ha command - HA stack is not disarmed");
            return Ok(());
        };
        round.info("got crm command: arm-ha");
        if disarm.mode == DisarmMode::Ignore {
            // Somebody may have moved them by hand meanwhile.
            let config = round.env.services()?.all;
            for (sid, status) in &mut self.services {
                let Some(service) = config.get(sid).filter(|service| service.node != status.node) else {
                    continue;
                };
                round.info(&format!(
                    "service '{sid}': updating node '{}' => '{}' (changed while disarmed)",
                    status.node, service.node
                ));
                status.node.clone_from(&service.node);
            }
        }
        self.disarm = None;
        Ok(())
    }
}
