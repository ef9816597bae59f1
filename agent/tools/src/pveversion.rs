//! `pveversion` of pve-manager. It costs a second of processor time: ask once, and again after an upgrade.

use quorate_exec::{Invocation, Tools};
use quorate_model::observation::system::PveVersion;

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "pveversion";

/// Asks for the version.
///
/// # Errors
/// When pveversion is not installed: then this is no PVE server.
pub fn version(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.build()?)
}

/// Reads `pve-manager/8.4.21/2606ac85 (running kernel: 6.8.12-4-pve)`.
///
/// # Errors
/// When no line has this shape.
pub fn read(stdout: &str) -> Result<PveVersion, ParseError> {
    let line = stdout.lines().find(|line| line.starts_with("pve-manager/"));
    let Some(line) = line else {
        return Err(ParseError::at(NAME, stdout.lines().next().unwrap_or_default(), "expected `pve-manager/…`"));
    };
    parse(line).ok_or_else(|| ParseError::at(NAME, line, "expected `pve-manager/VERSION/ID (running kernel: RELEASE)`"))
}

fn parse(line: &str) -> Option<PveVersion> {
    let (manager, rest) = line.strip_prefix("pve-manager/")?.split_once('/')?;
    let (repoid, kernel) = rest.split_once(" (running kernel: ")?;
    let kernel = kernel.trim_end().strip_suffix(')')?;
    let version = PveVersion { manager: manager.to_owned(), repoid: repoid.to_owned(), running_kernel: kernel.to_owned() };
    version.major().map(|_| version)
}
