//! What was told of a rollout since it is driven here. What tools print and what steps wait for stands in no journal; whoever begins to
//! watch later, say after the coordinator was restarted, wants to know it all the same.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use quorate_model::rollout::Progress;
use tokio::sync::broadcast;

/// How much is kept: a step tells a few lines. The oldest words of agents go first; records are in the journal.
const KEPT: usize = 4096;

/// What listeners may fall behind; those who fall further read the journal.
const UNREAD: usize = 1024;

/// What was told so far, and who listens. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Told(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kept: Mutex<VecDeque<Progress>>,
    live: broadcast::Sender<Progress>,
}

impl Told {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            kept: Mutex::new(VecDeque::new()),
            live: broadcast::Sender::new(UNREAD),
        }))
    }

    /// Passes everything on that the engine says, until nobody can say anything any more.
    pub(super) async fn relay(self, mut said: broadcast::Receiver<Progress>) {
        loop {
            match said.recv().await {
                Ok(progress) => self.note(progress),
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    tracing::warn!(count, "more was told of a rollout than could be passed on");
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn note(&self, progress: Progress) {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            let words = |progress: &Progress| matches!(progress, Progress::Agent { .. });
            let oldest = kept.iter().position(words).unwrap_or_default();
            kept.remove(oldest);
        }
        kept.push_back(progress.clone());
        // Under the lock: who begins to listen gets each of them once. The only error is that nobody listens.
        drop(self.0.live.send(progress));
    }

    /// Whatever is told from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Progress> {
        self.0.live.subscribe()
    }

    /// Everything so far, and whatever comes after it: nothing between them is missing, nothing is in both.
    pub(super) fn listen(&self) -> (VecDeque<Progress>, broadcast::Receiver<Progress>) {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.clone(), self.0.live.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::Timestamp;
    use quorate_model::operation::OperationEventKind;

    use super::*;

    fn waits(reason: &str) -> Progress {
        Progress::Waiting {
            step: "cluster.join/prox2".parse().unwrap(),
            reason: reason.to_owned(),
        }
    }

    fn line(number: usize) -> Progress {
        Progress::Agent {
            step: "cluster.join/prox2".parse().unwrap(),
            at: Timestamp(0),
            event: OperationEventKind::Line {
                stderr: false,
                text: number.to_string(),
            },
        }
    }

    #[tokio::test]
    async fn who_listens_late_hears_all_of_it_once() {
        let told = Told::new();
        told.note(waits("frozen"));
        let (kept, mut live) = told.listen();
        assert_eq!(kept, [waits("frozen")]);
        told.note(line(1));
        drop(told);
        assert_eq!(live.recv().await, Ok(line(1)));
        assert!(live.recv().await.is_err(), "nobody can say anything any more");
    }

    #[test]
    fn a_flood_of_lines_takes_only_lines_away() {
        let told = Told::new();
        told.note(waits("frozen"));
        for number in 0..KEPT + 5 {
            told.note(line(number));
        }
        let (kept, _) = told.listen();
        assert_eq!((kept.len(), &kept[0], &kept[1]), (KEPT, &waits("frozen"), &line(6)));
    }
}
