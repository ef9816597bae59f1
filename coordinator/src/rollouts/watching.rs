//! Watching a rollout: its journal from the beginning, then what happens, until it ends.

use std::sync::Arc;

use quorate_engine::ports::Journal;
use quorate_model::RolloutId;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::rollout::{Progress, Record};
use tokio::sync::{broadcast, mpsc};

use super::{Rollouts, no_such, unusable};

/// What a watcher may leave unread before it is waited for.
const UNREAD: usize = 64;

/// What a watcher gets.
pub(crate) type Watched = mpsc::Receiver<Result<Progress, Failure>>;

impl Rollouts {
    /// Watches a rollout; without an id, the newest.
    pub(crate) async fn watch(self: &Arc<Self>, id: Option<RolloutId>) -> Result<(RolloutId, Watched), Failure> {
        let known = self.store.rollouts().await.map_err(|error| unusable(&error))?;
        let id = match id {
            Some(id) if known.contains(&id) => id,
            Some(id) if self.recovery.summaries().iter().any(|lost| lost.id == id) => {
                let failure = Failure::new(ExitCode::Failed, format!("the journal of rollout {id} was lost"));
                return Err(failure.hint(format!("what the servers remember of it: quorate rollout show {id}")));
            }
            Some(id) => return Err(no_such(&id)),
            None => known.into_iter().last().ok_or_else(|| {
                Failure::new(ExitCode::NotFound, "there is no rollout yet").hint("quorate apply FILE begins one")
            })?,
        };
        let (tell, watched) = mpsc::channel(UNREAD);
        let (this, watching) = (Arc::clone(self), id.clone());
        self.tasks.spawn(async move {
            if this
                .stop
                .run_until_cancelled(this.tell(&watching, &tell))
                .await
                .is_none()
            {
                let stopping = Failure::new(ExitCode::Unreachable, "the coordinator is stopping")
                    .hint(format!("when it runs again: quorate rollout watch {watching}"));
                // Whoever does not read any more is not waited for.
                drop(tell.try_send(Err(stopping)));
            }
        });
        Ok((id, watched))
    }

    /// Tells until the rollout ends, or nobody listens any more.
    async fn tell(&self, id: &RolloutId, tell: &mpsc::Sender<Result<Progress, Failure>>) {
        // Subscribed before the journal is read: what comes in between is seen twice, and told once.
        let mut live = self
            .driven()
            .values()
            .find(|driven| driven.id == *id)
            .map(|driven| driven.progress.subscribe());
        let mut waiting = self
            .driven()
            .values()
            .find(|driven| driven.id == *id)
            .map(|driven| driven.waiting.clone());
        // What was told of it already, and may come once more.
        let mut told = Vec::new();
        let mut next = 0;
        loop {
            let entries = match self.store.load(id).await {
                Ok(entries) => entries,
                Err(error) => return drop(tell.send(Err(unusable(&error))).await),
            };
            for entry in entries {
                if entry.sequence >= next {
                    next = entry.sequence + 1;
                    let last = matches!(entry.record, Record::Finished { .. });
                    if let (true, Some(events)) = (last, &mut live) {
                        let_go(events, tell).await;
                    }
                    if tell.send(Ok(Progress::Entry(Box::new(entry)))).await.is_err() || last {
                        return;
                    }
                }
            }
            if let Some(waiting) = waiting.take() {
                told = waiting.said();
                for waits in &told {
                    if tell.send(Ok(waits.clone())).await.is_err() {
                        return;
                    }
                }
            }
            let Some(events) = &mut live else {
                return drop(tell.send(Err(self.not_driven(id))).await);
            };
            match follow(events, &mut next, &mut told, tell).await {
                // Whatever was missed is in the journal.
                After::FellBehind => {}
                After::DriverGone => live = None,
                After::Told => return,
            }
        }
    }

    fn not_driven(&self, id: &RolloutId) -> Failure {
        let mut failure = Failure::new(
            ExitCode::Failed,
            format!("rollout {id} is not finished, and not under way"),
        );
        if let Some((why, next)) = self.contradiction(id) {
            failure.causes.push(why);
            return failure.hint(next);
        }
        let mut failure = failure.hint("restart the coordinator: it takes up what is not finished");
        failure.causes.extend(self.dropped().get(id).cloned());
        failure
    }
}

/// Waits until the rollout holds its cluster no longer: whoever hears of its end may change the next thing at once.
async fn let_go(events: &mut broadcast::Receiver<Progress>, tell: &mpsc::Sender<Result<Progress, Failure>>) {
    let released = async {
        // All who could send go with the hold.
        while !matches!(events.recv().await, Err(broadcast::error::RecvError::Closed)) {}
    };
    tokio::select! {
        () = released => {}
        () = tell.closed() => {}
    }
}

enum After {
    FellBehind,
    DriverGone,
    Told,
}

async fn follow(
    events: &mut broadcast::Receiver<Progress>,
    next: &mut u64,
    told: &mut Vec<Progress>,
    tell: &mpsc::Sender<Result<Progress, Failure>>,
) -> After {
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = tell.closed() => return After::Told,
        };
        let event = match event {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(_)) => return After::FellBehind,
            Err(broadcast::error::RecvError::Closed) => return After::DriverGone,
        };
        let mut last = false;
        if let Some(at) = told.iter().position(|waits| *waits == event) {
            told.remove(at);
            continue;
        }
        if let Progress::Entry(entry) = &event {
            told.clear();
            if entry.sequence < *next {
                continue;
            }
            if entry.sequence > *next {
                return After::FellBehind;
            }
            *next += 1;
            last = matches!(entry.record, Record::Finished { .. });
        }
        if last {
            let_go(events, tell).await;
        }
        if tell.send(Ok(event)).await.is_err() || last {
            return After::Told;
        }
    }
}
