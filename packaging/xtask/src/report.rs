//! What a check has to say, and the only place that says it.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks to its caller"
)]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

/// The result of one check.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The check's name.
    pub(crate) name: &'static str,
    /// What was looked at, with counts.
    pub(crate) checked: String,
    /// Worth knowing, not wrong.
    pub(crate) notes: Vec<String>,
    /// Wrong, with the crate or file.
    pub(crate) violations: Vec<String>,
}

/// Why a check could not be made at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    #[error("{0}")]
    Usage(&'static str),
    #[error("{0}")]
    Failed(String),
    #[error("cargo metadata failed")]
    Metadata(#[source] Box<cargo_metadata::Error>),
    #[error("{} could not be read or written", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} is not a policy that xtask understands", path.display())]
    Policy {
        path: PathBuf,
        source: Box<toml::de::Error>,
    },
}

impl Stop {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

/// Prints everything; success if nothing is wrong.
pub(crate) fn finish(result: Result<Vec<Report>, Stop>) -> ExitCode {
    let reports = match result {
        Ok(reports) => reports,
        Err(Stop::Usage(usage)) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
        Err(stop) => {
            eprintln!("error: {stop}");
            let mut cause = stop.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            return ExitCode::FAILURE;
        }
    };
    for Report {
        name,
        checked,
        notes,
        violations,
    } in &reports
    {
        let verdict = if violations.is_empty() { "ok" } else { "WRONG" };
        println!("{name:9} {verdict:6} {checked}");
        notes.iter().for_each(|note| println!("          note: {note}"));
        violations
            .iter()
            .for_each(|violation| println!("          wrong: {violation}"));
    }
    if reports.iter().all(|report| report.violations.is_empty()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
