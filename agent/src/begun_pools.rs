//! Pools that were begun here and not seen finished. A `zpool create` that fails after it touched a disk leaves a partition table and two
//! partitions on it, like many another thing; only whoever tried can tell that they are its own and may be used again.

use quorate_model::ids::PoolName;
use quorate_model::pool_layout::PoolLayout;

use crate::host::{HostRoot, ReadError, WriteError};

/// One file for each, with the pool's layout.
const FOLDER: &str = "/var/lib/quorate-agent/begun-pools";

/// Why nothing could be noted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoteError {
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The layout could not be written down.
    #[error("the layout could not be written down")]
    Json(#[from] serde_json::Error),
}

/// Notes that a pool is begun, before any disk is touched.
///
/// # Errors
/// It is not noted; then no disk may be touched.
pub(crate) fn begin(root: &HostRoot, layout: &PoolLayout) -> Result<(), NoteError> {
    let text = serde_json::to_string_pretty(layout)?;
    root.make_folder(FOLDER, 0o700)?;
    Ok(root.replace(&path(&layout.name), &text, 0o600)?)
}

/// Takes the note back: the pool is there.
///
/// # Errors
/// The note stays. That does no harm: a disk is taken for our own leftover only if it carries no label.
pub(crate) fn finish(root: &HostRoot, name: &PoolName) -> Result<(), WriteError> {
    root.remove(&path(name))
}

/// Those that were begun. What can't be read is left out: its disks are then not taken for our own.
#[must_use]
pub(crate) fn all(root: &HostRoot) -> Vec<PoolLayout> {
    let names = match root.read_dir(FOLDER) {
        Ok(names) => names,
        Err(ReadError::NotFound { .. }) => return Vec::new(),
        Err(error) => {
            tracing::warn!(%error, "which pools were begun here can't be read");
            return Vec::new();
        }
    };
    let notes = names.iter().filter(|name| name.ends_with(".json"));
    let read = notes.filter_map(|name| {
        let text = root.read_text(&format!("{FOLDER}/{name}")).ok()?;
        serde_json::from_str(&text)
            .inspect_err(|error| tracing::warn!(%error, name, "the note of a pool that was begun can't be read"))
            .ok()
    });
    read.collect()
}

fn path(name: &PoolName) -> String {
    format!("{FOLDER}/{name}.json")
}
