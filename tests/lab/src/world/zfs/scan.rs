//! Scrubs and resilvers: how long they take, how far they are, how they end.

use std::time::Duration;

use jiff::Timestamp;

use crate::world::clock::SimTime;

/// The last scan of a pool, or the one under way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scan {
    pub(crate) kind: ScanKind,
    pub(crate) state: ScanState,
    /// By the server's clock: when it began, or ended.
    pub(crate) at: Timestamp,
    /// Bytes repaired, or copied.
    pub(crate) repaired: u64,
    /// That could not be repaired.
    pub(crate) errors: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScanKind {
    Scrub,
    Resilver,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ScanState {
    /// Since then, by the world's clock.
    Running {
        since: SimTime,
        takes: Duration,
    },
    /// So far.
    Paused {
        done: f64,
    },
    Cancelled,
    Finished {
        took: Duration,
    },
}

/// How long scans take from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Durations {
    pub(crate) scrub: Duration,
    pub(crate) resilver: Duration,
}

impl Default for Durations {
    /// As on nearly empty pools.
    fn default() -> Self {
        Self {
            scrub: Duration::from_secs(1),
            resilver: Duration::from_secs(1),
        }
    }
}

impl Scan {
    pub(crate) fn begun(kind: ScanKind, at: Timestamp, since: SimTime, takes: Duration) -> Self {
        Self {
            kind,
            state: ScanState::Running { since, takes },
            at,
            repaired: 0,
            errors: 0,
        }
    }

    /// From 0 to 1.
    pub(crate) fn done(&self, now: SimTime) -> f64 {
        match &self.state {
            ScanState::Running { since, takes } if !takes.is_zero() => {
                (now.saturating_sub(*since).as_secs_f64() / takes.as_secs_f64()).min(1.0)
            }
            ScanState::Paused { done } => *done,
            _ => 1.0,
        }
    }

    pub(crate) fn runs(&self, kind: ScanKind) -> bool {
        self.kind == kind && matches!(self.state, ScanState::Running { .. })
    }
}
