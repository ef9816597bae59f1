//! What is in a backup: files of the state directory as they are, and the rollouts' records. It is JSON, so that somebody
//! without this program can get at it, too.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::{FleetName, Generation, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::audit::Audit;
use crate::init::FleetDocument;
use crate::state_dir::StateDir;
use crate::{documents, driver};

const FORMAT: u32 = 1;

/// No file of the state directory but the audit log comes near this size, in bytes.
const LARGEST: u64 = 4 << 30;

/// What is left out: packages, which are published elsewhere; what belongs to a process, what is kept twice, what the history stands for,
/// and what says of this very directory when it was backed up; and the audit log, which is read under its lock.
const LEFT_OUT: [&str; 8] = [
    "packages",
    "lock",
    "operators.lock",
    "journal",
    "backup.json",
    "driver.json",
    "audit.jsonl",
    "audit.head.json",
];

/// A backup's content.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    format: u32,
    pub(crate) made_at: Timestamp,
    pub(crate) fleet: FleetName,
    /// The highest generation that was known.
    pub(crate) generation: Generation,
    /// By path below the state directory.
    pub(crate) files: BTreeMap<String, Kept>,
    /// One JSON document each.
    pub(crate) history: Vec<String>,
}

/// A file.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    pub(crate) mode: u32,
    pub(crate) text: String,
}

/// There are keys in it.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("fleet", &self.fleet)
            .field("files", &self.files.keys())
            .finish_non_exhaustive()
    }
}

impl Content {
    /// Returns also what is left out of it because it is not text.
    pub(super) fn read(
        state: &StateDir,
        audit: &Audit,
        made_at: Timestamp,
        history: Vec<String>,
    ) -> Result<(Self, Vec<String>), Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::new(ExitCode::Failed, "the coordinator's state can't be read").because(error)
        };
        let document: Option<FleetDocument> = documents::load(&state.fleet()).map_err(|error| failed(&error))?;
        let document = document.filter(|_| state.identity().exists()).ok_or_else(|| {
            Failure::new(
                ExitCode::NotFound,
                format!("there is no fleet at {}", state.path().display()),
            )
        })?;
        let (mut files, mut skipped) = (BTreeMap::new(), Vec::new());
        gather(state.path(), "", &mut files, &mut skipped).map_err(|error| failed(&error))?;
        // Others may be writing to it just now.
        let audit = audit.whole().map_err(|error| failed(&error))?;
        for (path, text) in audit {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match String::from_utf8(text) {
                Ok(text) => drop(files.insert(name, Kept { mode: 0o600, text })),
                Err(_) => skipped.push(left_out(&name)),
            }
        }
        let content = Self {
            format: FORMAT,
            made_at,
            fleet: document.name,
            generation: driver::highest_known(&state.driver()),
            files,
            history,
        };
        Ok((content, skipped))
    }

    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        serde_json::to_vec(self)
            .map(Zeroizing::new)
            .map_err(|error| Failure::new(ExitCode::Internal, "the backup can't be written down").because(&error))
    }

    pub(super) fn decode(plain: &[u8]) -> Result<Self, serde_json::Error> {
        let content: Self = serde_json::from_slice(plain)?;
        if content.format > FORMAT {
            return Err(serde::de::Error::custom(format!(
                "it was made by a newer version (format {})",
                content.format
            )));
        }
        Ok(content)
    }

    /// What whoever restores it will not have.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut missing = vec!["what servers and agents keep themselves: it is observed again".to_owned()];
        if !self.files.contains_key("ca/root.key") {
            missing.push("the root key, which is offline: keep it as safe as before".to_owned());
        }
        if self.history.is_empty() {
            missing.push("rollouts: there were none, or nobody could be asked for them".to_owned());
        }
        missing
    }
}

fn left_out(path: &str) -> String {
    format!("{path}: it is no text, or too large; keep it by other means")
}

fn gather(
    dir: &Path,
    prefix: &str,
    files: &mut BTreeMap<String, Kept>,
    skipped: &mut Vec<String>,
) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let passed = prefix.is_empty() && (LEFT_OUT.contains(&name.as_str()) || name.starts_with("journal."));
        // Half-written files begin with a dot; copies are made anew.
        if passed || name.starts_with('.') || name.ends_with(".copy") {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            gather(&entry.path(), &format!("{path}/"), files, skipped)?;
        } else if kind.is_file() {
            let meta = entry.metadata()?;
            let bytes = if meta.len() <= LARGEST {
                fs::read(entry.path())?
            } else {
                vec![0xff]
            };
            match String::from_utf8(bytes) {
                Ok(text) => {
                    let mode = meta.permissions().mode() & 0o777;
                    files.insert(path, Kept { mode, text });
                }
                // Not of our making, or damaged: whoever relies on the backup has to know.
                Err(_) => skipped.push(left_out(&path)),
            }
        }
    }
    Ok(())
}
