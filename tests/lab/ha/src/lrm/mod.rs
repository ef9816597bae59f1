//! The LRM, one on each node: it keeps the services the master gave it, as long as it has its lock and its watchdog is content
//! (`PVE::HA::LRM`).

mod agent;
mod shutdown;
mod turns;
mod view;
mod workers;

use std::collections::BTreeMap;

use crate::constants::{ACTIVE_ROUND, IDLE_REST, LOCK_RETRY, LOCK_TRIES, WORKER_BUDGET};
use crate::crm::rest_of;
use crate::env::{LrmEnv, Next};
use crate::log::Level;
use crate::model::{LrmMode, LrmResult, LrmState, ManagerStatus, Seconds, Sid};
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

    pub(super) fn work(&mut self, env: &mut dyn LrmEnv) -> Next {
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

    /// Ends the self-fencing; never while a service runs.
    pub(super) fn leave_watchdog(&mut self, env: &mut dyn LrmEnv) {
        if let Some(id) = self.watchdog.take() {
            env.watchdog_close(id);
        }
    }

    pub(super) fn set_state(&mut self, env: &mut dyn LrmEnv, state: LrmState) {
        if state != self.state {
            env.log(Level::Info, &format!("status change {} => {state}", self.state));
            self.state = state;
            self.state_since = env.now();
        }
    }
}
