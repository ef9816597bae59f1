//! Where `cargo lab up` puts its lab: one for each user, in a folder that nobody else can enter.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

fn base() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR")
        .filter(|dir| Path::new(dir).is_dir())
        .map(PathBuf::from);
    runtime
        .unwrap_or_else(std::env::temp_dir)
        .join(format!("quorate-lab-{}", Uid::current()))
}

/// The base folder, made if it is missing; refused when somebody else made it.
fn own_base() -> io::Result<PathBuf> {
    let base = base();
    match DirBuilder::new().mode(0o700).create(&base) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let data = fs::symlink_metadata(&base)?;
    if !data.is_dir() || data.uid() != Uid::current().as_raw() || data.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!(
            "{} is not a private folder of yours",
            base.display()
        )));
    }
    Ok(base)
}

/// A folder for a new lab; refused while one is there.
pub(super) fn claim() -> io::Result<PathBuf> {
    if let Ok(dir) = find() {
        return Err(io::Error::other(format!(
            "a lab is up in {}; end it with: cargo lab down",
            dir.display()
        )));
    }
    release()?;
    let base = own_base()?;
    let dir = base.join("lab");
    crate::lab::remove(&dir);
    fs::create_dir(&dir)?;
    symlink("lab", base.join("current"))?;
    Ok(dir)
}

/// The running lab's folder.
pub(super) fn find() -> io::Result<PathBuf> {
    fs::canonicalize(base().join("current"))
        .map_err(|_| io::Error::new(io::ErrorKind::NotFound, "no lab is up; start one with: cargo lab up"))
}

/// Forgets the lab.
pub(super) fn release() -> io::Result<()> {
    match fs::remove_file(base().join("current")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Not empty while something is kept in it.
    fs::remove_dir(base()).ok();
    Ok(())
}
