//! Storage replication: which guests are copied where, and how the copying of a node's own guests goes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::calendar::{Calendar, NotWeekly};
use crate::held::Held;
use crate::time::Timestamp;

/// What PVE takes where a job has no `schedule`.
pub const DEFAULT_SCHEDULE: &str = "*/15";

/// pvescheduler looks once a minute for what is due.
pub const TICK: Duration = Duration::from_secs(60);

/// A replication job of the cluster. Source: a section of /etc/pve/replication.cfg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationJob {
    /// Such as `100-0`.
    pub id: String,
    /// The guest.
    pub guest: u32,
    /// The node that gets the copy (`target`).
    pub target: String,
    /// The node that owned the guest when PVE looked last (`source`); after a failover it lags behind the guest's owner until PVE turns the
    /// job round.
    #[serde(default)]
    pub source: Option<String>,
    /// When it runs (`schedule`), as written; PVE takes `*/15` where nothing is.
    #[serde(default = "default_schedule")]
    pub schedule: String,
    /// The most that it sends (`rate`), in MB/s as written; `None`: as much as it can.
    #[serde(default)]
    pub rate: Option<String>,
    /// It is switched off (`disable`).
    #[serde(default)]
    pub disabled: bool,
    /// It is to be removed, with all copies (`full`) or its own snapshots only (`local`), which the owner's scheduler does (`remove_job`).
    #[serde(default)]
    pub removal: Option<String>,
    /// What people, or we, say of it (`comment`).
    #[serde(default)]
    pub comment: Option<String>,
}

fn default_schedule() -> String {
    DEFAULT_SCHEDULE.to_owned()
}

impl ReplicationJob {
    /// A job as PVE takes it where nothing but this is said of it.
    #[must_use]
    pub fn of(id: impl Into<String>, guest: u32, target: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            guest,
            target: target.into(),
            source: None,
            schedule: default_schedule(),
            rate: None,
            disabled: false,
            removal: None,
            comment: None,
        }
    }

    /// The node at its other end, seen from the guest's owner; `None`: the owner gets the copy itself, and from where is not written. After a failover
    /// and a migration PVE turns the job round, or gives it another source: its two ends say where the copies are, not its direction.
    #[must_use]
    pub fn other_end(&self, owner: &str) -> Option<&str> {
        if self.target == owner {
            self.source.as_deref().filter(|source| *source != owner)
        } else {
            Some(&self.target)
        }
    }

    /// The copy at its other end that is held until somebody decides: our agent switched the job off after a recovery, and its comment says so. A job
    /// that was switched on again is none: that was the decision.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        let off = self.disabled && self.removal.is_none();
        self.comment.as_deref().filter(|_| off).and_then(Held::of_comment)
    }

    /// Does it keep what this server wrote to this guest before it was lost? Whatever copies the guest there overwrites that.
    #[must_use]
    pub fn keeps_on(&self, guest: u32, node: &str) -> bool {
        self.guest == guest && self.held().is_some_and(|held| held.node == node)
    }

    /// How old a copy gets by the schedule alone: the longest time from one run to the next.
    ///
    /// # Errors
    /// The schedule does not repeat within a week, or is none.
    pub fn interval(&self) -> Result<Duration, NotWeekly> {
        self.schedule.parse::<Calendar>().map(|calendar| calendar.longest_gap())
    }
}

/// How a job of one of the node's own guests went. Source: /var/lib/pve-manager/pve-replication-state.json, which the owner's scheduler
/// writes. It is read as a file: asking PVE (`pvesr status`) turns jobs round after a failover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationState {
    /// The guest.
    pub guest: u32,
    /// The node that gets the copy.
    pub target: String,
    /// When the last run began that succeeded (`last_sync`): so old is the copy. `None`: none ever did here.
    pub last_sync: Option<Timestamp>,
    /// When the last run began (`last_try`); `None`: none ever did, or it was put forward.
    pub last_try: Option<Timestamp>,
    /// How many runs have failed since (`fail_count`).
    pub failures: u32,
    /// How long the last run took, in milliseconds (`duration`).
    pub took_millis: Option<u64>,
    /// Why the last run failed (`error`).
    pub error: Option<String>,
    /// It runs now: `pid` is written, and a process of that id which began then (`ptime`) is there.
    pub running: bool,
    /// The copy on the target is held until somebody decides, since then: see [`ReplicationJob::held`]. Source: the job's comment in
    /// /etc/pve/replication.cfg, told here so that health has it without all of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_since: Option<Timestamp>,
}

impl ReplicationState {
    /// Nothing is known of how it went.
    #[must_use]
    pub fn of(guest: u32, target: impl Into<String>) -> Self {
        Self {
            guest,
            target: target.into(),
            last_sync: None,
            last_try: None,
            failures: 0,
            took_millis: None,
            error: None,
            running: false,
            held_since: None,
        }
    }

    /// When PVE tries again after a run that failed: after 5, 10, 15, then always 30 minutes, and only while the target is a member that is
    /// online. `None`: the last run succeeded, and the schedule holds. Source: pve-guest-common ReplicationState.pm (`job_status`).
    #[must_use]
    pub fn retry_at(&self) -> Option<Timestamp> {
        let minutes = match self.failures {
            0 => return None,
            n @ 1..=3 => 5 * i64::from(n),
            _ => 30,
        };
        Some(Timestamp(self.last_try?.0 + minutes * 60_000_000))
    }

    /// How old the copy will be, at the least, when the next run that may succeed has begun: the time from the last success to the retry.
    #[must_use]
    pub fn age_at_retry(&self) -> Option<Duration> {
        let micros = self.retry_at()?.0 - self.last_sync?.0;
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(failures: u32) -> ReplicationState {
        ReplicationState {
            guest: 100,
            target: "prox2".to_owned(),
            last_sync: Some(Timestamp::from_seconds(1000)),
            last_try: Some(Timestamp::from_seconds(1300)),
            failures,
            took_millis: None,
            error: None,
            running: false,
            held_since: None,
        }
    }

    #[test]
    fn pve_tries_again_later_and_later() {
        let minutes = |failures: u32| {
            let at = state(failures).retry_at()?;
            Some((at.0 / 1_000_000 - 1300) / 60)
        };
        let all: Vec<_> = (0..6).map(minutes).collect();
        assert_eq!(all, [None, Some(5), Some(10), Some(15), Some(30), Some(30)]);
        assert_eq!(state(1).age_at_retry(), Some(Duration::from_secs(600)));
    }

    #[test]
    fn a_copy_is_held_while_its_job_is_off_and_says_so() {
        let held = Held::now("prox1", Timestamp(0));
        let mut job = ReplicationJob {
            comment: Some(held.comment()),
            disabled: true,
            ..ReplicationJob::of("100-0", 100, "prox1")
        };
        assert_eq!(job.held(), Some(held));
        job.disabled = false;
        assert_eq!(job.held(), None, "somebody decided");
        job.disabled = true;
        job.comment = Some("quorate hold".to_owned());
        assert_eq!(job.held(), None, "somebody else switched it off");
    }

    #[test]
    fn a_job_without_a_schedule_runs_each_quarter_of_an_hour() {
        let job: ReplicationJob = serde_json::from_str(r#"{"id":"100-0","guest":100,"target":"prox2"}"#).unwrap();
        assert_eq!(job.interval(), Ok(Duration::from_secs(15 * 60)));
    }
}
