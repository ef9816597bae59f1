//! Predicted beside measured: each difference of more than a fifth is explained, or flagged.

use serde::{Deserialize, Serialize};

use super::axis::{Range, span};
use super::phase::Phase;
use super::predict::{Expected, Prediction};
use super::timeline::Timeline;
use crate::finding::{Code, Finding};

/// One phase, as it was predicted and as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Which.
    pub phase: Phase,
    /// When it was expected, from the fault on; `None`: it was not.
    pub predicted: Option<Range>,
    /// When it was; `None`: not seen.
    pub measured: Option<Range>,
    /// What that means.
    pub finding: Difference,
}

/// How the two stand to one another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "difference")]
pub enum Difference {
    /// As expected, within a fifth.
    None,
    /// More than a fifth, for a reason that is known.
    Explained {
        /// The reason.
        why: String,
    },
    /// More than a fifth, and nobody knows why.
    Flagged {
        /// By how much.
        what: String,
    },
    /// It can't be compared: it was not seen, or not predicted.
    Open {
        /// Why.
        why: String,
    },
}

impl Difference {
    /// Has somebody to look at it?
    #[must_use]
    pub fn is_flagged(&self) -> bool {
        matches!(self, Self::Flagged { .. })
    }
}

/// Compares all phases that were predicted or seen.
#[must_use]
pub fn compare(predicted: &Prediction, line: &Timeline) -> Vec<Compared> {
    let mut all: Vec<Compared> = Vec::new();
    for phase in Phase::ALL.into_iter().filter(|phase| *phase != Phase::Fault) {
        let expected = predicted.of(phase);
        let seen = line.phases.iter().find(|seen| seen.phase == phase);
        let measured = line.since_fault(phase);
        if expected.is_none() && seen.is_none() {
            continue;
        }
        let finding = match (expected, measured) {
            (Some(expected), Some(measured)) => judge(expected, measured, &all),
            (None, Some(_)) if is_consequence(phase) => Difference::Flagged {
                what: format!("{} was not to come at all", phase.as_str()),
            },
            (None, _) => Difference::Open {
                why: "nothing was predicted for it".to_owned(),
            },
            (Some(expected), None) => match seen {
                Some(seen) => Difference::Open { why: seen.by.clone() },
                None => Difference::Open {
                    why: format!("it was not seen; it was expected after {}", expected.at.between()),
                },
            },
        };
        all.push(Compared {
            phase,
            predicted: expected.map(|expected| expected.at),
            measured,
            finding,
        });
    }
    all
}

/// Phases that cost somebody something: one that comes without having been predicted is news. The others only tell of the end.
fn is_consequence(phase: Phase) -> bool {
    (Phase::LinkLost..=Phase::GuestStarted).contains(&phase)
}

fn judge(expected: &Expected, measured: Range, before: &[Compared]) -> Difference {
    let at = expected.at;
    let off = measured.likely.saturating_sub(at.likely);
    // Less than a second is no difference, whatever part of the whole it is: nobody looks more often.
    let allowed = (at.likely / 5).max(1_000_000);
    if off.saturating_abs() <= allowed {
        return Difference::None;
    }
    if measured.may_lie_in(at) {
        let why = format!("within what the constants allow: {}", at.between());
        return Difference::Explained { why };
    }
    if expected.guessed {
        let why = format!("what was predicted was a guess: {}", expected.why);
        return Difference::Explained { why };
    }
    // Late by as much as an earlier phase was: that one is to be looked at.
    let carried = expected.phase.after().iter().find_map(|earlier| {
        let compared = before.iter().find(|compared| compared.phase == *earlier)?;
        let its = compared.measured?.likely.saturating_sub(compared.predicted?.likely);
        let same = its.signum() == off.signum()
            && off.saturating_sub(its).saturating_abs() <= allowed
            && its.saturating_abs() > 1_000_000;
        same.then_some(*earlier)
    });
    let way = if off > 0 { "later" } else { "earlier" };
    if let Some(earlier) = carried {
        let why = format!("{} {way}, as {} was", span(off.saturating_abs()), earlier.as_str());
        return Difference::Explained { why };
    }
    Difference::Flagged {
        what: format!("{} {way} than {}", span(off.saturating_abs()), at.between()),
    }
}

/// What nobody could explain, as findings of a drill.
#[must_use]
pub fn flagged(all: &[Compared], subject: &str) -> Vec<Finding> {
    let flagged = all.iter().filter_map(|one| match &one.finding {
        Difference::Flagged { what } => Some((one.phase, what)),
        _ => None,
    });
    flagged
        .map(|(phase, what)| {
            let message = format!("{}: {what}", phase.as_str());
            let next = "look at that node's log of the time: journalctl -u corosync -u pve-ha-crm -u pve-ha-lrm";
            Finding::new(Code::DrillDiffers, subject, message, next)
        })
        .collect()
}
