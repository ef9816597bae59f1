//! Calls a guest ten times a second, on a thread of its own: a question that waits for an answer at the terminal must not look like a pause.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quorate_clock::Clock;

use super::gaps::{Call, Measured};
use super::target::Target;

/// Between two calls.
const EVERY: Duration = Duration::from_millis(100);
/// How long a call has. Less than a second, after which the kernel would send it once more by itself: an answer to that says nothing of when
/// the guest was back.
const WITHIN: Duration = Duration::from_millis(250);
/// The first answer may take longer: the neighbour has to be found.
const FIRST_WITHIN: Duration = Duration::from_secs(3);

/// Calls until it is told to stop.
#[derive(Debug)]
pub(crate) struct Prober {
    target: Target,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Call>>,
}

impl Prober {
    /// Begins, if the guest accepts a connection there now.
    ///
    /// # Errors
    /// It does not: nothing could be measured.
    pub(crate) fn begin(target: Target) -> io::Result<Self> {
        TcpStream::connect_timeout(&target.0, FIRST_WITHIN)?;
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("probe".to_owned())
            .spawn(move || call_until(target.0, &until))?;
        Ok(Self { target, stop, thread })
    }

    /// Ends, and says what was seen; `None`: the thread is gone.
    pub(crate) fn end(self) -> Option<Measured> {
        self.stop.store(true, Ordering::Relaxed);
        let calls = self.thread.join().ok()?;
        Some(Measured::of(self.target.to_string(), EVERY, &calls))
    }
}

fn call_until(address: SocketAddr, stop: &AtomicBool) -> Vec<Call> {
    let clock = Clock::system();
    let began = clock.monotonic();
    let answered: Arc<Mutex<Vec<Call>>> = Arc::default();
    let mut waiting: Vec<JoinHandle<()>> = Vec::new();
    let mut next = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let at = clock.since(began);
        let (clock, calls) = (clock.clone(), Arc::clone(&answered));
        // Each call on its own: one that gets no answer does not hold up the next.
        let call = move || {
            let there = TcpStream::connect_timeout(&address, WITHIN).is_ok();
            let answered = there.then(|| clock.since(began));
            calls
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Call { at, answered });
        };
        if let Ok(thread) = thread::Builder::new().spawn(call) {
            waiting.push(thread);
        }
        waiting.retain(|thread| !thread.is_finished());
        next += EVERY;
        let now = Clock::system().since(began);
        if next > now {
            thread::sleep(next.saturating_sub(now));
        } else {
            // Late: the missed ones are not made up for.
            next = now;
        }
    }
    for thread in waiting {
        drop(thread.join());
    }
    let mut calls = std::mem::take(&mut *answered.lock().unwrap_or_else(PoisonError::into_inner));
    calls.sort_by_key(|call| call.at);
    calls
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn nobody_is_measured_who_does_not_answer_now() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(Prober::begin(Target(port)).is_err());
    }

    #[test]
    fn who_answers_all_the_time_has_no_gap() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let prober = Prober::begin(Target(listener.local_addr().unwrap())).unwrap();
        // Until it has been called a few times.
        for _ in 0..4 {
            drop(listener.accept().unwrap());
        }
        let seen = prober.end().unwrap();
        assert!(seen.calls >= 3, "{seen}");
        assert!(!seen.still_away() && seen.gaps.is_empty(), "{seen}");
    }
}
