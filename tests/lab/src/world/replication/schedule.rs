//! When a job runs next.

use std::time::Duration;

use super::JobState;
use super::jobs::Job;
use crate::world::clock::SimTime;

/// pvescheduler looks so often.
pub(crate) const TICK: Duration = Duration::from_secs(60);

const MINUTE: u64 = 60;

/// How far the events of a calendar event are apart. The lab knows those with a step, and the words; of others it takes a day
/// where they name an hour, and an hour where not.
pub(crate) fn every(schedule: &str) -> Duration {
    let minutes = match schedule.trim() {
        "*" | "*/1" | "*:*" | "minutely" => 1,
        "hourly" => 60,
        "daily" => 24 * 60,
        "weekly" => 7 * 24 * 60,
        other => match other.rsplit_once('/') {
            Some((before, step)) => {
                let hours =
                    before.contains(':') && !before.rsplit(':').next().unwrap_or_default().starts_with(['*', '0']);
                let step: u64 = step.trim().parse().unwrap_or(15).max(1);
                if hours { step * 60 } else { step }
            }
            None if other.contains(':') => 24 * 60,
            None => 60,
        },
    };
    Duration::from_secs(minutes * MINUTE)
}

/// Is it one that PVE takes? As far as the lab can tell: no words that stand nowhere.
pub(crate) fn is_known(schedule: &str) -> bool {
    let words = [
        "minutely", "hourly", "daily", "weekly", "monthly", "yearly", "mon", "tue", "wed", "thu", "fri", "sat", "sun",
    ];
    let parts = schedule
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|part| !part.is_empty());
    let mut parts = parts.map(str::to_ascii_lowercase);
    !schedule.is_empty()
        && schedule.len() <= 128
        && parts.all(|part| words.contains(&part.as_str()))
        && schedule
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " *:/.,-".contains(c))
}

/// When it is to run again, if it is to run by itself at all. `online`: whether its target is a member that is there.
pub(crate) fn next(job: &Job, state: Option<&JobState>, online: bool) -> Option<SimTime> {
    if job.removal().is_some() {
        return Some(SimTime::ZERO);
    }
    if job.disabled() {
        return None;
    }
    let Some((state, tried)) = state.and_then(|state| Some((state, state.tried_at?))) else {
        return Some(SimTime::ZERO);
    };
    if state.fail_count > 0 {
        let minutes = if state.fail_count <= 3 {
            5 * u64::from(state.fail_count)
        } else {
            30
        };
        return online.then(|| tried + Duration::from_secs(minutes * MINUTE));
    }
    let every = every(job.schedule()).as_secs();
    Some(Duration::from_secs((tried.as_secs() / every + 1) * every))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(schedule: &str) -> u64 {
        every(schedule).as_secs() / MINUTE
    }

    #[test]
    fn calendar_events_are_so_far_apart() {
        assert_eq!((minutes("*/5"), minutes("*:0/15"), minutes("*")), (5, 15, 1));
        assert_eq!((minutes("hourly"), minutes("mon..fri 22:30")), (60, 24 * 60));
        assert!(is_known("mon..fri 22:30") && is_known("*/5") && !is_known("often") && !is_known(""));
    }

    #[test]
    fn failures_put_it_off_and_only_while_the_target_is_there() {
        let mut job = Job {
            id: "100-0".to_owned(),
            ..Job::default()
        };
        job.set("schedule", "*/1");
        let mut state = JobState {
            tried_at: Some(Duration::from_secs(90)),
            ..JobState::default()
        };
        assert_eq!(next(&job, None, true), Some(SimTime::ZERO));
        assert_eq!(next(&job, Some(&state), false), Some(Duration::from_secs(120)));
        for (failed, minutes) in [(1, 5), (2, 10), (3, 15), (4, 30), (40, 30)] {
            state.fail_count = failed;
            assert_eq!(
                next(&job, Some(&state), true),
                Some(Duration::from_secs(90 + minutes * MINUTE))
            );
            assert_eq!(next(&job, Some(&state), false), None);
        }
        job.set("disable", "1");
        assert_eq!(next(&job, Some(&state), true), None);
    }
}
