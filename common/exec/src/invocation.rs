//! One call of a tool that only reads: what to run, what to feed it, how long and how much.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Arg, CommandLine, InvalidCommand, Stdin};

/// How long a read may take unless said otherwise. The slowest ordinary readers, which load PVE's Perl libraries, need about
/// a second on an idle host; ten leave room for a loaded one, and are still an answer for somebody who waits.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// How much a read may print on stdout unless said otherwise: several times the `lsblk` of a server with a hundred
/// disks, and no danger to a small agent.
pub const DEFAULT_OUTPUT_CAP: usize = 4 * 1024 * 1024;

/// A call that ends: at the latest when its deadline passes, by force.
///
/// For tools that read, and for changes so small that killing them does no harm; all others go to
/// [`supervise`](crate::supervise).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    command: CommandLine,
    stdin: Stdin,
    deadline: Duration,
    output_cap: usize,
    on_host: bool,
}

/// Collects the parts of an [`Invocation`].
#[derive(Clone, Debug)]
#[must_use]
pub struct InvocationBuilder {
    program: PathBuf,
    args: Vec<Arg>,
    stdin: Stdin,
    deadline: Duration,
    output_cap: usize,
    env: Vec<(String, String)>,
    on_host: bool,
}

impl Invocation {
    /// Begins a call of the program with this absolute path, with empty stdin and the default limits.
    pub fn of(program: impl Into<PathBuf>) -> InvocationBuilder {
        InvocationBuilder {
            program: program.into(),
            args: Vec::new(),
            stdin: Stdin::Null,
            deadline: DEFAULT_DEADLINE,
            output_cap: DEFAULT_OUTPUT_CAP,
            env: Vec::new(),
            on_host: false,
        }
    }

    /// Program and arguments.
    #[must_use]
    pub fn command(&self) -> &CommandLine {
        &self.command
    }

    /// What the process reads.
    #[must_use]
    pub fn stdin(&self) -> &Stdin {
        &self.stdin
    }

    /// How long the process may take, from its start to the end of its output.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// How many bytes the process may print on stdout.
    #[must_use]
    pub fn output_cap(&self) -> usize {
        self.output_cap
    }

    /// Must it see, and leave, the host as PID 1 does, whatever sandbox we are in?
    #[must_use]
    pub fn is_on_host(&self) -> bool {
        self.on_host
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.command.fmt(f)
    }
}

impl InvocationBuilder {
    /// Adds one argument.
    pub fn arg(mut self, arg: impl Into<Arg>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds several arguments.
    pub fn args<A: Into<Arg>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// What the process reads; `/dev/null` unless said.
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// A variable in its environment beside the fixed ones; see [`CommandLine::with_env`].
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// How long the process may take; [`DEFAULT_DEADLINE`] unless said.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How many bytes the process may print on stdout; [`DEFAULT_OUTPUT_CAP`] unless said. More than this is an error,
    /// never a shortened answer.
    pub fn output_cap(mut self, bytes: usize) -> Self {
        self.output_cap = bytes;
        self
    }

    /// It mounts something, or writes outside of what is ours: in a service's sandbox that would be for the service alone, or refused.
    /// See [`UnitRunner`](crate::UnitRunner).
    pub fn on_host(mut self) -> Self {
        self.on_host = true;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// As [`CommandLine::new`].
    pub fn build(self) -> Result<Invocation, InvalidCommand> {
        let mut command = CommandLine::new(self.program, self.args)?;
        for (name, value) in self.env {
            command = command.with_env(name, value)?;
        }
        Ok(Invocation {
            command,
            stdin: self.stdin,
            deadline: self.deadline,
            output_cap: self.output_cap,
            on_host: self.on_host,
        })
    }
}
