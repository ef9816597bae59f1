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
        return Err(ParseError::at(
            NAME,
            stdout.lines().next().unwrap_or_default(),
            "expected `pve-manager/…`",
        ));
    };
    parse(line).ok_or_else(|| {
        ParseError::at(
            NAME,
            line,
            "expected `pve-manager/VERSION/ID (running kernel: RELEASE)`",
        )
    })
}

fn parse(line: &str) -> Option<PveVersion> {
    let (manager, rest) = line.strip_prefix("pve-manager/")?.split_once('/')?;
    let (repoid, kernel) = rest.split_once(" (running kernel: ")?;
    let kernel = kernel.trim_end().strip_suffix(')')?;
    let version = PveVersion {
        manager: manager.to_owned(),
        repoid: repoid.to_owned(),
        running_kernel: kernel.to_owned(),
    };
    version.major().map(|_| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_two_releases() {
        assert_eq!(version(&Tools::imagined()).unwrap().to_string(), "/usr/bin/pveversion");
        let eight = read(fixture!("pveversion/pve-8.4/version.out")).unwrap();
        assert_eq!(
            (eight.manager.as_str(), eight.running_kernel.as_str(), eight.major()),
            ("8.4.21", "6.18.44", Some(8))
        );
        let nine = read(fixture!("pveversion/pve-9/version.out")).unwrap();
        assert_eq!((nine.repoid.as_str(), nine.major()), ("42db4a6cf33dac83", Some(9)));
        for bad in [
            "",
            "pve-manager/8.4.21",
            "pve-manager/x/y (running kernel: 6)",
            "pve-manager/8/y (running kernel: 6",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
