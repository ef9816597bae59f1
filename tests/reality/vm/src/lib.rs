//! A virtual machine with Debian's kernel, the real ZFS, and disks that can be pulled.
//!
//! Here stands what is no part of the product: how the machine is prepared ([`image`]), what disks it has ([`disk`]), how it runs
//! ([`machine`]) and how something is done in it past the product ([`guest`]). What the product says of it is asked in `tests/`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that can't be set up has failed"
)]

pub mod disk;
pub mod guest;
pub mod image;
pub mod machine;
mod wire;

use std::time::{Duration, Instant};

/// Long enough for an emulated machine on a busy host; nobody waits for it when all goes well.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Waits for something, by asking again and again.
///
/// # Panics
/// It does not come true in time.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Tells how far a test is: it takes minutes.
pub fn note(what: &str) {
    static BEGUN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let since = BEGUN.get_or_init(Instant::now).elapsed();
    eprintln!("{:6.1} s  {what}", since.as_secs_f64());
}
