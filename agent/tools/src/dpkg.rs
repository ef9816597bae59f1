//! `dpkg` and `dpkg-deb`: what a package's file says it is, and its installation.

use std::path::Path;
use std::time::Duration;

use quorate_exec::{Invocation, Tools};

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "dpkg";
/// The name of the one that reads files.
pub const DEB: &str = "dpkg-deb";

/// A few kB are unpacked.
const FIELD_WITHIN: Duration = Duration::from_secs(20);

/// What a package's file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// The package's name.
    pub package: String,
    /// Its version, as Debian writes it.
    pub version: String,
    /// For which processors it is, or `all`.
    pub architecture: String,
}

/// Asks a package's file what it is.
///
/// # Errors
/// When dpkg-deb is not installed, or the path is no text.
pub fn fields(tools: &Tools, file: &Path) -> Result<Invocation, CallError> {
    let file = file.to_string_lossy().into_owned();
    let call = tools
        .call(DEB)?
        .args(["--field", &file, "Package", "Version", "Architecture"]);
    Ok(call.deadline(FIELD_WITHIN).build()?)
}

/// Reads its answer.
///
/// # Errors
/// A field is missing.
pub fn read_fields(stdout: &str) -> Result<Fields, ParseError> {
    let field = |name: &'static str| {
        let mut values = stdout
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let value = values.next().map(str::trim).filter(|value| !value.is_empty());
        value
            .map(str::to_owned)
            .ok_or_else(|| ParseError::missing(DEB, format!("the field {name} is missing")))
    };
    Ok(Fields {
        package: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture")?,
    })
}

/// Asks for which processors this host's packages are.
///
/// # Errors
/// When dpkg is not installed.
pub fn architecture(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.arg("--print-architecture").build()?)
}

/// Installs a package's file. Configuration that somebody has changed stays as it is; nobody is asked anything.
///
/// # Errors
/// When dpkg is not installed.
pub fn install(tools: &Tools, file: &Path) -> Result<Invocation, CallError> {
    let file = file.to_string_lossy().into_owned();
    let call = tools.call(NAME)?.args(["--force-confold", "--install", &file]);
    Ok(call.env("DEBIAN_FRONTEND", "noninteractive").build()?)
}

/// What dpkg complained about: its lines on stderr that tell of an error.
#[must_use]
pub fn complaints(stderr: &str) -> Vec<String> {
    let lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .filter(|line| !line.starts_with("dpkg: warning:"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_called_without_a_question() {
        let tools = Tools::imagined();
        let file = Path::new("/var/lib/quorate-agent/packages/ab.deb");
        assert_eq!(
            fields(&tools, file).unwrap().to_string(),
            "/usr/bin/dpkg-deb --field /var/lib/quorate-agent/packages/ab.deb Package Version Architecture"
        );
        let install = install(&tools, file).unwrap();
        assert_eq!(
            install.to_string(),
            "/usr/bin/dpkg --force-confold --install /var/lib/quorate-agent/packages/ab.deb"
        );
        assert_eq!(
            architecture(&tools).unwrap().to_string(),
            "/usr/bin/dpkg --print-architecture"
        );
    }

    #[test]
    fn a_file_says_what_it_is_or_nothing_is_believed() {
        let read = read_fields(fixture!("dpkg-deb/1.21.22/fields.out")).unwrap();
        assert_eq!(
            (read.package.as_str(), read.version.as_str(), read.architecture.as_str()),
            ("quorate-agent", "0.2.0", "amd64")
        );
        assert!(read_fields("Package: a\nVersion: 1\n").is_err());
        assert!(read_fields("").is_err());
    }

    #[test]
    fn warnings_are_no_complaints() {
        let locked = complaints(fixture!("dpkg/1.21.22/locked.err"));
        assert!(locked[0].contains("lock"), "{locked:?}");
        assert_eq!(complaints("dpkg: warning: downgrading x\n"), Vec::<String>::new());
    }
}
