//! Small documents of the daemon: JSON files, replaced whole and durably, readable for the daemon's user only.
//!
//! They are apart from the rollout journal on purpose: the journal's store may be lost and is then made up for by
//! observing; what stands here can't be observed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use data_encoding::HEXLOWER;
use quorate_identity::{FileError, MAX_SIZE, read_secret_file, write_secret_file};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

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
    /// It is larger than what can be read back.
    #[error("{} would have {size} bytes, more than can be read back", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// In bytes.
        size: usize,
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

/// A digest and a line break.
const COPY_HEAD: usize = 65;

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
    let text = encode(path, value)?;
    Ok(write_secret_file(path, &text)?)
}

fn encode<T: Serialize>(path: &Path, value: &T) -> Result<String, DocumentError> {
    let text = serde_json::to_string_pretty(value).map_err(|source| DocumentError::Encode {
        path: path.to_owned(),
        source,
    })?;
    // Its copy has a digest before it.
    if text.len() + COPY_HEAD > usize::try_from(MAX_SIZE).unwrap_or(usize::MAX) {
        let (path, size) = (path.to_owned(), text.len());
        return Err(DocumentError::TooLarge { path, size });
    }
    Ok(text)
}

/// What cannot be observed again is kept twice: the document, and beside it a copy under a digest.
///
/// Reads such a document. Whichever of the two is damaged or gone is written again from the other, and the log says so. Only for its
/// owner, at start: beside a [`save_kept`] it could put the older text back.
pub(crate) fn load_kept<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DocumentError> {
    let kept = look(path)?;
    match &kept.amiss {
        None => {}
        Some(Amiss::Copy(text)) => keep_copy(&copy_of(path), text)?,
        Some(Amiss::Document(text)) => {
            tracing::error!(path = %path.display(), "damaged, gone or changed by hand: written again from its copy");
            MENDED
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(path.to_owned());
            write_secret_file(path, text)?;
        }
    }
    Ok(kept.value)
}

/// Reads such a document and changes nothing, whatever it finds.
pub(crate) fn read_kept<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DocumentError> {
    Ok(look(path)?.value)
}

struct Kept<T> {
    value: Option<T>,
    amiss: Option<Amiss>,
}

/// Which of the two is to be written again, and how.
enum Amiss {
    Copy(String),
    Document(String),
}

fn look<T: DeserializeOwned>(path: &Path) -> Result<Kept<T>, DocumentError> {
    let copy = copy_of(path);
    let kept = match read_secret_file(&copy) {
        Ok(text) => checked(&text).map(str::to_owned),
        Err(FileError::Missing { .. } | FileError::NotText { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let found = match read_secret_file(path) {
        Ok(text) => Some(text.to_string()),
        Err(FileError::Missing { .. } | FileError::NotText { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let damaged = |source| DocumentError::Damaged {
        path: path.to_owned(),
        source,
    };
    match (found, kept) {
        (None, None) if path.exists() => Err(damaged(serde::de::Error::custom(
            "it is no text, and has no whole copy",
        ))),
        (None, None) => Ok(Kept {
            value: None,
            amiss: None,
        }),
        (Some(text), None) => Ok(Kept {
            value: Some(serde_json::from_str(&text).map_err(damaged)?),
            amiss: Some(Amiss::Copy(text)),
        }),
        // The copy has a digest, and is written first: where the two differ, it is the one to go by.
        (found, Some(text)) => Ok(Kept {
            value: Some(serde_json::from_str(&text).map_err(damaged)?),
            amiss: (found.as_ref() != Some(&text)).then_some(Amiss::Document(text)),
        }),
    }
}

/// Replaces a document and its copy. When this returns, both are on disk.
pub(crate) fn save_kept<T: Serialize>(path: &Path, value: &T) -> Result<(), DocumentError> {
    let text = encode(path, value)?;
    keep_copy(&copy_of(path), &text)?;
    Ok(write_secret_file(path, &text)?)
}

/// Was the document mended since this process began?
pub(crate) fn mended(path: &Path) -> bool {
    MENDED.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
}

static MENDED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn keep_copy(copy: &Path, text: &str) -> Result<(), DocumentError> {
    Ok(write_secret_file(copy, &format!("{}\n{text}", digest(text)))?)
}

fn checked(copy: &str) -> Option<&str> {
    let (sum, text) = copy.split_once('\n')?;
    (digest(text) == sum).then_some(text)
}

fn digest(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

fn copy_of(path: &Path) -> PathBuf {
    path.with_extension("copy")
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

    #[test]
    fn a_kept_document_survives_the_loss_or_damage_of_either_file() {
        for which in ["k.json", "k.copy"] {
            for damage in [None, Some(&b""[..]), Some(b"[1, 3]"), Some(b"[1,"), Some(&[0xff, 0xfe])] {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("k.json");
                save_kept(&path, &vec![1_u32, 2]).unwrap();
                let victim = dir.path().join(which);
                match damage {
                    None => std::fs::remove_file(&victim).unwrap(),
                    Some(bytes) => std::fs::write(&victim, bytes).unwrap(),
                }
                let told = format!("{which} {damage:?}");
                assert_eq!(load_kept::<Vec<u32>>(&path).unwrap(), Some(vec![1, 2]), "{told}");
                // It is whole again: now the other one may be lost.
                for other in ["k.json", "k.copy"].into_iter().filter(|name| *name != which) {
                    std::fs::remove_file(dir.path().join(other)).unwrap();
                }
                assert_eq!(load_kept::<Vec<u32>>(&path).unwrap(), Some(vec![1, 2]), "{told}");
            }
        }
    }

    #[test]
    fn what_could_not_be_read_back_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.json");
        save_kept(&path, &"small").unwrap();
        let large = "x".repeat(usize::try_from(MAX_SIZE).unwrap() - 40);
        assert!(matches!(save_kept(&path, &large), Err(DocumentError::TooLarge { .. })));
        assert_eq!(load_kept::<String>(&path).unwrap().unwrap(), "small");
    }

    #[test]
    fn only_its_owner_writes_a_document_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.json");
        save_kept(&path, &vec![1_u32]).unwrap();
        // As another process finds it that reads while it is being replaced: the copy is written first.
        let old = std::fs::read_to_string(&path).unwrap();
        save_kept(&path, &vec![2_u32]).unwrap();
        std::fs::write(&path, &old).unwrap();
        assert_eq!(read_kept::<Vec<u32>>(&path).unwrap(), Some(vec![2]));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), old, "it was only read");
        assert!(!mended(&path));
        assert_eq!(load_kept::<Vec<u32>>(&path).unwrap(), Some(vec![2]));
        assert!(mended(&path) && std::fs::read_to_string(&path).unwrap() != old);
    }

    #[test]
    fn a_kept_document_that_is_lost_twice_is_not_taken_for_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.json");
        assert_eq!(load_kept::<Vec<u32>>(&path).unwrap(), None);
        save_kept(&path, &vec![1_u32]).unwrap();
        for damage in [&b""[..], b"[1,", &[0xff]] {
            std::fs::write(&path, damage).unwrap();
            std::fs::write(dir.path().join("k.copy"), damage).unwrap();
            assert!(load_kept::<Vec<u32>>(&path).is_err(), "{damage:?}");
        }
    }
}
