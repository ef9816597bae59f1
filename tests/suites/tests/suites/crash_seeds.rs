//! `kill -9` at random, of coordinator and agents, while a cluster is made: whatever the moment, the end is the undisturbed one.

use std::time::Duration;

use quorate_lab::{Lab, What};
use quorate_suites::{Fleet, told};

/// A small generator of our own: a seed that failed can be run again, on any machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

async fn survives(seed: u64) {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(20.0)).await;
    let file = fleet.cluster_file(&fleet.lab.names());
    let started = fleet.json(&["apply", &file, "--yes", "--detach"]).await;
    let rollout = started["rollout"]
        .as_str()
        .unwrap_or_else(|| panic!("seed {seed}: {started}"))
        .to_owned();
    let mut dice = Dice(seed);
    for _ in 0..2 + dice.roll(4) {
        tokio::time::sleep(Duration::from_millis(dice.roll(900))).await;
        let victim = dice.roll(4);
        if victim == 0 || dice.roll(3) == 0 {
            fleet.lab.kill_coordinator();
            tokio::time::sleep(Duration::from_millis(dice.roll(200))).await;
            fleet.start_coordinator(&[]).await;
        }
        if victim > 0 {
            let node = format!("prox{victim}");
            fleet.lab.kill_agent(&node);
            tokio::time::sleep(Duration::from_millis(dice.roll(200))).await;
            fleet.lab.start_agent(&node).unwrap();
        }
    }
    let watched = fleet.run(&["rollout", "watch", &rollout]).await;
    assert!(watched.success(), "seed {seed}\n{}", told(&watched));
    fleet.is_one_quorate_cluster(&fleet.lab.names()).await;
    assert_eq!(fleet.happened(What::ClusterCreated), 1, "seed {seed}");
    assert_eq!(fleet.calls("pvecm", "create").len(), 1, "seed {seed}");
    assert_eq!(fleet.calls("pvecm", "add").len(), 2, "seed {seed}: no join ran twice");
}

/// Fifty seeds, in ten tests, so that they run beside one another.
macro_rules! seeds {
    ($($name:ident $from:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            for seed in $from..$from + 5 {
                survives(seed).await;
            }
        }
    )*};
}

seeds! {
    seeds_from_0 0;
    seeds_from_5 5;
    seeds_from_10 10;
    seeds_from_15 15;
    seeds_from_20 20;
    seeds_from_25 25;
    seeds_from_30 30;
    seeds_from_35 35;
    seeds_from_40 40;
    seeds_from_45 45;
}
