//! Many drills one after another, and what they came to.

use super::play::{Played, play};
use super::scenario::{Scenario, Shape};
use super::stage::Stage;

/// Drills that are over, and those that broke off.
#[derive(Debug, Default)]
pub struct Series {
    /// All that came to an end.
    pub played: Vec<Played>,
    /// Seeds whose lab or drill broke off, and why.
    pub broken: Vec<(u64, String)>,
}

/// Plays the drills of these seeds; those that share a lab in one. `say` hears of each.
pub async fn series(seeds: impl Iterator<Item = u64>, speed: f64, mut say: impl FnMut(&str)) -> Series {
    let mut all = Series::default();
    let mut stage: Option<Stage> = None;
    for seed in seeds {
        let scenario = Scenario::of(seed);
        let shape = Shape::of(seed);
        let kept = stage.take().filter(|stage| stage.shape == shape);
        let what = scenario.clone();
        // What breaks off takes only its own lab along.
        let one = tokio::task::spawn_local(async move {
            let mut stage = match kept {
                Some(stage) => stage,
                None => Stage::new(shape, speed).await,
            };
            let played = play(&mut stage, &what).await;
            (stage, played)
        });
        match one.await {
            Ok((used, played)) => {
                say(&told(&played));
                // After one that is not right nothing is sure of the lab.
                stage = played.is_right().then_some(used);
                all.played.push(played);
            }
            Err(error) => {
                let why = reason(error);
                say(&format!("{scenario}\n  BROKE OFF: {why}"));
                all.broken.push((seed, why));
            }
        }
    }
    all
}

fn reason(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "it was given up".to_owned();
    };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "it panicked".to_owned())
}

/// One drill in some lines.
#[must_use]
pub fn told(played: &Played) -> String {
    let judgement = &played.judgement;
    let word = match (
        played.is_right(),
        judgement.noisy.is_empty(),
        judgement.unknown.is_empty(),
    ) {
        (false, _, _) => "NOT RIGHT",
        (true, false, _) => "right but for what this machine was late",
        (true, true, false) => "right as far as it knows",
        (true, true, true) => "right",
    };
    let mut text = format!("{}\n  on {}: {word}", played.scenario, played.victim);
    if let Some(off) = judgement.outage_off {
        text.push_str(&format!("; outage off by {} ms", milli(off)));
    }
    text.push_str(&format!(
        "; {} held against the world; this machine was up to {} ms late",
        judgement.held,
        milli(played.noise.most())
    ));
    for killed in &played.killed {
        text.push_str(&format!("\n  killed: {killed}"));
    }
    for (word, all) in [
        ("WRONG", &judgement.wrong),
        ("noise", &judgement.noisy),
        ("unknown", &judgement.unknown),
    ] {
        for one in all {
            text.push_str(&format!("\n  {word}: {one}"));
        }
    }
    text
}

fn milli(micros: i64) -> String {
    format!("{}.{}", micros / 1000, (micros % 1000).abs() / 100)
}

impl Series {
    /// Seeds that are not right, and those that broke off.
    #[must_use]
    pub fn failed(&self) -> Vec<u64> {
        let wrong = self.played.iter().filter(|played| !played.is_right());
        let mut all: Vec<u64> = wrong.map(|played| played.scenario.seed).collect();
        all.extend(self.broken.iter().map(|(seed, _)| *seed));
        all.sort_unstable();
        all
    }

    /// Seeds that are right but for what this machine was late.
    #[must_use]
    pub fn noisy(&self) -> Vec<u64> {
        let noisy = self
            .played
            .iter()
            .filter(|played| played.is_right() && !played.judgement.noisy.is_empty());
        noisy.map(|played| played.scenario.seed).collect()
    }

    /// A machine that is late all the time measures nothing: more than one drill in ten is right but for that.
    #[must_use]
    pub fn is_too_noisy(&self) -> bool {
        self.noisy().len() * 10 > self.played.len()
    }

    /// All in some lines.
    #[must_use]
    pub fn told(&self) -> String {
        let (failed, noisy) = (self.failed(), self.noisy());
        let all = self.played.len() + self.broken.len();
        let unknown = self
            .played
            .iter()
            .filter(|played| played.is_right() && !played.judgement.unknown.is_empty());
        let mut text = format!(
            "{all} drills: {} right, {} of them only as far as they know, {} of them but for what this machine was late; {} not right",
            all - failed.len(),
            unknown.count(),
            noisy.len(),
            failed.len()
        );
        let mut off: Vec<i64> = self
            .played
            .iter()
            .filter_map(|played| played.judgement.outage_off)
            .collect();
        off.sort_unstable();
        if let (Some(median), Some(most)) = (off.get(off.len() / 2), off.last()) {
            text.push_str(&format!(
                "\noutages measured: {}; off by {} ms (median) and {} ms (most)",
                off.len(),
                milli(*median),
                milli(*most)
            ));
        }
        let widths = self.played.iter().flat_map(|played| &played.judgement.widths);
        let mut widths: Vec<i64> = widths.copied().collect();
        widths.sort_unstable();
        if let (Some(median), Some(most)) = (widths.get(widths.len() / 2), widths.last()) {
            text.push_str(&format!(
                "\nphases told: {}; their error bars are {} ms wide (median) and {} ms (most), in real time",
                widths.len(),
                milli(*median),
                milli(*most)
            ));
        }
        let late = self.played.iter().map(|played| played.noise.most()).max().unwrap_or(0);
        text.push_str(&format!("\nthis machine was up to {} ms late", milli(late)));
        for (word, seeds) in [("not right", &failed), ("late", &noisy)] {
            if !seeds.is_empty() {
                let seeds: Vec<String> = seeds.iter().map(ToString::to_string).collect();
                text.push_str(&format!("\n{word}: seeds {}", seeds.join(", ")));
            }
        }
        text
    }
}
