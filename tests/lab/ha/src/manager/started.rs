//! What follows from `started`: a service is kept running, on the best node that may have it.

use super::change::With;
use super::{Manager, ManagerError, Round};
use crate::env::ServiceChange;
use crate::log::Level;
use crate::model::{Exit, Motion, NodeState, Order, Requested, ServiceConfig, ServiceState, Sid};
use crate::rules::Compiled;
use crate::select::Seek;

impl Manager {
    pub(super) fn when_started(
        &mut self,
        round: &mut Round<'_>,
        sid: &Sid,
        config: &ServiceConfig,
        node: &str,
        result: Option<Exit>,
    ) -> Result<(), ManagerError> {
        if !self.nodes.is_online(node) {
            if self.nodes.is_offline_delayed(node, round.env.now()) {
                self.change(round, sid, ServiceState::Fence, With::default())?;
            }
            if self.nodes.state(node) != NodeState::Maintenance {
                return Ok(());
            }
            // It is to come back here.
            if let Some(status) = self.services.get_mut(sid) {
                status.maintenance_node = Some(node.to_owned());
            }
        }
        match config.state {
            Requested::Disabled | Requested::Stopped => {
                self.change(round, sid, ServiceState::RequestStop, With::default())
            }
            Requested::Ignored => {
                self.unknown_wish(round, sid, config);
                Ok(())
            }
            Requested::Started => match self.services.get_mut(sid).and_then(|status| status.cmd.take()) {
                Some(order) => self.obey(round, sid, node, order),
                None => self.keep_running(round, sid, config, node, result),
            },
        }
    }

    fn obey(&mut self, round: &mut Round<'_>, sid: &Sid, node: &str, order: Order) -> Result<(), ManagerError> {
        match order {
            Order::Move(motion, target) => {
                if !self.may_move(round, sid, motion, node, &target) {
                    return Ok(());
                }
                round.info(&format!("{motion} service '{sid}' to node '{target}'"));
                self.change(round, sid, motion.state(), With::node(node).to(&target))
            }
            Order::Stop(timeout) => {
                round.info(&match timeout {
                    0 => format!("request immediate service hard-stop for service '{sid}'"),
                    _ => format!("request graceful stop with timeout '{timeout}' for service '{sid}'"),
                });
                self.change(round, sid, ServiceState::RequestStop, With::timeout(timeout))?;
                Ok(round.env.change_services(&[ServiceChange::Stop(sid.clone())])?)
            }
        }
    }

    /// Can a service that was told to move still do so?
    pub(super) fn may_move(&self, round: &mut Round<'_>, sid: &Sid, motion: Motion, node: &str, target: &str) -> bool {
        if !self.nodes.is_online(target) {
            round.log(
                Level::Error,
                &format!("ignore service '{sid}' {motion} request - node '{target}' not online"),
            );
            return false;
        }
        if node == target {
            round.info(&format!(
                "ignore service '{sid}' {motion} request - service already on node '{target}'"
            ));
            return false;
        }
        true
    }

    fn keep_running(
        &mut self,
        round: &mut Round<'_>,
        sid: &Sid,
        config: &ServiceConfig,
        node: &str,
        result: Option<Exit>,
    ) -> Result<(), ManagerError> {
        let seek = match result {
            None => Seek::Stay,
            Some(Exit::Success) => {
                self.note_success(round, sid, node);
                Seek::Stay
            }
            Some(exit) => match self.note_failure(round, sid, config, node, exit) {
                Some(seek) => seek,
                None => return self.change(round, sid, ServiceState::Error, With::default()),
            },
        };
        let chosen = self.selection(&Compiled::default()).node_for(sid, config, seek);
        match chosen {
            Some(chosen) if chosen != node => self.move_to(round, sid, node, &chosen),
            chosen => {
                if chosen.is_none() && seek == Seek::TryNext {
                    let tried = self.failed_nodes(sid);
                    round.log(
                        Level::Warning,
                        &format!(
                            "Start Error Recovery: Tried all available nodes for service '{sid}', retry start on \
                             current node. Tried nodes: {tried}"
                        ),
                    );
                }
                self.stay(round, sid, node, result.is_some());
                Ok(())
            }
        }
    }

    fn note_success(&mut self, round: &mut Round<'_>, sid: &Sid, node: &str) {
        let failed = self.failed_nodes(sid);
        if !failed.is_empty() {
            round.info(&format!(
                "relocation policy successful for '{sid}' on node '{node}', failed nodes: {failed}"
            ));
        }
        if let Some(status) = self.services.get_mut(sid) {
            status.failed_nodes.clear();
            status.running = true;
        }
    }

    /// Where to go after a failed start; nothing when it is given up.
    fn note_failure(
        &mut self,
        round: &mut Round<'_>,
        sid: &Sid,
        config: &ServiceConfig,
        node: &str,
        exit: Exit,
    ) -> Option<Seek> {
        let status = self.services.get_mut(sid)?;
        status.failed_nodes.push(node.to_owned());
        if !matches!(exit, Exit::Error | Exit::WrongNode) {
            round.log(
                Level::Error,
                &format!("service '{sid}' got unrecoverable error (exit code {exit})"),
            );
            return None;
        }
        status.running = false;
        let tries = status.failed_nodes.len();
        if tries > usize::try_from(config.max_relocate).unwrap_or(usize::MAX) {
            let failed = self.failed_nodes(sid);
            round.log(
                Level::Error,
                &format!("recovery policy for service {sid} failed, entering error state. Failed nodes: {failed}"),
            );
            return None;
        }
        round.log(
            Level::Warning,
            &format!("starting service {sid} on node '{node}' failed, relocating service."),
        );
        Some(Seek::TryNext)
    }

    fn failed_nodes(&self, sid: &Sid) -> String {
        self.services
            .get(sid)
            .map(|status| status.failed_nodes.join(", "))
            .unwrap_or_default()
    }

    fn move_to(&mut self, round: &mut Round<'_>, sid: &Sid, node: &str, chosen: &str) -> Result<(), ManagerError> {
        if let Some(home) = self
            .services
            .get(sid)
            .and_then(|status| status.maintenance_node.clone())
        {
            let line = if chosen == home {
                Some(format!(
                    "moving service '{sid}' back to '{home}', node came back from maintenance."
                ))
            } else if node != home {
                Some(format!("dropping maintenance fallback node '{home}' for '{sid}'"))
            } else {
                None
            };
            if let Some(line) = line {
                round.info(&line);
                self.forget_home(sid);
            }
        }
        // A container cannot move while it runs.
        let motion = if sid.kind() == "vm" {
            round.info(&format!("migrate service '{sid}' to node '{chosen}' (running)"));
            Motion::Migrate
        } else {
            round.info(&format!("relocate service '{sid}' to node '{chosen}'"));
            Motion::Relocate
        };
        self.change(round, sid, motion.state(), With::node(node).to(chosen))
    }

    fn stay(&mut self, round: &mut Round<'_>, sid: &Sid, node: &str, answered: bool) {
        let home = self
            .services
            .get(sid)
            .and_then(|status| status.maintenance_node.as_deref());
        // It never left, for instance since the whole cluster went down at once.
        if home == Some(node) && self.nodes.is_online(node) {
            round.info(&format!(
                "service '{sid}': clearing stale maintenance node '{node}' setting (is current node)"
            ));
            self.forget_home(sid);
        }
        // A new request, so that the guest is started again should it go down; but only once the answer to the last was read.
        if let Some(status) = self.services.get_mut(sid).filter(|_| answered) {
            status.uid = Some(round.env.fresh_uid());
        }
    }

    fn forget_home(&mut self, sid: &Sid) {
        if let Some(status) = self.services.get_mut(sid) {
            status.maintenance_node = None;
        }
    }
}
