//! Seeded drills: each record is held against the world's own log. `cargo lab drills` plays more of them.

use quorate_suites::drills::scenario::PER_LAB;
use quorate_suites::drills::series::series;
use tokio::task::LocalSet;

/// As fast as `cargo lab drills` plays them.
const SPEED: f64 = 20.0;

/// So many labs are played here, of [`PER_LAB`] drills each: at least twenty seeds, in which each fault comes, on three to six servers.
const LABS: u64 = 4;

/// All of them, one lab after another: two at a time would measure one another.
///
/// It takes minutes of a machine that has little else to do; one that is late all the time measures nothing, and says so.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes of a quiet machine: cargo lab drills plays the same seeds"]
async fn drills_of_the_first_seeds_are_right() {
    let seeds = 0..LABS * PER_LAB;
    let all = LocalSet::new()
        .run_until(series(seeds, SPEED, |text| println!("{text}")))
        .await;
    println!("{}", all.told());
    let failed = all.failed();
    assert!(
        failed.is_empty(),
        "not right: seeds {failed:?}; alone: cargo lab drills --seeds 1 --first SEED"
    );
    assert!(
        !all.is_too_noisy(),
        "this machine is too busy to measure anything: seeds {:?}",
        all.noisy()
    );
}
