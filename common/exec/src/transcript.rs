//! The record of one call: what was run, how it ended, how long it took. Never what was said.

use std::fmt;
use std::time::Duration;

use crate::{CommandLine, ExecError, Exit, Finished, Invocation};

/// One call, fit for a log. `Display` gives the command line as a shell would need it, and how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// What was run.
    pub command: CommandLine,
    /// How it ended.
    pub outcome: Outcome,
    /// From the call to its answer.
    pub duration: Duration,
    /// Bytes offered on stdin; unknown for a file.
    pub stdin_bytes: Option<usize>,
    /// Bytes kept of stdout.
    pub stdout_bytes: usize,
    /// Bytes kept of stderr.
    pub stderr_bytes: usize,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The process ended by itself.
    Ended(Exit),
    /// There was never a process.
    NotStarted,
    /// Killed at its deadline.
    DeadlinePassed,
    /// Killed because it printed too much.
    OutputTooLarge,
    /// Killed in vain: it still exists.
    Abandoned,
    /// Its output or its end could not be read.
    Broken,
}

impl Transcript {
    /// The record of a call and its answer.
    #[must_use]
    pub fn of(invocation: &Invocation, result: &Result<Finished, ExecError>, duration: Duration) -> Self {
        let (stdout_bytes, stderr_bytes) = match result {
            Ok(finished) => (finished.stdout.len(), finished.stderr.len()),
            Err(error) => error
                .partial()
                .map_or((0, 0), |partial| (partial.stdout.len(), partial.stderr.len())),
        };
        Self {
            command: invocation.command().clone(),
            outcome: Outcome::of(result),
            duration,
            stdin_bytes: invocation.stdin().known_len(),
            stdout_bytes,
            stderr_bytes,
        }
    }

    pub(crate) fn emit(&self) {
        tracing::debug!(
            target: "quorate::exec",
            command = %self.command,
            outcome = %self.outcome,
            duration = ?self.duration,
            stdin_bytes = self.stdin_bytes,
            stdout_bytes = self.stdout_bytes,
            stderr_bytes = self.stderr_bytes,
            "ran a tool",
        );
    }
}

impl Outcome {
    fn of(result: &Result<Finished, ExecError>) -> Self {
        match result {
            Ok(finished) => Self::Ended(finished.exit),
            Err(
                ExecError::NotFound { .. }
                | ExecError::NotExecutable { .. }
                | ExecError::Spawn { .. }
                | ExecError::StillRunning { .. },
            ) => Self::NotStarted,
            Err(ExecError::DeadlinePassed { .. }) => Self::DeadlinePassed,
            Err(ExecError::OutputTooLarge { .. }) => Self::OutputTooLarge,
            Err(ExecError::Abandoned { .. }) => Self::Abandoned,
            Err(ExecError::Broken { .. }) => Self::Broken,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(exit) => exit.fmt(f),
            Self::NotStarted => f.write_str("not started"),
            Self::DeadlinePassed => f.write_str("killed at its deadline"),
            Self::OutputTooLarge => f.write_str("killed for printing too much"),
            Self::Abandoned => f.write_str("abandoned, it hangs in the kernel"),
            Self::Broken => f.write_str("its output could not be read"),
        }
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({} after {} ms)",
            self.command,
            self.outcome,
            self.duration.as_millis()
        )
    }
}
