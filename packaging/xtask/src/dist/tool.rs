//! The programs that make packages: cargo, dpkg, lintian. Here is the only place where xtask starts any.
#![expect(
    clippy::disallowed_methods,
    reason = "these are the tools of whoever packs, with that person's environment; common/exec is for the host tools of the product"
)]
#![expect(clippy::print_stderr, reason = "a command line tool tells how far it is")]

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::options::Options;
use crate::report::Stop;

/// Tells how far it is.
pub(crate) fn say(text: &str) {
    eprintln!("dist: {text}");
}

/// A call of a tool.
#[derive(Debug)]
pub(crate) struct Tool {
    command: Command,
}

impl Tool {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Self { command }
    }

    pub(crate) fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs it; what it prints goes to stderr.
    pub(crate) fn run(mut self) -> Result<(), Stop> {
        let status = self.command.stdout(std::io::stderr()).status();
        let status = status.map_err(|error| self.not_started(&error))?;
        if status.success() {
            Ok(())
        } else {
            Err(Stop::Failed(format!("{} ended with {status}", self.line())))
        }
    }

    /// Runs it; what it prints is shown only if it fails.
    pub(crate) fn run_quietly(self) -> Result<(), Stop> {
        self.output().map(drop)
    }

    /// Runs it and returns what it printed to stdout.
    pub(crate) fn output(self) -> Result<String, Stop> {
        let line = self.line();
        let output = self.end()?;
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        Err(Stop::Failed(format!(
            "{line} ended with {}:\n{}",
            output.status,
            said.trim_end()
        )))
    }

    /// Runs it and returns whether it succeeded, with all that it printed.
    pub(crate) fn verdict(self) -> Result<(bool, String), Stop> {
        let output = self.end()?;
        Ok((
            output.status.success(),
            format!("{}{}", text(&output.stdout), text(&output.stderr)),
        ))
    }

    fn end(mut self) -> Result<Output, Stop> {
        self.command.output().map_err(|error| self.not_started(&error))
    }

    fn line(&self) -> String {
        let args = self.command.get_args().map(|arg| arg.to_string_lossy().into_owned());
        let program = self.command.get_program().to_string_lossy().into_owned();
        std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
    }

    fn not_started(&self, error: &std::io::Error) -> Stop {
        Stop::Failed(format!(
            "{} can't be started: {error}",
            self.command.get_program().to_string_lossy()
        ))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Tells what is missing before anything is built.
pub(crate) fn needed(options: &Options) -> Result<(), Stop> {
    if !cfg!(target_arch = "x86_64") {
        return Err(Stop::Failed(
            "the packages are for amd64, and are built on it".to_owned(),
        ));
    }
    let makers = [("dpkg-buildpackage", "dpkg-dev"), ("dh", "debhelper")];
    let checkers = [
        ("lintian", "lintian"),
        ("readelf", "binutils"),
        ("systemd-analyze", "systemd"),
    ];
    let installers = [("mmdebstrap", "mmdebstrap")];
    let tools = makers
        .iter()
        .chain(checkers.iter().filter(|_| options.check))
        .chain(installers.iter().filter(|_| options.install));
    let missing: Vec<&(&str, &str)> = tools.filter(|(program, _)| !is_there(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    Err(Stop::Failed(format!(
        "missing: {}\nnext: apt-get install --no-install-recommends {}",
        names.join(", "),
        packages.join(" ")
    )))
}

/// Is there such a program in the search path?
pub(crate) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
