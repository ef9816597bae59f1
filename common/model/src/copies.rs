//! How a guest's copy on another server stands: what its job promises beside what happened. PVE's back-off breaks the promise silently: after
//! failures it tries again only every 5, 10, 15, then 30 minutes, whatever the schedule says.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::held::Held;
use crate::observation::replication::{ReplicationJob, ReplicationState, TICK};
use crate::time::Timestamp;

/// How a copy stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyState {
    /// The last run succeeded, and the copy is as young as its schedule promises.
    Fresh,
    /// It is being brought up to date now.
    Syncing,
    /// No run has succeeded on the guest's present owner. A copy of an earlier time may be there, as after a recovery: PVE keeps nothing of
    /// it here.
    Never,
    /// The last run succeeded, and yet the copy is older than its schedule promises: runs take too long, or nobody starts them.
    Late,
    /// The last runs failed. Times are by the owner's clock.
    Failing {
        /// Why.
        error: String,
        /// How many runs.
        failures: u32,
        /// When PVE tries again, if the target is online then; `None`: that can't be told.
        retry_at: Option<Timestamp>,
        /// How old the copy will be by then.
        age_then: Option<Duration>,
    },
    /// Its job is switched off.
    Off,
    /// After a recovery its job was switched off by our agent: what the server that was lost wrote last is there, until somebody decides.
    Held(Held),
    /// Its job is to be removed by the owner's scheduler.
    Leaving,
    /// The guest is owned by another server than the job says: PVE turns the job round when its scheduler next looks.
    Turning,
}

/// The oldest that a copy gets while all goes well: the schedule's longest gap, the minute until pvescheduler looks, and a run's duration.
/// The copy is as old as the beginning of the run that made it. `None`: the schedule does not repeat within a week.
#[must_use]
pub fn promised(job: &ReplicationJob, took: Option<Duration>) -> Option<Duration> {
    Some(job.interval().ok()? + TICK + took.unwrap_or_default())
}

/// Judges a job whose guest this server owns. `state`: what the owner's scheduler keeps of it; `now`: by the owner's clock.
#[must_use]
pub fn judge(job: &ReplicationJob, owner: &str, state: Option<&ReplicationState>, now: Timestamp) -> CopyState {
    if job.removal.is_some() {
        return CopyState::Leaving;
    }
    if let Some(held) = job.held() {
        return CopyState::Held(held);
    }
    let elsewhere = job.source.as_ref().is_some_and(|source| source != owner);
    if elsewhere || job.target == owner {
        return CopyState::Turning;
    }
    if job.disabled {
        return CopyState::Off;
    }
    let Some(state) = state else {
        return CopyState::Never;
    };
    if state.running {
        return CopyState::Syncing;
    }
    if state.failures > 0 || state.error.is_some() {
        return CopyState::Failing {
            error: state.error.clone().unwrap_or_else(|| "PVE kept no reason".to_owned()),
            failures: state.failures,
            retry_at: state.retry_at(),
            age_then: state.age_at_retry(),
        };
    }
    let took = state.took_millis.map(Duration::from_millis);
    match (state.last_sync, promised(job, took)) {
        (None, _) => CopyState::Never,
        (Some(at), Some(promised)) if at.age(now) > promised => CopyState::Late,
        (Some(_), _) => CopyState::Fresh,
    }
}

/// How a copy keeps to the age that is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeping {
    /// It is younger, and will be made anew in time.
    InTime,
    /// It is younger, and will be older before it is made anew.
    Ageing(Age),
    /// It is older.
    TooOld(Age),
    /// No run has succeeded on the guest's owner: how old a copy is, or whether there is one, is not known.
    NotMade,
    /// Nothing is asked of it: its job is switched off, is held until somebody decides, is to go, or is about to be turned round.
    AtRest,
}

/// The age of a copy, and what it comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Age {
    /// How old it is.
    pub now: Duration,
    /// The oldest that it may be: the wanted time from one run to the next, the minute until pvescheduler looks, and a run.
    pub most: Duration,
    /// When PVE tries again after a run that failed, by the owner's clock; `None`: the schedule says when.
    pub retry_at: Option<Timestamp>,
    /// How old it will be when the next run has ended, at the least; `None`: nobody can say, since its server is not online, or its
    /// schedule does not repeat within a week.
    pub then: Option<Duration>,
}

/// Judges a job's copy by the time that is wanted from one run to the next, before it is too old. The job's own schedule may be another one:
/// what is wanted is the cluster file's, where there is one. `online`: is the server of the copy a member that is online? PVE tries again
/// after a failure only while it is.
#[must_use]
pub fn keeping(
    job: &ReplicationJob,
    (owner, state): (&str, Option<&ReplicationState>),
    (wanted, online): (Duration, bool),
    now: Timestamp,
) -> Keeping {
    let stands = judge(job, owner, state, now);
    if matches!(
        stands,
        CopyState::Off | CopyState::Held(_) | CopyState::Leaving | CopyState::Turning
    ) {
        return Keeping::AtRest;
    }
    let (Some(state), Some(at)) = (state, state.and_then(|state| state.last_sync)) else {
        return Keeping::NotMade;
    };
    let took = state.took_millis.map(Duration::from_millis).unwrap_or_default();
    let most = wanted + TICK + took;
    let retry_at = state.retry_at();
    let then = match retry_at {
        _ if !online => None,
        Some(retry) => state.age_at_retry().map(|age| age.max(at.age(now.max(retry))) + took),
        None => promised(job, Some(took)),
    };
    let age = Age {
        now: at.age(now),
        most,
        retry_at,
        then,
    };
    // While it is being made anew, it is as old as it is, and what the run comes to is seen in a moment.
    let in_time = stands == CopyState::Syncing || then.is_some_and(|then| then <= most);
    if age.now > most {
        Keeping::TooOld(age)
    } else if in_time || (online && retry_at.is_none() && then.is_none()) {
        Keeping::InTime
    } else {
        Keeping::Ageing(age)
    }
}

impl CopyState {
    /// Is the guest protected by it as its schedule promises?
    #[must_use]
    pub fn is_fine(&self) -> bool {
        matches!(self, Self::Fresh | Self::Syncing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(10_000_000_000);

    fn job() -> ReplicationJob {
        ReplicationJob {
            schedule: "*/5".to_owned(),
            source: Some("prox1".to_owned()),
            ..ReplicationJob::of("100-0", 100, "prox2")
        }
    }

    /// Synchronised so many seconds ago.
    fn state(ago: i64) -> ReplicationState {
        let at = Some(Timestamp(NOW.0 - ago * 1_000_000));
        ReplicationState {
            guest: 100,
            target: "prox2".to_owned(),
            last_sync: at,
            last_try: at,
            failures: 0,
            took_millis: Some(20_000),
            error: None,
            running: false,
            held_since: None,
        }
    }

    fn judged(job: &ReplicationJob, state: &ReplicationState) -> CopyState {
        judge(job, "prox1", Some(state), NOW)
    }

    #[test]
    fn a_copy_may_be_as_old_as_schedule_tick_and_run_together() {
        assert_eq!(
            promised(&job(), Some(Duration::from_secs(20))),
            Some(Duration::from_secs(300 + 60 + 20))
        );
        assert_eq!(judged(&job(), &state(380)), CopyState::Fresh);
        assert_eq!(judged(&job(), &state(381)), CopyState::Late);
        let monthly = ReplicationJob {
            schedule: "monthly".to_owned(),
            ..job()
        };
        assert_eq!(
            judged(&monthly, &state(9_000)),
            CopyState::Fresh,
            "nothing is promised within a week"
        );
    }

    #[test]
    fn a_job_that_fails_says_when_pve_tries_again() {
        let failing = ReplicationState {
            last_try: Some(Timestamp(NOW.0 - 60_000_000)),
            failures: 4,
            error: Some("no route".to_owned()),
            ..state(3_000)
        };
        let without_words = ReplicationState {
            error: None,
            ..failing.clone()
        };
        assert!(!judged(&job(), &without_words).is_fine());
        let CopyState::Failing { retry_at, age_then, .. } = judged(&job(), &failing) else {
            panic!("it fails");
        };
        assert_eq!(retry_at, Some(Timestamp(NOW.0 + (1800 - 60) * 1_000_000)));
        assert_eq!(age_then, Some(Duration::from_secs(3_000 - 60 + 1_800)));
    }

    fn kept(job: &ReplicationJob, state: &ReplicationState, online: bool) -> Keeping {
        let five = Duration::from_secs(300);
        keeping(job, ("prox1", Some(state)), (five, online), NOW)
    }

    #[test]
    fn that_a_copy_gets_too_old_is_told_before_it_is() {
        assert_eq!(kept(&job(), &state(290), true), Keeping::InTime);
        // Its first run failed a minute ago: it is tried again after five.
        let failed = ReplicationState {
            last_try: Some(Timestamp(NOW.0 - 60_000_000)),
            failures: 1,
            error: Some("no route".to_owned()),
            ..state(360)
        };
        let Keeping::Ageing(age) = kept(&job(), &failed, true) else {
            panic!("it will be too old");
        };
        assert_eq!((age.now.as_secs(), age.most.as_secs()), (360, 380));
        assert_eq!(age.retry_at, Some(Timestamp(NOW.0 + 240_000_000)));
        assert_eq!(age.then, Some(Duration::from_secs(360 + 240 + 20)));
        let gone = kept(&job(), &failed, false);
        assert!(
            matches!(&gone, Keeping::Ageing(age) if age.then.is_none()),
            "nothing is tried: {gone:?}"
        );
        let later = ReplicationState {
            last_sync: state(381).last_sync,
            ..failed.clone()
        };
        assert!(matches!(kept(&job(), &later, true), Keeping::TooOld(_)));
        // A failure long before the wanted time is over does no harm.
        let daily = Duration::from_secs(86_400);
        let kept_daily = keeping(&job(), ("prox1", Some(&failed)), (daily, true), NOW);
        assert_eq!(kept_daily, Keeping::InTime);
    }

    #[test]
    fn a_job_that_runs_less_often_than_is_wanted_can_not_keep_to_it() {
        let quarter = ReplicationJob {
            schedule: "*/15".to_owned(),
            ..job()
        };
        assert!(matches!(kept(&quarter, &state(10), true), Keeping::Ageing(age) if age.retry_at.is_none()));
        let monthly = ReplicationJob {
            schedule: "monthly".to_owned(),
            ..job()
        };
        assert_eq!(kept(&monthly, &state(10), true), Keeping::InTime, "that can't be told");
        let running = ReplicationState {
            running: true,
            ..state(390)
        };
        assert!(
            matches!(kept(&job(), &running, true), Keeping::TooOld(_)),
            "until it has ended"
        );
    }

    #[test]
    fn what_was_never_made_is_not_young_and_what_nobody_wants_is_let_be() {
        let never = ReplicationState {
            last_sync: None,
            ..state(0)
        };
        assert_eq!(kept(&job(), &never, true), Keeping::NotMade);
        let off = ReplicationJob {
            disabled: true,
            ..job()
        };
        assert_eq!(kept(&off, &state(9_000), true), Keeping::AtRest);
        let held = ReplicationJob {
            comment: Some(Held::now("prox2", NOW).comment()),
            ..off
        };
        assert_eq!(kept(&held, &never, true), Keeping::AtRest);
        assert_eq!(kept(&held, &state(9_000), true), Keeping::AtRest);
    }

    #[test]
    fn what_does_not_run() {
        assert_eq!(judge(&job(), "prox1", None, NOW), CopyState::Never);
        let never = ReplicationState {
            last_sync: None,
            ..state(0)
        };
        assert_eq!(judged(&job(), &never), CopyState::Never);
        let off = ReplicationJob {
            disabled: true,
            ..job()
        };
        assert_eq!(judged(&off, &state(1)), CopyState::Off);
        let held = Held::now("prox2", NOW);
        let kept = ReplicationJob {
            comment: Some(held.comment()),
            ..off.clone()
        };
        assert_eq!(judged(&kept, &state(1)), CopyState::Held(held.clone()));
        assert_eq!(
            judge(&kept, "prox2", None, NOW),
            CopyState::Held(held),
            "and also before PVE has turned the job round"
        );
        let going = ReplicationJob {
            removal: Some("full".to_owned()),
            ..off
        };
        assert_eq!(judged(&going, &state(1)), CopyState::Leaving);
        assert_eq!(
            judge(&job(), "prox2", None, NOW),
            CopyState::Turning,
            "recovered where its copy was"
        );
        assert_eq!(
            judge(&job(), "prox3", None, NOW),
            CopyState::Turning,
            "recovered elsewhere"
        );
    }
}
