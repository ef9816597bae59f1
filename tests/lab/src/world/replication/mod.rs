//! Storage replication: its jobs in replication.cfg, and what a server keeps of how they went.
//!
//! Source: pve-guest-common ReplicationConfig.pm, ReplicationState.pm, Replication.pm; pve-manager Service/pvescheduler.pm.

pub(crate) mod file;
pub(crate) mod jobs;
pub(crate) mod schedule;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::clock::SimTime;
use super::volumes::Snapshot;

/// What one server has to do with replication.
#[derive(Debug, Default)]
pub(crate) struct Replication {
    /// How jobs of guests went here, by guest and target. It stays when the guest goes.
    pub(crate) states: BTreeMap<u32, BTreeMap<String, JobState>>,
    /// What the state file says was written by somebody else: the scheduler stands still, so that it stays.
    pub(crate) by_hand: bool,
    /// When the scheduler looks next.
    pub(crate) next_tick: SimTime,
    /// Jobs that wait for the one that runs.
    pub(crate) queue: VecDeque<Wanted>,
    pub(crate) run: Option<Run>,
    /// How the last run of each job ended, for who waits for it.
    pub(crate) ended: BTreeMap<String, Result<(), String>>,
    /// Guests whose lock `pve-migrate-ID` is held by a migration.
    pub(crate) migrating: BTreeSet<u32>,
}

/// A job that shall run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) job: String,
    /// By whoever holds the guest's lock already.
    pub(crate) in_migration: bool,
}

/// How a job went on this server. Times in seconds since 1970 by its clock, 0: never.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct JobState {
    pub(crate) last_iteration: i64,
    pub(crate) last_try: i64,
    pub(crate) last_sync: i64,
    pub(crate) fail_count: u32,
    /// Seconds.
    pub(crate) duration: f64,
    pub(crate) last_node: String,
    /// By whose clock `last_sync` is. Not in PVE's file.
    pub(crate) synced_by: String,
    pub(crate) storages: Vec<String>,
    pub(crate) error: Option<String>,
    pub(crate) pid: Option<u32>,
    /// The last try by the world's clock: schedules and back-off are durations.
    pub(crate) tried_at: Option<SimTime>,
}

/// A run under way: the snapshots are made, data goes over until it ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) job: String,
    pub(crate) vmid: u32,
    pub(crate) target: usize,
    /// It removes the job.
    pub(crate) removes: bool,
    /// Its name is in the snapshots' ones.
    pub(crate) start: i64,
    pub(crate) began: SimTime,
    pub(crate) ends: SimTime,
    pub(crate) in_migration: bool,
    pub(crate) steps: Vec<Step>,
}

/// One volume of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) dataset: String,
    pub(crate) volid: String,
    /// The snapshot that both sides have; nothing: all of it is sent.
    pub(crate) base: Option<Snapshot>,
    pub(crate) fresh: Snapshot,
}

/// The snapshots of a job are called so.
pub(crate) fn prefix(job: &str) -> String {
    format!("__replicate_{job}_")
}

/// That of one run.
pub(crate) fn snapshot_name(job: &str, start: i64) -> String {
    format!("{}{start}__", prefix(job))
}
