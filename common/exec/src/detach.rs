//! Starting a process that outlives us.

use std::fs::File;
use std::io;
use std::process::Stdio;

use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::spawn;
use crate::{CommandLine, ExecError, ProcessIdentity};

/// Where the output of a process goes when nobody reads it from a pipe.
#[derive(Debug)]
pub enum Sink {
    /// Nowhere.
    Null,
    /// Into this open file.
    File(File),
}

impl From<Sink> for Stdio {
    fn from(sink: Sink) -> Self {
        match sink {
            Sink::Null => Self::null(),
            Sink::File(file) => file.into(),
        }
    }
}

/// Starts a program in a session and process group of its own, with empty stdin and without any pipe to us: neither
/// our end, nor that of our terminal or process group, reaches it.
///
/// What still does is the end of our control group: where systemd runs, a process that must survive the restart of our
/// service has to be started as a unit of its own, by `systemd-run`. The working directory is ours.
///
/// Blocks until the program has been executed (well under a millisecond).
///
/// # Errors
/// [`ExecError::NotFound`], [`ExecError::NotExecutable`] or [`ExecError::Spawn`].
pub fn spawn_detached(command: &CommandLine, stdout: &Sink, stderr: &Sink) -> Result<ProcessIdentity, ExecError> {
    let program = || command.program().to_owned();
    let pid = spawn::session(command, stdout, stderr).map_err(|error| ExecError::refused(program(), error))?;
    let identity = ProcessIdentity::of_child(pid);
    reap_later(pid);
    tracing::debug!(target: "quorate::exec", %command, pid = pid.as_raw(), "started a detached process");
    identity.map_err(|source| ExecError::Spawn {
        program: program(),
        source,
    })
}

/// As long as we live, the process is our child, and somebody must take note of its end, or it stays as a zombie.
fn reap_later(pid: Pid) {
    let wait = move || {
        while waitpid(pid, None) == Err(nix::errno::Errno::EINTR) {}
    };
    let thread: io::Result<_> = std::thread::Builder::new()
        .name("reaper".into())
        .stack_size(64 * 1024)
        .spawn(wait);
    if let Err(error) = thread {
        tracing::warn!(target: "quorate::exec", pid = pid.as_raw(), %error, "a detached process will stay as a zombie");
    }
}
