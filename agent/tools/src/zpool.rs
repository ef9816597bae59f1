//! `zpool` of OpenZFS: the imported pools and the devices they are made of. Labels of pools that are not imported are
//! lsblk's to tell.

use quorate_exec::{Invocation, Tools};

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "zpool";

/// Lists pools with their devices: no header (`-H`), full paths (`-P`) with links resolved (`-L`), devices too (`-v`).
/// The same call that PVE's own disk list makes.
///
/// # Errors
/// When zpool is not installed.
pub fn list_devices(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["list", "-HPLv"]).build()?)
}

/// Lists pools with their health.
///
/// # Errors
/// When zpool is not installed.
pub fn list_health(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["list", "-Hp", "-o", "name,health"]).build()?)
}

/// A device of an imported pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The pool.
    pub pool: String,
    /// Path of the partition or disk.
    pub device: String,
}

/// A pool's health. `ONLINE` does not mean that all is well: permanent data errors leave it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The pool.
    pub pool: String,
    /// `ONLINE`, `DEGRADED`, `FAULTED`, `OFFLINE`, `UNAVAIL`, `REMOVED`, `SUSPENDED`.
    pub health: String,
}

/// Reads [`list_devices`]. A pool's line begins in the first column, the lines of its vdevs and devices with a tab; the
/// names of groups (`mirror-0`, `logs`, `cache`, `spare`) are no paths. Devices without a path (a guid in the place of
/// one that is gone) hold nothing here and are left out. No output at all: no pool is imported.
///
/// # Errors
/// When a device stands before any pool, or a line is empty.
pub fn read_devices(stdout: &str) -> Result<Vec<Member>, ParseError> {
    let mut pool: Option<&str> = None;
    let mut members = Vec::new();
    for line in stdout.lines() {
        let name = line.split('\t').map(str::trim).find(|field| !field.is_empty());
        let Some(name) = name else {
            return Err(ParseError::at(NAME, line, "an empty line in the list of pools"));
        };
        if !line.starts_with(char::is_whitespace) {
            if !is_heading(line) {
                pool = Some(name);
            }
            continue;
        }
        let Some(pool) = pool else {
            return Err(ParseError::at(NAME, line, "a device without a pool"));
        };
        if name.starts_with('/') {
            members.push(Member { pool: pool.to_owned(), device: name.to_owned() });
        }
    }
    Ok(members)
}

/// `logs`, `cache`, `spare`, `special` and `dedup` head their devices from the first column on, as pools do. A pool (and
/// one may be called `cache`) has a health at least, a heading has dashes only.
fn is_heading(line: &str) -> bool {
    line.split_whitespace().skip(1).all(|field| field == "-")
}

/// Reads [`list_health`].
///
/// # Errors
/// When a line is not a name and a health.
pub fn read_health(stdout: &str) -> Result<Vec<Health>, ParseError> {
    stdout
        .lines()
        .map(|line| match line.split('\t').collect::<Vec<_>>().as_slice() {
            [pool, health] if !pool.is_empty() && !health.is_empty() => {
                Ok(Health { pool: (*pool).to_owned(), health: (*health).to_owned() })
            }
            _ => Err(ParseError::at(NAME, line, "expected a pool's name and its health")),
        })
        .collect()
}

/// Whether zpool said that the kernel's part of ZFS is not loaded: then no pool can be imported.
#[must_use]
pub fn says_no_module(stderr: &str) -> bool {
    stderr.contains("The ZFS modules are not loaded") || stderr.contains("The ZFS modules cannot be auto-loaded")
}
