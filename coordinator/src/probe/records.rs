//! What a numbered writer told, held against itself: what it told before a gap must be there afterwards.
//!
//! A record whose number was told was on the guest's disk. A new run of the writer tells after which record it went on: what lies between is lost.

use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use super::call::{Call, Calls, Told, hex};
use super::gaps::millis;

/// What was told before a gap and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Across {
    /// The highest number that was told before it, by the run that told last; `None`: nothing was.
    pub(crate) before: Option<Told>,
    /// The first that was told after it; `None`: nothing was.
    pub(crate) after: Option<Told>,
    /// Was it another run of the writer that told it? `None`: can't be told.
    pub(crate) new_run: Option<bool>,
    /// Records that were told before and are not there afterwards; `None`: can't be told.
    pub(crate) lost: Option<u64>,
}

impl Across {
    /// Around these calls, which were not answered steadily; `None`: no numbered writer was called.
    pub(super) fn of(calls: &[Call], gap: &Range<usize>) -> Option<Self> {
        let before = last_told(calls.get(..gap.start).unwrap_or_default());
        let after = calls.get(gap.end..).unwrap_or_default().iter().find_map(Call::told);
        if before.is_none() && after.is_none() {
            return None;
        }
        let both = before.zip(after);
        Some(Self {
            before,
            after,
            new_run: both.map(|(before, after)| before.run != after.run),
            lost: both.map(|(before, after)| lost(before, after)),
        })
    }
}

/// The highest number of the run that told last.
fn last_told(calls: &[Call]) -> Option<Told> {
    let last = calls.iter().rev().find_map(Call::told)?;
    let same = calls.iter().filter_map(Call::told).filter(|told| told.run == last.run);
    same.max_by_key(|told| told.number)
}

/// What was told and is not there. The same run still knows what it told.
fn lost(before: Told, after: Told) -> u64 {
    if before.run == after.run {
        return 0;
    }
    before.number.saturating_sub(after.resumed)
}

/// All that a numbered writer told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Records {
    /// The last number that was told.
    pub(crate) last: Told,
    /// The name of the guest that told it, as the guest names itself.
    pub(crate) host: String,
    /// Each time when the writer was found to have begun anew, with a gap around or without.
    pub(crate) new_runs: Vec<NewRun>,
    /// Records that were told and then were not there, over all new runs.
    pub(crate) lost: u64,
    /// A run told something after a later one had: two copies of the guest ran at a time.
    pub(crate) two_at_a_time: bool,
    /// The guest's clock against this host's; `None`: too few answers.
    pub(crate) clock: Option<ClockError>,
}

/// A writer that had begun anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct NewRun {
    /// Milliseconds from the beginning to its first answer.
    pub(crate) at_ms: u64,
    /// The highest number that the run before had told.
    pub(crate) before: u64,
    /// The record after which it went on.
    pub(crate) resumed: u64,
    /// The first number that it told.
    pub(crate) first: u64,
    /// Records that the run before had told and that it did not find.
    pub(crate) lost: u64,
    /// The guest was started anew, too, and not the writer alone.
    pub(crate) new_boot: bool,
    /// This run.
    #[serde(serialize_with = "hex")]
    pub(crate) run: u64,
}

/// By how much the guest's clock differs from this host's: what the times of records are worth here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct ClockError {
    /// Milliseconds by which the guest's is ahead.
    pub(crate) ahead_ms: i64,
    /// How exactly this is known, in milliseconds on either side.
    pub(crate) within_ms: u64,
}

impl Records {
    /// Of all calls; `None`: no numbered writer answered.
    pub(super) fn of(calls: &Calls, began_unix_ms: i64) -> Option<Self> {
        let told: Vec<(Call, Told)> = calls
            .made
            .iter()
            .filter_map(|call| Some((*call, call.told()?)))
            .collect();
        let (_, last) = *told.last()?;
        let home = |run| calls.homes.get(&run);
        let mut new_runs: Vec<NewRun> = Vec::new();
        let mut runs: Vec<u64> = Vec::new();
        let mut two_at_a_time = false;
        let mut before: Option<Told> = None;
        for (call, now) in &told {
            match before {
                Some(highest) if highest.run == now.run => {
                    before = Some(if now.number > highest.number { *now } else { highest });
                    continue;
                }
                // One that was there before, and is again.
                Some(_) if runs.contains(&now.run) => {
                    two_at_a_time = true;
                    continue;
                }
                Some(highest) => new_runs.push(NewRun {
                    at_ms: millis(call.answered().unwrap_or(call.at)),
                    before: highest.number,
                    resumed: now.resumed,
                    first: now.number,
                    lost: lost(highest, *now),
                    new_boot: home(highest.run).map(|home| &home.boot) != home(now.run).map(|home| &home.boot),
                    run: now.run,
                }),
                None => {}
            }
            runs.push(now.run);
            before = Some(*now);
        }
        Some(Self {
            last,
            host: home(last.run).map_or_else(String::new, |home| home.host.clone()),
            lost: new_runs.iter().map(|run| run.lost).fold(0, u64::saturating_add),
            new_runs,
            two_at_a_time,
            clock: clock_error(&told, last.run, began_unix_ms),
        })
    }
}

/// The newest record is never from the future: so the guest's clock is ahead by at least the most by which a record's time was, less its way.
/// The freshest of all records was not older than the time from one record to the next.
fn clock_error(told: &[(Call, Told)], run: u64, began_unix_ms: i64) -> Option<ClockError> {
    let of_run: Vec<(Call, Told)> = told.iter().filter(|(_, told)| told.run == run).copied().collect();
    let ((_, first), (_, last)) = (of_run.first()?, of_run.last()?);
    let records = last.number.checked_sub(first.number).filter(|records| *records > 0)?;
    let apart = last.time_ms.saturating_sub(first.time_ms) / records;
    let freshest = of_run.iter().filter_map(|(call, told)| {
        let answered = call.answered()?;
        let way = answered.saturating_sub(call.at);
        let ours = began_unix_ms.saturating_add(signed(call.at.saturating_add(way / 2)));
        let ahead = i64::try_from(told.time_ms).ok()?.saturating_sub(ours);
        Some((ahead, millis(way)))
    });
    let (ahead, way) = freshest.max()?;
    let half = i64::try_from(apart / 2).ok()?;
    Some(ClockError {
        ahead_ms: ahead.saturating_add(half),
        within_ms: (apart / 2).saturating_add(way / 2).saturating_add(1),
    })
}

fn signed(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use quorate_probe::Miss;

    use super::super::call::{Answered, Home};
    use super::super::gaps::Measured;
    use super::*;

    const EVERY: Duration = Duration::from_millis(100);
    const BEGAN: i64 = 1_764_300_000_000;
    /// The guest's clock is ahead by this much.
    const AHEAD: u64 = 5000;

    /// One call each 100 ms, answered after 2 ms by (number, resumed, run), or not.
    fn calls(told: &[Option<(u64, u64, u64)>]) -> Calls {
        let mut calls = Calls::default();
        for (place, told) in told.iter().enumerate() {
            let at = EVERY * u32::try_from(place).unwrap();
            let outcome = match told {
                None => Err(Miss::Silent),
                Some((number, resumed, run)) => {
                    calls.homes.entry(*run).or_insert(Home {
                        host: "canary".to_owned(),
                        boot: format!("boot-{}", run % 10),
                    });
                    Ok(Answered {
                        at: at + Duration::from_millis(2),
                        told: Some(Told {
                            number: *number,
                            // Written 30 ms before the call.
                            time_ms: u64::try_from(BEGAN).unwrap() + millis(at) + AHEAD - 30,
                            resumed: *resumed,
                            run: *run,
                        }),
                    })
                }
            };
            calls.made.push(Call { at, outcome });
        }
        calls
    }

    fn run(numbers: impl IntoIterator<Item = u64>, resumed: u64, run: u64) -> Vec<Option<(u64, u64, u64)>> {
        numbers.into_iter().map(|number| Some((number, resumed, run))).collect()
    }

    fn measured(told: &[Option<(u64, u64, u64)>]) -> Measured {
        Measured::of("tally:192.0.2.7:7460".to_owned(), BEGAN, EVERY, &calls(told))
    }

    #[test]
    fn what_was_told_and_is_not_there_is_lost() {
        let told = [run(101..=110, 0, 1), vec![None; 8], run(101..=110, 99, 2)].concat();
        let seen = measured(&told);
        let across = seen.gaps[0].records.unwrap();
        assert_eq!(
            (across.before.unwrap().number, across.after.unwrap().number),
            (110, 101)
        );
        assert_eq!((across.new_run, across.lost), (Some(true), Some(11)));
        let records = seen.records.as_ref().unwrap();
        assert_eq!(
            (records.lost, records.two_at_a_time, records.host.as_str()),
            (11, false, "canary")
        );
        let [new] = records.new_runs.as_slice() else {
            panic!("{records:?}")
        };
        assert_eq!(
            (new.before, new.resumed, new.first, new.lost, new.new_boot),
            (110, 99, 101, 11, true)
        );
        let shown = seen.to_string();
        assert!(shown.contains("11 records that were told are lost"), "{shown}");
        assert!(shown.contains("went on after record 99"), "{shown}");
    }

    #[test]
    fn a_guest_that_only_stood_still_lost_nothing() {
        let seen = measured(&[run(101..=110, 0, 1), vec![None; 3], run(111..=120, 0, 1)].concat());
        let across = seen.gaps[0].records.unwrap();
        assert_eq!((across.new_run, across.lost), (Some(false), Some(0)));
        assert!(seen.to_string().contains("No record that was told is lost"), "{seen}");
    }

    #[test]
    fn a_new_run_shows_without_a_gap() {
        // More was written than was told: nothing is lost.
        let seen = measured(&[run(101..=105, 0, 1), run(108..=115, 107, 11)].concat());
        let records = seen.records.as_ref().unwrap();
        assert!(seen.gaps.is_empty());
        let [new] = records.new_runs.as_slice() else {
            panic!("{records:?}")
        };
        assert_eq!((new.lost, new.new_boot, new.resumed), (0, false, 107));
    }

    #[test]
    fn two_copies_at_a_time_are_seen() {
        let seen = measured(&[run(101..=105, 0, 1), run(99..=103, 98, 2), run(106..=107, 0, 1)].concat());
        let records = seen.records.as_ref().unwrap();
        assert!(records.two_at_a_time && records.new_runs.len() == 1);
        assert!(seen.to_string().contains("two copies of the guest"), "{seen}");
    }

    #[test]
    fn nothing_told_before_or_after_is_not_nothing_lost() {
        let seen = measured(&[vec![None; 3], run(101..=110, 100, 1), vec![None; 3]].concat());
        let known: Vec<_> = seen.gaps.iter().map(|gap| gap.records.unwrap().lost).collect();
        assert_eq!(known, [None, None]);
        let seen = measured(&[None, None]);
        assert_eq!((seen.gaps[0].records, seen.records.clone()), (None, None));
    }

    #[test]
    fn the_clocks_are_compared_as_far_as_that_goes() {
        let seen = measured(&run(101..=130, 0, 1));
        let clock = seen.records.unwrap().clock.unwrap();
        let ahead = u64::try_from(clock.ahead_ms).unwrap();
        assert!(ahead.abs_diff(AHEAD) <= clock.within_ms, "{clock:?}");
        assert!(clock.within_ms <= 60, "{clock:?}");
        assert_eq!(measured(&run([101, 101], 0, 1)).records.unwrap().clock, None);
    }
}
