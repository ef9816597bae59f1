//! Real corosync daemons in network namespaces of this machine, with cables that can be pulled.
//!
//! Here stands what is no part of the product: the namespaces ([`space`]), the cables between them ([`cables`]), corosync's
//! configuration ([`conf`]), the daemons ([`cluster`], [`vote`]), what they say ([`said`]) and who takes it ([`journal`]), and the lab's cluster beside them ([`model`]).
//! What the product says of it is asked in `tests/`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that can't be set up has failed"
)]

pub mod cables;
pub mod cluster;
pub mod conf;
pub mod journal;
pub mod model;
pub mod said;
pub mod space;
pub mod vote;

use std::time::{Duration, Instant};

/// Long enough for a change of membership on a busy machine; nobody waits for it when all goes well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something, by asking again and again.
///
/// # Panics
/// It does not come true in time.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Tells what was seen: figures are of more use than a word.
pub fn note(what: &str) {
    eprintln!("      {what}");
}
