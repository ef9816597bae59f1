//! Who listens to a watch gets all of it, from any number on, also when it is over.

use quorate_model::drill::Event;
use tokio::sync::watch;

/// What a watch has told so far, and whether it goes on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// All of it.
    pub(crate) events: Vec<Event>,
    /// Nothing more is going to come.
    pub(crate) over: bool,
}

/// A listener.
#[derive(Debug)]
pub(crate) struct Following {
    pub(super) receiver: watch::Receiver<Progress>,
    pub(super) from: usize,
}

impl Following {
    /// What is new since the last call, waiting for it; `None`: that was all.
    pub(crate) async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            let (new, over) = {
                let progress = self.receiver.borrow_and_update();
                let new = progress.events.get(self.from..).unwrap_or_default().to_vec();
                (new, progress.over)
            };
            if !new.is_empty() {
                self.from = self.from.saturating_add(new.len());
                return Some(new);
            }
            if over || self.receiver.changed().await.is_err() {
                return None;
            }
        }
    }
}
