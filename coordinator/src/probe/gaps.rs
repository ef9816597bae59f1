//! From calls and answers to pauses. No socket and no clock: times come from outside, as durations since the measurement began.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// A guest is back once it answers so many calls in a row: the first answers of a network that still learns where it is now may be chance.
const STEADY: usize = 5;

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// When it was made.
    pub(crate) at: Duration,
    /// When it was answered; `None`: not within the time that a call has.
    pub(crate) answered: Option<Duration>,
}

/// A time without answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Gap {
    /// Milliseconds from the beginning to the last answer before it.
    pub(crate) from_ms: u64,
    /// Milliseconds from there to the first answer of a steady run; `None`: there was none until the end of the measurement.
    pub(crate) length_ms: Option<u64>,
    /// Calls that were not answered.
    pub(crate) lost: usize,
}

/// What a measurement came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Measured {
    /// Where it was called.
    pub(crate) target: String,
    /// Milliseconds between two calls.
    pub(crate) every_ms: u64,
    /// Calls in all.
    pub(crate) calls: usize,
    /// Every gap, in order.
    pub(crate) gaps: Vec<Gap>,
    /// The slowest answer, in milliseconds: a pause that is shorter than the time that a call has shows only there.
    pub(crate) slowest_ms: u64,
    /// Calls that were made later than they should have been, since this host was busy: what they would have shown is not known.
    pub(crate) late: usize,
}

impl Measured {
    /// Of calls in the order in which they were made, `every` apart if all went well.
    pub(crate) fn of(target: String, every: Duration, calls: &[Call]) -> Self {
        let slow = |call: &Call| Some(call.answered?.saturating_sub(call.at));
        let late = calls.windows(2).filter(|pair| match pair {
            [before, after] => after.at.saturating_sub(before.at) > every.saturating_mul(2),
            _ => false,
        });
        Self {
            target,
            every_ms: millis(every),
            calls: calls.len(),
            gaps: gaps(calls),
            slowest_ms: millis(calls.iter().filter_map(slow).max().unwrap_or_default()),
            late: late.count(),
        }
    }

    /// The longest gap that came to an end.
    pub(crate) fn longest(&self) -> Option<u64> {
        self.gaps.iter().filter_map(|gap| gap.length_ms).max()
    }

    /// Was it still away at the end?
    pub(crate) fn still_away(&self) -> bool {
        self.gaps.iter().any(|gap| gap.length_ms.is_none())
    }
}

fn gaps(calls: &[Call]) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut last_answer: Option<Duration> = None;
    let mut open: Option<(Duration, usize)> = None;
    for (number, call) in calls.iter().enumerate() {
        match (call.answered, open) {
            (Some(answered), None) => last_answer = last_answer.max(Some(answered)),
            (None, None) => open = Some((last_answer.unwrap_or_default(), 1)),
            (None, Some((from, lost))) => open = Some((from, lost + 1)),
            (Some(answered), Some((from, lost))) => {
                let run = calls.iter().skip(number).take(STEADY);
                let steady = run.clone().count() == STEADY && run.clone().all(|call| call.answered.is_some());
                if steady {
                    gaps.push(Gap {
                        from_ms: millis(from),
                        length_ms: Some(millis(answered.saturating_sub(from))),
                        lost,
                    });
                    open = None;
                    last_answer = Some(answered);
                }
            }
        }
    }
    if let Some((from, lost)) = open {
        gaps.push(Gap {
            from_ms: millis(from),
            length_ms: None,
            lost,
        });
    }
    gaps
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Measured {
    /// As a terminal shows it: the pause, how exact that is, and every gap.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let every = self.every_ms;
        match (self.longest(), self.still_away()) {
            (_, true) => writeln!(f, "Pause: not over. {} does not answer steadily yet.", self.target)?,
            (None, false) => writeln!(
                f,
                "Pause: none seen. Every call was answered, the slowest after {} ms.",
                self.slowest_ms
            )?,
            // Between the last answer and the first one, up to one interval on either side was not looked at.
            (Some(longest), false) => writeln!(
                f,
                "Pause: {longest} ms from the last answer to the first of a steady run; it may have been up to {} ms less.",
                longest.min(every.saturating_mul(2))
            )?,
        }
        writeln!(
            f,
            "Measured from this host at {}: {} calls, one each {every} ms, so that nothing shorter can be told.",
            self.target, self.calls
        )?;
        for gap in &self.gaps {
            match gap.length_ms {
                Some(length) => writeln!(
                    f,
                    "  after {} ms: {length} ms without an answer, {} calls lost",
                    gap.from_ms, gap.lost
                )?,
                None => writeln!(
                    f,
                    "  after {} ms: no steady answer any more, {} calls lost",
                    gap.from_ms, gap.lost
                )?,
            }
        }
        if self.late > 0 {
            writeln!(
                f,
                "  {} calls were late, since this host was busy: a gap there is not the guest's alone",
                self.late
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(100);

    /// One call each 100 ms: `.` is answered after 2 ms, `x` is not.
    fn measured(pattern: &str) -> Measured {
        let calls: Vec<Call> = pattern
            .chars()
            .enumerate()
            .map(|(number, answer)| {
                let at = EVERY * u32::try_from(number).unwrap();
                Call {
                    at,
                    answered: (answer == '.').then(|| at + Duration::from_millis(2)),
                }
            })
            .collect();
        Measured::of("tcp:192.0.2.7:22".to_owned(), EVERY, &calls)
    }

    #[test]
    fn a_pause_is_from_the_last_answer_to_the_first_of_a_steady_run() {
        let seen = measured(".....xxx......");
        assert_eq!(
            seen.gaps,
            [Gap {
                from_ms: 402,
                length_ms: Some(400),
                lost: 3
            }]
        );
        assert_eq!((seen.longest(), seen.still_away()), (Some(400), false));
        let shown = seen.to_string();
        assert!(
            shown.contains("Pause: 400 ms") && shown.contains("up to 200 ms less"),
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
    fn one_that_does_not_come_back_is_no_short_pause() {
        for pattern in ["....xx", "....xx..."] {
            let seen = measured(pattern);
            assert!(seen.still_away(), "{pattern}");
            assert!(seen.to_string().contains("not over"), "{seen}");
        }
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
            answered: Some(Duration::from_millis(at + 1)),
        };
        let seen = Measured::of("t".to_owned(), EVERY, &[call(0), call(100), call(900)]);
        assert_eq!(seen.late, 1);
        assert!(seen.to_string().contains("busy"), "{seen}");
    }
}
