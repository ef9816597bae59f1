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
            }],
        }
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
