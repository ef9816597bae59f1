//! Watching a rollout: its journal from the beginning, what was told since it is driven, then what happens, until it ends.

use std::collections::VecDeque;
use std::sync::Arc;

use quorate_engine::ports::Journal;
use quorate_model::RolloutId;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::rollout::{Progress, Record};
use tokio::sync::broadcast::error::RecvError;
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
        // Listened to before the journal is read: what comes in between is seen twice, and told once.
        let mut source = self
            .driven()
            .values()
            .find(|driven| driven.id == *id)
            .map(|driven| Source::of(driven.told.listen()));
        let mut next = 0;
        loop {
            let entries = match self.store.load(id).await {
                Ok(entries) => entries,
                Err(error) => return drop(tell.send(Err(unusable(&error))).await),
            };
            let until = source.as_ref().map_or(u64::MAX, Source::first_record);
            for entry in entries.into_iter().filter(|entry| entry.sequence < until) {
                if entry.sequence >= next {
                    next = entry.sequence + 1;
                    let last = matches!(entry.record, Record::Finished { .. });
                    if let (true, Some(source)) = (last, &mut source) {
                        source.let_go(tell).await;
                    }
                    if tell.send(Ok(Progress::Entry(Box::new(entry)))).await.is_err() || last {
                        return;
                    }
                }
            }
            let Some(events) = &mut source else {
                return drop(tell.send(Err(self.not_driven(id))).await);
            };
            match follow(events, &mut next, tell).await {
                // Whatever was missed is in the journal.
                After::FellBehind => {}
                After::DriverGone => source = None,
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

/// What is told of a rollout: first what was told before, then what is told now.
struct Source {
    before: VecDeque<Progress>,
    live: broadcast::Receiver<Progress>,
}

impl Source {
    fn of((before, live): (VecDeque<Progress>, broadcast::Receiver<Progress>)) -> Self {
        Self { before, live }
    }

    /// The number of the first record that is still to come from what was told before; what the journal has before it goes first.
    fn first_record(&self) -> u64 {
        let record = |progress: &Progress| match progress {
            Progress::Entry(entry) => Some(entry.sequence),
            _ => None,
        };
        self.before.iter().find_map(record).unwrap_or(u64::MAX)
    }

    async fn next(&mut self) -> Result<Progress, RecvError> {
        match self.before.pop_front() {
            Some(progress) => Ok(progress),
            None => self.live.recv().await,
        }
    }

    /// Waits until the rollout holds its cluster no longer: whoever hears of its end may change the next thing at once.
    async fn let_go(&mut self, tell: &mpsc::Sender<Result<Progress, Failure>>) {
        let released = async {
            // All who could send go with the hold.
            while !matches!(self.live.recv().await, Err(RecvError::Closed)) {}
        };
        tokio::select! {
            () = released => {}
            () = tell.closed() => {}
        }
    }
}

enum After {
    FellBehind,
    DriverGone,
    Told,
}

async fn follow(source: &mut Source, next: &mut u64, tell: &mpsc::Sender<Result<Progress, Failure>>) -> After {
    loop {
        let event = tokio::select! {
            event = source.next() => event,
            () = tell.closed() => return After::Told,
        };
        let event = match event {
            Ok(event) => event,
            Err(RecvError::Lagged(_)) => return After::FellBehind,
            Err(RecvError::Closed) => return After::DriverGone,
        };
        let mut last = false;
        if let Progress::Entry(entry) = &event {
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
            source.let_go(tell).await;
        }
        if tell.send(Ok(event)).await.is_err() || last {
            return After::Told;
        }
    }
}
