//! The only place of this crate's own commands that starts a process: cargo, and what it has built.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::report::Stop;

/// A process to be.
#[derive(Debug)]
pub(crate) struct Process {
    command: Command,
    name: String,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    #[expect(
        clippy::disallowed_methods,
        reason = "a developer's own cargo, found as they have it, and as long as it takes: nothing of this runs on a server"
    )]
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let program = program.as_ref();
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Self {
            command,
            name: program.to_string_lossy().into_owned(),
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs it; what it prints goes to whoever called us.
    pub(crate) fn show(mut self) -> Result<Ended, Stop> {
        let status = self.command.status().map_err(|error| failed(&self.name, &error))?;
        Ok(Ended {
            success: status.success(),
            stdout: String::new(),
            stderr: String::new(),
        })
    }

    /// Runs it, and takes what it prints.
    pub(crate) fn output(mut self) -> Result<Ended, Stop> {
        let output = self.command.output().map_err(|error| failed(&self.name, &error))?;
        Ok(Ended {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

fn failed(name: &str, error: &std::io::Error) -> Stop {
    Stop::Failed(format!("{name} could not be run: {error}"))
}
