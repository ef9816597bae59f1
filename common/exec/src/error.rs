//! Why a call gave no answer.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::Partial;

/// Why a process could not be started, or was not left to finish. A process that ran to its end and reported failure
/// is not an error but a [`Finished`](crate::Finished) with its exit.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// There is no such program.
    #[error("{} does not exist", program.display())]
    NotFound {
        /// The path that was tried.
        program: PathBuf,
    },
    /// The program is there, but is a directory, is not marked executable, or has no format the kernel can run.
    #[error("{} cannot be executed", program.display())]
    NotExecutable {
        /// The path that was tried.
        program: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The process could not be started for another reason: its stdin file, memory, the number of processes.
    #[error("{} could not be started", program.display())]
    Spawn {
        /// The path that was tried.
        program: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The process was started, but its output or its end could not be read. It was killed.
    #[error("the output of {} could not be read", program.display())]
    Broken {
        /// The program that ran.
        program: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The deadline passed and the process group was killed.
    #[error("{} did not finish within {deadline:?} and was killed", program.display())]
    DeadlinePassed {
        /// The program that ran.
        program: PathBuf,
        /// How long it was given.
        deadline: Duration,
        /// What it had printed by then.
        partial: Box<Partial>,
    },
    /// Stdout exceeded the cap and the process group was killed: a part of an answer is no answer.
    #[error("{} printed more than {cap} bytes and was killed", program.display())]
    OutputTooLarge {
        /// The program that ran.
        program: PathBuf,
        /// How many bytes it might print.
        cap: usize,
        /// What was kept.
        partial: Box<Partial>,
    },
    /// The process was killed but did not die: it hangs in the kernel. It was left behind and still exists.
    #[error("{} (pid {pid}) hangs in the kernel, could not be killed after {after:?} and was abandoned", program.display())]
    Abandoned {
        /// The program that hangs.
        program: PathBuf,
        /// Its process id.
        pid: i32,
        /// How long after its start it was given up.
        after: Duration,
        /// What it had printed by then.
        partial: Box<Partial>,
    },
    /// An earlier call of it in the same unit has not ended, although its deadline has passed: it hangs in the kernel.
    #[error("an earlier {} has not ended yet ({unit})", program.display())]
    StillRunning {
        /// The program that runs.
        program: PathBuf,
        /// Its unit.
        unit: String,
    },
}

impl ExecError {
    /// The same of another program, which was run through this one; that this one could not be started stays what it is.
    pub(crate) fn of(mut self, other: PathBuf) -> Self {
        match &mut self {
            Self::NotFound { .. } | Self::NotExecutable { .. } | Self::Spawn { .. } => {}
            Self::Broken { program, .. }
            | Self::DeadlinePassed { program, .. }
            | Self::OutputTooLarge { program, .. }
            | Self::Abandoned { program, .. }
            | Self::StillRunning { program, .. } => *program = other,
        }
        self
    }

    /// What the process had printed before it was stopped, if it had been started.
    #[must_use]
    pub fn partial(&self) -> Option<&Partial> {
        match self {
            Self::DeadlinePassed { partial, .. }
            | Self::OutputTooLarge { partial, .. }
            | Self::Abandoned { partial, .. } => Some(partial),
            Self::NotFound { .. }
            | Self::NotExecutable { .. }
            | Self::Spawn { .. }
            | Self::Broken { .. }
            | Self::StillRunning { .. } => None,
        }
    }

    /// Sorts the kernel's refusal to start `program`.
    pub(crate) fn refused(program: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            // The kernel says the same of a missing program and of a script whose interpreter is missing.
            io::ErrorKind::NotFound if !program.exists() => Self::NotFound { program },
            io::ErrorKind::PermissionDenied => Self::NotExecutable { program, source },
            _ if source.raw_os_error() == Some(nix::libc::ENOEXEC) => Self::NotExecutable { program, source },
            _ => Self::Spawn { program, source },
        }
    }
}
