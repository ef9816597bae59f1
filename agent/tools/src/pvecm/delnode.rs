//! What `pvecm delnode` prints.

use super::Trouble;
use super::trouble::troubles;

/// What corosync-cfgtool says of a node that is off, as it should be.
const ALREADY_OFF: &str = "Could not kill node (error = CS_ERR_NOT_EXIST)";

/// What `pvecm delnode` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelnodeSaid {
    /// It came to the point where corosync is told; the file is written right after.
    pub killed: bool,
    /// What went wrong, in the order in which it was said.
    pub troubles: Vec<Trouble>,
}

/// Reads what `pvecm delnode` has printed so far.
#[must_use]
pub fn read_delnode(stdout: &str, stderr: &str) -> DelnodeSaid {
    let complaints: Vec<&str> = stderr.lines().filter(|line| line.trim() != ALREADY_OFF).collect();
    DelnodeSaid {
        killed: stdout.lines().any(|line| line.starts_with("Killing node ")),
        troubles: troubles("", &complaints.join("\n")),
    }
}
