//! The way into the journal for `tests/bench`, which measures it as rollouts use it. No part of the product.

use std::path::Path;
use std::time::{Duration, Instant};

use quorate_clock::Clock;
use quorate_engine::ports::{Journal, JournalError};
use quorate_model::RolloutId;
use quorate_model::rollout::Record;

use crate::store::{Opened, Store};

/// Makes a journal in `dir`, which must not exist, and appends these records one after another through the store's own thread.
/// Gives back how long each took until it was durable.
///
/// # Errors
/// The journal can't be made or written.
pub async fn appends(
    dir: &Path,
    records: impl IntoIterator<Item = (RolloutId, Record)>,
) -> Result<Vec<Duration>, JournalError> {
    let Opened { store, thread, .. } = Store::open(dir, false, Clock::system())?;
    let mut taken = Vec::new();
    for (rollout, record) in records {
        let begun = Instant::now();
        store.append(&rollout, record).await?;
        taken.push(begun.elapsed());
    }
    drop(store);
    thread
        .join()
        .map_err(|_| JournalError::Write("the journal's thread broke off".to_owned()))?;
    Ok(taken)
}
