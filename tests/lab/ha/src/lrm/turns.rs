//! When an LRM goes from one state to another, and when it wants its lock for that.

use super::Lrm;
use crate::constants::{IDLE_REST, LRM_IDLE_ROUNDS, RESTART_WITHOUT_LOCK};
use crate::env::{LrmEnv, Next};
use crate::log::Level;
use crate::model::{LrmMode, LrmState};

impl Lrm {
    pub(super) fn wants_lock(&self, env: &dyn LrmEnv) -> bool {
        if self.is_to_be_fenced(env) {
            return false;
        }
        match self.state {
            LrmState::WaitForAgentLock => {
                self.mode != LrmMode::Disarm && self.active_services(env) > 0 && env.quorate()
            }
            LrmState::LostAgentLock => env.quorate(),
            LrmState::Active => true,
            LrmState::Maintenance => {
                !self.is_maintenance_over(env) || !matches!(self.mode, LrmMode::Maintenance | LrmMode::Disarm)
            }
        }
    }

    /// In maintenance, with no active service left: what still waits here is a stop, for the node goes down.
    pub(super) fn empty_node(&mut self, env: &mut dyn LrmEnv) {
        if self.state == LrmState::Maintenance && self.active_services(env) == 0 && !self.is_to_be_fenced(env) {
            self.run_or_say(env);
        }
    }

    pub(super) fn run_or_say(&mut self, env: &mut dyn LrmEnv) {
        if let Err(error) = self.run_workers(env) {
            env.log(Level::Error, &format!("got unexpected error - {error}"));
        }
    }

    /// In maintenance, with nothing left to do here.
    pub(super) fn is_maintenance_over(&self, env: &dyn LrmEnv) -> bool {
        self.active_services(env) == 0 && self.workers.is_empty()
    }

    /// Goes over into another state, if it is time, and works in the one it then has. The lock was taken, refused, or not asked for.
    pub(super) fn turn(&mut self, env: &mut dyn LrmEnv, lock: Option<bool>) -> Next {
        match (self.state, lock) {
            (LrmState::WaitForAgentLock | LrmState::LostAgentLock, Some(true)) => self.set_state(env, LrmState::Active),
            (LrmState::WaitForAgentLock | LrmState::LostAgentLock, _) => {}
            (LrmState::Active, None) => {
                env.log(Level::Error, "node needs to be fenced - releasing agent_lock");
                self.set_state(env, LrmState::LostAgentLock);
            }
            (LrmState::Active | LrmState::Maintenance, Some(false)) => self.set_state(env, LrmState::LostAgentLock),
            (LrmState::Active, Some(true)) => self.turn_active(env),
            (LrmState::Maintenance, None) if self.is_to_be_fenced(env) => {
                env.log(
                    Level::Error,
                    "node needs to be fenced during maintenance mode - releasing agent_lock",
                );
                self.set_state(env, LrmState::LostAgentLock);
            }
            (LrmState::Maintenance, None) if self.mode == LrmMode::Disarm => {
                let line = "HA disarm requested during maintenance, releasing agent lock and watchdog";
                self.give_up_lock(env, line);
            }
            (LrmState::Maintenance, None) => {}
            (LrmState::Maintenance, Some(true)) => {
                if self.is_maintenance_over(env) && self.mode != LrmMode::Maintenance {
                    self.set_state(env, LrmState::Active);
                }
            }
        }
        self.work(env)
    }

    fn turn_active(&mut self, env: &mut dyn LrmEnv) {
        if self.mode == LrmMode::Maintenance {
            self.set_state(env, LrmState::Maintenance);
        } else if self.mode == LrmMode::Disarm && self.workers.is_empty() {
            self.give_up_lock(env, "HA disarm requested, releasing agent lock and watchdog");
        } else if self.has_service(env) || !self.workers.is_empty() {
            self.idle_rounds = 0;
        } else {
            self.idle_rounds += 1;
            if self.idle_rounds > LRM_IDLE_ROUNDS {
                self.idle_rounds = 0;
                let line = format!("node had no service configured for {LRM_IDLE_ROUNDS} rounds, going idle.");
                self.give_up_lock(env, &line);
            }
        }
    }

    /// Only where no service is left that the node would have to be reset for.
    fn give_up_lock(&mut self, env: &mut dyn LrmEnv, line: &str) {
        env.log(Level::Info, line);
        env.release_agent_lock();
        self.leave_watchdog(env);
        self.set_state(env, LrmState::WaitForAgentLock);
    }

    /// Without its lock, but with a watchdog that runs out soon.
    pub(super) fn hope(&mut self, env: &mut dyn LrmEnv) -> Next {
        if !self.shutdown_asked {
            return Next::Round(IDLE_REST);
        }
        let services = self.active_services(env);
        if services == 0 {
            self.leave_watchdog(env);
            return Next::Exit;
        }
        env.log(
            Level::Error,
            &format!("got shutdown request in state 'lost_agent_lock' - detected {services} running services"),
        );
        let late = env.now().saturating_sub(self.state_since) > RESTART_WITHOUT_LOCK;
        if self.mode == LrmMode::Restart && late {
            env.log(
                Level::Error,
                "lost agent lock and restart request for over 90 seconds - giving up!",
            );
            return Next::Exit;
        }
        Next::Round(IDLE_REST)
    }
}
