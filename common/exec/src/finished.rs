//! What a process left behind.

use std::borrow::Cow;
use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It ended by itself with this exit code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// Whether the process said that all was well. Evidence, not truth: several PVE tools say so of failed tasks.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            // Stopped and continued processes are not reported to us; the raw status is all there is to tell.
            (None, None) => Self::Code(status.into_raw()),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
        }
    }
}

/// A process that ended by itself (or by somebody else's signal) before its deadline. `Debug` shows sizes only:
/// output may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// All that it printed on stdout.
    pub stdout: Vec<u8>,
    /// What it printed on stderr, up to 64 KiB.
    pub stderr: Vec<u8>,
    /// Whether stderr was longer than that.
    pub stderr_truncated: bool,
    /// Whether a descendant still held the output open after the process itself had ended. It was killed if it had
    /// stayed in the process's group; what it might still have printed is missing.
    pub left_behind: bool,
    /// Wall time of the start, in microseconds since the Unix epoch.
    pub started_at: i64,
    /// From the start to the end, on the monotonic clock.
    pub duration: Duration,
}

impl Finished {
    /// Stdout as text.
    ///
    /// # Errors
    /// When it is not UTF-8, with the place.
    pub fn stdout_text(&self) -> Result<&str, NotUtf8> {
        std::str::from_utf8(&self.stdout).map_err(|error| NotUtf8 {
            offset: error.valid_up_to(),
        })
    }

    /// Stderr for people to read, damaged characters replaced, surrounding white space removed.
    #[must_use]
    pub fn stderr_text(&self) -> Cow<'_, str> {
        readable(&self.stderr)
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished")
            .field("exit", &self.exit)
            .field("stdout_bytes", &self.stdout.len())
            .field("stderr_bytes", &self.stderr.len())
            .field("stderr_truncated", &self.stderr_truncated)
            .field("left_behind", &self.left_behind)
            .field("started_at", &self.started_at)
            .field("duration", &self.duration)
            .finish()
    }
}

/// Stdout is not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the output is not UTF-8 from byte {offset} on")]
pub struct NotUtf8 {
    /// The first byte that does not belong to a character.
    pub offset: usize,
}

/// What a process had printed when it was stopped. `Debug` shows sizes only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Partial {
    /// Stdout so far.
    pub stdout: Vec<u8>,
    /// Stderr so far, up to 64 KiB.
    pub stderr: Vec<u8>,
}

impl Partial {
    /// Stderr for people to read.
    #[must_use]
    pub fn stderr_text(&self) -> Cow<'_, str> {
        readable(&self.stderr)
    }
}

impl fmt::Debug for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partial")
            .field("stdout_bytes", &self.stdout.len())
            .field("stderr_bytes", &self.stderr.len())
            .finish()
    }
}

fn readable(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes.trim_ascii())
}
