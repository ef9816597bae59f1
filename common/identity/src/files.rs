//! Files that hold identities: written whole or not at all, and keys that nobody else can read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use nix::unistd::geteuid;
use zeroize::Zeroizing;

use crate::key;

/// No file here comes near this size, in bytes: a larger one is not read.
pub const MAX_SIZE: u64 = 1024 * 1024;
const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;
const PRIVATE_DIR: u32 = 0o700;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no such file.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried, e.g. `read`.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others may read or change a key.
    #[error(
        "{} is a secret, but its mode {mode:04o} lets others at it; if they have not read it, type: chmod {wanted:04o} {}",
        path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it should have.
        wanted: u32,
    },
    /// The directory of a key can be written by others, who could put another key there.
    #[error("{} holds secrets, but its mode {mode:04o} lets others write to it; type: chmod 0700 {}", path.display(), path.display())]
    ExposedDir {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A key of another user.
    #[error("{} is a secret of user id {owner}, but this program runs as user id {ours}; type: chown {ours} {}", path.display(), path.display())]
    WrongOwner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The current user.
        ours: u32,
    },
    /// Not a regular file of a sensible size.
    #[error("{} is not a text file of at most {MAX_SIZE} bytes", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::NotFound if what == "read" => FileError::Missing { path },
        _ => FileError::Io { what, path, source },
    }
}

/// Makes a directory, and those above it, that only the current user may enter. An existing one is left as it is,
/// unless others may write to it.
///
/// # Errors
/// It cannot be made, or others may write to it.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_DIR)
        .create(path)
        .map_err(failed("create", path))?;
    sync_dir(parent(path))?;
    check_dir(path)
}

/// Writes a file that everybody may read, whole or not at all.
///
/// # Errors
/// The system refuses.
pub fn write_file(path: &Path, text: &str) -> Result<(), FileError> {
    write_with_mode(path, text.as_bytes(), PUBLIC)
}

/// Writes a file that only the current user may read, whole or not at all.
///
/// # Errors
/// The system refuses.
pub fn write_secret_file(path: &Path, text: &str) -> Result<(), FileError> {
    write_with_mode(path, text.as_bytes(), PRIVATE)
}

/// The same, for what is no text.
///
/// # Errors
/// The system refuses.
pub fn write_private_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_with_mode(path, bytes, PRIVATE)
}

/// Reads a file that is no secret.
///
/// # Errors
/// It is missing, cannot be read, or is no text.
pub fn read_file(path: &Path) -> Result<String, FileError> {
    let file = File::open(path).map_err(failed("read", path))?;
    read_text(&file, path).map(|text| text.to_string())
}

/// Reads a secret, after checking that nobody but the current user can have read or changed it.
///
/// # Errors
/// It is missing, cannot be read, is no text, belongs to another user, or others may read or change it.
pub fn read_secret_file(path: &Path) -> Result<Zeroizing<String>, FileError> {
    let file = File::open(path).map_err(failed("read", path))?;
    // Of the open file, not of its name: that may point elsewhere by now.
    let meta = file.metadata().map_err(failed("read", path))?;
    let (owner, ours) = (meta.uid(), geteuid().as_raw());
    if owner != ours {
        return Err(FileError::WrongOwner {
            path: path.to_owned(),
            owner,
            ours,
        });
    }
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FileError::Exposed {
            path: path.to_owned(),
            mode,
            wanted: PRIVATE,
        });
    }
    check_dir(parent(path))?;
    read_text(&file, path)
}

/// Gives a file another name in the same directory, durably.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(failed("replace", to))?;
    sync_dir(parent(to))
}

/// Removes a file, if it is there.
pub(crate) fn remove_file(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a directory with all that is in it, if it is there.
pub(crate) fn remove_dir(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn read_text(file: &File, path: &Path) -> Result<Zeroizing<String>, FileError> {
    let not_text = || FileError::NotText { path: path.to_owned() };
    let meta = file.metadata().map_err(failed("read", path))?;
    if !meta.is_file() || meta.len() > MAX_SIZE {
        return Err(not_text());
    }
    // Sized beforehand: a buffer that grows leaves copies of a key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(meta.len()).unwrap_or_default() + 1));
    file.take(MAX_SIZE)
        .read_to_end(&mut bytes)
        .map_err(failed("read", path))?;
    std::str::from_utf8(&bytes)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| not_text())
}

fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let temporary = temporary_beside(path)?;
    let written = write_temporary(&temporary, bytes, mode).and_then(|()| rename(&temporary, path));
    if written.is_err() {
        // What counts is the first error; the leftover has a name that nothing reads.
        drop(fs::remove_file(&temporary));
    }
    written
}

fn write_temporary(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(failed("create", path))?;
    file.write_all(bytes).map_err(failed("write", path))?;
    file.sync_all().map_err(failed("write", path))
}

fn temporary_beside(path: &Path) -> Result<PathBuf, FileError> {
    let random: [u8; 8] = key::random().map_err(|error| FileError::Io {
        what: "create",
        path: path.to_owned(),
        source: io::Error::other(error),
    })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{}", HEXLOWER.encode(&random))))
}

fn sync_dir(path: &Path) -> Result<(), FileError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(failed("write", path))
}

fn check_dir(path: &Path) -> Result<(), FileError> {
    let mode = fs::metadata(path).map_err(failed("read", path))?.mode() & 0o7777;
    // In a sticky directory such as /tmp, others may add files but not replace ours.
    if mode & 0o022 == 0 || mode & 0o1000 != 0 {
        Ok(())
    } else {
        Err(FileError::ExposedDir {
            path: path.to_owned(),
            mode,
        })
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
