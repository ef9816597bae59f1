//! A journal, a clock and a small world of servers in memory, for tests: of the engine, and of what drives it.

mod agents;
mod effects;
mod journal;
mod permit;
pub mod plans;
mod seen;
mod trouble;
mod world;

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_model::Timestamp;

use crate::ports::Clock;

pub use journal::{CrashPoint, Fault, FaultyJournal, MemJournal};
pub use permit::Gatekeeper;
pub use plans::{create, join, plan};
pub use trouble::{Conduct, Reply};
pub use world::{Done, World};

/// When everything in the world happens, on its servers' clocks.
const NOW: Timestamp = Timestamp(1_795_345_772_000_000);

/// tokio's time: in a test with paused time it goes by as fast as there is nothing else to do.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    began: tokio::time::Instant,
}

impl Default for TokioClock {
    fn default() -> Self {
        Self {
            began: tokio::time::Instant::now(),
        }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_795_345_772).plus(self.began.elapsed())
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(duration)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
