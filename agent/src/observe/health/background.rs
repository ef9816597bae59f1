//! A facet that is observed beside the ticks.

use std::time::Duration;

use quorate_model::facet::{Facet, Unknown, UnknownKind};
use tokio::task::JoinHandle;

use super::AGAIN;

/// Observes one facet now and then, never twice at the same time.
#[derive(Debug)]
pub(super) struct Background<T> {
    every: Duration,
    /// When it is due, on the monotonic clock.
    due: Duration,
    /// Something changed while it was being observed: what comes of that may be outdated.
    hurried: bool,
    task: Option<JoinHandle<Facet<T>>>,
}

impl<T: Send + 'static> Background<T> {
    pub(super) fn every(every: Duration) -> Self {
        Self {
            every,
            due: Duration::ZERO,
            hurried: false,
            task: None,
        }
    }

    /// Makes it due.
    pub(super) fn hurry(&mut self) {
        self.hurried = true;
    }

    /// Starts the work if it is due, and returns what has come of it by now: "not asked for" if nothing has.
    pub(super) async fn look<F>(&mut self, now: Duration, work: impl FnOnce() -> F) -> Facet<T>
    where
        F: Future<Output = Facet<T>> + Send + 'static,
    {
        self.look_and_wait(now, Duration::ZERO, work).await
    }

    /// The same, but waits a little for work that runs.
    pub(super) async fn look_and_wait<F>(
        &mut self,
        now: Duration,
        patience: Duration,
        work: impl FnOnce() -> F,
    ) -> Facet<T>
    where
        F: Future<Output = Facet<T>> + Send + 'static,
    {
        if self.task.is_none() && (self.hurried || self.due <= now) {
            self.hurried = false;
            self.task = Some(tokio::spawn(work()));
        }
        let Some(mut task) = self.task.take() else {
            return Facet::not_asked();
        };
        let ended = if task.is_finished() || !patience.is_zero() {
            tokio::time::timeout(patience, &mut task).await.ok()
        } else {
            None
        };
        let Some(ended) = ended else {
            self.task = Some(task);
            return Facet::not_asked();
        };
        let facet = ended.unwrap_or_else(|error| {
            Facet::unknown(
                UnknownKind::Failed,
                format!("observing it ended before its time: {error}"),
            )
        });
        self.due = now.saturating_add(if facet.is_known() {
            self.every
        } else {
            AGAIN.min(self.every)
        });
        facet
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Whether this says only that a tick has nothing new of the facet.
pub(super) fn is_no_news(unknown: &Unknown) -> bool {
    unknown.kind == UnknownKind::NotAsked
}
