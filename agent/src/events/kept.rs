//! A watch's folder: `order.json`, `events.jsonl` with one event a line, `alive`, which says when the agent last was, and `wrote`, the last
//! answers of a guest's writer.
//!
//! What is told is on the disk first. A line that a loss of power has cut short is no event; the next one begins on a line of its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use quorate_identity::{FileError, create_private_dir, write_secret_file};
use quorate_model::Timestamp;
use quorate_model::drill::Event;
use quorate_model::ids::OperationId;
use serde::{Deserialize, Serialize};

use super::order::Order;

/// Below the agent's own folder.
const FOLDER: &str = "events";

/// So many watches are kept: those of the last drills.
const KEPT: usize = 8;

/// So many events one watch keeps: a link that flaps for a day makes no more than this, and what comes later is not told.
const MAX_EVENTS: usize = 20_000;

/// Why a watch can't be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// A file or folder can't be made.
    #[error(transparent)]
    File(#[from] FileError),
    /// It can't be read or written.
    #[error("the watch's folder can't be used")]
    Io(#[from] io::Error),
    /// It can't be put into words, or is none of ours.
    #[error("the watch's files can't be understood")]
    Json(#[from] serde_json::Error),
}

/// The last sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Alive {
    /// Which start of the kernel it was.
    pub(crate) boot: String,
    /// When.
    pub(crate) at: Timestamp,
}

/// A watch on the disk.
#[derive(Debug)]
pub(crate) struct Kept {
    dir: PathBuf,
    events: File,
    /// What is on the disk.
    pub(crate) told: Vec<Event>,
}

impl Kept {
    /// Begins a watch, or opens the one of that name as it was begun first. Returns what was ordered then.
    ///
    /// # Errors
    /// When it can't be kept; then nothing is watched.
    pub(crate) fn open(state_dir: &Path, order: &Order) -> Result<(Self, Order), KeepError> {
        let folder = state_dir.join(FOLDER);
        create_private_dir(&folder)?;
        let dir = folder.join(order.id.as_str());
        let path = dir.join("order.json");
        let order = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_room(&folder)?;
                create_private_dir(&dir)?;
                write_secret_file(&path, &serde_json::to_string_pretty(order)?)?;
                sync(&folder)?;
                order.clone()
            }
            Err(error) => return Err(error.into()),
        };
        Ok((Self::at(dir)?, order))
    }

    fn at(dir: PathBuf) -> Result<Self, KeepError> {
        let path = dir.join("events.jsonl");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error.into()),
        };
        let mut events = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        if !text.is_empty() && !text.ends_with('\n') {
            events.write_all(b"\n")?;
        }
        let told = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        sync(&dir)?;
        Ok(Self { dir, events, told })
    }

    /// Writes down what is new. It is on the disk when this returns.
    ///
    /// # Errors
    /// When it is not; then it must not be told.
    pub(crate) fn add(&mut self, new: Vec<Event>) -> Result<(), KeepError> {
        let room = MAX_EVENTS.saturating_sub(self.told.len());
        let new: Vec<Event> = new.into_iter().take(room).collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for event in &new {
            lines.push_str(&serde_json::to_string(event)?);
            lines.push('\n');
        }
        self.events.write_all(lines.as_bytes())?;
        self.events.sync_data()?;
        self.told.extend(new);
        Ok(())
    }

    /// Where the last answers of a guest's writer are kept.
    pub(crate) fn readings(&self) -> PathBuf {
        self.dir.join("wrote")
    }

    /// The last sign of life before this one; `None`: there was none.
    pub(crate) fn last_alive(&self) -> Option<Alive> {
        let text = fs::read_to_string(self.dir.join("alive")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Gives a sign of life.
    ///
    /// # Errors
    /// When it is not on the disk.
    pub(crate) fn alive(&self, alive: &Alive) -> Result<(), KeepError> {
        Ok(write_secret_file(
            &self.dir.join("alive"),
            &serde_json::to_string(alive)?,
        )?)
    }
}

/// A folder's names are on the disk.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The oldest watches go when there are too many.
fn make_room(folder: &Path) -> io::Result<()> {
    let mut dirs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        dirs.push((entry.metadata()?.modified()?, entry.path()));
    }
    dirs.sort();
    let too_many = dirs.len().saturating_add(1).saturating_sub(KEPT);
    for (_, dir) in dirs.into_iter().take(too_many) {
        fs::remove_dir_all(dir)?;
    }
    Ok(())
}

/// Watches whose time is not over: an agent that starts goes on with them.
pub(crate) fn unfinished(state_dir: &Path, now: Timestamp) -> Vec<Order> {
    let Ok(folder) = fs::read_dir(state_dir.join(FOLDER)) else {
        return Vec::new();
    };
    let read = |entry: io::Result<fs::DirEntry>| {
        let text = fs::read_to_string(entry.ok()?.path().join("order.json")).ok()?;
        serde_json::from_str::<Order>(&text).ok()
    };
    folder.filter_map(read).filter(|order| !order.is_over(now)).collect()
}

/// All that one watch has told, also after its end.
///
/// # Errors
/// There is no such watch, or it can't be read.
pub(crate) fn told(state_dir: &Path, id: &OperationId) -> Result<Vec<Event>, KeepError> {
    let path = state_dir.join(FOLDER).join(id.as_str()).join("events.jsonl");
    let text = fs::read_to_string(path)?;
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quorate_model::drill::What;

    use super::*;

    fn order(id: &str) -> Order {
        let id = OperationId::new(id).unwrap();
        Order::new(id, vec![100], Timestamp::from_seconds(100), Duration::from_secs(60)).unwrap()
    }

    fn event(second: i64) -> Event {
        Event {
            at: Timestamp::from_seconds(second),
            within_micros: 0,
            what: What::QuorumLost,
        }
    }

    #[test]
    fn what_was_told_is_there_after_a_restart_and_a_torn_line_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (mut kept, _) = Kept::open(dir.path(), &order("drill-1")).unwrap();
        kept.add(vec![event(101), event(102)]).unwrap();
        drop(kept);
        let path = dir.path().join("events/drill-1/events.jsonl");
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"at\":1030000");
        fs::write(&path, text).unwrap();

        let later = Order {
            until: Timestamp::from_seconds(9999),
            ..order("drill-1")
        };
        let (mut kept, as_begun) = Kept::open(dir.path(), &later).unwrap();
        assert_eq!(as_begun, order("drill-1"), "as it was begun first");
        assert_eq!(kept.told, [event(101), event(102)]);
        kept.add(vec![event(104)]).unwrap();
        assert_eq!(
            told(dir.path(), &later.id).unwrap(),
            [event(101), event(102), event(104)]
        );
    }

    #[test]
    fn an_agent_that_starts_goes_on_with_what_is_not_over() {
        let dir = tempfile::tempdir().unwrap();
        assert!(unfinished(dir.path(), Timestamp(0)).is_empty());
        let _kept = Kept::open(dir.path(), &order("drill-1")).unwrap();
        assert_eq!(unfinished(dir.path(), Timestamp::from_seconds(159)), [order("drill-1")]);
        assert!(unfinished(dir.path(), Timestamp::from_seconds(160)).is_empty());
    }

    #[test]
    fn the_watches_of_the_last_drills_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..20 {
            let _kept = Kept::open(dir.path(), &order(&format!("drill-{number}"))).unwrap();
        }
        let left = fs::read_dir(dir.path().join(FOLDER)).unwrap().count();
        assert_eq!(left, KEPT);
        assert!(dir.path().join("events/drill-19").exists());
    }

    #[test]
    fn a_watch_has_an_end() {
        let ask = |seconds| {
            Order::new(
                OperationId::new("x").unwrap(),
                vec![],
                Timestamp(0),
                Duration::from_secs(seconds),
            )
        };
        assert!(ask(0).is_err() && ask(24 * 3600 + 1).is_err() && ask(3600).is_ok());
    }
}
