//! The LRM, one on each node: it keeps the services the master gave it, as long as it has its lock and its watchdog is content
//! (`PVE::HA::LRM`).

mod agent;
mod shutdown;
mod workers;

use std::collections::BTreeMap;

use crate::constants::{
    ACTIVE_ROUND, IDLE_REST, LOCK_RETRY, LOCK_TRIES, LRM_IDLE_ROUNDS, RESTART_WITHOUT_LOCK, WORKER_BUDGET,
};
use crate::crm::rest_of;
use crate::env::{LrmEnv, Next};
use crate::log::Level;
use crate::model::{LrmMode, LrmResult, LrmState, LrmStatus, ManagerStatus, NodeState, Seconds, Sid};
use crate::watchdog::WatchdogId;
use workers::Worker;

/// Where a round is that is not over yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing was begun.
    Begin,
    /// The lock is being tried for.
    Lock {
        /// So often it was not given.
        tries: u32,
    },
    /// Workers are being waited for.
    Work {
        /// When the round began.
        began: Seconds,
        /// The process ends with it, if all is done then.
        may_end: bool,
    },
}

/// One process.
#[derive(Debug)]
pub struct Lrm {
    state: LrmState,
    state_since: Seconds,
    mode: LrmMode,
    phase: Phase,
    view: ManagerStatus,
    workers: BTreeMap<Sid, Worker>,
    results: BTreeMap<String, LrmResult>,
    restart_tries: BTreeMap<Sid, u32>,
    shutdown_asked: bool,
    shutdown_errors: u32,
    cluster_state_new: bool,
    wrote_first_status: bool,
    idle_rounds: u32,
    watchdog: Option<WatchdogId>,
}

impl Lrm {
    /// The process starts.
    pub fn new(env: &mut dyn LrmEnv) -> Self {
        let state = LrmState::WaitForAgentLock;
        env.log(Level::Info, &format!("status change startup => {state}"));
        Self {
            state,
            state_since: env.now(),
            mode: LrmMode::Active,
            phase: Phase::Begin,
            view: ManagerStatus::default(),
            workers: BTreeMap::new(),
            results: BTreeMap::new(),
            restart_tries: BTreeMap::new(),
            shutdown_asked: false,
            shutdown_errors: 0,
            cluster_state_new: false,
            wrote_first_status: false,
            idle_rounds: 0,
            watchdog: None,
        }
    }

    /// What it does.
    #[must_use]
    pub fn state(&self) -> LrmState {
        self.state
    }

    /// What it tells the master to expect of it.
    #[must_use]
    pub fn mode(&self) -> LrmMode {
        self.mode
    }

    /// One round, or the rest of one.
    pub fn step(&mut self, env: &mut dyn LrmEnv) -> Next {
        match std::mem::replace(&mut self.phase, Phase::Begin) {
            Phase::Begin => self.begin(env),
            Phase::Lock { tries } => self.lock(env, tries),
            Phase::Work { began, may_end } => self.wait_for_workers(env, began, may_end),
        }
    }

    fn begin(&mut self, env: &mut dyn LrmEnv) -> Next {
        self.cluster_state_new = env.update_cluster_state();
        // Nothing may be done before the master can see what there is to be seen.
        if !self.wrote_first_status {
            self.wrote_first_status = self.write_status(env);
            if !self.wrote_first_status {
                return if self.shutdown_asked {
                    Next::Exit
                } else {
                    Next::Round(IDLE_REST)
                };
            }
        }
        self.look_at_manager(env);
        self.empty_node(env);
        if self.wants_lock(env) {
            return self.lock(env, 0);
        }
        self.turn(env, None)
    }

    fn wants_lock(&self, env: &dyn LrmEnv) -> bool {
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
    fn empty_node(&mut self, env: &mut dyn LrmEnv) {
        if self.state == LrmState::Maintenance && self.active_services(env) == 0 && !self.is_to_be_fenced(env) {
            self.run_or_say(env);
        }
    }

    fn run_or_say(&mut self, env: &mut dyn LrmEnv) {
        if let Err(error) = self.run_workers(env) {
            env.log(Level::Error, &format!("got unexpected error - {error}"));
        }
    }

    /// In maintenance, with nothing left to do here.
    fn is_maintenance_over(&self, env: &dyn LrmEnv) -> bool {
        self.active_services(env) == 0 && self.workers.is_empty()
    }

    fn lock(&mut self, env: &mut dyn LrmEnv, tries: u32) -> Next {
        let got = env.take_agent_lock();
        if got {
            match self.watchdog {
                Some(id) => env.watchdog_update(id),
                None => self.watchdog = Some(env.watchdog_open()),
            }
        } else if tries + 1 < LOCK_TRIES {
            self.phase = Phase::Lock { tries: tries + 1 };
            return Next::Within(LOCK_RETRY);
        }
        self.turn(env, Some(got))
    }

    /// Goes over into another state, if it is time, and works in the one it then has. The lock was taken, refused, or not asked for.
    fn turn(&mut self, env: &mut dyn LrmEnv, lock: Option<bool>) -> Next {
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

    fn work(&mut self, env: &mut dyn LrmEnv) -> Next {
        match self.state {
            LrmState::WaitForAgentLock if self.shutdown_asked => Next::Exit,
            LrmState::WaitForAgentLock => {
                self.write_status(env);
                Next::Round(IDLE_REST)
            }
            LrmState::LostAgentLock => self.hope(env),
            LrmState::Active => {
                let may_end = self.begin_work(env) && self.shutdown_asked;
                let began = env.now();
                self.wait_for_workers(env, began, may_end)
            }
            LrmState::Maintenance => {
                // Without the master's view there is no telling whether the node is empty: PVE's process ends here.
                if !self.look_at_manager(env) {
                    return Next::Exit;
                }
                self.empty_node(env);
                if self.is_maintenance_over(env) {
                    self.leave_watchdog(env);
                    env.release_agent_lock();
                    if self.shutdown_asked {
                        self.write_status(env);
                        return Next::Exit;
                    }
                }
                self.queue_services(env);
                self.run_or_say(env);
                let began = env.now();
                self.wait_for_workers(env, began, false)
            }
        }
    }

    /// False when nothing could be done, for want of the master's view.
    fn begin_work(&mut self, env: &mut dyn LrmEnv) -> bool {
        if !self.look_at_manager(env) {
            return false;
        }
        if !self.shutdown_asked {
            if !self.cluster_state_new {
                env.log(
                    Level::Notice,
                    "temporary inconsistent cluster state (cfs restart?), skip round",
                );
                return false;
            }
            self.queue_services(env);
        }
        self.run_or_say(env);
        true
    }

    /// The end of a round with work: as soon as all workers are done, or have had their time.
    fn wait_for_workers(&mut self, env: &mut dyn LrmEnv, began: Seconds, may_end: bool) -> Next {
        if env.now() > began {
            self.run_or_say(env);
        }
        if self.workers.values().any(Worker::is_going) && env.now().saturating_sub(began) <= WORKER_BUDGET {
            self.phase = Phase::Work { began, may_end };
            return Next::Within(1);
        }
        let exit = may_end && self.may_end(env);
        self.write_status(env);
        let length = match self.state {
            LrmState::Maintenance => IDLE_REST,
            _ => ACTIVE_ROUND,
        };
        if exit {
            Next::Exit
        } else {
            rest_of(length, began, env.now())
        }
    }

    /// Without its lock, but with a watchdog that runs out soon.
    fn hope(&mut self, env: &mut dyn LrmEnv) -> Next {
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

    /// Ends the self-fencing; never while a service runs.
    fn leave_watchdog(&mut self, env: &mut dyn LrmEnv) {
        if let Some(id) = self.watchdog.take() {
            env.watchdog_close(id);
        }
    }

    fn set_state(&mut self, env: &mut dyn LrmEnv, state: LrmState) {
        if state != self.state {
            env.log(Level::Info, &format!("status change {} => {state}", self.state));
            self.state = state;
            self.state_since = env.now();
        }
    }

    fn write_status(&mut self, env: &mut dyn LrmEnv) -> bool {
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
    fn look_at_manager(&mut self, env: &mut dyn LrmEnv) -> bool {
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

    fn is_to_be_fenced(&self, env: &dyn LrmEnv) -> bool {
        let node = env.node();
        self.view.fenced_services(node) > 0 || self.view.node_status.get(node) == Some(&NodeState::Fence)
    }

    fn active_services(&self, env: &dyn LrmEnv) -> usize {
        self.view.active_services(env.node())
    }

    /// Is any service assigned here, whatever is wanted of it?
    fn has_service(&self, env: &dyn LrmEnv) -> bool {
        self.view
            .service_status
            .values()
            .any(|status| status.node == env.node())
    }
}
