//! `apt-cache policy` of apt: which version would be installed.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_exec::{Invocation, Tools};

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "apt-cache";

/// It may have to build its cache anew, after an update.
const WITHIN: Duration = Duration::from_secs(20);

/// Asks for the candidates of packages, as of the last `apt-get update`.
///
/// # Errors
/// When apt-cache is not installed.
pub fn policy(tools: &Tools, packages: &[&str]) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?.arg("policy").args(packages.iter().copied());
    Ok(call.deadline(WITHIN).build()?)
}

/// Reads the candidates; `None`: no repository has it. A package that apt has never heard of is not in the answer.
///
/// # Errors
/// When a package has no line for its candidate, or a line stands before the first package.
pub fn read(stdout: &str) -> Result<BTreeMap<String, Option<String>>, ParseError> {
    let mut found = BTreeMap::new();
    let mut open: Option<&str> = None;
    for line in stdout.lines().filter(|line| !line.trim().is_empty()) {
        let bad = |what| ParseError::at(NAME, line, what);
        if !line.starts_with(' ') {
            if let Some(package) = open {
                return Err(ParseError::missing(NAME, format!("{package} has no candidate line")));
            }
            open = Some(line.strip_suffix(':').ok_or_else(|| bad("expected `PACKAGE:`"))?);
        } else if let Some(candidate) = line.strip_prefix("  Candidate: ") {
            let package = open.take().ok_or_else(|| bad("a candidate of no package"))?;
            let version = Some(candidate.trim()).filter(|version| *version != "(none)");
            found.insert(package.to_owned(), version.map(str::to_owned));
        } else if open.is_none() && found.is_empty() {
            return Err(bad("expected `PACKAGE:`"));
        }
    }
    match open {
        None => Ok(found),
        Some(package) => Err(ParseError::missing(NAME, format!("{package} has no candidate line"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_by_package() {
        assert_eq!(
            policy(&Tools::imagined(), &["bash", "corosync"]).unwrap().to_string(),
            "/usr/bin/apt-cache policy bash corosync"
        );
        let found = read(fixture!("apt-cache/2.6.1/policy.out")).unwrap();
        let version = |name: &str| found[name].as_deref();
        assert_eq!(found.len(), 3);
        assert_eq!(version("bash"), Some("5.2.15-2+b13"));
        assert_eq!(version("corosync-qnetd"), Some("3.0.3-1"));
        assert_eq!(
            read("x:\n  Installed: (none)\n  Candidate: (none)\n").unwrap()["x"],
            None
        );
        assert_eq!(read("").unwrap().len(), 0);
    }

    #[test]
    fn half_an_answer_is_an_error() {
        assert!(read("bash:\n  Installed: 1\n").is_err());
        assert!(read("bash:\ndash:\n  Candidate: 1\n").is_err());
        assert!(read("  Candidate: 1\n").is_err());
        assert!(read("E: what\n").is_err());
    }
}
