//! Seeded drills: each record is held against the world's own log. `cargo lab drills` plays more of them.

use quorate_suites::drills::scenario::PER_LAB;
use quorate_suites::drills::series::series;
use tokio::task::LocalSet;

/// The drills of one lab.
async fn are_right(lab: u64) {
    let seeds = lab * PER_LAB..(lab + 1) * PER_LAB;
    let all = LocalSet::new()
        .run_until(series(seeds, 20.0, |text| println!("{text}")))
        .await;
    println!("{}", all.told());
    let failed = all.failed();
    assert!(
        failed.is_empty(),
        "not right: seeds {failed:?}; alone: cargo lab drills --seeds 1 --first SEED"
    );
}

/// Labs of three to six servers.
macro_rules! labs {
    ($($name:ident $lab:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        #[ignore = "not all seeds are right yet: cargo lab drills says which, and why"]
        async fn $name() {
            are_right($lab).await;
        }
    )*};
}

labs! {
    drills_from_0 0;
    drills_from_5 1;
    drills_from_10 2;
    drills_from_15 3;
}
