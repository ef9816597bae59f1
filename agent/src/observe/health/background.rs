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
    /// Something changed, maybe while it was being observed: what comes of that may be outdated.
    hurried: bool,
    /// For how long a change goes on to show.
    settling: Duration,
    /// Until when the last change does, on the monotonic clock.
    restless_until: Duration,
    task: Option<JoinHandle<Facet<T>>>,
}

impl<T: Send + 'static> Background<T> {
    pub(super) fn every(every: Duration) -> Self {
        Self {
            every,
            due: Duration::ZERO,
            hurried: false,
            settling: Duration::ZERO,
            restless_until: Duration::ZERO,
            task: None,
        }
    }

    /// For so long after a change it is observed more often: its consequences come one by one.
    pub(super) fn settling(mut self, settling: Duration) -> Self {
        self.settling = settling;
        self
    }

    /// Something has shown that it changed.
    pub(super) fn changed(&mut self, now: Duration) {
        self.hurried = true;
        self.restless_until = now.saturating_add(self.settling);
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
        let settled = facet.is_known() && self.restless_until <= now;
        self.due = now.saturating_add(if settled { self.every } else { AGAIN.min(self.every) });
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

#[cfg(test)]
mod tests {
    use quorate_model::Timestamp;

    use super::*;

    /// Seen in the lab: the members had changed, and the votes were shown as before for a minute.
    #[tokio::test]
    async fn while_a_change_settles_it_is_observed_again_and_again() {
        let (minute, half) = (Duration::from_secs(60), Duration::from_secs(30));
        let mut votes = Background::every(minute).settling(half);
        let mut told = Vec::new();
        for second in 0..=200 {
            let now = Duration::from_secs(second);
            if second == 70 {
                votes.changed(now);
            }
            let work = || async { Facet::known((), Timestamp(1)) };
            if votes.look_and_wait(now, minute, work).await.is_known() {
                told.push(second);
            }
        }
        assert_eq!(told, [0, 60, 70, 75, 80, 85, 90, 95, 100, 160]);
    }
}
