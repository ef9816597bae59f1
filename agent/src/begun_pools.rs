//! What was begun here with disks and not seen finished. A `zpool create`, `add` or `replace` that fails after it touched a disk leaves a
//! partition table and two partitions on it, like many another thing; only whoever tried can tell that they are its own and may be used
//! again.

use std::path::{Path, PathBuf};
use std::{fs, io};

use quorate_identity::{FileError, create_private_dir, write_secret_file};
use quorate_model::ids::{OperationId, PoolName};
use quorate_model::pool_layout::DiskIdentity;
use serde::{Deserialize, Serialize};

/// One file for each operation, below the agent's own folder: a second try with other disks does not forget the first one's.
const FOLDER: &str = "begun-pools";

/// A pool, and disks that were about to become a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// The pool.
    pub(crate) pool: PoolName,
    /// The disks.
    pub(crate) disks: Vec<DiskIdentity>,
}

/// Why nothing could be noted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoteError {
    /// The file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Whether the folder outlives a loss of power can't be told.
    #[error("the folder of what is begun could not be written")]
    Folder(#[from] io::Error),
    /// It could not be written down.
    #[error("what is begun could not be written down")]
    Json(#[from] serde_json::Error),
}

/// Notes what is begun, before any disk is touched. It is on the disk when this returns, and outlives a loss of power.
///
/// # Errors
/// It is not noted; then no disk may be touched.
pub(crate) fn begin(state_dir: &Path, operation: &OperationId, begun: &Begun) -> Result<(), NoteError> {
    let folder = state_dir.join(FOLDER);
    create_private_dir(&folder)?;
    fs::File::open(state_dir)?.sync_all()?;
    let text = serde_json::to_string_pretty(begun)?;
    Ok(write_secret_file(&path(&folder, operation), &text)?)
}

/// Takes back the note, and those of earlier tries for the same pool with no other disks: they are a part of it.
///
/// # Errors
/// A note stays. That does no harm: a disk is taken for our own leftover only if it carries no label.
pub(crate) fn finish(state_dir: &Path, finished: &Begun) -> io::Result<()> {
    for (path, begun) in notes(state_dir) {
        let done = begun.pool == finished.pool && begun.disks.iter().all(|disk| finished.disks.contains(disk));
        if done {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Those that were begun. What can't be read is left out: its disks are then not taken for our own.
#[must_use]
pub(crate) fn all(state_dir: &Path) -> Vec<Begun> {
    notes(state_dir).into_iter().map(|(_, begun)| begun).collect()
}

fn notes(state_dir: &Path) -> Vec<(PathBuf, Begun)> {
    let folder = match fs::read_dir(state_dir.join(FOLDER)) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(%error, "which pools were begun here can't be read");
            return Vec::new();
        }
    };
    let paths = folder.filter_map(|entry| Some(entry.ok()?.path()));
    let notes = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let read = notes.filter_map(|path| {
        let text = fs::read_to_string(&path).ok()?;
        let begun = serde_json::from_str(&text)
            .inspect_err(|error| tracing::warn!(%error, path = %path.display(), "what was begun can't be read"))
            .ok()?;
        Some((path, begun))
    });
    read.collect()
}

fn path(folder: &Path, operation: &OperationId) -> PathBuf {
    folder.join(format!("{operation}.json"))
}

#[cfg(test)]
mod tests {
    use quorate_model::ByteSize;

    use super::*;

    fn begun(disks: &[&str]) -> Begun {
        let disk = |link: &&str| DiskIdentity {
            link: (*link).to_owned(),
            serial: None,
            wwn: None,
            model: None,
            size: ByteSize(1),
        };
        Begun {
            pool: "tank".parse().unwrap(),
            disks: disks.iter().map(disk).collect(),
        }
    }

    #[test]
    fn a_second_try_does_not_forget_the_disks_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(all(dir.path()), []);
        let (first, second) = (begun(&["a", "b"]), begun(&["b", "c"]));
        begin(dir.path(), &"op-1".parse().unwrap(), &first).unwrap();
        begin(dir.path(), &"op-2".parse().unwrap(), &second).unwrap();
        begin(dir.path(), &"op-3".parse().unwrap(), &begun(&["c"])).unwrap();
        assert_eq!(all(dir.path()).len(), 3);
        // What came about takes with it what was begun on its disks alone.
        finish(dir.path(), &second).unwrap();
        assert_eq!(all(dir.path()), [first]);
    }

    #[test]
    fn a_note_that_makes_no_sense_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        begin(dir.path(), &"op-1".parse().unwrap(), &begun(&["a"])).unwrap();
        fs::write(dir.path().join(FOLDER).join("op-0.json"), "{}").unwrap();
        assert_eq!(all(dir.path()), [begun(&["a"])]);
    }
}
