//! What is noted of a fault: before it begins, and when it has ended.

use std::path::{Path, PathBuf};
use std::{fs, io};

use quorate_exec::{Invocation, Tools};
use quorate_identity::{FileError, create_private_dir, write_secret_file};
use quorate_model::fault::Fault;
use quorate_model::ids::{OperationId, PoolName};
use quorate_model::time::Timestamp;
use quorate_tools::nft::{self, Family, Table};
use quorate_tools::{CallError, guest, systemctl, zpool_disks};
use serde::{Deserialize, Serialize};

/// One file for each fault, below the agent's own folder. Another process, by hand, reads and closes them as well.
const FOLDER: &str = "faults";

/// Notes of faults that have ended are kept for whoever asks, as many as this.
const REMEMBERED: usize = 50;

/// What is noted of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Held {
    /// The operation that causes it.
    pub(super) id: OperationId,
    /// What it is.
    pub(super) fault: Fault,
    /// In which boot.
    pub(super) boot: String,
    /// When this was noted, a moment before it begins; on the node's clock.
    pub(super) noted_at: Timestamp,
    /// When corosync's packets may pass again, if that is before its end.
    pub(super) opens_at: Option<Timestamp>,
    /// When it ends by itself; `None`: no timer ends it.
    pub(super) ends_at: Option<Timestamp>,
    /// What undoes it.
    pub(super) undo: Undo,
    /// HA's watchdog watched when it began.
    pub(super) watched: bool,
    /// How it ended; `None`: it has not, as far as is known.
    #[serde(default)]
    pub(super) ended: Option<Ended>,
}

/// How a fault ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ended {
    /// When that was seen, on the node's clock.
    pub(super) at: Timestamp,
    /// In words that follow "it ended:".
    pub(super) how: String,
}

/// What undoes a fault. Each may be done twice, and when there is nothing to undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "undo", deny_unknown_fields)]
pub(super) enum Undo {
    /// The table of the server's ports goes.
    Ports {
        /// Its name.
        table: String,
    },
    /// The table of the server's own addresses goes.
    Addresses {
        /// Its name.
        table: String,
    },
    /// A unit is started.
    Start {
        /// Its name.
        unit: String,
    },
    /// A disk is taken in again.
    Online {
        /// The pool.
        pool: PoolName,
        /// As the pool calls it.
        disk: String,
    },
    /// A machine is started.
    StartGuest {
        /// Its id.
        guest: u32,
        /// The process that is killed; `None`: it was not noted. Another one is the machine that runs again.
        #[serde(default)]
        killed: Option<u32>,
    },
    /// Nothing that this server could do.
    Nothing,
}

impl Undo {
    /// The nft table that goes, if it is one.
    pub(super) fn table(&self) -> Option<Table> {
        let (family, name) = match self {
            Self::Ports { table } => (Family::Netdev, table),
            Self::Addresses { table } => (Family::Inet, table),
            _ => return None,
        };
        let name = name.clone();
        Some(Table { family, name })
    }

    /// The command.
    pub(super) fn call(&self, tools: &Tools) -> Option<Result<Invocation, CallError>> {
        if let Some(table) = self.table() {
            return Some(nft::delete(tools, &table));
        }
        match self {
            Self::Start { unit } => Some(systemctl::start(tools, unit)),
            Self::Online { pool, disk } => Some(zpool_disks::online(tools, pool, disk)),
            Self::StartGuest { guest, .. } => Some(guest::start_again(tools, *guest)),
            Self::Ports { .. } | Self::Addresses { .. } | Self::Nothing => None,
        }
    }
}

/// Why something could not be noted.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoteError {
    /// The file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Whether the folder outlives a loss of power can't be told.
    #[error("the folder of faults could not be written")]
    Folder(#[from] io::Error),
    /// It could not be put into words.
    #[error("the fault could not be written down")]
    Json(#[from] serde_json::Error),
}

/// Notes a fault, or how it ended. It is on the disk when this returns, and outlives a loss of power.
///
/// # Errors
/// It is not noted; then nothing may begin.
pub(super) fn note(state_dir: &Path, held: &Held) -> Result<(), NoteError> {
    let folder = state_dir.join(FOLDER);
    create_private_dir(&folder)?;
    fs::File::open(state_dir)?.sync_all()?;
    let text = serde_json::to_string_pretty(held)?;
    write_secret_file(&folder.join(format!("{}.json", held.id)), &text)?;
    Ok(fs::File::open(&folder)?.sync_all()?)
}

/// All that are noted, oldest first, and the files that could not be read, with the reason.
pub(super) fn all(state_dir: &Path) -> (Vec<Held>, Vec<String>) {
    let folder = state_dir.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (vec![], vec![]),
        Err(error) => return (vec![], vec![format!("{} can't be read: {error}", folder.display())]),
    };
    let (mut held, mut broken) = (Vec::new(), Vec::new());
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) => {
                broken.push(format!("{} can't be read: {error}", folder.display()));
                continue;
            }
        };
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        match read(&path) {
            Ok(found) => held.push(found),
            Err(why) => broken.push(format!("{} can't be read: {why}", path.display())),
        }
    }
    held.sort_by(|a, b| (a.noted_at, a.id.as_str()).cmp(&(b.noted_at, b.id.as_str())));
    (held, broken)
}

fn read(path: &Path) -> Result<Held, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// Those that have not ended.
pub(super) fn open(state_dir: &Path) -> (Vec<Held>, Vec<String>) {
    let (mut held, broken) = all(state_dir);
    held.retain(|held| held.ended.is_none());
    (held, broken)
}

/// Notes how a fault ended, and forgets the oldest that have.
///
/// # Errors
/// As [`note`].
pub(super) fn close(state_dir: &Path, held: &Held, at: Timestamp, how: &str) -> Result<(), NoteError> {
    let ended = Some(Ended {
        at,
        how: how.to_owned(),
    });
    note(state_dir, &Held { ended, ..held.clone() })?;
    let (mut all, _) = all(state_dir);
    all.retain(|held| held.ended.is_some());
    let surplus = all.len().saturating_sub(REMEMBERED);
    for old in all.iter().take(surplus) {
        let path: PathBuf = state_dir.join(FOLDER).join(format!("{}.json", old.id));
        fs::remove_file(path)?;
    }
    Ok(())
}
