//! Running a change: no deadline, no pipe that could break, no kill.

use std::fs::File;
use std::io;
use std::process::Stdio;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin};

use crate::{CommandLine, ExecError, Exit, ProcessIdentity, SecretBytes, Sink, Stdin, spawn};

/// A running tool that changes something. Dropping this leaves the tool running.
#[derive(Debug)]
pub struct Supervised {
    child: Child,
    identity: ProcessIdentity,
}

/// Starts a tool with its output straight into files, in a process group of its own. It has no deadline: what its
/// deadline means is the caller's decision, and [`Supervised::terminate`] the only means.
///
/// Must be called within a Tokio runtime, which then writes `stdin` in the background.
///
/// # Errors
/// [`ExecError::NotFound`], [`ExecError::NotExecutable`] or [`ExecError::Spawn`].
pub fn supervise(command: &CommandLine, stdin: Stdin, stdout: Sink, stderr: Sink) -> Result<Supervised, ExecError> {
    let supervised = start(command, stdin, stdout, stderr)
        .map_err(|error| ExecError::refused(command.program().to_owned(), error))?;
    tracing::debug!(target: "quorate::exec", %command, pid = supervised.identity.pid, "started a supervised tool");
    Ok(supervised)
}

fn start(line: &CommandLine, stdin: Stdin, stdout: Sink, stderr: Sink) -> io::Result<Supervised> {
    let mut command = spawn::child(line);
    command.stdout(stdout).stderr(stderr);
    let mut input = None;
    match stdin {
        Stdin::Null => {}
        Stdin::Bytes(bytes) => {
            command.stdin(Stdio::piped());
            input = Some(bytes);
        }
        Stdin::File(path) => {
            command.stdin(File::open(path)?);
        }
    }
    let mut child = command.spawn()?;
    if let (Some(pipe), Some(bytes)) = (child.stdin.take(), input) {
        tokio::spawn(feed(pipe, bytes));
    }
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("a child without a process id"))?;
    Ok(Supervised {
        identity: ProcessIdentity::of_child(pid)?,
        child,
    })
}

async fn feed(mut pipe: ChildStdin, bytes: SecretBytes) {
    if let Err(error) = pipe.write_all(bytes.expose()).await {
        tracing::debug!(target: "quorate::exec", %error, "a supervised tool did not read all of its stdin");
    }
}

impl Supervised {
    /// The process, to be recognised later, also by others.
    #[must_use]
    pub fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    /// Waits for the end of the tool. Cancel-safe; may be called again.
    ///
    /// # Errors
    /// When the kernel does not tell how it ended: the outcome is then unknown.
    pub async fn wait(&mut self) -> io::Result<Exit> {
        self.child.wait().await.map(Exit::from)
    }

    /// Asks the tool to stop (SIGTERM, to the tool alone: PVE's tools then end their own task). Does nothing if it
    /// has ended.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn terminate(&self) -> io::Result<()> {
        // The id is there exactly as long as the process was not reaped, so it cannot belong to another one.
        if self.child.id().is_none() {
            return Ok(());
        }
        match kill(Pid::from_raw(self.identity.pid), Signal::SIGTERM) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
