//! What a probe came to: who asked whom, and every time without answers.

use serde::{Deserialize, Serialize};

use super::axis::{Instant, Range, signed};
use super::event::Source;
use super::probe::ProbeTarget;
use crate::time::Timestamp;
use crate::view::ClockOffset;

/// So many answers in a row end a gap: the first ones of a network that still learns where the guest is may be chance.
pub const STEADY: u32 = 5;

/// A probe's run. All its times are by one monotonic clock; only where they lie beside the others' hangs on a comparison of clocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// Who is asked.
    pub target: ProbeTarget,
    /// Who asks.
    pub from: Source,
    /// When it began, by the asker's wall clock.
    pub began: Timestamp,
    /// How that clock stands against the coordinator's; `None`: not known.
    pub clock: Option<ClockOffset>,
    /// Milliseconds between two calls.
    pub every_ms: u64,
    /// Milliseconds from the beginning to the end.
    pub lasted_ms: u64,
    /// Calls in all.
    pub calls: u64,
    /// Calls that were made late, since the asker was busy: what they would have shown is not known.
    #[serde(default)]
    pub late: u64,
    /// Every gap, in order.
    pub gaps: Vec<Gap>,
    /// Times in which nobody called, in order, if they are longer than a gap's end takes to be told: whoever asks was away. What would have
    /// been seen then is not known, be it before a gap, in it, or where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unwatched: Vec<Unwatched>,
}

/// A time in which nobody called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwatched {
    /// Milliseconds from the beginning to the last call before it.
    pub from_ms: u64,
    /// Milliseconds from the beginning to the first call after it.
    pub to_ms: u64,
}

/// A time without answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Milliseconds from the beginning to the last answer before it.
    pub from_ms: u64,
    /// Milliseconds from the beginning to the first answer of a steady run; `None`: there was none until the end.
    pub to_ms: Option<u64>,
    /// Calls that were not answered.
    pub lost: u64,
    /// Milliseconds of it in which nobody called, since the asker was busy or away: how it was then is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unwatched_ms: u64,
    /// Milliseconds in which nobody called at its beginning, beyond one interval: until the first call that was not answered. It began at some time
    /// in these.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unseen_from_ms: u64,
    /// The same at its end: until the call whose answer ended it. It ended at some time in these.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unseen_to_ms: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Those that figures and phases go by: the coordinator's own, as long as one of them was ever answered, since it stands where clients do and
/// its clock is the axis; else all, and nodes have the word.
pub fn deciding(all: &[Answers]) -> impl Iterator<Item = &Answers> {
    let own = |one: &Answers| one.from == Source::Coordinator;
    let only_own = all.iter().any(|one| own(one) && one.was_answered());
    all.iter().filter(move |one| !only_own || own(one))
}

impl Answers {
    /// Was any call ever answered?
    #[must_use]
    pub fn was_answered(&self) -> bool {
        let lost = self.gaps.iter().map(|gap| gap.lost).fold(0, u64::saturating_add);
        self.calls > lost
    }

    /// In a few words: `tcp:192.0.2.7:22 from prox2`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} from {}", self.target, self.from)
    }

    /// How long a gap was for clients: up to one interval on either side was not looked at, nor while the asker was away.
    #[must_use]
    pub fn length(&self, gap: &Gap) -> Option<Range> {
        let length = signed(gap.to_ms?.saturating_sub(gap.from_ms));
        let unseen = signed(self.every_ms)
            .saturating_mul(2)
            .saturating_add(signed(gap.unwatched_ms));
        let least = length.saturating_sub(unseen).max(0);
        Some(Range::millis(least, length, length))
    }

    /// The longest gap, counting one that did not end until the end of the run.
    #[must_use]
    pub fn longest(&self) -> Option<&Gap> {
        self.gaps
            .iter()
            .max_by_key(|gap| gap.to_ms.unwrap_or(self.lasted_ms).saturating_sub(gap.from_ms))
    }

    /// The longest time after a moment in which nobody called and that no gap has in it; without a moment, of all. `None`: there is none.
    #[must_use]
    pub fn blind_after(&self, moment: Option<Instant>) -> Option<Unwatched> {
        let in_gap = |hole: &Unwatched| {
            self.gaps
                .iter()
                .any(|gap| hole.from_ms <= gap.to_ms.unwrap_or(u64::MAX) && hole.to_ms >= gap.from_ms)
        };
        let after = |hole: &Unwatched| match (moment, self.place(hole.to_ms)) {
            (Some(moment), Some(end)) => end.latest >= moment.earliest,
            _ => true,
        };
        let blind = self.unwatched.iter().filter(|hole| !in_gap(hole) && after(hole));
        blind
            .max_by_key(|hole| hole.to_ms.saturating_sub(hole.from_ms))
            .copied()
    }

    /// Did a moment fall into a time in which nobody called and that no gap has in it?
    #[must_use]
    pub fn was_blind_at(&self, moment: Instant) -> bool {
        let holds = |hole: &Unwatched| match (self.place(hole.from_ms), self.place(hole.to_ms)) {
            (Some(from), Some(to)) => from.earliest <= moment.latest && to.latest >= moment.latest,
            _ => false,
        };
        let in_gap = self.gaps.iter().any(|gap| {
            let (from, to) = (self.place(gap.from_ms), gap.to_ms.map(|to| self.place(to)));
            let open = to.is_none_or(|to| to.is_some_and(|to| to.latest >= moment.earliest));
            from.is_some_and(|from| from.earliest <= moment.latest) && open
        });
        !in_gap && self.unwatched.iter().any(holds)
    }

    /// Where the end of a gap lies on the axis; `None`: it has none, or the clock is not known.
    #[must_use]
    pub fn end_of(&self, gap: &Gap) -> Option<Instant> {
        let mut end = self.place(gap.to_ms?)?;
        end.earliest = end
            .earliest
            .saturating_sub(signed(gap.unseen_to_ms).saturating_mul(1000));
        Some(end)
    }

    /// Where so many milliseconds of its own lie on the axis; `None`: its clock is not known.
    #[must_use]
    pub fn place(&self, ms: u64) -> Option<Instant> {
        let at = Timestamp(self.began.0.saturating_add(signed(ms).saturating_mul(1000)));
        Some(Instant::of(at, self.clock?, self.every_ms.saturating_mul(1000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(from: Source, calls: u64, lost: u64) -> Answers {
        Answers {
            target: "tcp:192.0.2.7:22".parse().unwrap(),
            from,
            began: Timestamp(0),
            clock: None,
            every_ms: 100,
            lasted_ms: calls * 100,
            calls,
            late: 0,
            gaps: vec![Gap {
                from_ms: 0,
                to_ms: None,
                lost,
                unwatched_ms: 0,
                unseen_from_ms: 0,
                unseen_to_ms: 0,
            }],
            unwatched: vec![],
        }
    }

    #[test]
    fn a_time_in_which_nobody_called_hides_what_lies_in_it_and_no_gap() {
        let own = ClockOffset {
            micros: 0,
            error_micros: 0,
        };
        let mut seen = Answers {
            clock: Some(own),
            gaps: vec![],
            unwatched: vec![
                Unwatched {
                    from_ms: 1000,
                    to_ms: 2000,
                },
                Unwatched {
                    from_ms: 5000,
                    to_ms: 8000,
                },
            ],
            ..asked(Source::Coordinator, 100, 0)
        };
        let at = |ms: i64| Instant::of(Timestamp(ms * 1000), own, 0);
        assert_eq!(seen.blind_after(None).unwrap().from_ms, 5000);
        assert_eq!(seen.blind_after(Some(at(9000))), None);
        assert!(seen.was_blind_at(at(6000)) && !seen.was_blind_at(at(3000)));
        // A gap that has it in it tells of it.
        seen.gaps = vec![Gap {
            from_ms: 4900,
            to_ms: Some(8300),
            lost: 3,
            unwatched_ms: 3000,
            unseen_from_ms: 3000,
            unseen_to_ms: 0,
        }];
        assert_eq!(seen.blind_after(None).unwrap().from_ms, 1000);
        assert!(!seen.was_blind_at(at(6000)));
    }

    #[test]
    fn the_end_of_a_gap_may_lie_as_far_back_as_nobody_called() {
        let own = ClockOffset {
            micros: 0,
            error_micros: 0,
        };
        let seen = Answers {
            clock: Some(own),
            ..asked(Source::Coordinator, 100, 0)
        };
        let gap = Gap {
            from_ms: 1000,
            to_ms: Some(5000),
            lost: 3,
            unwatched_ms: 2000,
            unseen_from_ms: 0,
            unseen_to_ms: 2000,
        };
        let end = seen.end_of(&gap).unwrap();
        assert_eq!((end.earliest, end.latest), (2_900_000, 5_000_000));
    }

    #[test]
    fn nodes_have_the_word_only_where_the_coordinator_heard_nothing() {
        let node = Source::Agent {
            node: "prox2".parse().unwrap(),
        };
        let who = |own_lost: u64| {
            let all = [asked(Source::Coordinator, 100, own_lost), asked(node.clone(), 100, 10)];
            deciding(&all).map(|one| one.from.clone()).collect::<Vec<_>>()
        };
        assert_eq!(who(99), [Source::Coordinator]);
        assert_eq!(who(100), [Source::Coordinator, node.clone()]);
        assert_eq!(deciding(&[asked(node.clone(), 9, 9)]).count(), 1);
    }
}
