//! Workers: one for each service that something is to be done to (`PVE::HA::LRM`).

use std::collections::BTreeSet;

use super::Lrm;
use super::agent::{self, Begun};
use crate::env::{Act, CfsError, LrmEnv};
use crate::log::Level;
use crate::model::{Exit, LrmResult, Seconds, ServiceState, Sid};

/// What is to be done to one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Worker {
    /// Which request it is; nothing for a stop because the node goes down.
    pub(super) uid: Option<String>,
    /// The state it is to bring about.
    pub(super) state: ServiceState,
    /// Where to, for a move.
    pub(super) target: Option<String>,
    /// How long, for a stop.
    pub(super) timeout: Option<Seconds>,
    /// It was passed over so often for want of a place.
    tries: u32,
    /// What it does, once it does something.
    act: Option<Act>,
}

impl Worker {
    pub(super) fn is_going(&self) -> bool {
        self.act.is_some()
    }
}

impl Lrm {
    /// Queues what the master wants of the services here.
    pub(super) fn queue_services(&mut self, env: &dyn LrmEnv) {
        self.restart_tries
            .retain(|sid, _| self.view.service_status.contains_key(sid));
        for (sid, status) in self.view.service_status.clone() {
            let untouched = matches!(
                status.state,
                // The master has not placed it yet, or it is not to be touched.
                ServiceState::Recovery | ServiceState::Freeze | ServiceState::RequestStart
            );
            let Some(uid) = status.uid.filter(|_| status.node == env.node() && !untouched) else {
                continue;
            };
            // What was answered is not done again before the master has read the answer. To keep something stopped is asked and
            // done again and again, even without a master.
            if status.state != ServiceState::Stopped && self.results.contains_key(&uid) {
                continue;
            }
            self.queue(
                &sid,
                Worker {
                    uid: Some(uid),
                    state: status.state,
                    target: status.target,
                    timeout: status.timeout,
                    tries: 0,
                    act: None,
                },
            );
        }
    }

    /// Queues the stop of a service because the node goes down.
    pub(super) fn queue_stop(&mut self, sid: &Sid) {
        self.queue(
            sid,
            Worker {
                uid: None,
                state: ServiceState::RequestStop,
                target: None,
                timeout: None,
                tries: 0,
                act: None,
            },
        );
    }

    fn queue(&mut self, sid: &Sid, worker: Worker) {
        if !self.workers.get(sid).is_some_and(Worker::is_going) {
            self.workers.insert(sid.clone(), worker);
        }
    }

    /// Looks after those that are at work, and lets others begin, the longest passed over first.
    pub(super) fn run_workers(&mut self, env: &mut dyn LrmEnv) -> Result<(), CfsError> {
        if self.workers.is_empty() {
            return Ok(());
        }
        let services = env.services()?.all;
        let max_restart = |sid: &Sid| services.get(sid).map_or(0, |service| service.max_restart);
        let going: Vec<(Sid, Act)> = self
            .workers
            .iter()
            .filter_map(|(sid, worker)| Some((sid.clone(), worker.act.clone()?)))
            .collect();
        for (sid, act) in going {
            let progress = env.progress(&sid);
            if let Some(exit) = agent::end(env, &sid, &act, progress) {
                self.finished(env, &sid, exit, max_restart(&sid));
            }
        }
        let mut waiting: Vec<(Sid, u32)> = self
            .workers
            .iter()
            .filter(|(_, worker)| !worker.is_going())
            .map(|(sid, worker)| (sid.clone(), worker.tries))
            .collect();
        waiting.sort_by(|(a, a_tries), (b, b_tries)| b_tries.cmp(a_tries).then(a.cmp(b)));
        for (sid, _) in waiting {
            let places = env
                .max_workers()
                .saturating_sub(self.workers.values().filter(|w| w.is_going()).count());
            let Some(worker) = self.workers.get_mut(&sid) else {
                continue;
            };
            worker.tries += 1;
            if places == 0 {
                continue;
            }
            match agent::begin(env, &sid, services.get(&sid), worker) {
                Begun::Ended(exit) => self.finished(env, &sid, exit, max_restart(&sid)),
                Begun::Going(act) => worker.act = Some(act),
            }
        }
        Ok(())
    }

    fn finished(&mut self, env: &mut dyn LrmEnv, sid: &Sid, exit: Exit, max_restart: u32) {
        let Some(worker) = self.workers.remove(sid) else { return };
        if exit == Exit::NotRun {
            let line = format!("resource agent {sid} finished - failed to execute");
            env.log(Level::Error, &line);
        }
        let Some(uid) = worker.uid else {
            if exit != Exit::Success {
                self.shutdown_errors += 1;
            }
            return;
        };
        let exit_code = match worker.state {
            ServiceState::Started => self.count_start(env, sid, exit, max_restart),
            _ => exit,
        };
        if exit_code == Exit::TryAgain {
            return;
        }
        let result = LrmResult {
            sid: sid.clone(),
            state: worker.state,
            exit_code,
        };
        self.results.insert(uid, result);
        let valid: BTreeSet<&String> = self
            .view
            .service_status
            .values()
            .filter_map(|s| s.uid.as_ref())
            .collect();
        self.results.retain(|uid, _| valid.contains(uid));
    }

    /// The restart policy: a start that failed is tried here again, so often, before the master hears of it.
    fn count_start(&mut self, env: &mut dyn LrmEnv, sid: &Sid, exit: Exit, max_restart: u32) -> Exit {
        match exit {
            Exit::Success => {
                self.restart_tries.insert(sid.clone(), 0);
                exit
            }
            Exit::Error => {
                let tries = self.restart_tries.entry(sid.clone()).or_insert(0);
                if *tries >= max_restart {
                    let line = format!("unable to start service {sid} on local node after {tries} retries");
                    env.log(Level::Error, &line);
                    *tries = 0;
                    return Exit::Error;
                }
                *tries += 1;
                let line = format!("restart policy: retry number {tries} for service '{sid}'");
                env.log(Level::Warning, &line);
                Exit::TryAgain
            }
            _ => exit,
        }
    }
}
