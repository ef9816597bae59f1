//! From single round trips to a distribution.

use std::time::Duration;

/// A packet that needs longer is late: a tenth of corosync's shortest token timeout (1000 ms).
pub const LATE: Duration = Duration::from_millis(100);

/// What became of one packet: its round trip in microseconds, or nothing, if it did not come back.
pub type Round = Option<u64>;

/// The round trips of a series of packets, in the order in which they were sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoundTrips {
    in_order: Vec<Round>,
    sorted: Vec<u64>,
}

impl RoundTrips {
    /// Takes them as they were sent.
    #[must_use]
    pub fn of(in_order: Vec<Round>) -> Self {
        let mut sorted: Vec<u64> = in_order.iter().copied().flatten().collect();
        sorted.sort_unstable();
        Self { in_order, sorted }
    }

    /// How many were sent.
    #[must_use]
    pub fn sent(&self) -> u32 {
        u32::try_from(self.in_order.len()).unwrap_or(u32::MAX)
    }

    /// How many came back.
    #[must_use]
    pub fn received(&self) -> u32 {
        u32::try_from(self.sorted.len()).unwrap_or(u32::MAX)
    }

    /// How many of these were late.
    #[must_use]
    pub fn late(&self) -> u32 {
        let late = u64::try_from(LATE.as_micros()).unwrap_or(u64::MAX);
        u32::try_from(self.sorted.iter().filter(|rtt| **rtt > late).count()).unwrap_or(u32::MAX)
    }

    /// The round trip that this many of a hundred did not exceed (nearest rank); `None`: none came back.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Option<u64> {
        let rank = (self.sorted.len() * percent).div_ceil(100).max(1);
        self.sorted.get(rank - 1).copied()
    }

    /// Mean of the absolute differences of consecutive round trips. A packet that was lost parts nothing: its neighbours are
    /// compared. Zero with fewer than two.
    #[must_use]
    pub fn jitter(&self) -> u64 {
        let came_back: Vec<u64> = self.in_order.iter().copied().flatten().collect();
        let differences = came_back
            .iter()
            .zip(came_back.iter().skip(1))
            .map(|(a, b)| a.abs_diff(*b));
        let sum: u128 = differences.map(u128::from).sum();
        let count = u128::try_from(came_back.len().saturating_sub(1)).unwrap_or(0);
        sum.checked_div(count)
            .and_then(|mean| u64::try_from(mean).ok())
            .unwrap_or(0)
    }
}
