//! What is told of a drill while it goes on: kept in its folder, so that whoever watches later, or after a restart, hears all of it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use quorate_model::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::stage::Stage;

/// What listeners may fall behind.
const UNREAD: usize = 1024;

/// One thing that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// By the coordinator's clock.
    pub(crate) at: Timestamp,
    /// In which stage.
    pub(crate) stage: Stage,
    /// What.
    pub(crate) text: String,
}

/// What was told so far, and who listens. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Told(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    kept: Mutex<Vec<Said>>,
    live: broadcast::Sender<Said>,
}

impl Told {
    /// With what stands in the file already.
    pub(super) fn open(path: PathBuf) -> Self {
        Self(Arc::new(Shared {
            kept: Mutex::new(read(&path)),
            path,
            live: broadcast::Sender::new(UNREAD),
        }))
    }

    pub(super) fn say(&self, said: Said) {
        tracing::info!(stage = said.stage.as_str(), text = said.text, "drill");
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.0.path);
        let written = file.and_then(|mut file| {
            let text = serde_json::to_string(&said).map_err(std::io::Error::other)?;
            file.write_all(format!("{text}\n").as_bytes())
        });
        if let Err(error) = written {
            tracing::warn!(%error, "what was told of a drill can't be kept");
        }
        kept.push(said.clone());
        // Under the lock: who begins to listen gets each of them once. The only error is that nobody listens.
        drop(self.0.live.send(said));
    }

    /// Everything so far, and whatever comes after it.
    pub(super) fn listen(&self) -> (Vec<Said>, broadcast::Receiver<Said>) {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.clone(), self.0.live.subscribe())
    }
}

/// What stands in such a file; a line that was cut off is none.
pub(super) fn read(path: &std::path::Path) -> Vec<Said> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let said = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_listens_late_hears_all_of_it_once_also_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("told.jsonl");
        let said = |text: &str| Said {
            at: Timestamp(7),
            stage: Stage::Listening,
            text: text.to_owned(),
        };
        Told::open(path.clone()).say(said("one"));
        let told = Told::open(path);
        let (kept, mut live) = told.listen();
        assert_eq!(kept, [said("one")]);
        told.say(said("two"));
        assert_eq!(live.recv().await, Ok(said("two")));
    }
}
