//! The two files. The first line of each is a header with format, revision and digest; the rest is the content.

use std::fs;
use std::io;
use std::path::Path;

use quorate_identity::{FileError, Fingerprint, write_secret_file};
use serde::{Deserialize, Serialize};

use super::stored::Stored;
use super::{Content, LedgerError};

/// The files' names in the state directory, in the order in which they are written.
pub(super) const NAMES: [&str; 2] = ["ledger.json", "ledger.copy.json"];

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    revision: u64,
    sha256: Fingerprint,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) content: Content,
    pub(super) revision: u64,
    /// The copies are not both whole and equal, and have to be written again.
    pub(super) heal: bool,
}

/// One file that is there.
#[cfg_attr(feature = "fuzz", derive(Debug))]
pub(super) enum Copy {
    Whole { revision: u64, content: Box<Content> },
    Broken(String),
}

pub(super) fn read(dir: &Path) -> Result<Found, LedgerError> {
    let mut best: Option<Found> = None;
    let mut broken = Vec::new();
    let mut revisions = Vec::new();
    for name in NAMES {
        match read_copy(&dir.join(name))? {
            None => {}
            Some(Copy::Broken(why)) => broken.push(why),
            Some(Copy::Whole { revision, content }) => {
                revisions.push(revision);
                if best.as_ref().is_none_or(|best| revision > best.revision) {
                    best = Some(Found {
                        content: *content,
                        revision,
                        heal: false,
                    });
                }
            }
        }
    }
    let Some(mut found) = best else {
        return if broken.is_empty() {
            Ok(Found::default())
        } else {
            Err(LedgerError::Damaged(broken))
        };
    };
    for why in &broken {
        tracing::warn!("a copy of the ledger is damaged and written again from the other one: {why}");
    }
    found.heal = revisions.len() < NAMES.len() || revisions.iter().any(|revision| *revision != found.revision);
    Ok(found)
}

fn read_copy(path: &Path) -> Result<Option<Copy>, LedgerError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(FileError::Io {
                what: "read",
                path: path.to_owned(),
                source,
            }
            .into());
        }
    };
    decode(path, &bytes).map(Some)
}

/// Reads a file's content; `path` is for messages.
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Copy, LedgerError> {
    let broken = |why: &str| Ok(Copy::Broken(format!("{} {why}", path.display())));
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let (Some(header), Some(body)) = (lines.next(), lines.next()) else {
        return broken("is cut off");
    };
    let Ok(Header {
        format,
        revision,
        sha256,
    }) = serde_json::from_slice(header)
    else {
        return broken("has no readable first line");
    };
    if format > FORMAT {
        return Err(LedgerError::Newer {
            path: path.to_owned(),
            format,
            known: FORMAT,
        });
    }
    if Fingerprint::of(body) != sha256 {
        return broken("does not have the content that was written");
    }
    match serde_json::from_slice::<Stored>(body) {
        Ok(stored) => Ok(Copy::Whole {
            revision,
            content: Box::new(stored.into()),
        }),
        Err(error) => broken(&format!("can't be understood: {error}")),
    }
}

pub(super) fn write(dir: &Path, revision: u64, content: &Content) -> Result<(), LedgerError> {
    let body = serde_json::to_string(&Stored::from(content))?;
    let header = Header {
        format: FORMAT,
        revision,
        sha256: Fingerprint::of(body.as_bytes()),
    };
    let text = format!("{}\n{body}", serde_json::to_string(&header)?);
    for name in NAMES {
        write_secret_file(&dir.join(name), &text)?;
    }
    Ok(())
}

/// The bytes themselves, and what they would be as a content whose digest agrees.
#[cfg(feature = "fuzz")]
pub(super) fn fuzz(bytes: &[u8]) -> impl std::fmt::Debug + use<> {
    let header = Header {
        format: FORMAT,
        revision: 1,
        sha256: Fingerprint::of(bytes),
    };
    let mut sealed = serde_json::to_vec(&header).unwrap_or_default();
    sealed.push(b'\n');
    sealed.extend(bytes);
    let path = Path::new("ledger.json");
    (decode(path, bytes), decode(path, &sealed))
}
