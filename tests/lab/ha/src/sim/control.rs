//! Carries out commands: on servers, daemons and services.

use super::crm_env::DaemonEnv;
use super::run::Simulation;
use crate::crm::Crm;
use crate::env::{Env, NodeShutdown};
use crate::log::Level;
use crate::lrm::Lrm;
use crate::model::{DisarmMode, Requested, Sid};
use crate::scenario::{CfsPart, Command, CrmAction, Daemon, Do, GuestStats, ScenarioError, ServiceAction, ServiceFile};

/// The processes of a server.
#[derive(Debug, Default)]
pub(super) struct Daemons {
    pub(super) crm: Option<Crm>,
    pub(super) lrm: Option<Lrm>,
    /// The CRM was asked to end.
    pub(super) crm_stops: bool,
    /// The LRM was asked to end in order to start again.
    pub(super) lrm_restarts: bool,
}

impl Daemons {
    pub(super) fn runs(&self, daemon: Daemon) -> bool {
        match daemon {
            Daemon::Crm => self.crm.is_some(),
            Daemon::Lrm => self.lrm.is_some(),
        }
    }
}

impl Simulation {
    /// Carries out one command, said to come from `source`.
    pub(super) fn command(&mut self, command: &Command, source: &str) -> Result<(), ScenarioError> {
        self.world.info(source, &format!("execute {}", command.text));
        self.carry_out(&command.does).map_err(|reason| ScenarioError::Refused {
            time: self.world.time,
            command: command.text.clone(),
            reason,
        })
    }

    fn carry_out(&mut self, does: &Do) -> Result<(), String> {
        match does {
            Do::Power { node, on: true } => self.power_on(node),
            Do::Power { node, on: false } => self.power_off(node),
            Do::Network { node, on } => self.server(node, |server| server.network = *on),
            Do::Cfs { node, part, works } => self.server(node, |server| match part {
                CfsPart::ReadWrite => server.cfs_works = *works,
                CfsPart::Update => server.cfs_updates = *works,
            }),
            Do::Version { node, version } => self.server(node, |server| server.version = Some(version.clone())),
            Do::Reboot(node) => self.go_down(node, NodeShutdown::Reboot),
            Do::Shutdown(node) => self.go_down(node, NodeShutdown::Poweroff),
            Do::RestartLrm(node) => self.restart_lrm(node),
            Do::Crm(node, action) => self.crm(node, action),
            Do::Service(sid, action) => return self.service(sid, action),
            // Taken by the clock.
            Do::Delay(_) | Do::SkipRound { .. } => {}
        }
        Ok(())
    }

    fn server(&mut self, node: &str, change: impl FnOnce(&mut super::hardware::Server)) {
        if let Some(server) = self.world.servers.get_mut(node) {
            change(server);
        }
    }

    /// Starts a daemon that does not run.
    pub(super) fn start(&mut self, node: &str, daemon: Daemon) {
        let Some(daemons) = self.daemons.get_mut(node) else {
            return;
        };
        let mut env = DaemonEnv {
            world: &mut self.world,
            node,
            daemon,
        };
        match daemon {
            Daemon::Crm if daemons.crm.is_none() => daemons.crm = Some(Crm::new(&mut env)),
            Daemon::Lrm if daemons.lrm.is_none() => daemons.lrm = Some(Lrm::new(&mut env)),
            Daemon::Crm | Daemon::Lrm => {}
        }
    }

    fn power_on(&mut self, node: &str) {
        if self.world.server(node).is_some_and(|server| !server.power) {
            self.start(node, Daemon::Crm);
            self.start(node, Daemon::Lrm);
            if let Some(daemons) = self.daemons.get_mut(node) {
                daemons.lrm_restarts = false;
            }
            self.server(node, |server| {
                server.cfs_works = true;
                server.cfs_updates = true;
            });
        }
        self.server(node, |server| {
            server.power = true;
            server.network = true;
            server.shutdown = NodeShutdown::No;
        });
    }

    fn power_off(&mut self, node: &str) {
        if self.world.server(node).is_some_and(|server| server.power) {
            for daemon in [Daemon::Crm, Daemon::Lrm] {
                self.kill(node, daemon);
            }
            self.world.watchdogs.forget(node);
            self.world.running.remove(node);
        }
        self.server(node, |server| {
            server.power = false;
            server.network = false;
            server.shutdown = NodeShutdown::No;
        });
    }

    fn kill(&mut self, node: &str, daemon: Daemon) {
        let Some(daemons) = self.daemons.get_mut(node).filter(|daemons| daemons.runs(daemon)) else {
            return;
        };
        match daemon {
            Daemon::Crm => daemons.crm = None,
            Daemon::Lrm => {
                daemons.lrm = None;
                daemons.lrm_restarts = false;
            }
        }
        let mut env = DaemonEnv {
            world: &mut self.world,
            node,
            daemon,
        };
        env.log(Level::Info, "killed by poweroff");
    }

    fn go_down(&mut self, node: &str, shutdown: NodeShutdown) {
        self.server(node, |server| server.shutdown = shutdown);
        self.ask_lrm_to_end(node);
    }

    fn ask_lrm_to_end(&mut self, node: &str) {
        let mut env = DaemonEnv {
            world: &mut self.world,
            node,
            daemon: Daemon::Lrm,
        };
        if let Some(lrm) = self.daemons.get_mut(node).and_then(|daemons| daemons.lrm.as_mut()) {
            lrm.request_shutdown(&mut env);
        }
    }

    fn restart_lrm(&mut self, node: &str) {
        let Some(daemons) = self.daemons.get_mut(node).filter(|daemons| daemons.lrm.is_some()) else {
            return;
        };
        daemons.lrm_restarts = true;
        self.ask_lrm_to_end(node);
    }

    fn crm(&mut self, node: &str, action: &CrmAction) {
        match action {
            CrmAction::Start => self.start(node, Daemon::Crm),
            CrmAction::Stop => {
                let Some(daemons) = self.daemons.get_mut(node) else {
                    return;
                };
                let Some(crm) = &mut daemons.crm else { return };
                daemons.crm_stops = true;
                crm.request_shutdown(&mut DaemonEnv {
                    world: &mut self.world,
                    node,
                    daemon: Daemon::Crm,
                });
            }
            CrmAction::Queue(command) => self.world.commands.push(command.to_string()),
        }
    }

    fn service(&mut self, sid: &Sid, action: &ServiceAction) -> Result<(), String> {
        match action {
            ServiceAction::Queue(command) => {
                self.world.commands.push(command.to_string());
                return Ok(());
            }
            ServiceAction::Add { node, state, running } => return self.add(sid, node, *state, *running),
            ServiceAction::MoveByHand(target) => return self.move_by_hand(sid, target),
            _ => {}
        }
        let Some(service) = self.world.services.get_mut(sid) else {
            return Err(format!("no such service '{sid}'"));
        };
        match action {
            ServiceAction::Want(state) => service.state = *state,
            ServiceAction::Lock(lock) => service.lock = Some(lock.clone()),
            ServiceAction::Unlock(only) => {
                service
                    .lock
                    .take_if(|lock| only.as_ref().is_none_or(|only| only == lock));
            }
            ServiceAction::Delete => {
                self.world.services.remove(sid);
                if let Some(stats) = self.world.stats.get_mut(sid) {
                    stats.maxcpu = None;
                    stats.maxmem = None;
                }
            }
            ServiceAction::Stats(new) => {
                let stats = self.world.stats.entry(sid.clone()).or_default();
                *stats = GuestStats {
                    maxcpu: new.0.maxcpu.or(stats.maxcpu),
                    maxmem: new.0.maxmem.or(stats.maxmem),
                    cpu: new.0.cpu.or(stats.cpu),
                    mem: new.0.mem.or(stats.mem),
                };
            }
            ServiceAction::Queue(_) | ServiceAction::Add { .. } | ServiceAction::MoveByHand(_) => {}
        }
        Ok(())
    }

    fn add(&mut self, sid: &Sid, node: &str, state: Requested, running: bool) -> Result<(), String> {
        if self.world.services.contains_key(sid) {
            return Err(format!("resource ID '{sid}' already defined"));
        }
        self.world.services.insert(sid.clone(), ServiceFile::new(node, state));
        let on_node = self.world.running.entry(node.to_owned()).or_default();
        if running {
            on_node.insert(sid.clone());
        } else {
            on_node.remove(sid);
        }
        Ok(())
    }

    /// Only what HA leaves alone may be moved past it.
    fn move_by_hand(&mut self, sid: &Sid, target: &str) -> Result<(), String> {
        let Some(service) = self.world.services.get(sid) else {
            return Err(format!("service '{sid}' not configured"));
        };
        let left_alone = service.state == Requested::Ignored
            || self
                .world
                .manager_status
                .disarm
                .is_some_and(|disarm| disarm.mode == DisarmMode::Ignore);
        if !left_alone {
            return Err("manual-migrate requires service in 'ignored' state or disarm-ha ignore mode".to_owned());
        }
        let node = service.node.clone();
        self.world
            .move_config(sid, &node, target)
            .map_err(|error| error.to_string())
    }
}
