//! tests/fixtures, as tools.toml lists them: each case as the bytes that a target reads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{STDERR, Target};

/// The list.
#[derive(Debug, Deserialize)]
pub struct List {
    /// Everything that the agent calls or reads.
    pub tool: Vec<Tool>,
}

/// One tool, or one file that is read.
#[derive(Debug, Deserialize)]
pub struct Tool {
    /// As an administrator knows it.
    pub name: String,
    /// Where its fixtures lie.
    pub folder: String,
    /// Targets that read it.
    #[serde(default)]
    pub reads: Vec<String>,
    /// Its answers.
    pub cases: Vec<Case>,
}

/// One answer.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// Below the tool's folder, without an ending.
    pub name: String,
    /// `success`, `empty`, `error`.
    pub kind: String,
}

/// Why there are none.
#[derive(Debug)]
pub enum FixtureError {
    /// A file can't be read.
    Io(PathBuf, io::Error),
    /// The list can't be understood.
    List(Box<toml::de::Error>),
}

impl std::fmt::Display for FixtureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::List(error) => write!(f, "tools.toml: {error}"),
        }
    }
}

impl std::error::Error for FixtureError {}

/// Where they lie.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

/// Reads the list.
///
/// # Errors
/// It is not there, or can't be understood.
pub fn list() -> Result<List, FixtureError> {
    let path = folder().join("tools.toml");
    let text = fs::read_to_string(&path).map_err(|error| FixtureError::Io(path, error))?;
    toml::from_str(&text).map_err(|error| FixtureError::List(Box::new(error)))
}

impl Tool {
    /// A case as a target reads it: stdout or the file's content; for one that reads both streams, also a zero and stderr. What is only
    /// on stderr is the whole of it for a target of one stream that is told so by its name.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn bytes(&self, case: &Case, target: &Target) -> Result<Vec<u8>, FixtureError> {
        let path = folder().join(&self.folder).join(&case.name);
        let (Some(place), Some(stem)) = (path.parent(), path.file_name()) else {
            return Ok(Vec::new());
        };
        let (mut stdout, mut stderr) = (Vec::new(), None);
        let entries = match fs::read_dir(place) {
            Ok(entries) => entries,
            // Nothing in this folder printed anything.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(stdout),
            Err(error) => return Err(FixtureError::Io(place.to_owned(), error)),
        };
        for entry in entries {
            let file = entry.map_err(|error| FixtureError::Io(place.to_owned(), error))?.path();
            if file.file_stem() != Some(stem) {
                continue;
            }
            let bytes = fs::read(&file).map_err(|error| FixtureError::Io(file.clone(), error))?;
            if file.extension().is_some_and(|ending| ending == "err") {
                stderr = Some(bytes);
            } else {
                stdout = bytes;
            }
        }
        match stderr {
            Some(stderr) if target.both => {
                stdout.push(STDERR);
                stdout.extend(stderr);
            }
            Some(stderr) if target.name.ends_with("-refused") => stdout = stderr,
            _ => {}
        }
        Ok(stdout)
    }
}
