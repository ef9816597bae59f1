//! What a watch is asked to do.

use std::net::SocketAddr;
use std::time::Duration;

use quorate_model::Timestamp;
use quorate_model::ids::OperationId;
use serde::{Deserialize, Serialize};

/// No drill lasts longer than this; a watch that was forgotten ends by itself.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Guests that one watch looks for.
pub(crate) const MAX_GUESTS: usize = 256;

/// The numbered writer in a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TallyAt {
    /// Its guest: only while that runs here is it asked.
    pub(crate) guest: u32,
    /// Where it answers.
    pub(crate) at: SocketAddr,
}

/// A watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// Its name, which the coordinator chose: the same one again attaches.
    pub(crate) id: OperationId,
    /// The guests whose start and copies are told of.
    pub(crate) guests: Vec<u32>,
    /// Whose records are counted from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tally: Option<TallyAt>,
    /// When it ends, by this node's clock.
    pub(crate) until: Timestamp,
}

impl Order {
    /// A watch from now on.
    ///
    /// # Errors
    /// In words: what about it can't be done.
    pub(crate) fn new(id: OperationId, guests: Vec<u32>, now: Timestamp, lasts: Duration) -> Result<Self, String> {
        if lasts.is_zero() || lasts > LONGEST {
            return Err(format!(
                "a watch lasts from a second to {} hours",
                LONGEST.as_secs() / 3600
            ));
        }
        if guests.len() > MAX_GUESTS {
            return Err(format!("{} guests are more than {MAX_GUESTS}", guests.len()));
        }
        Ok(Self {
            id,
            guests,
            tally: None,
            until: now.plus(lasts),
        })
    }

    /// The same that also asks a numbered writer.
    ///
    /// # Errors
    /// In words: why it is not asked.
    pub(crate) fn asking(mut self, tally: TallyAt) -> Result<Self, String> {
        if !self.guests.contains(&tally.guest) {
            return Err(format!("guest {} is none of those that are watched", tally.guest));
        }
        let address = tally.at.ip();
        if tally.at.port() == 0 || address.is_unspecified() || address.is_multicast() {
            return Err(format!("nobody answers at {}", tally.at));
        }
        self.tally = Some(tally);
        Ok(self)
    }

    /// Is its time over?
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.until
    }
}
