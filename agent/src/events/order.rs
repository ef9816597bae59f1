//! What a watch is asked to do.

use std::time::Duration;

use quorate_model::Timestamp;
use quorate_model::ids::OperationId;
use serde::{Deserialize, Serialize};

/// No drill lasts longer than this; a watch that was forgotten ends by itself.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Guests that one watch looks for.
pub(crate) const MAX_GUESTS: usize = 256;

/// A watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// Its name, which the coordinator chose: the same one again attaches.
    pub(crate) id: OperationId,
    /// The guests whose start and copies are told of.
    pub(crate) guests: Vec<u32>,
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
            until: now.plus(lasts),
        })
    }

    /// Is its time over?
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.until
    }
}
