//! Running a read to its end, its deadline, or beyond hope.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use quorate_clock::Clock;
use tokio::time::timeout;

use crate::capture::{Streams, Trouble};
use crate::group::Group;
use crate::{ExecError, Finished, Invocation, Partial, SecretBytes, Stdin, Transcript, spawn};

/// The answer of a [`Runner`], to be awaited.
pub type RunFuture<'a> = Pin<Box<dyn Future<Output = Result<Finished, ExecError>> + Send + 'a>>;

/// Runs tools that read. The real one is [`OsRunner`]; tests put a scripted one in its place.
pub trait Runner: Send + Sync {
    /// Runs the invocation to its end or its deadline. Dropping the future kills the process.
    fn run<'a>(&'a self, invocation: &'a Invocation) -> RunFuture<'a>;
}

/// Starts real processes. Needs a Tokio runtime with I/O and time.
#[derive(Clone, Debug)]
pub struct OsRunner {
    clock: Clock,
    limits: Limits,
}

/// What happens to a process that does not end as it should.
#[derive(Clone, Copy, Debug)]
struct Limits {
    kill_with: Signal,
    /// How long a killed process may take to die. Freeing the memory of a big one takes well under a second; what is
    /// still there after two hangs in the kernel, and then there is no time after which it surely ends.
    abandon_after: Duration,
    /// How long, after the process has ended, a descendant may hold its output open. What the process itself printed
    /// is in the pipe already and is read at once.
    pipe_grace: Duration,
}

const LIMITS: Limits = Limits {
    kill_with: Signal::SIGKILL,
    abandon_after: Duration::from_secs(2),
    pipe_grace: Duration::from_millis(250),
};

/// Why a process was stopped.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Deadline,
    TooLarge,
}

impl OsRunner {
    /// A runner that takes time stamps and durations from `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, limits: LIMITS }
    }

    async fn attempt(&self, invocation: &Invocation) -> Result<Finished, ExecError> {
        let (started_at, start) = (self.clock.unix_micros(), self.clock.monotonic());
        let (mut group, mut streams) =
            start_group(invocation, self.limits).map_err(|error| ExecError::refused(program(invocation), error))?;

        let conversation = timeout(invocation.deadline(), converse(&mut group, &mut streams, self.limits)).await;
        let left_behind = match conversation {
            Ok(Ok(left_behind)) => left_behind,
            Ok(Err(Trouble::Io(source))) => {
                return Err(ExecError::Broken {
                    program: program(invocation),
                    source,
                });
            }
            Ok(Err(Trouble::TooLarge)) => {
                return Err(self.stop(invocation, group, streams, start, Cause::TooLarge).await);
            }
            Err(_elapsed) => return Err(self.stop(invocation, group, streams, start, Cause::Deadline).await),
        };
        let broken = |source| ExecError::Broken {
            program: program(invocation),
            source,
        };
        let exit = group.reap().await.map_err(broken)?;
        let duration = self.clock.since(start);
        let (Partial { stdout, stderr }, stderr_truncated) = streams.into_output();
        Ok(Finished {
            exit,
            stdout,
            stderr,
            stderr_truncated,
            left_behind,
            started_at,
            duration,
        })
    }

    /// Kills the group and says why; gives it up if it does not die.
    async fn stop(
        &self,
        invocation: &Invocation,
        mut group: Group,
        mut streams: Streams,
        start: Duration,
        cause: Cause,
    ) -> ExecError {
        let program = program(invocation);
        group.kill();
        let died = timeout(self.limits.abandon_after, group.ended()).await;
        if died.is_ok() && timeout(self.limits.pipe_grace, streams.finish()).await.is_err() {
            tracing::debug!(target: "quorate::exec", %invocation, "a descendant of the killed process holds its output");
        }
        let partial = Box::new(streams.into_output().0);
        match died {
            Err(_elapsed) => {
                let after = self.clock.since(start);
                return ExecError::Abandoned {
                    program,
                    pid: group.pid(),
                    after,
                    partial,
                };
            }
            Ok(Err(source)) => return ExecError::Broken { program, source },
            Ok(Ok(())) => {}
        }
        match (group.reap().await, cause) {
            (Err(source), _) => ExecError::Broken { program, source },
            (Ok(_), Cause::Deadline) => ExecError::DeadlinePassed {
                program,
                deadline: invocation.deadline(),
                partial,
            },
            (Ok(_), Cause::TooLarge) => ExecError::OutputTooLarge {
                program,
                cap: invocation.output_cap(),
                partial,
            },
        }
    }
}

impl Runner for OsRunner {
    fn run<'a>(&'a self, invocation: &'a Invocation) -> RunFuture<'a> {
        Box::pin(async move {
            let start = self.clock.monotonic();
            let result = self.attempt(invocation).await;
            Transcript::of(invocation, &result, self.clock.since(start)).emit();
            result
        })
    }
}

fn program(invocation: &Invocation) -> PathBuf {
    invocation.command().program().to_owned()
}

fn start_group(invocation: &Invocation, limits: Limits) -> io::Result<(Group, Streams)> {
    let mut command = spawn::child(invocation.command());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut input: Option<SecretBytes> = None;
    match invocation.stdin() {
        Stdin::Null => {}
        Stdin::Bytes(bytes) => {
            command.stdin(Stdio::piped());
            input = Some(bytes.clone());
        }
        Stdin::File(path) => {
            command.stdin(File::open(path)?);
        }
    }
    let mut group = Group::start(command, limits.kill_with)?;
    let streams = Streams::of(group.child(), input, invocation.output_cap());
    Ok((group, streams))
}

/// Talks with the process until it has ended and its output is read. True if a descendant held the output open and
/// was cut off.
async fn converse(group: &mut Group, streams: &mut Streams, limits: Limits) -> Result<bool, Trouble> {
    tokio::select! {
        closed = streams.pump() => {
            closed?;
            group.ended().await?;
            return Ok(false);
        }
        ended = group.ended() => ended?,
    }
    streams.close_stdin();
    if let Ok(closed) = timeout(limits.pipe_grace, streams.pump()).await {
        return closed.map(|()| false);
    }
    group.kill();
    match timeout(limits.pipe_grace, streams.pump()).await {
        Ok(closed) => closed.map(|()| true),
        // It has left the group too: a daemon that kept our pipe. It may live; we no longer listen.
        Err(_elapsed) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::kill;
    use nix::unistd::Pid;

    use super::*;

    /// A process that shrugs off the signal it is killed with stands in for one that hangs in the kernel.
    #[tokio::test]
    async fn a_process_that_cannot_be_killed_is_abandoned_with_its_output() {
        let limits = Limits {
            kill_with: Signal::SIGTERM,
            abandon_after: Duration::from_millis(100),
            pipe_grace: Duration::from_millis(100),
        };
        let runner = OsRunner {
            clock: Clock::system(),
            limits,
        };
        let script = "trap '' TERM; echo before; exec sleep 600";
        // On a busy machine it takes a while until the process is ready to shrug.
        for deadline in [300, 3_000, 10_000, 60_000].map(Duration::from_millis) {
            let invocation = Invocation::of("/bin/sh")
                .args(["-c", script])
                .deadline(deadline)
                .build()
                .unwrap();
            let error = runner.run(&invocation).await.unwrap_err();
            let ExecError::Abandoned { pid, partial, .. } = error else {
                continue;
            };
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            assert_eq!(partial.stdout, b"before\n");
            return;
        }
        panic!("the process was never abandoned");
    }
}
