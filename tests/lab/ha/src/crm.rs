//! The CRM, one on each node: it waits for quorum, competes for the manager's lock, and lets its manager work while it has it
//! (`PVE::HA::CRM`).

use crate::constants::{ACTIVE_ROUND, CRM_IDLE_ROUNDS, IDLE_REST, LOCK_RETRY, LOCK_TRIES};
use crate::env::{CrmEnv, Next};
use crate::log::Level;
use crate::manager::Manager;
use crate::model::{CrmState, DisarmState, ManagerStatus, NodeState, Seconds};
use crate::watchdog::WatchdogId;

/// One process.
#[derive(Debug)]
pub struct Crm {
    state: CrmState,
    manager: Option<Manager>,
    shutdown: bool,
    cluster_state_new: bool,
    idle_rounds: u32,
    watchdog: Option<WatchdogId>,
    disarmed: bool,
    /// Tries of the lock in the round that is not over yet.
    tries: Option<u32>,
}

impl Crm {
    /// The process starts.
    pub fn new(env: &mut dyn CrmEnv) -> Self {
        let state = CrmState::WaitForQuorum;
        env.log(Level::Info, &format!("status change startup => {state}"));
        Self {
            state,
            manager: None,
            shutdown: false,
            cluster_state_new: false,
            idle_rounds: 0,
            watchdog: None,
            disarmed: false,
            tries: None,
        }
    }

    /// What it does.
    #[must_use]
    pub fn state(&self) -> CrmState {
        self.state
    }

    /// Somebody wants the process to end; it does so in its next round.
    pub fn request_shutdown(&mut self, env: &mut dyn CrmEnv) {
        if !self.shutdown {
            env.log(Level::Info, "server received shutdown request");
        }
        self.shutdown = true;
    }

    /// One round, or the rest of one.
    pub fn step(&mut self, env: &mut dyn CrmEnv) -> Next {
        if self.tries.is_none() {
            self.cluster_state_new = env.update_cluster_state();
            let wants_lock = match self.state {
                CrmState::WaitForQuorum | CrmState::Slave => self.has_work(env),
                CrmState::LostManagerLock => self.is_healthy(env).is_some(),
                CrmState::Master => true,
            };
            if !wants_lock {
                if self.state == CrmState::Slave {
                    self.set_state(env, CrmState::WaitForQuorum);
                }
                return self.work(env);
            }
        }
        let tries = self.tries.take().unwrap_or(0) + 1;
        let got = self.try_lock(env);
        if !got && tries < LOCK_TRIES {
            self.tries = Some(tries);
            return Next::Within(LOCK_RETRY);
        }
        match (self.state, got) {
            (CrmState::Master, true) => self.count_idle_rounds(env),
            (CrmState::Master, false) => self.set_state(env, CrmState::LostManagerLock),
            (_, true) => self.set_state(env, CrmState::Master),
            (CrmState::WaitForQuorum, false) => self.set_state(env, CrmState::Slave),
            (CrmState::Slave | CrmState::LostManagerLock, false) => {}
        }
        self.work(env)
    }

    fn try_lock(&mut self, env: &mut dyn CrmEnv) -> bool {
        if !env.take_manager_lock() {
            return false;
        }
        if let Some(id) = self.watchdog {
            env.watchdog_update(id);
        } else if !self.disarmed {
            // Who takes over while HA is off needs no watchdog, not even for a moment.
            let off = env.manager_status().is_ok_and(|status| {
                status
                    .disarm
                    .is_some_and(|disarm| disarm.state == DisarmState::Disarmed)
            });
            if off {
                env.log(Level::Info, "taking over as disarmed master, skipping watchdog");
                self.disarmed = true;
            } else {
                self.watchdog = Some(env.watchdog_open());
            }
        }
        true
    }

    /// No service runs by a CRM's doing, so leaving the watchdog endangers none; a node without HA services would be reset for nothing.
    fn leave_watchdog(&mut self, env: &mut dyn CrmEnv) {
        if let Some(id) = self.watchdog.take() {
            env.watchdog_close(id);
        }
    }

    fn set_state(&mut self, env: &mut dyn CrmEnv, state: CrmState) {
        if state == self.state {
            return;
        }
        env.log(Level::Info, &format!("status change {} => {state}", self.state));
        self.state = state;
        self.manager = None;
        if state == CrmState::Master {
            match Manager::new(env) {
                Ok(manager) => self.manager = Some(manager),
                Err(error) => env.log(Level::Error, &format!("could not read manager status: {error}")),
            }
        }
    }

    /// What the last master wrote, if all is well enough to become master: quorum, no old state, and nobody waiting to fence this node.
    fn is_healthy(&self, env: &mut dyn CrmEnv) -> Option<ManagerStatus> {
        let status = match env.manager_status() {
            Ok(status) => Some(status),
            Err(error) => {
                env.log(Level::Error, &format!("could not read manager status: {error}"));
                None
            }
        };
        if !env.quorate() || !self.cluster_state_new {
            return None;
        }
        status.filter(|status| status.fenced_services(env.node()) == 0)
    }

    /// Is there any reason to be master?
    fn has_work(&self, env: &mut dyn CrmEnv) -> bool {
        let Some(status) = self.is_healthy(env) else {
            return false;
        };
        let Some(services) = services_configured(env) else {
            return false;
        };
        services > 0 || (nobody_else_decides(&status, env.node()) && something_is_left(&status, env.commands_wait()))
    }

    fn count_idle_rounds(&mut self, env: &mut dyn CrmEnv) {
        if !self.is_idle(env) {
            self.idle_rounds = 0;
            return;
        }
        self.idle_rounds += 1;
        if self.idle_rounds <= CRM_IDLE_ROUNDS {
            return;
        }
        self.idle_rounds = 0;
        env.log(
            Level::Info,
            &format!("cluster had no service configured for {CRM_IDLE_ROUNDS} rounds, going idle."),
        );
        env.release_manager_lock();
        self.leave_watchdog(env);
        self.set_state(env, CrmState::WaitForQuorum);
    }

    fn is_idle(&self, env: &mut dyn CrmEnv) -> bool {
        match self.is_healthy(env) {
            // Who switched HA off has to be there to switch it on.
            Some(status) if status.disarm.is_none() => {
                services_configured(env) == Some(0) && status.service_status.is_empty()
            }
            _ => false,
        }
    }

    fn work(&mut self, env: &mut dyn CrmEnv) -> Next {
        match self.state {
            CrmState::WaitForQuorum if self.shutdown => Next::Exit,
            CrmState::WaitForQuorum => Next::Round(IDLE_REST),
            CrmState::Slave if self.shutdown => Next::Exit,
            // Its tries of the lock are its rest.
            CrmState::Slave => Next::Round(0),
            CrmState::Master => self.decide(env),
            CrmState::LostManagerLock => {
                self.leave_watchdog(env);
                if self.shutdown {
                    return Next::Exit;
                }
                self.set_state(env, CrmState::WaitForQuorum);
                Next::Round(0)
            }
        }
    }

    fn decide(&mut self, env: &mut dyn CrmEnv) -> Next {
        let began = env.now();
        if self.shutdown {
            self.leave_watchdog(env);
            // The next one need not wait for its end.
            env.log(Level::Info, "voluntary release CRM lock");
            if !env.release_manager_lock() {
                env.log(Level::Notice, "CRM lock release failed, let the lock timeout");
            }
            return Next::Exit;
        }
        if self.cluster_state_new {
            self.let_manager_work(env);
        } else {
            env.log(
                Level::Notice,
                "temporary inconsistent cluster state (cfs restart?), skip round",
            );
        }
        rest_of(ACTIVE_ROUND, began, env.now())
    }

    fn let_manager_work(&mut self, env: &mut dyn CrmEnv) {
        // Its beginning may have failed for want of the file.
        let manager = match self.manager.take() {
            Some(manager) => Ok(manager),
            None => Manager::new(env),
        };
        let mut manager = match manager {
            Ok(manager) => manager,
            Err(error) => {
                env.log(Level::Error, &format!("got unexpected error - {error}"));
                return;
            }
        };
        match manager.round(env) {
            Err(error) => env.log(Level::Error, &format!("got unexpected error - {error}")),
            Ok(()) if manager.is_fully_disarmed() => {
                if !self.disarmed {
                    env.log(Level::Info, "HA stack fully disarmed, releasing CRM watchdog");
                    self.leave_watchdog(env);
                    self.disarmed = true;
                }
            }
            Ok(()) if self.disarmed => {
                env.log(Level::Info, "re-arming HA stack");
                // The watchdog comes with the lock of the next round.
                self.disarmed = false;
            }
            Ok(()) => {}
        }
        self.manager = Some(manager);
    }
}

/// What is left of a round that lasts at least so long.
pub(crate) fn rest_of(length: Seconds, began: Seconds, now: Seconds) -> Next {
    Next::Round((began + length).saturating_sub(now))
}

fn services_configured(env: &mut dyn CrmEnv) -> Option<usize> {
    match env.services() {
        Ok(services) => Some(services.all.len()),
        Err(error) => {
            env.log(Level::Error, &format!("could not read service config: {error}"));
            None
        }
    }
}

fn nobody_else_decides(status: &ManagerStatus, node: &str) -> bool {
    match &status.master_node {
        None => true,
        Some(master) => master == node || status.node_status.get(master) != Some(&NodeState::Online),
    }
}

/// Without services: a maintenance that nobody asks for any more, a command, an old status, or HA that is off.
fn something_is_left(status: &ManagerStatus, command_waits: bool) -> bool {
    let forgotten =
        |(node, state): (&String, &NodeState)| *state == NodeState::Maintenance && !status.maintenance_asked(node);
    status.node_status.iter().any(forgotten)
        || command_waits
        || !status.service_status.is_empty()
        || status.disarm.is_some()
}
