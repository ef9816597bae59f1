//! `kill -9` of coordinator and agents while something is done, at moments that a seed chooses among all that happen then: whatever
//! they are, the end is that of the undisturbed run, and nothing was done twice.

use std::time::{Duration, Instant};

use quorate_clock::Clock;
use quorate_suites::ends::{Moment, Scenario, Stage};
use quorate_suites::{Fleet, PATIENCE, told};
use serde_json::Value;

/// A small generator of our own: a seed that failed can be run again, on any machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

async fn survives(seed: u64) {
    let scenario = Scenario::ALL[usize::try_from(seed).unwrap() % Scenario::ALL.len()];
    let (end, moments) = scenario.undisturbed().await;
    let mut dice = Dice(seed);
    // The first of them while a good deal is still to come.
    let mut chosen = vec![dice.roll(moments.len() / 2)];
    for _ in 0..1 + dice.roll(3) {
        chosen.push(dice.roll(moments.len()));
    }
    chosen.sort_unstable();
    chosen.dedup();
    println!("seed {seed}, {scenario:?}");

    let stage = scenario.stage().await;
    let fleet = &stage.fleet;
    let (clock, names) = (Clock::system(), fleet.lab.names());
    let rollout = stage.begins().await;
    let mut kills = Vec::new();
    for moment in chosen.into_iter().map(|index| &moments[index]) {
        if !comes(&stage, moment, &rollout).await {
            println!("{moment:?} did not come");
            continue;
        }
        println!("killed at {moment:?}");
        kills.push(clock.unix_micros());
        let victim = dice.roll(names.len() + 1);
        let node = names.get(victim).filter(|node| fleet.lab.agent_pid(node).is_some());
        if let Some(node) = node {
            fleet.lab.kill_agent(node);
        }
        if node.is_none() || dice.roll(3) == 0 {
            fleet.lab.kill_coordinator();
            fleet.start_coordinator(&[]).await;
        }
        if let Some(node) = node {
            fleet.lab.start_agent(node).unwrap();
        }
    }
    let watched = fleet.run(&["rollout", "watch", &rollout, "-o", "json"]).await;
    assert!(watched.success(), "seed {seed}\n{}", told(&watched));
    let finished = finished_at(&watched.stdout).unwrap_or_else(|| panic!("seed {seed}\n{}", told(&watched)));
    let counted = kills.iter().filter(|at| **at < finished).count();
    assert!(counted >= 1, "seed {seed}: nobody was killed before the end");
    assert_eq!(stage.end().await, *end, "seed {seed}");
}

/// Waits for a moment. `false`: the rollout ended without it.
async fn comes(stage: &Stage, moment: &Moment, rollout: &str) -> bool {
    let begun = Instant::now();
    let mut turn = 0_u32;
    while !moment.is_in(&stage.since()) {
        turn += 1;
        if turn.is_multiple_of(100) && is_over(&stage.fleet, rollout).await {
            return moment.is_in(&stage.since());
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{moment:?} does not come, and the rollout does not end"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

async fn is_over(fleet: &Fleet, rollout: &str) -> bool {
    let shown = fleet.json(&["rollout", "show", rollout]).await;
    !shown["result"].is_null()
}

/// When the last record was written, in microseconds.
fn finished_at(told: &str) -> Option<i64> {
    let entries = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut finished = entries.filter(|told| told["progress"] == "entry" && told["record"]["record"] == "finished");
    finished.find_map(|entry| entry["at"].as_i64())
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
