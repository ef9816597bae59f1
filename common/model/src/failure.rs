//! How a command or an operation ends when it doesn't end well, and with which exit code.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;

/// Exit codes of `quorate` and `quorate-agent`. They are part of the interface: scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ExitCode {
    /// It is done, and it was seen to be done.
    Done = 0,
    /// A bug in Quorate, or something nobody thought of.
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Refused by findings: nothing was changed.
    Refused = 3,
    /// A change failed, or its outcome can't be told.
    Failed = 4,
    /// The coordinator, or a node that is needed, can't be reached.
    Unreachable = 5,
    /// The caller may not do this.
    Denied = 6,
    /// What was asked for does not exist.
    NotFound = 7,
    /// The operator said no, or cancelled.
    Cancelled = 8,
    /// What was asked for was shown, and something of it is wrong, or unknown: `status`, `disks`, `zfs list`, `storage`, `guests`, `replication`, `network`, `audit`, `probe`, `reboot`, `drill`.
    Degraded = 9,
}

impl ExitCode {
    /// All codes with their meaning, for the documentation.
    pub const ALL: [(ExitCode, &'static str); 10] = [
        (Self::Done, "done, and seen to be done"),
        (Self::Internal, "internal error: please report it"),
        (Self::Usage, "the command line is wrong"),
        (Self::Refused, "refused by findings; nothing was changed"),
        (Self::Failed, "a change failed, or its outcome can't be told"),
        (
            Self::Unreachable,
            "the coordinator or a node that is needed can't be reached",
        ),
        (Self::Denied, "the caller may not do this"),
        (Self::NotFound, "what was asked for does not exist"),
        (Self::Cancelled, "the operator said no, or cancelled"),
        (
            Self::Degraded,
            "`status`, `disks`, `zfs list`, `storage`, `guests`, `replication`, `network`, `audit`, `probe`, `reboot`, `drill`: all that could be seen was shown, and something of it is wrong or unknown",
        ),
    ];
}

/// An error as the operator sees it: what, which findings, what to do next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The exit code that it leads to.
    pub exit: ExitCode,
    /// What failed: a lower-case fragment.
    pub message: String,
    /// Why, from the outside in.
    pub causes: Vec<String>,
    /// What to do or type.
    pub hints: Vec<String>,
    /// Findings, where it was refused by such.
    pub findings: Vec<Finding>,
}

impl Failure {
    /// A failure with a message only.
    pub fn new(exit: ExitCode, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            causes: vec![],
            hints: vec![],
            findings: vec![],
        }
    }

    /// With the chain of an error's sources as causes.
    #[must_use]
    pub fn because(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// With one more hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// With findings.
    #[must_use]
    pub fn with(mut self, findings: Vec<Finding>) -> Self {
        self.findings = findings;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
