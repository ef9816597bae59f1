//! File access that may stall, on one thread of its own. Who asks waits for a while and no longer; who asks while it is
//! stalled is told so at once. There is never a second thread: a stalled file system would take that one too.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quorate_clock::Clock;
use tokio::sync::oneshot;
use tokio::time::timeout;

type Job = Box<dyn FnOnce() + Send>;

/// The thread, and what it is at.
pub(super) struct Patience {
    clock: Clock,
    deadline: Duration,
    /// Started on first use; closing it ends the thread.
    queue: Mutex<Option<Sender<Job>>>,
    /// When the job that runs now began, by the monotonic clock.
    busy_since: Arc<Mutex<Option<Duration>>>,
}

impl Patience {
    pub(super) fn new(clock: Clock, deadline: Duration) -> Self {
        Self {
            clock,
            deadline,
            queue: Mutex::default(),
            busy_since: Arc::default(),
        }
    }

    /// Does it on the thread.
    ///
    /// # Errors
    /// When it does not end in time: for how long the thread has been stalled.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Duration> {
        if let Some(stalled) = self.stalled().filter(|stalled| *stalled >= self.deadline) {
            return Err(stalled);
        }
        let (answer, answered) = oneshot::channel();
        let (clock, busy) = (self.clock.clone(), Arc::clone(&self.busy_since));
        let job: Job = Box::new(move || {
            // Nobody waits any more: it was queued behind one that stalled.
            if answer.is_closed() {
                return;
            }
            *lock(&busy) = Some(clock.monotonic());
            let result = work();
            *lock(&busy) = None;
            drop(answer.send(result));
        });
        self.submit(job);
        match timeout(self.deadline, answered).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) | Err(_) => Err(self.stalled().unwrap_or(self.deadline)),
        }
    }

    fn stalled(&self) -> Option<Duration> {
        let since = *lock(&self.busy_since);
        since.map(|since| self.clock.since(since))
    }

    fn submit(&self, job: Job) {
        let mut queue = lock(&self.queue);
        let sent = match queue.as_ref() {
            Some(queue) => queue.send(job).map_err(|unsent| unsent.0),
            None => Err(job),
        };
        let Err(job) = sent else { return };
        let (sender, jobs) = channel::<Job>();
        let thread = std::thread::Builder::new()
            .name("pmxcfs-reader".to_owned())
            .spawn(move || {
                while let Ok(job) = jobs.recv() {
                    job();
                }
            });
        match thread {
            // The sender lives as long as the receiver was just made: this cannot fail.
            Ok(_) => drop(sender.send(job)),
            // The job is dropped, and with it its answer: the asker is told that it is blocked, and asks again later.
            Err(error) => return tracing::error!(%error, "no thread for reading /etc/pve"),
        }
        *queue = Some(sender);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stalled_read_is_told_and_the_next_one_is_not_even_tried() {
        let patience = Patience::new(Clock::system(), Duration::from_millis(50));
        let (release, stalled) = channel::<()>();
        let first = patience.with(move || stalled.recv().is_ok()).await;
        assert!(first.is_err());
        // Told at once: the job would set off the channel below if it ran.
        let (ran, seen) = channel::<()>();
        let second = patience.with(move || ran.send(()).is_ok()).await;
        assert!(second.unwrap_err() >= Duration::from_millis(50));
        release.send(()).unwrap();
        // Once the stall is over, reads go through again.
        let mut third = patience.with(|| 7).await;
        for _ in 0..200 {
            if third.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            third = patience.with(|| 7).await;
        }
        assert_eq!(third, Ok(7));
        assert!(seen.try_recv().is_err());
    }
}
