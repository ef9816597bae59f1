//! Replication as time goes on: each server's pvescheduler, and the runs that it begins and ends.

mod base;
mod removal;
mod run;

pub(crate) use self::run::replicatable;
use super::State;
use crate::world::clock::SimTime;
use crate::world::oplog::What;
use crate::world::replication::jobs::Job;
use crate::world::replication::{Replication, Run, Wanted, schedule};
use crate::world::server::Server;
use crate::world::units::{self, Active};

/// Why a job does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// The guest's lock is held: nothing is written down, and the next pass tries again.
    Locked(String),
    Failed(String),
}

/// Clocks that are less apart, in milliseconds, are one: PVE counts in whole seconds.
const APART_MS: i64 = 2000;

/// What PVE says of a guest's lock that it does not get.
pub(crate) fn no_lock(vmid: u32) -> String {
    format!("can't lock file '/var/lock/pve-manager/pve-migrate-{vmid}' - got timeout")
}

impl Replication {
    /// The server goes: whatever runs ends without a word.
    pub(crate) fn forget_runs(&mut self) {
        self.queue.clear();
        self.run = None;
        self.migrating.clear();
        self.ended.clear();
        for state in self.states.values_mut().flat_map(|jobs| jobs.values_mut()) {
            state.pid = None;
        }
    }
}

impl State {
    pub(super) fn run_replication(&mut self) {
        for index in 0..self.servers.len() {
            let Some(server) = self.get(index) else { continue };
            if server.power.off || !server.spec.is_pve() {
                continue;
            }
            self.end_run_when_due(index);
            if self
                .get(index)
                .is_some_and(|server| self.now >= server.replication.next_tick)
            {
                self.scheduler_looks(index);
            }
            self.begin_next(index);
        }
    }

    /// pvescheduler's round, once a minute, unless the last one is still at it.
    fn scheduler_looks(&mut self, index: usize) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let minutes = now.as_secs() / schedule::TICK.as_secs() + 1;
        server.replication.next_tick = schedule::TICK * u32::try_from(minutes).unwrap_or(u32::MAX);
        let runs = units::active(server, "pvescheduler") == Active::Running && server.pmxcfs.running;
        let replication = &server.replication;
        if !runs || replication.by_hand || replication.run.is_some() || !replication.queue.is_empty() {
            return;
        }
        self.turn_stolen(index);
        let due = self.due(index);
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let pass = server.now().as_second();
        for job in due {
            let states = server.replication.states.entry(job.guest()).or_default();
            states.entry(job.target().to_owned()).or_default().last_iteration = pass;
            server.replication.queue.push_back(Wanted {
                job: job.id,
                in_migration: false,
            });
        }
    }

    /// `pvesr run`: all jobs that are due run one after another. Which ones?
    pub(crate) fn run_due(&mut self, index: usize) -> Vec<String> {
        self.turn_stolen(index);
        let due: Vec<String> = self.due(index).into_iter().map(|job| job.id).collect();
        for id in &due {
            self.want_run(index, id);
        }
        due
    }

    /// Jobs that are to run now, in PVE's order.
    fn due(&self, index: usize) -> Vec<Job> {
        let Some(server) = self.get(index) else {
            return Vec::new();
        };
        let mut due: Vec<((i64, SimTime, u32, u32), Job)> = own_jobs(server)
            .into_iter()
            .filter_map(|job| {
                let at = self.next_run(index, &job).filter(|at| *at <= self.now)?;
                let states = server.replication.states.get(&job.guest());
                let state = states.and_then(|states| states.get(job.target()));
                let last = state.map_or(0, |state| state.last_iteration);
                Some(((last, at, job.guest(), job.number()), job))
            })
            .collect();
        due.sort_by_key(|(order, _)| *order);
        due.into_iter().map(|(_, job)| job).collect()
    }

    /// When a job runs by itself next, by the world's clock.
    pub(crate) fn next_run(&self, index: usize, job: &Job) -> Option<SimTime> {
        let server = self.get(index)?;
        let states = server.replication.states.get(&job.guest());
        let online = is_online(server, job.target());
        schedule::next(job, states.and_then(|states| states.get(job.target())), online)
    }

    /// Jobs of guests that came here without a migration are turned round. A mere look at the jobs does it, too.
    pub(crate) fn turn_stolen(&mut self, index: usize) {
        let Some(server) = self.get(index) else { return };
        let name = server.name().to_owned();
        let turned: Vec<Job> = own_jobs(server)
            .into_iter()
            .filter(|job| job.get("source") != Some(&name))
            .collect();
        let mut guests: Vec<u32> = turned.iter().map(Job::guest).collect();
        guests.dedup();
        for vmid in guests {
            if self
                .write(index, |replica| replica.turn_jobs(vmid, &name, None))
                .is_err()
            {
                continue;
            }
            for job in turned.iter().filter(|job| job.guest() == vmid && job.target() == name) {
                let source = job.get("source").unwrap_or("nowhere").to_owned();
                self.note(
                    Some(index),
                    What::ReplicationReversed,
                    format!("{} to {source}", job.id),
                );
            }
        }
    }

    /// When a run begins by the server's clock: later than every earlier one of its job, even where the lab is so fast that its seconds are minutes.
    /// But a server whose clock is behind that of the one which sent the guest here has the time that it has: PVE refuses the run then.
    fn fresh_start(&self, index: usize, job: &Job) -> i64 {
        let Some(server) = self.get(index) else { return 0 };
        let now = server.now().as_second();
        let states = server.replication.states.get(&job.guest());
        let Some(state) = states.and_then(|states| states.get(job.target())) else {
            return now;
        };
        let by = self.find(&state.synced_by).and_then(|by| self.get(by));
        let behind = by.map_or(0, |by| by.clock_offset_ms - server.clock_offset_ms);
        if behind > APART_MS && now <= state.last_sync {
            return now;
        }
        now.max(state.last_try.max(state.last_sync) + 1)
    }

    fn begin_next(&mut self, index: usize) {
        loop {
            let Some(server) = self.servers.get_mut(index) else {
                return;
            };
            if server.replication.run.is_some() {
                return;
            }
            let Some(wanted) = server.replication.queue.pop_front() else {
                return;
            };
            let began = self.begin_run(index, &wanted);
            let Some(server) = self.servers.get_mut(index) else {
                return;
            };
            match began {
                Ok(run) => server.replication.run = Some(run),
                Err(fault) => {
                    let why = match fault {
                        Fault::Locked(why) => why,
                        Fault::Failed(why) => {
                            self.note_failure(index, &wanted.job, &why);
                            why
                        }
                    };
                    self.ended(index, &wanted.job, Err(why));
                }
            }
        }
    }

    fn end_run_when_due(&mut self, index: usize) {
        let now = self.now;
        let Some(run) = self.get(index).and_then(|server| server.replication.run.clone()) else {
            return;
        };
        let lost = !run.removes && !self.reaches(index, run.target);
        if now < run.ends && !lost {
            return;
        }
        if let Some(server) = self.servers.get_mut(index) {
            server.replication.run = None;
        }
        let job = run.job.clone();
        let ended = if lost {
            Err(broken_pipe(&run))
        } else {
            self.finish_run(index, &run)
        };
        if let Err(why) = &ended {
            self.note_failure(index, &job, why);
        }
        self.ended(index, &job, ended);
    }

    fn ended(&mut self, index: usize, job: &str, result: Result<(), String>) {
        if let Some(server) = self.servers.get_mut(index) {
            server.replication.ended.insert(job.to_owned(), result);
        }
    }

    /// A job shall run as soon as the ones before it are done, whatever its schedule says.
    pub(crate) fn want_run(&mut self, index: usize, job: &str) {
        if let Some(server) = self.servers.get_mut(index) {
            server.replication.ended.remove(job);
            server.replication.queue.push_back(Wanted {
                job: job.to_owned(),
                in_migration: false,
            });
        }
    }

    /// How a run that was wanted ended, once it has.
    pub(crate) fn run_ended(&mut self, index: usize, job: &str) -> Option<Result<(), String>> {
        self.servers.get_mut(index)?.replication.ended.remove(job)
    }

    /// The job of a guest that leads to a server.
    pub(crate) fn job_to(&self, index: usize, vmid: u32, target: &str) -> Option<Job> {
        let jobs = self.get(index)?.pmxcfs.replica.jobs();
        jobs.into_iter()
            .find(|job| job.guest() == vmid && job.target() == target)
    }

    /// A migration brings the copy on its target up to date: the job runs at once, within the guest's lock.
    pub(super) fn replicate_now(&mut self, vmid: u32, index: usize, target: &str) -> Result<(), String> {
        let running = self.get(index).and_then(|server| server.replication.run.as_ref());
        if running.is_some_and(|run| run.vmid == vmid) {
            return Err(no_lock(vmid));
        }
        let Some(job) = self.job_to(index, vmid, target) else {
            return Ok(());
        };
        let wanted = Wanted {
            job: job.id.clone(),
            in_migration: true,
        };
        let ended = match self.begin_run(index, &wanted) {
            Ok(run) => self.finish_run(index, &run),
            Err(Fault::Locked(why) | Fault::Failed(why)) => Err(why),
        };
        if let Err(why) = &ended {
            self.note_failure(index, &job.id, why);
        }
        ended
    }

    /// A run failed: counted, and kept with its words.
    fn note_failure(&mut self, index: usize, id: &str, why: &str) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let Some(job) = server.pmxcfs.replica.job(id) else {
            return;
        };
        server.replication_log(id, false, &format!("end replication job with error: {why}"));
        let states = server.replication.states.entry(job.guest()).or_default();
        let state = states.entry(job.target().to_owned()).or_default();
        state.pid = None;
        state.fail_count += 1;
        state.tried_at.get_or_insert(now);
        state.error = Some(why.to_owned());
        server.keep_replication();
        let target = job.target();
        self.note(Some(index), What::ReplicationFailed, format!("{id} to {target}: {why}"));
    }
}

/// Jobs of guests that are on this server, and that have a disk at all: of the others nobody could tell how a run went.
pub(crate) fn own_jobs(server: &Server) -> Vec<Job> {
    let jobs = server.pmxcfs.replica.jobs().into_iter();
    jobs.filter(|job| {
        server
            .guest(job.guest())
            .is_some_and(|guest| !guest.drives().is_empty())
    })
    .collect()
}

/// Is it a member that this server sees?
pub(crate) fn is_online(server: &Server, node: &str) -> bool {
    let view = server.pmxcfs.view.as_ref().filter(|_| server.pmxcfs.clustered);
    view.is_some_and(|view| view.nodes.iter().any(|known| known.name == node && known.online))
}

fn broken_pipe(run: &Run) -> String {
    let volid = run.steps.first().map_or("", |step| step.volid.as_str());
    format!("command 'set -o pipefail && pvesm export {volid} zfs - -with-snapshots 1' failed: exit code 255")
}
