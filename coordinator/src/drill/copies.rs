//! Copies of guests, as their owners know them: before the fault, and after it. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_model::copies::promised;
use quorate_model::finding::Code;
use quorate_model::{Timestamp, View};

use super::moves;
use super::state::Copied;

/// Copies whose last run that succeeded began before this, and the longest that any of them takes to the next by its schedule.
pub(super) fn older(view: &View, guests: &BTreeSet<u32>, since: Timestamp) -> (Vec<String>, Duration) {
    let (mut old, mut longest) = (Vec::new(), Duration::ZERO);
    for guest in guests {
        let Some(owner) = moves::owner(view, *guest) else {
            old.push(format!("guest {guest}, whose owner can't be seen"));
            continue;
        };
        let ahead = match view.clock_of(owner.as_str()) {
            Ok(clock) => clock.micros,
            Err(unknown) => {
                old.push(format!("guest {guest}: {}", unknown.reason));
                continue;
            }
        };
        let (Ok(config), Ok(states)) = (
            view.facet(&owner, |o| &o.config),
            view.facet(&owner, |o| &o.replication),
        ) else {
            old.push(format!("guest {guest}, of which {owner} does not tell"));
            continue;
        };
        let Ok(jobs) = config.replication.get() else {
            old.push(format!("guest {guest}, whose jobs can't be read"));
            continue;
        };
        for job in jobs
            .iter()
            .filter(|job| job.guest == *guest && !job.disabled && job.removal.is_none())
        {
            longest = longest.max(promised(job, None).unwrap_or_default());
            let state = states
                .iter()
                .find(|state| state.guest == *guest && Some(state.target.as_str()) == job.other_end(owner.as_str()));
            let at = state.and_then(|state| state.last_sync);
            if at.is_none_or(|at| at.0.saturating_sub(ahead) < since.0) {
                old.push(format!("guest {guest} (job {})", job.id));
            }
        }
    }
    (old, longest)
}

/// The copies of the watched guest as its owner knows them.
pub(super) fn of(view: &View, guest: u32) -> Vec<Copied> {
    let Some(owner) = moves::owner(view, guest) else {
        return Vec::new();
    };
    let (Ok(config), Ok(states)) = (
        view.facet(&owner, |o| &o.config),
        view.facet(&owner, |o| &o.replication),
    ) else {
        return Vec::new();
    };
    let jobs = config.replication.get().map(Vec::as_slice).unwrap_or_default();
    let of_guest = jobs.iter().filter(|job| job.guest == guest);
    of_guest
        .filter_map(|job| {
            let on = job.other_end(owner.as_str())?;
            let state = states.iter().find(|state| state.guest == guest && state.target == on);
            let took = state.and_then(|state| state.took_millis).map(Duration::from_millis);
            Some(Copied {
                on: on.parse().ok()?,
                at: state.and_then(|state| state.last_sync),
                promised: promised(job, took),
            })
        })
        .collect()
}

/// Its copies are in sync again, by the word of its owner.
pub(super) fn amiss(view: &View, guest: u32, tell: &mut impl FnMut(Code, String, String)) {
    let Some(owner) = moves::owner(view, guest) else {
        let message = "whose guest it is can't be seen".to_owned();
        tell(Code::DrillUnseen, message, "quorate guests".to_owned());
        return;
    };
    let configured = view.facet(&owner, |o| &o.config).ok();
    let jobs = configured.and_then(|config| config.replication.get().ok());
    let states = view.facet(&owner, |o| &o.replication);
    let (Some(jobs), Ok(states)) = (jobs, states) else {
        let message = format!("how its copies are is not known: {owner} does not tell");
        tell(Code::DrillUnseen, message, format!("quorate replication {guest}"));
        return;
    };
    for job in jobs.iter().filter(|job| job.guest == guest && job.removal.is_none()) {
        if let Some(held) = job.held() {
            let message = format!(
                "its copy of job {} is held since {}: what was written there last is not lost",
                job.id, held.since
            );
            let next = format!("look at it, then: quorate replication resolve {guest} --keep, or --discard");
            tell(Code::CopyHeld, message, next);
            continue;
        }
        if job.disabled {
            continue;
        }
        let state = states
            .iter()
            .find(|state| state.guest == guest && Some(state.target.as_str()) == job.other_end(owner.as_str()));
        let why = match state {
            None => Some("no run is known on its new owner".to_owned()),
            Some(state) if state.last_sync.is_none() => Some("no run has succeeded on its new owner".to_owned()),
            Some(state) if state.failures > 0 => {
                Some(state.error.clone().unwrap_or_else(|| "its last run failed".to_owned()))
            }
            Some(_) => None,
        };
        if let Some(why) = why {
            let message = format!("the copy of job {} is not in sync: {why}", job.id);
            tell(Code::DrillCopyStale, message, format!("quorate replication {guest}"));
        }
    }
}
