//! Small documents of the daemon: JSON files, replaced whole and durably, readable for the daemon's user only.
//!
//! They are apart from the rollout journal on purpose: the journal's store may be lost and is then made up for by
//! observing; what stands here can't be observed.

use std::path::{Path, PathBuf};

use quorate_identity::{FileError, read_secret_file, write_secret_file};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A document can't be read or kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    /// The file can't be read or written.
    #[error("a file of the coordinator's state can't be used")]
    File(#[from] FileError),
    /// Its content makes no sense. It is never taken for empty.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        source: serde_json::Error,
    },
    /// It can't be put into words; a bug.
    #[error("can't write down {}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// What the writer says.
        source: serde_json::Error,
    },
}

/// Reads a document; `None`: it was never written.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DocumentError> {
    match read_secret_file(path) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|source| DocumentError::Damaged {
                path: path.to_owned(),
                source,
            }),
        Err(FileError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Replaces a document. When this returns, it is on disk.
pub(crate) fn save<T: Serialize>(path: &Path, value: &T) -> Result<(), DocumentError> {
    let text = serde_json::to_string_pretty(value).map_err(|source| DocumentError::Encode {
        path: path.to_owned(),
        source,
    })?;
    Ok(write_secret_file(path, &text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_is_none_and_damaged_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.json");
        assert_eq!(load::<Vec<u32>>(&path).unwrap(), None);
        save(&path, &vec![1_u32, 2]).unwrap();
        assert_eq!(load::<Vec<u32>>(&path).unwrap(), Some(vec![1, 2]));
        write_secret_file(&path, "[1, 2").unwrap();
        let error = load::<Vec<u32>>(&path).unwrap_err();
        assert!(error.to_string().contains("d.json is damaged"), "{error}");
    }
}
