//! `corosync-quorumtool`: votes and quorum.

use quorate_exec::{Exit, Invocation, Tools};
use quorate_model::observation::cluster::Votes;

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "corosync-quorumtool";

/// Asks for the status (`-s`) with addresses (`-i`) and hexadecimal ids (`-H`): what `pvecm status` runs.
///
/// # Errors
/// When it is not installed.
pub fn status(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.arg("-siH").build()?)
}

/// Whether the report is whole: 0 says quorate, 2 not quorate. 1 says that corosync does not run.
#[must_use]
pub fn reported(exit: Exit) -> bool {
    matches!(exit, Exit::Code(0 | 2))
}

/// Reads the votes. The list of members is left to .members, which also names those that are away.
///
/// # Errors
/// When one of the figures is missing or none.
pub fn read(stdout: &str) -> Result<Votes, ParseError> {
    let line = |label: &str| {
        let line = stdout.lines().find_map(|line| Some((line, line.trim_start().strip_prefix(label)?.trim())));
        line.ok_or_else(|| ParseError::missing(NAME, format!("`{label}` is missing")))
    };
    let figure = |label: &str| {
        let (line, value) = line(label)?;
        // `Quorum:           2 Activity blocked`
        let first = value.split_whitespace().next().unwrap_or_default();
        first.parse::<u32>().map_err(|_| ParseError::at(NAME, line, "expected a number"))
    };
    let quorate = match line("Quorate:")? {
        (_, "Yes") => true,
        (_, "No") => false,
        (line, _) => return Err(ParseError::at(NAME, line, "neither Yes nor No")),
    };
    Ok(Votes {
        expected: figure("Expected votes:")?,
        highest_expected: figure("Highest expected:")?,
        total: figure("Total votes:")?,
        quorum: figure("Quorum:")?,
        quorate,
        flags: line("Flags:")?.1.split_whitespace().map(str::to_owned).collect(),
    })
}
