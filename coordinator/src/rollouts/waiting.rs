//! What the steps of a running rollout wait for. It is said once and stands in no journal; whoever begins to watch later wants to know
//! it all the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_model::StepId;
use quorate_model::rollout::{Progress, Record};
use tokio::sync::broadcast;

/// What is waited for now, by step. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<BTreeMap<StepId, String>>>);

impl Waiting {
    /// Takes note of everything that is said, until nobody can say anything any more.
    pub(super) async fn listen(self, mut said: broadcast::Receiver<Progress>) {
        loop {
            match said.recv().await {
                Ok(progress) => self.note(&progress),
                // What was missed is said again when it changes.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn note(&self, progress: &Progress) {
        match progress {
            Progress::Waiting { step, reason } => drop(self.all().insert(step.clone(), reason.clone())),
            Progress::Entry(entry) => match &entry.record {
                Record::Intended { step, .. }
                | Record::Accepted { step }
                | Record::Ended { step, .. }
                | Record::Verified { step, .. }
                | Record::Stopped { step, .. }
                | Record::Skipped { step, .. } => drop(self.all().remove(step)),
                Record::Created { .. } | Record::CancelRequested { .. } | Record::Finished { .. } => {}
            },
            Progress::Restoring { step, .. } | Progress::Agent { step, .. } => drop(self.all().remove(step)),
        }
    }

    /// As it would have been said to whoever had watched.
    pub(super) fn said(&self) -> Vec<Progress> {
        let each = self.all().clone().into_iter();
        each.map(|(step, reason)| Progress::Waiting { step, reason }).collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<StepId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::Timestamp;
    use quorate_model::rollout::Entry;

    use super::*;

    #[tokio::test]
    async fn the_last_word_of_each_step_counts_until_the_step_goes_on() {
        let (say, said) = broadcast::channel(8);
        let waits = |step: &str, reason: &str| Progress::Waiting {
            step: step.parse().unwrap(),
            reason: reason.to_owned(),
        };
        let verified = Progress::Entry(Box::new(Entry {
            sequence: 1,
            at: Timestamp(0),
            record: Record::Verified {
                step: "link.add/1".parse().unwrap(),
                evidence: String::new(),
            },
        }));
        for progress in [
            waits("link.add/1", "frozen"),
            waits("cluster.join/prox2", "frozen"),
            waits("cluster.join/prox2", "no window"),
            verified,
        ] {
            say.send(progress).unwrap();
        }
        drop(say);
        let waiting = Waiting::default();
        waiting.clone().listen(said).await;
        assert_eq!(waiting.said(), [waits("cluster.join/prox2", "no window")]);
    }
}
