//! `dpkg-query` of dpkg: what is installed.

use std::collections::BTreeMap;

use quorate_exec::{Exit, Invocation, Tools};

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "dpkg-query";

/// Asks for state, name and version of packages.
///
/// # Errors
/// When dpkg-query is not installed.
pub fn versions(tools: &Tools, packages: &[&str]) -> Result<Invocation, CallError> {
    let format = "${db:Status-Abbrev}\\t${Package}\\t${Version}\\n";
    let call = tools.call(NAME)?.args(["-W", "-f", format]);
    Ok(call.args(packages.iter().copied()).build()?)
}

/// Whether the answer is whole: 1 says that it does not know some of the names, and the others are printed all the same.
#[must_use]
pub fn answered(exit: Exit, stderr: &str) -> bool {
    let unknown_name = |line: &str| line.starts_with("dpkg-query: no packages found matching ");
    match exit {
        Exit::Code(0) => true,
        Exit::Code(1) => !stderr.is_empty() && stderr.lines().all(unknown_name),
        _ => false,
    }
}

/// Reads the versions of those that are installed, whole and configured. A package of which only its configuration is left, or
/// whose installation broke off, is none of them.
///
/// # Errors
/// When a line is no state, name and version.
pub fn read(stdout: &str) -> Result<BTreeMap<String, String>, ParseError> {
    let mut found = BTreeMap::new();
    for line in stdout.lines().filter(|line| !line.trim().is_empty()) {
        let bad = |what| ParseError::at(NAME, line, what);
        let mut fields = line.split('\t');
        let (Some(state), Some(name), Some(version), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(bad("expected STATE, NAME and VERSION"));
        };
        // Wanted, state, error: `ii `. Awaiting or pending triggers (W, t) are installed as well.
        let state = state.chars().nth(1).ok_or_else(|| bad("expected a state"))?;
        if !"ncHUFWti".contains(state) {
            return Err(bad("an unknown state"));
        }
        if "iWt".contains(state) {
            if version.is_empty() {
                return Err(bad("an installed package without a version"));
            }
            found.insert(name.to_owned(), version.to_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_and_no_others() {
        assert_eq!(
            versions(&Tools::imagined(), &["bash", "corosync"]).unwrap().to_string(),
            "/usr/bin/dpkg-query -W -f '${db:Status-Abbrev}\\t${Package}\\t${Version}\\n' bash corosync"
        );
        let found = read(fixture!("dpkg-query/1.21/mixed.out")).unwrap();
        assert_eq!(found, BTreeMap::from([("bash".to_owned(), "5.2.15-2+b8".to_owned())]));
        assert_eq!(read("iW \tman-db\t2.11\nrc \told\t1\niF \thalf\t2\n").unwrap().len(), 1);
        assert_eq!(read("").unwrap().len(), 0);
    }

    #[test]
    fn names_that_it_does_not_know_are_an_answer_and_other_complaints_are_not() {
        assert!(answered(Exit::Code(1), fixture!("dpkg-query/1.21/mixed.err")));
        assert!(answered(Exit::Code(0), ""));
        assert!(!answered(Exit::Code(1), "") && !answered(Exit::Code(2), ""));
        assert!(!answered(
            Exit::Code(1),
            "dpkg-query: error: failed to open package info file\n"
        ));
    }

    #[test]
    fn an_odd_line_is_an_error() {
        for line in [
            "bash",
            "ii \tbash",
            "ii \tbash\t",
            "\tbash\t1",
            "iX \tbash\t1",
            "ii \ta\t1\tmore",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
