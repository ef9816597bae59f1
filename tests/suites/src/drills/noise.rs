//! How late this machine is: a busy one makes every measurement worse, and that is measured beside it rather than assumed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Who sleeps so long should wake up after it.
const NAP: Duration = Duration::from_millis(2);

/// Less than this is what every machine does.
const USUAL: Duration = Duration::from_millis(1);

/// Around a moment so much is looked at, in microseconds.
const AROUND: i64 = 100_000;

/// Times in which somebody who wanted to run did not: from, and for how long, in microseconds of true wall time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noise(Vec<(i64, i64)>);

impl Noise {
    /// Such times.
    #[must_use]
    pub fn of(late: Vec<(i64, i64)>) -> Self {
        Self(late)
    }

    /// The longest of them near a moment, in microseconds.
    #[must_use]
    pub fn near(&self, at: i64) -> i64 {
        self.between(at - AROUND, at + AROUND)
    }

    /// The longest of them between two moments.
    #[must_use]
    pub fn between(&self, from: i64, to: i64) -> i64 {
        let near = self.0.iter().filter(|(at, late)| *at <= to && at + late >= from);
        near.map(|(_, late)| *late).max().unwrap_or(0)
    }

    /// The longest of all.
    #[must_use]
    pub fn most(&self) -> i64 {
        self.0.iter().map(|(_, late)| *late).max().unwrap_or(0)
    }
}

/// A thread that finds out.
#[derive(Debug)]
pub struct Meter {
    over: Arc<AtomicBool>,
    late: Arc<Mutex<Vec<(i64, i64)>>>,
    thread: Option<JoinHandle<()>>,
}

fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

impl Meter {
    /// It measures from now on.
    #[must_use]
    pub fn start() -> Self {
        let (over, late) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (ends, kept) = (Arc::clone(&over), Arc::<Mutex<Vec<(i64, i64)>>>::clone(&late));
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let (begun, at) = (Instant::now(), now());
                std::thread::sleep(NAP);
                let more = begun.elapsed().saturating_sub(NAP);
                if more > USUAL {
                    let micros = i64::try_from(more.as_micros()).unwrap_or(i64::MAX);
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push((at, micros));
                }
            }
        });
        Self {
            over,
            late,
            thread: Some(thread),
        }
    }

    /// What it has found.
    #[must_use]
    pub fn found(&self) -> Noise {
        Noise(self.late.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_late_counts_near_where_it_was() {
        let noise = Noise::of(vec![(1_000_000, 30_000), (5_000_000, 400_000)]);
        assert_eq!((noise.near(1_050_000), noise.near(2_000_000)), (30_000, 0));
        assert_eq!((noise.near(5_450_000), noise.most()), (400_000, 400_000));
        assert_eq!(noise.between(0, 10_000_000), 400_000);
    }

    #[test]
    fn the_meter_runs_and_ends() {
        let meter = Meter::start();
        let found = meter.found();
        drop(meter);
        assert!(found.most() >= 0);
    }
}
