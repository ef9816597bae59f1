//! What a target begins with: the fixtures that it reads, the corpus that is kept for it, and what once broke it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Target;
use crate::fixtures::{FixtureError, list};

/// One input, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seed {
    /// For people.
    pub from: String,
    /// The input.
    pub bytes: Vec<u8>,
}

/// All seeds of a target, in an order of their own.
///
/// # Errors
/// A file can't be read.
pub fn of(target: &Target) -> Result<Vec<Seed>, FixtureError> {
    let mut found = Vec::new();
    for tool in list()?
        .tool
        .iter()
        .filter(|tool| tool.reads.iter().any(|name| name == target.name))
    {
        for case in &tool.cases {
            found.push(Seed {
                from: format!("{}/{}", tool.folder, case.name),
                bytes: tool.bytes(case, target)?,
            });
        }
    }
    for bytes in crate::trust::made(target.name) {
        found.push(Seed {
            from: "made anew".to_owned(),
            bytes,
        });
    }
    for kept in ["corpus", "regressions"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kept).join(target.name);
        for path in files(&folder)? {
            found.push(Seed {
                from: path.display().to_string(),
                bytes: fs::read(&path).map_err(|error| FixtureError::Io(path.clone(), error))?,
            });
        }
    }
    found.sort();
    Ok(found)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, FixtureError> {
    let failed = |error| FixtureError::Io(folder.to_owned(), error);
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}
