//! The course of a drill: which stage follows, however one ends. Each is on the disk before it begins, and may begin again after a restart.

use serde::{Deserialize, Serialize};

/// A stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Other guests are moved off the victim.
    MovingOff,
    /// Copies of customers' guests that may fail are waited for.
    Syncing,
    /// Probes and watches run, and all is as it should be.
    Listening,
    /// The fault is asked for.
    Breaking,
    /// What comes of it is watched.
    Observing,
    /// The fault is taken back before its time.
    Healing,
    /// The victim is waited for, and what it wrote to our canary is overwritten.
    Resolving,
    /// All returns to normal.
    Returning,
    /// Guests are moved back.
    MovingBack,
    /// The record is written.
    Recording,
    /// It is over.
    Over,
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// What it is for is done.
    Done,
    /// It certainly did not come about, and nothing of it is left.
    Failed,
    /// Whether it came about can't be told.
    Unsure,
    /// It is not to go on: by an operator's word, or because it went half-way.
    Aborted,
}

impl Stage {
    /// All of them, in order.
    #[cfg(test)]
    const ALL: [Self; 11] = [
        Self::MovingOff,
        Self::Syncing,
        Self::Listening,
        Self::Breaking,
        Self::Observing,
        Self::Healing,
        Self::Resolving,
        Self::Returning,
        Self::MovingBack,
        Self::Recording,
        Self::Over,
    ];

    /// As shown.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::MovingOff => "moving guests off",
            Self::Syncing => "waiting for copies",
            Self::Listening => "listening",
            Self::Breaking => "making the fault",
            Self::Observing => "observing",
            Self::Healing => "taking the fault back",
            Self::Resolving => "letting go of the canary's copy",
            Self::Returning => "returning to normal",
            Self::MovingBack => "moving guests back",
            Self::Recording => "writing the record",
            Self::Over => "over",
        }
    }

    /// The stage after this one.
    pub(crate) fn next(self, ended: Ended) -> Self {
        match (self, ended) {
            (Self::MovingOff, Ended::Done) => Self::Syncing,
            (Self::Syncing, Ended::Done) => Self::Listening,
            (Self::Listening, Ended::Done) => Self::Breaking,
            // Nothing is broken yet: what was moved goes back.
            (Self::MovingOff | Self::Syncing | Self::Listening, _) => Self::MovingBack,
            (Self::Breaking, Ended::Failed) => Self::MovingBack,
            // A fault that may be there is watched like one that is: that is what a cut looks like from here.
            (Self::Breaking, Ended::Done | Ended::Unsure) => Self::Observing,
            (Self::Breaking | Self::Observing, Ended::Aborted) => Self::Healing,
            (Self::Observing | Self::Healing, _) => Self::Resolving,
            (Self::Resolving, _) => Self::Returning,
            (Self::Returning, _) => Self::MovingBack,
            (Self::MovingBack, _) => Self::Recording,
            (Self::Recording | Self::Over, _) => Self::Over,
        }
    }

    /// Does an operator's word end it? Those after it do already what that word asks for.
    pub(crate) fn heeds_abort(self) -> bool {
        self <= Self::Observing || matches!(self, Self::Resolving | Self::Returning)
    }

    /// Is somebody to listen while it goes on?
    pub(crate) fn listens(self) -> bool {
        (Self::Listening..=Self::Returning).contains(&self)
    }
}

/// After a restart in the middle of [`Stage::Breaking`]: what the victim's ledger says of the operation. One that never began is not begun now:
/// what was looked at before it is old.
pub(crate) fn broken_meanwhile(known: Option<bool>) -> Ended {
    match known {
        Some(true) => Ended::Done,
        Some(false) => Ended::Failed,
        // A server that is cut off does not answer.
        None => Ended::Unsure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: [Ended; 4] = [Ended::Done, Ended::Failed, Ended::Unsure, Ended::Aborted];

    #[test]
    fn a_drill_that_goes_well_passes_all_but_healing() {
        let mut stage = Stage::MovingOff;
        let mut seen = vec![stage];
        while stage != Stage::Over {
            stage = stage.next(Ended::Done);
            seen.push(stage);
        }
        let all: Vec<Stage> = Stage::ALL
            .into_iter()
            .filter(|stage| *stage != Stage::Healing)
            .collect();
        assert_eq!(seen, all);
    }

    #[test]
    fn whatever_happens_it_comes_to_its_end_with_a_record() {
        for stage in Stage::ALL.into_iter().filter(|stage| *stage < Stage::Recording) {
            for ended in ENDS {
                let (mut next, mut recorded) = (stage.next(ended), false);
                assert!(next > stage, "{stage:?} {ended:?} goes back");
                while next != Stage::Over {
                    recorded |= next == Stage::Recording;
                    next = next.next(Ended::Failed);
                }
                assert!(recorded, "{stage:?} {ended:?}");
            }
        }
    }

    #[test]
    fn nothing_leads_past_the_healing_of_a_fault_that_was_given_up() {
        for stage in [Stage::Breaking, Stage::Observing] {
            assert_eq!(stage.next(Ended::Aborted), Stage::Healing, "{stage:?}");
        }
        for stage in [Stage::MovingOff, Stage::Syncing, Stage::Listening] {
            for ended in [Ended::Failed, Ended::Unsure, Ended::Aborted] {
                assert_eq!(stage.next(ended), Stage::MovingBack, "{stage:?}");
            }
        }
    }

    #[test]
    fn a_coordinator_that_was_killed_while_it_broke_something_looks_and_does_not_break_it_anew() {
        let after = |known| Stage::Breaking.next(broken_meanwhile(known));
        assert_eq!(after(Some(true)), Stage::Observing);
        assert_eq!(after(Some(false)), Stage::MovingBack);
        assert_eq!(
            after(None),
            Stage::Observing,
            "a server that is cut off does not answer"
        );
    }

    #[test]
    fn every_stage_is_read_back_by_its_name() {
        for stage in Stage::ALL {
            let text = serde_json::to_string(&stage).unwrap();
            assert_eq!(serde_json::from_str::<Stage>(&text).unwrap(), stage);
        }
        for stage in [
            Stage::Breaking,
            Stage::Observing,
            Stage::Healing,
            Stage::Resolving,
            Stage::Returning,
        ] {
            assert!(stage.listens(), "{stage:?}: nobody would see what comes of it");
        }
        assert!(!Stage::Healing.heeds_abort() && !Stage::MovingBack.heeds_abort());
        assert!(Stage::Resolving.heeds_abort() && Stage::Returning.heeds_abort());
    }
}
