//! The events of one operation: numbered, kept in its folder, followed by anybody who asks.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use quorate_clock::Clock;
use quorate_model::Timestamp;
use quorate_model::operation::{OperationEvent, OperationEventKind};
use tokio::sync::watch;

use super::folder::{Folder, FolderError, append_line};

const FILE: &str = "events.jsonl";

/// The log of an operation. Clones share it.
#[derive(Debug, Clone)]
pub struct EventLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    state: Mutex<State>,
    /// Counts the events, to wake those who follow.
    count: watch::Sender<usize>,
}

#[derive(Debug)]
struct State {
    events: Vec<OperationEvent>,
    /// `None`: it can no longer be written, or is only read.
    file: Option<File>,
}

impl EventLog {
    /// The log in an operation's folder, to be read and continued. What a crash cut off at its end is dropped.
    ///
    /// # Errors
    /// It can't be read or opened.
    pub fn open(folder: &Folder, clock: Clock) -> Result<Self, FolderError> {
        let path = folder.path(FILE);
        let (events, whole) = read(&path).map_err(|source| at("read", &path, source))?;
        let file = folder.append(FILE)?;
        file.set_len(whole).map_err(|source| at("write", &path, source))?;
        Ok(Self::of(events, Some(file), clock))
    }

    /// The log of an operation that has ended.
    ///
    /// # Errors
    /// It can't be read.
    pub fn read_only(folder: &Folder, clock: Clock) -> Result<Self, FolderError> {
        let path = folder.path(FILE);
        let (events, _) = read(&path).map_err(|source| at("read", &path, source))?;
        Ok(Self::of(events, None, clock))
    }

    fn of(events: Vec<OperationEvent>, file: Option<File>, clock: Clock) -> Self {
        let count = watch::Sender::new(events.len());
        Self {
            shared: Arc::new(Shared {
                clock,
                state: Mutex::new(State { events, file }),
                count,
            }),
        }
    }

    /// Adds an event.
    pub fn say(&self, kind: OperationEventKind) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = state.events.len() as u64;
        let event = OperationEvent {
            sequence,
            at: Timestamp(self.shared.clock.unix_micros()),
            kind,
        };
        if let Some(file) = &mut state.file
            && let Err(error) = append_line(file, &event)
        {
            // Events are told, not relied upon: the ledger and the tool's own files are what counts.
            tracing::warn!(%error, "the events of an operation are no longer kept on disk");
            state.file = None;
        }
        state.events.push(event);
        let count = state.events.len();
        drop(state);
        self.shared.count.send_replace(count);
    }

    /// The events from this number on, as far as there are any.
    #[must_use]
    pub fn since(&self, from: u64) -> Vec<OperationEvent> {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        state.events.get(from..).unwrap_or_default().to_vec()
    }

    /// How many of the events so far are lines of stdout, or of stderr.
    #[must_use]
    pub fn lines(&self, of_stderr: bool) -> usize {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let counts =
            |e: &&OperationEvent| matches!(&e.kind, OperationEventKind::Line { stderr, .. } if *stderr == of_stderr);
        state.events.iter().filter(counts).count()
    }

    /// Was an event like this told?
    #[must_use]
    pub fn has(&self, like: impl Fn(&OperationEventKind) -> bool) -> bool {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.events.iter().any(|event| like(&event.kind))
    }

    /// Whoever follows the log.
    #[must_use]
    pub fn follow(&self, from: u64) -> Follower {
        Follower {
            log: self.clone(),
            next: from,
            ended: false,
            count: self.shared.count.subscribe(),
        }
    }
}

/// Reads a log from some number on, and waits for what is still to come.
#[derive(Debug)]
pub struct Follower {
    log: EventLog,
    next: u64,
    /// The end was told.
    ended: bool,
    count: watch::Receiver<usize>,
}

impl Follower {
    /// The next events, at least one. `None` after the last event of the operation. Cancel-safe.
    ///
    /// Who asks for numbers beyond an end gets the end again: it is what they want to know, and they may count on events
    /// that a power cut took away.
    pub async fn next(&mut self) -> Option<Vec<OperationEvent>> {
        let is_end = |event: &OperationEvent| matches!(event.kind, OperationEventKind::Ended(_));
        if self.ended {
            return None;
        }
        loop {
            let count = *self.count.borrow_and_update();
            let events = self.log.since(self.next);
            if let Some(last) = events.last() {
                self.next = last.sequence + 1;
                self.ended = is_end(last);
                return Some(events);
            }
            let end = self.log.since(count.saturating_sub(1) as u64).pop();
            if let Some(end) = end.filter(is_end) {
                self.ended = true;
                return Some(vec![end]);
            }
            // An error means that nobody can add to the log any more; we hold it ourselves, so that never comes.
            self.count.changed().await.ok()?;
        }
    }
}

/// The events in a file, and how many bytes of it hold them.
fn read(path: &Path) -> io::Result<(Vec<OperationEvent>, u64)> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(error),
    };
    let (mut events, mut whole) = (Vec::new(), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let parsed = line
            .strip_suffix(b"\n")
            .and_then(|line| serde_json::from_slice::<OperationEvent>(line).ok());
        match parsed.filter(|event| event.sequence == events.len() as u64) {
            Some(event) => events.push(event),
            None => break,
        }
        whole += line.len() as u64;
    }
    Ok((events, whole))
}

fn at(what: &'static str, path: &Path, source: io::Error) -> FolderError {
    quorate_identity::FileError::Io {
        what,
        path: path.to_owned(),
        source,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use quorate_model::operation::Outcome;

    use super::*;

    fn folder(dir: &Path) -> Folder {
        let folder = Folder::of(dir, &"op-1".parse().unwrap());
        folder.create().unwrap();
        folder
    }

    fn line(text: &str) -> OperationEventKind {
        OperationEventKind::Line {
            stderr: false,
            text: text.into(),
        }
    }

    fn end() -> OperationEventKind {
        OperationEventKind::Ended(Outcome::Done {
            evidence: "seen".into(),
        })
    }

    async fn numbers(log: &EventLog, from: u64) -> Vec<u64> {
        let (mut follower, mut numbers) = (log.follow(from), Vec::new());
        while let Some(events) = follower.next().await {
            numbers.extend(events.iter().map(|event| event.sequence));
        }
        numbers
    }

    #[tokio::test]
    async fn everybody_gets_everything_from_where_they_ask() {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open(&folder(dir.path()), Clock::system()).unwrap();
        let early = tokio::spawn({
            let log = log.clone();
            async move { numbers(&log, 0).await }
        });
        for kind in [OperationEventKind::Accepted, line("a"), end()] {
            log.say(kind);
            tokio::task::yield_now().await;
        }
        assert_eq!(early.await.unwrap(), [0, 1, 2]);
        assert_eq!(numbers(&log, 2).await, [2]);
        for beyond in [3, 99] {
            assert_eq!(
                numbers(&log, beyond).await,
                [2],
                "the end is told to whoever asks for it"
            );
        }
    }

    #[tokio::test]
    async fn it_goes_on_after_a_crash_in_the_middle_of_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        let log = EventLog::open(&folder, Clock::system()).unwrap();
        log.say(OperationEventKind::Accepted);
        log.say(line("a"));
        drop(log);
        folder
            .append(FILE)
            .unwrap()
            .write_all(b"{\"sequence\":2,\"at\"")
            .unwrap();
        let log = EventLog::open(&folder, Clock::system()).unwrap();
        assert_eq!((log.since(0).len(), log.lines(false), log.lines(true)), (2, 1, 0));
        log.say(end());
        let again = EventLog::read_only(&folder, Clock::system()).unwrap();
        assert_eq!(again.since(0), log.since(0));
        assert_eq!(numbers(&again, 0).await, [0, 1, 2]);
    }
}
