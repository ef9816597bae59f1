//! `quorate backup` and `quorate init --restore`: everything of the coordinator's state that can't be observed again, in one
//! file under a passphrase.

mod content;
mod restore;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use quorate_identity::{Passphrase, SealError, seal, unseal};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::{Code, Finding, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) use self::content::Content;
pub(crate) use self::restore::restore;
use crate::as_owner::AsOwner;
use crate::audit::{Act, Audit, By, What};
use crate::clusters::Clusters;
use crate::config::Config;
use crate::documents;
use crate::fleet::registry::{Registry, State};
use crate::state_dir::StateDir;
use crate::trust::{self, sentence};

/// `backup.json`: the newest backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Made {
    at: Timestamp,
    file: PathBuf,
    /// SHA-256 over what must be in a backup: see [`essence`].
    of: String,
}

/// A backup that was written and read back: fit for printing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Written {
    pub(crate) file: PathBuf,
    pub(crate) bytes: usize,
    pub(crate) rollout_records: usize,
    /// What is not in it.
    pub(crate) missing: Vec<String>,
}

/// Writes a backup. `history`: the rollouts' records, as the daemon exports them.
///
/// # Errors
/// The file exists, the state can't be read, or what was written does not read back.
pub(crate) fn backup(
    config: &Config,
    file: Option<&Path>,
    passphrase: &Passphrase,
    history: Vec<String>,
) -> Result<Written, Failure> {
    let owner = AsOwner::of(&config.state_dir)?;
    let state = StateDir::open(&config.state_dir)?;
    let clock = config.clock();
    let at = trust::now(&clock);
    let audit = Audit::of(&state, clock);
    let (content, skipped) = Content::read(&state, &audit, at, history)?;
    let path = match file {
        Some(path) => path.to_owned(),
        None => PathBuf::from(format!("quorate-{}-{}.age", content.fleet, compact(at))),
    };
    let failed = |why: &(dyn std::error::Error + 'static)| {
        Failure::new(ExitCode::Failed, format!("can't write the backup {}", path.display())).because(why)
    };
    let of = essence(&state)?;
    // The backup itself lies where root says.
    drop(owner);
    if path.exists() {
        return Err(exists(&path));
    }
    let owner = AsOwner::of(&config.state_dir)?;
    let file = path.display().to_string();
    audit.record(Act::new(By::this_process(), What::Backup { file }))?;
    drop(owner);
    let plain = content.encode()?;
    let sealed = seal(&plain, passphrase).map_err(|error| failed(&error))?;
    write_new(&path, &sealed).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(&path),
        _ => failed(&error),
    })?;
    // What can't be opened is no backup: it is read again from the disk, whole.
    let opened = open(&path, passphrase)?;
    if opened != content {
        return Err(Failure::new(
            ExitCode::Failed,
            format!("the backup {} does not read back as it was written", path.display()),
        )
        .hint("look at the disk that it lies on; it is no backup"));
    }
    let made = Made {
        at,
        file: fs::canonicalize(&path).unwrap_or_else(|_| path.clone()),
        of,
    };
    let _owner = AsOwner::of(&config.state_dir)?;
    documents::save(&state.backup(), &made).map_err(|error| failed(&error))?;
    Ok(Written {
        file: path,
        bytes: sealed.len(),
        rollout_records: content.history.len(),
        missing: [content.missing(), skipped].concat(),
    })
}

/// Opens a backup.
///
/// # Errors
/// It can't be read, the passphrase is wrong, or it is no backup.
pub(crate) fn open(path: &Path, passphrase: &Passphrase) -> Result<Content, Failure> {
    let unreadable = || Failure::new(ExitCode::Usage, format!("can't open the backup {}", path.display()));
    let sealed = fs::read(path).map_err(|error| unreadable().because(&error))?;
    let plain = unseal(&sealed, passphrase).map_err(|error| match error {
        SealError::WrongPassphrase => unreadable()
            .because(&error)
            .hint("it is the passphrase that was chosen for the backup, not that of the root key"),
        other => unreadable().because(&other),
    })?;
    Content::decode(&plain).map_err(|error| unreadable().because(&error))
}

fn exists(path: &Path) -> Failure {
    Failure::new(
        ExitCode::Usage,
        format!("{} exists already; it is not overwritten", path.display()),
    )
}

/// Whole or not at all, and never over another file.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{:016x}", rand::random::<u64>()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        // A link, unlike a renaming, does not replace what has come there meanwhile.
        .and_then(|()| fs::hard_link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    written?;
    removed?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    fs::File::open(dir.unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all())
}

fn compact(at: Timestamp) -> String {
    at.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect()
}

/// SHA-256 over what makes a backup worth making anew: CA, own identity, fleet and revocations, what was applied and is frozen. Renewed
/// certificates of nodes are not in it: they are renewed again.
fn essence(state: &StateDir) -> Result<String, Failure> {
    let mut hash = Sha256::new();
    let ca = state.path().join("ca");
    for path in [
        state.fleet(),
        state.revocations(),
        state.path().join("coordinator.pem"),
        ca.join("root.pem"),
        ca.join("issuing.pem"),
    ] {
        // A missing one counts as such.
        let bytes = fs::read(&path).unwrap_or_default();
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    let books = Registry::read(&state.nodes())
        .map_err(|error| Failure::new(ExitCode::Failed, "the fleet's books can't be read").because(&error))?;
    for (name, node) in books {
        let state = match node.state {
            State::Invited => continue,
            State::Enrolled => "enrolled",
            State::Frozen { .. } => "frozen",
        };
        hash.update(format!("{name} {} {state}\n", node.address));
    }
    for (cluster, decided) in Clusters::new(state.specs()).essence() {
        hash.update(format!("{cluster} {decided}\n"));
    }
    Ok(HEXLOWER.encode(&hash.finalize()))
}

/// Is there a backup, and is it still one of what there is?
pub(crate) fn findings(state: &StateDir) -> Vec<Finding> {
    let next = "quorate backup FILE, and bring the file to another machine";
    let made: Option<Made> = match documents::load(&state.backup()) {
        Ok(made) => made,
        Err(error) => {
            tracing::warn!(error = sentence(&error), "when the last backup was made can't be told");
            None
        }
    };
    let Some(made) = made else {
        let message = "no backup of CA, fleet and history has been made";
        return vec![Finding::new(Code::BackupMissing, "", message, next)];
    };
    match essence(state) {
        Ok(now) if now == made.of => vec![],
        _ => vec![Finding::new(
            Code::BackupOutdated,
            "",
            format!(
                "fleet or CA have changed since the last backup, {} of {}",
                made.file.display(),
                made.at
            ),
            next,
        )],
    }
}

/// Reads what is in a backup, for tests/fuzz.
#[cfg(feature = "fuzz")]
pub(crate) fn fuzz(bytes: &[u8]) -> impl std::fmt::Debug + use<> {
    Content::decode(bytes)
        .map(|content| content.missing())
        .map_err(|error| error.to_string())
}
