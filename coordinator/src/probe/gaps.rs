//! From calls and answers to pauses. No socket and no clock: times come from outside, as durations since the measurement began.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use quorate_model::drill::Rows;
use serde::Serialize;

use super::call::{Call, Calls};
use super::records::{Across, Records};

/// A guest is back once it answers so many calls in a row: the first answers of a network that still learns where it is now may be chance.
const STEADY: usize = 5;

/// A time without answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Gap {
    /// Milliseconds from the beginning to the last answer before it; 0: there was none.
    pub(crate) from_ms: u64,
    /// Milliseconds from there to the first answer of a steady run: it was away for no longer than that. `None`: there was
    /// none until the end of the measurement.
    pub(crate) length_ms: Option<u64>,
    /// Milliseconds from the first call that was not answered to the last one: it was away for at least that long.
    pub(crate) at_least_ms: u64,
    /// Calls that were not answered.
    pub(crate) lost: usize,
    /// Why, and how many of them for that.
    pub(crate) why: BTreeMap<String, usize>,
    /// What a numbered writer told before and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) records: Option<Across>,
    /// From the first call that was not answered to that whose answer ended it, by their places among all, in the order in which they were made.
    #[serde(skip)]
    pub(crate) places: Range<usize>,
}

/// What a measurement came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Measured {
    /// Where it was called.
    pub(crate) target: String,
    /// The node that called, as CLUSTER/NODE; `None`: this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// When the measurement began, by this host's wall clock, in milliseconds since 1970-01-01 00:00 UTC.
    pub(crate) began_unix_ms: i64,
    /// Milliseconds between two calls. The beginning and the end of a gap are each known to that.
    pub(crate) every_ms: u64,
    /// Calls in all.
    pub(crate) calls: usize,
    /// Those of them that were answered.
    pub(crate) answered: usize,
    /// Every gap, in order.
    pub(crate) gaps: Vec<Gap>,
    /// The slowest answer, in milliseconds: a pause that is shorter than the time that a call has shows only there.
    pub(crate) slowest_ms: u64,
    /// Calls that were made later than they should have been, since this host was busy: what they would have shown is not known.
    pub(crate) late: usize,
    /// What a numbered writer told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) records: Option<Records>,
    /// What became of rows that were written into a database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rows: Option<Rows>,
}

impl Measured {
    /// Of calls in the order in which they were made, `every` apart if all went well.
    pub(crate) fn of(target: String, began_unix_ms: i64, every: Duration, calls: &Calls) -> Self {
        let made = calls.made.as_slice();
        let slow = |call: &Call| Some(call.answered()?.saturating_sub(call.at));
        let late = made.windows(2).filter(|pair| match pair {
            [before, after] => after.at.saturating_sub(before.at) > every.saturating_mul(2),
            _ => false,
        });
        let gap = |hole: Hole| {
            let lost = made.get(hole.calls.clone()).unwrap_or_default();
            let lost = lost.iter().filter(|call| call.outcome.is_err());
            let mut why = BTreeMap::new();
            for miss in lost.clone().filter_map(|call| call.outcome.err()) {
                *why.entry(miss.to_string()).or_insert(0) += 1;
            }
            let first = lost.clone().map(|call| call.at).next().unwrap_or_default();
            let last = lost.clone().map(|call| call.at).next_back().unwrap_or_default();
            Gap {
                from_ms: millis(hole.from),
                length_ms: hole.back.map(|back| millis(back.saturating_sub(hole.from))),
                at_least_ms: millis(last.saturating_sub(first)),
                lost: lost.count(),
                why,
                records: Across::of(made, &hole.calls),
                places: hole.calls,
            }
        };
        Self {
            target,
            from: None,
            began_unix_ms,
            every_ms: millis(every),
            calls: made.len(),
            answered: made.iter().filter(|call| call.outcome.is_ok()).count(),
            gaps: holes(made).into_iter().map(gap).collect(),
            slowest_ms: millis(made.iter().filter_map(slow).max().unwrap_or_default()),
            late: late.count(),
            records: Records::of(calls, began_unix_ms),
            rows: None,
        }
    }

    /// The longest gap that came to an end.
    pub(crate) fn longest(&self) -> Option<&Gap> {
        let over = self.gaps.iter().filter(|gap| gap.length_ms.is_some());
        over.max_by_key(|gap| gap.length_ms)
    }

    /// Was something lost, or can that not be told?
    pub(crate) fn lost(&self) -> bool {
        let records = self.records.as_ref();
        let of_records = records.is_some_and(|records| records.lost > 0 || records.two_at_a_time);
        of_records || self.rows.as_ref().is_some_and(|rows| rows.missing() != Some(0))
    }

    /// Was it still away at the end?
    pub(crate) fn still_away(&self) -> bool {
        self.gaps.iter().any(|gap| gap.length_ms.is_none())
    }
}

/// Where calls were not answered.
#[derive(Debug)]
struct Hole {
    /// The last answer before.
    from: Duration,
    /// The first answer of a steady run.
    back: Option<Duration>,
    /// From the first call that was not answered, to that of the steady run's first answer, or the end.
    calls: Range<usize>,
}

fn holes(calls: &[Call]) -> Vec<Hole> {
    let mut holes = Vec::new();
    let mut last_answer: Option<Duration> = None;
    let mut open: Option<(Duration, usize)> = None;
    for (number, call) in calls.iter().enumerate() {
        match (call.answered(), open) {
            (Some(answered), None) => last_answer = last_answer.max(Some(answered)),
            (None, None) => open = Some((last_answer.unwrap_or_default(), number)),
            (None, Some(_)) => {}
            (Some(answered), Some((from, first))) => {
                let run = calls.iter().skip(number).take(STEADY);
                let steady = run.clone().count() == STEADY && run.clone().all(|call| call.outcome.is_ok());
                if steady {
                    // One that waited for its answer from before may have it after those that were made later.
                    let answered = run.filter_map(Call::answered).min().unwrap_or(answered);
                    holes.push(Hole {
                        from,
                        back: Some(answered),
                        calls: first..number,
                    });
                    open = None;
                    last_answer = Some(answered);
                }
            }
        }
    }
    if let Some((from, first)) = open {
        holes.push(Hole {
            from,
            back: None,
            calls: first..calls.len(),
        });
    }
    holes
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use quorate_probe::Miss;

    use super::super::call::Answered;
    use super::*;

    const EVERY: Duration = Duration::from_millis(100);

    /// One call each 100 ms: `.` is answered after 2 ms, `x` is not, and `r` is refused.
    fn measured(pattern: &str) -> Measured {
        let made: Vec<Call> = pattern
            .chars()
            .enumerate()
            .map(|(number, answer)| {
                let at = EVERY * u32::try_from(number).unwrap();
                let outcome = match answer {
                    '.' => Ok(Answered {
                        at: at + Duration::from_millis(2),
                        told: None,
                    }),
                    'r' => Err(Miss::Refused),
                    _ => Err(Miss::Silent),
                };
                Call { at, outcome }
            })
            .collect();
        let calls = Calls {
            made,
            ..Calls::default()
        };
        Measured::of("tcp:192.0.2.7:22".to_owned(), 0, EVERY, &calls)
    }

    #[test]
    fn a_pause_is_from_the_last_answer_to_the_first_of_a_steady_run() {
        let seen = measured(".....xxr......");
        let [gap] = seen.gaps.as_slice() else {
            panic!("{seen:?}")
        };
        assert_eq!(
            (gap.from_ms, gap.length_ms, gap.at_least_ms, gap.lost),
            (402, Some(400), 200, 3)
        );
        let why = BTreeMap::from([
            ("no answer in time".to_owned(), 2),
            ("connection refused".to_owned(), 1),
        ]);
        assert_eq!(gap.why, why);
        assert_eq!((seen.longest(), seen.still_away()), (Some(gap), false));
        assert_eq!((seen.calls, seen.answered), (14, 11));
        let shown = seen.to_string();
        assert!(shown.contains("Pause: 300 ± 100 ms"), "{shown}");
        assert!(
            shown.contains("400 ms from the last answer to the first of a steady run"),
            "{shown}"
        );
        assert!(
            shown.contains("3 calls lost (1 connection refused, 2 no answer in time)"),
            "{shown}"
        );
    }

    #[test]
    fn answers_by_chance_do_not_end_it_and_every_gap_is_kept() {
        let seen = measured("...xx..xx.....xx.........");
        let lengths: Vec<_> = seen
            .gaps
            .iter()
            .map(|gap| (gap.from_ms, gap.length_ms, gap.lost))
            .collect();
        assert_eq!(lengths, [(202, Some(700), 4), (1302, Some(300), 2)]);
    }

    #[test]
    fn a_call_that_waited_for_its_answer_does_not_make_a_pause_longer() {
        let call = |at: u64, took: Option<u64>| Call {
            at: Duration::from_millis(at),
            outcome: took.ok_or(Miss::Silent).map(|took| Answered {
                at: Duration::from_millis(at + took),
                told: None,
            }),
        };
        let mut made = vec![call(0, Some(2)), call(100, None), call(200, Some(900))];
        made.extend((3..10).map(|number| call(number * 100, Some(2))));
        let calls = Calls {
            made,
            ..Calls::default()
        };
        let seen = Measured::of("t".to_owned(), 0, EVERY, &calls);
        let [gap] = seen.gaps.as_slice() else {
            panic!("{seen:?}")
        };
        assert_eq!((gap.from_ms, gap.length_ms, &gap.places), (2, Some(300), &(1..2)));
    }

    #[test]
    fn one_that_does_not_come_back_is_no_short_pause() {
        for pattern in ["....xx", "....xx..."] {
            let seen = measured(pattern);
            assert!(seen.still_away(), "{pattern}");
            assert!(seen.to_string().contains("not over"), "{seen}");
        }
    }

    #[test]
    fn one_that_was_never_there_is_told_as_that() {
        let seen = measured("rrrrrr");
        assert_eq!((seen.answered, seen.gaps.len()), (0, 1));
        assert!(seen.to_string().contains("never answered"), "{seen}");
    }

    #[test]
    fn nothing_seen_is_not_nothing_there() {
        let seen = measured("..........");
        assert!(seen.gaps.is_empty() && seen.slowest_ms == 2);
        assert!(seen.to_string().contains("none seen"), "{seen}");
        assert!(measured("").gaps.is_empty());
    }

    #[test]
    fn a_host_that_was_busy_says_so() {
        let call = |at: u64| Call {
            at: Duration::from_millis(at),
            outcome: Ok(Answered {
                at: Duration::from_millis(at + 1),
                told: None,
            }),
        };
        let calls = Calls {
            made: vec![call(0), call(100), call(900)],
            ..Calls::default()
        };
        let seen = Measured::of("t".to_owned(), 0, EVERY, &calls);
        assert_eq!(seen.late, 1);
        assert!(seen.to_string().contains("busy"), "{seen}");
    }

    /// Whatever the pattern: what is told of a gap holds for the guest that was really away.
    #[test]
    fn the_truth_lies_between_at_least_and_at_most() {
        for away in 1..=40_u64 {
            for begins in 0..10_u64 {
                // It is away from `begins` to `ends`, in units of ten milliseconds.
                let (begins, ends) = (100 + begins, 100 + begins + away);
                let pattern: String = (0..40)
                    .map(|number| {
                        if (begins..ends).contains(&(number * 10)) {
                            'x'
                        } else {
                            '.'
                        }
                    })
                    .collect();
                let seen = measured(&pattern);
                let Some(gap) = seen.gaps.first() else {
                    assert!(away < 10, "{pattern}");
                    continue;
                };
                let truth = away * 10;
                let most = gap.length_ms.unwrap();
                assert!((gap.at_least_ms..=most).contains(&truth), "{truth} {gap:?}");
                assert_eq!(most - gap.at_least_ms, 200);
            }
        }
    }
}
