//! What was written down of calls, read again.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_model::drill::answers::{STEADY, Unwatched};
use quorate_model::drill::rows::Sent;
use quorate_probe::Miss;

use super::call::{Answered, Call, Calls, Home, Told};
use super::gaps::{Gap, Measured, millis};
use super::kept::Line;

/// What such a file tells.
#[derive(Debug)]
pub(crate) struct Listened {
    /// When its first part began, by the wall clock of whoever called, in microseconds since 1970.
    pub(crate) began: i64,
    /// From call to call.
    pub(crate) every: Duration,
    calls: Calls,
}

/// Reads it; `None`: nothing was begun. A line that makes no sense is one that was cut off.
pub(crate) fn read(text: &str) -> Option<Listened> {
    let mut began: Option<(i64, Duration)> = None;
    let mut offset = Duration::ZERO;
    let mut calls = Calls::default();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        match line {
            Line::Began { at, every } => {
                let (first, _) = *began.get_or_insert((at, Duration::from_micros(every)));
                // A clock that was set back meanwhile puts nothing before what was earlier.
                let last = calls.made.iter().map(|call| call.at).max().unwrap_or_default();
                offset = Duration::from_micros(u64::try_from(at.saturating_sub(first)).unwrap_or(0)).max(last);
            }
            Line::Call { at, took, told, row } => {
                if let Some(row) = row {
                    calls.sent(row);
                }
                let at = offset.saturating_add(Duration::from_micros(at));
                let told = told.map(|wrote| {
                    let told = Told {
                        number: wrote.number,
                        time_ms: wrote.time_ms,
                        resumed: wrote.resumed,
                        run: wrote.run,
                    };
                    calls.homes.entry(wrote.run).or_insert(Home {
                        host: wrote.host,
                        boot: wrote.boot,
                    });
                    told
                });
                let outcome = match took {
                    Some(took) => Ok(Answered {
                        at: at.saturating_add(Duration::from_micros(took)),
                        told,
                    }),
                    None => Err(Miss::Silent),
                };
                calls.made.push(Call { at, outcome });
            }
        }
    }
    let (began, every) = began?;
    calls.made.sort_by_key(|call| call.at);
    Some(Listened { began, every, calls })
}

impl Listened {
    /// What it came to.
    pub(crate) fn measured(&self, target: &str) -> Measured {
        Measured::of(target.to_owned(), self.began / 1000, self.every, &self.calls)
    }

    /// How long it went on.
    pub(crate) fn lasted(&self) -> Duration {
        let last = self.calls.made.last();
        last.map_or(Duration::ZERO, |call| call.at.saturating_add(self.every))
    }

    /// Answers since a moment of it, and calls.
    pub(crate) fn answered_since(&self, from: Duration) -> (usize, usize) {
        let since = self.calls.made.iter().filter(|call| call.at >= from);
        let answered = since.clone().filter(|call| call.outcome.is_ok()).count();
        (answered, since.count())
    }

    /// From one call to the next, where nobody called for longer than this.
    fn holes(&self, longer: Duration) -> impl Iterator<Item = (Duration, Duration)> {
        self.calls.made.windows(2).filter_map(move |pair| match pair {
            [before, after] if after.at.saturating_sub(before.at) > longer => Some((before.at, after.at)),
            _ => None,
        })
    }

    /// Milliseconds between these two in which nobody called, beyond the pace.
    pub(crate) fn unwatched_ms(&self, from_ms: u64, to_ms: u64) -> u64 {
        let (from, to) = (Duration::from_millis(from_ms), Duration::from_millis(to_ms));
        let holes = self.holes(self.every.saturating_mul(2));
        holes
            .map(|(before, after)| millis(after.min(to).saturating_sub(before.max(from))))
            .sum()
    }

    /// Milliseconds in which nobody called, beyond the pace, at a gap's beginning, until the first call that was not answered, and at its end, until the
    /// call whose answer ended it.
    pub(crate) fn unseen_ms(&self, gap: &Gap) -> (u64, u64) {
        let from = Duration::from_millis(gap.from_ms);
        let before = |place: usize| {
            let pair = place
                .checked_sub(1)
                .and_then(|before| self.calls.made.get(before..=place));
            match pair {
                Some([before, after]) => {
                    millis(after.at.saturating_sub(before.at.max(from)).saturating_sub(self.every))
                }
                _ => 0,
            }
        };
        let end = gap.length_ms.map_or(0, |_| before(gap.places.end));
        (before(gap.places.start), end)
    }

    /// Times in which nobody called for longer than a steady run takes.
    pub(crate) fn unwatched(&self) -> Vec<Unwatched> {
        let holes = self.holes(self.every.saturating_mul(STEADY));
        let hole = |(before, after)| Unwatched {
            from_ms: millis(before),
            to_ms: millis(after),
        };
        holes.map(hole).collect()
    }

    /// Calls that should have been made and were not.
    pub(crate) fn not_made(&self) -> u64 {
        let every = self.every.as_micros().max(1);
        let missing = self.calls.made.windows(2).filter_map(|pair| match pair {
            [before, after] => {
                let steps = after.at.saturating_sub(before.at).as_micros() / every;
                u64::try_from(steps.saturating_sub(1)).ok()
            }
            _ => None,
        });
        missing.sum()
    }

    /// What a numbered writer told first, and last.
    pub(crate) fn ends(&self) -> Option<(Told, Told)> {
        let mut told = self.calls.made.iter().filter_map(Call::told);
        let first = told.next()?;
        let of_run = self.calls.made.iter().filter_map(Call::told);
        let before = of_run
            .filter(|told| told.run == first.run)
            .max_by_key(|told| told.number);
        let last = self.calls.made.iter().rev().find_map(Call::told);
        Some((before.unwrap_or(first), last.unwrap_or(first)))
    }

    /// Records a second that the writer made, from the longest run of it.
    pub(crate) fn a_second(&self) -> u32 {
        let mut runs: BTreeMap<u64, (Told, Told)> = BTreeMap::new();
        for told in self.calls.made.iter().filter_map(Call::told) {
            runs.entry(told.run).or_insert((told, told)).1 = told;
        }
        let rate = |(first, last): &(Told, Told)| {
            let records = last.number.checked_sub(first.number)?;
            let millis = last.time_ms.checked_sub(first.time_ms).filter(|millis| *millis > 0)?;
            Some((millis, records.saturating_mul(1000).saturating_add(millis / 2) / millis))
        };
        let longest = runs.values().filter_map(rate).max_by_key(|(millis, _)| *millis);
        longest.map_or(0, |(_, rate)| u32::try_from(rate).unwrap_or(u32::MAX))
    }

    /// Rows that were sent to a database, by the run of the prober.
    pub(crate) fn rows(&self) -> &BTreeMap<u64, Sent> {
        &self.calls.rows
    }

    /// Rows a second that are written while all is well: one with each call.
    pub(crate) fn rows_a_second(&self) -> u32 {
        let millis = u64::try_from(self.every.as_millis()).unwrap_or(u64::MAX).max(1);
        u32::try_from(1000_u64.div_ceil(millis)).unwrap_or(u32::MAX)
    }

    /// The guest's own name in a run of its writer.
    pub(crate) fn host(&self, run: u64) -> String {
        self.calls
            .homes
            .get(&run)
            .map(|home| home.host.clone())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::kept::Wrote;
    use super::*;

    /// A part with one call each 100 ms: `.` is answered after 2 ms, `x` is not.
    fn part(at: i64, pattern: &str) -> String {
        let mut text = format!(
            "{}\n",
            serde_json::to_string(&Line::Began { at, every: 100_000 }).unwrap()
        );
        for (number, answer) in pattern.chars().enumerate() {
            let line = Line::Call {
                at: u64::try_from(number).unwrap() * 100_000,
                took: (answer == '.').then_some(2000),
                told: None,
                row: None,
            };
            text.push_str(&format!("{}\n", serde_json::to_string(&line).unwrap()));
        }
        text
    }

    #[test]
    fn parts_are_put_together_and_what_lies_between_is_told() {
        // The guest goes while nobody calls, and comes back under the eyes of the second one.
        let text = [
            part(0, "......"),
            "{\"line\":\"ca".to_owned(),
            "\n".to_owned(),
            part(3_000_000, "xxxx......."),
        ]
        .concat();
        let listened = read(&text).unwrap();
        let measured = listened.measured("tcp:192.0.2.7:22");
        let gap = measured.gaps.first().unwrap();
        assert_eq!((gap.from_ms, gap.length_ms, gap.lost), (502, Some(2900), 4));
        // From the last call of the first part at 500 ms, which was answered at 502 ms, to the first of the second one at 3000 ms.
        assert_eq!(listened.unwatched_ms(502, 3402), 2498);
        assert_eq!(listened.unseen_ms(gap), (2398, 0));
        let [hole] = listened.unwatched()[..] else { panic!() };
        assert_eq!((hole.from_ms, hole.to_ms), (500, 3000));
        assert_eq!(listened.not_made(), 24);
        assert_eq!(listened.lasted(), Duration::from_millis(4100));
        assert_eq!(listened.answered_since(Duration::from_millis(3000)), (7, 11));
    }

    #[test]
    fn a_guest_that_came_back_while_nobody_called_was_away_for_some_time_of_that() {
        let text = [part(0, "....xx"), part(3_000_000, ".......")].concat();
        let listened = read(&text).unwrap();
        let measured = listened.measured("tcp:192.0.2.7:22");
        let gap = measured.gaps.first().unwrap();
        assert_eq!((gap.from_ms, gap.length_ms), (302, Some(2700)));
        assert_eq!(listened.unseen_ms(gap), (0, 2400));
        // One that is busy for a moment hides nothing that a steady run would show.
        let busy = [part(0, "......"), part(900_000, ".......")].concat();
        let busy = read(&busy).unwrap();
        assert!(busy.unwatched().is_empty() && busy.unwatched_ms(0, 2000) == 400);
    }

    #[test]
    fn a_clock_that_was_set_back_moves_nothing_back() {
        let listened = read(&[part(5_000_000, "....."), part(1_000_000, ".....")].concat()).unwrap();
        assert_eq!(listened.measured("t").calls, 10);
        assert!(listened.measured("t").gaps.is_empty());
    }

    #[test]
    fn nothing_begun_is_nothing() {
        assert!(read("").is_none() && read("{\"line\":\"began\"").is_none());
    }

    #[test]
    fn a_writers_rate_and_ends_are_told_by_its_runs() {
        let wrote = |number: u64, time_ms: u64, resumed: u64, run: u64| Line::Call {
            at: time_ms * 1000,
            took: Some(2000),
            told: Some(Wrote {
                number,
                time_ms,
                resumed,
                run,
                host: "canary".to_owned(),
                boot: "b".to_owned(),
            }),
            row: None,
        };
        let mut text = part(0, "");
        for line in [wrote(101, 0, 0, 1), wrote(111, 1000, 0, 1), wrote(106, 1100, 105, 2)] {
            text.push_str(&format!("{}\n", serde_json::to_string(&line).unwrap()));
        }
        let listened = read(&text).unwrap();
        let (before, last) = listened.ends().unwrap();
        assert_eq!((before.number, last.number, last.resumed), (111, 106, 105));
        assert_eq!((listened.a_second(), listened.host(2).as_str()), (10, "canary"));
    }
}
