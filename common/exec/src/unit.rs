//! Running a read in a transient unit of systemd, where it sees the host as PID 1 does.
//!
//! A service that systemd keeps in a sandbox sees most of the host read-only and mounts for itself alone: a storage that PVE activates
//! there would be mounted for nobody else. What must see and leave the host as a shell of root does is marked
//! [`on_host`](crate::InvocationBuilder::on_host) and runs beside the sandbox; all else stays inside.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::spawn::ENVIRONMENT;
use crate::{Arg, CommandLine, ExecError, Finished, Invocation, RunFuture, Runner, Tools};

/// The tool that makes transient units.
const SYSTEMD_RUN: &str = "systemd-run";

/// How much longer than its deadline a unit may live. Whoever waits has gone by then, and nobody but systemd is left to end it.
const LONGER: Duration = Duration::from_secs(1);

/// Runs what must be done on the host in a unit of its own, and everything else as the runner below it does.
///
/// One unit for each tool, and one at a time: a tool that hangs in the kernel, where nobody can end it, keeps its unit, and is not
/// started a second time beside itself.
pub struct UnitRunner {
    inner: Arc<dyn Runner>,
    tools: Tools,
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl std::fmt::Debug for UnitRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnitRunner")
            .field("tools", &self.tools)
            .finish_non_exhaustive()
    }
}

impl UnitRunner {
    /// Over the runner that starts processes of our own, with the tools among which systemd-run is.
    #[must_use]
    pub fn new(inner: Arc<dyn Runner>, tools: Tools) -> Self {
        Self {
            inner,
            tools,
            turns: Mutex::default(),
        }
    }

    async fn beside(&self, invocation: &Invocation) -> Result<Finished, ExecError> {
        let program = || invocation.command().program().to_owned();
        let unit = unit_of(invocation.command());
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(unit.clone()).or_default())
        };
        let _ours = turn.lock().await;
        let refused = |source: io::Error| ExecError::Spawn {
            program: program(),
            source,
        };
        let systemd_run = self.tools.find(SYSTEMD_RUN).map_err(|e| refused(io::Error::other(e)))?;
        let wrapped = wrap(systemd_run, &unit, invocation).map_err(|e| refused(io::Error::other(e)))?;
        let finished = self.inner.run(&wrapped).await.map_err(|error| error.of(program()))?;
        match of_systemd(&finished) {
            Some(Complaint::StillThere) => Err(ExecError::StillRunning {
                program: program(),
                unit,
            }),
            Some(Complaint::Other(words)) => Err(refused(io::Error::other(words))),
            None => Ok(finished),
        }
    }
}

impl Runner for UnitRunner {
    fn run<'a>(&'a self, invocation: &'a Invocation) -> RunFuture<'a> {
        if invocation.is_on_host() {
            Box::pin(self.beside(invocation))
        } else {
            self.inner.run(invocation)
        }
    }
}

/// The name of a tool's unit.
fn unit_of(command: &CommandLine) -> String {
    let name = command.program().file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    format!("quorate-look-{}.service", name.chars().map(plain).collect::<String>())
}

/// The same call through systemd-run, which hands our pipes over and ends as the tool does.
fn wrap(systemd_run: PathBuf, unit: &str, invocation: &Invocation) -> Result<Invocation, crate::InvalidCommand> {
    let command = invocation.command();
    let longest = invocation.deadline().saturating_add(LONGER);
    let name = command.program().file_name().unwrap_or_default().to_string_lossy();
    let mut call = Invocation::of(systemd_run)
        .args([
            "--quiet",
            "--collect",
            "--wait",
            "--pipe",
            "--service-type=exec",
            // Nobody looks into the journal for each look.
            "--property=LogLevelMax=notice",
            "--property=KillSignal=SIGKILL",
        ])
        .arg(format!("--property=RuntimeMaxSec={}", longest.as_secs().max(1)))
        .arg(format!("--unit={unit}"))
        .arg(format!("--description=Quorate looks with {name}"));
    let own = command
        .env()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in ENVIRONMENT.into_iter().chain(own) {
        call = call.arg(format!("--setenv={name}={value}"));
    }
    call = call.arg("--").arg(command.program().as_os_str().to_owned());
    // Private ones stay private; where the first argument of a unit has dollars, systemd would look for variables.
    call = call.args(command.all_args().iter().map(|arg| arg.mapped(undollared)));
    call.stdin(invocation.stdin().clone())
        .deadline(invocation.deadline())
        .output_cap(invocation.output_cap())
        .build()
}

/// systemd puts variables in the place of `$NAME` in a unit's command, and a dollar in that of two.
fn undollared(text: &std::ffi::OsStr) -> OsString {
    let doubled = |byte: &u8| {
        if *byte == b'$' { vec![b'$', b'$'] } else { vec![*byte] }
    };
    OsString::from_vec(text.as_bytes().iter().flat_map(doubled).collect())
}

/// What systemd itself said against a unit.
#[derive(Debug, PartialEq, Eq)]
enum Complaint {
    /// One of this name has not ended.
    StillThere,
    /// Anything else.
    Other(String),
}

/// What systemd-run said of itself; `None`: the tool has run, and all that was said is its own.
fn of_systemd(finished: &Finished) -> Option<Complaint> {
    if finished.exit.is_success() || !finished.stdout.is_empty() {
        return None;
    }
    let stderr = finished.stderr_text();
    let own = [
        "Failed to start transient service unit:",
        "Failed to create bus connection:",
        "Failed to connect to bus:",
        "Job for quorate-look-",
    ];
    let line = stderr
        .lines()
        .find(|line| own.iter().any(|words| line.starts_with(words)))?;
    if line.contains("already loaded") || line.contains("already exists") {
        return Some(Complaint::StillThere);
    }
    Some(Complaint::Other(line.to_owned()))
}

impl Arg {
    /// The same argument with another text.
    fn mapped(&self, change: impl FnOnce(&std::ffi::OsStr) -> OsString) -> Self {
        let changed = change(self.as_os_str());
        if self.is_private() {
            Self::private(changed)
        } else {
            changed.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Exit;
    use crate::scripted::{Call, Scripted};

    fn argv<'a>(more: &[&'a str]) -> Vec<&'a str> {
        let mut argv = vec![
            "/usr/bin/systemd-run",
            "--quiet",
            "--collect",
            "--wait",
            "--pipe",
            "--service-type=exec",
            "--property=LogLevelMax=notice",
            "--property=KillSignal=SIGKILL",
            "--property=RuntimeMaxSec=8",
            "--unit=quorate-look-pvesm.service",
            "--description=Quorate looks with pvesm",
            "--setenv=LC_ALL=C.UTF-8",
            "--setenv=PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        ];
        argv.extend(more);
        argv
    }

    fn pvesm(more: &[&str]) -> Invocation {
        let call = Tools::imagined().call("pvesm").unwrap().args(more.iter().copied());
        call.deadline(Duration::from_secs(7)).on_host().build().unwrap()
    }

    fn runner(calls: impl IntoIterator<Item = Call>) -> UnitRunner {
        UnitRunner::new(Arc::new(Scripted::new(calls)), Tools::imagined())
    }

    #[tokio::test]
    async fn what_is_for_the_host_gets_a_unit_and_all_else_is_run_as_ever() {
        let there = argv(&["--", "/usr/bin/pvesm", "status", "a$$b"]);
        let runner = runner([
            Call::of(there).prints("Name\n").exits(Exit::Code(3)),
            Call::of(["/usr/bin/lsblk"]).prints("{}"),
        ]);
        let finished = runner.run(&pvesm(&["status", "a$b"])).await.unwrap();
        assert_eq!(
            (finished.exit, finished.stdout.as_slice()),
            (Exit::Code(3), &b"Name\n"[..])
        );
        let lsblk = Tools::imagined().call("lsblk").unwrap().build().unwrap();
        assert_eq!(runner.run(&lsblk).await.unwrap().stdout, b"{}");
    }

    #[tokio::test]
    async fn variables_and_stdin_go_along() {
        let there = argv(&["--setenv=A=b c", "--", "/usr/bin/pvesm"]);
        let runner = runner([Call::of(there).with_stdin("secret")]);
        let call = Tools::imagined().call("pvesm").unwrap().env("A", "b c");
        let call = call
            .stdin(crate::Stdin::bytes("secret"))
            .deadline(Duration::from_secs(7));
        runner.run(&call.on_host().build().unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn what_systemd_says_is_not_taken_for_the_tools_words() {
        let says = |words: &str| {
            Call::of(argv(&["--", "/usr/bin/pvesm"]))
                .complains(words)
                .exits(Exit::Code(1))
        };
        let runner = runner([
            says(
                "Failed to start transient service unit: Unit quorate-look-pvesm.service was already loaded or has a fragment file.\n",
            ),
            says("Failed to connect to bus: No such file or directory\n"),
            says("no such storage\n"),
            Call::of(argv(&["--", "/usr/bin/pvesm"])).fails(ExecError::NotFound {
                program: "/usr/bin/systemd-run".into(),
            }),
            Call::of(argv(&["--", "/usr/bin/pvesm"])).fails(ExecError::DeadlinePassed {
                program: "/usr/bin/systemd-run".into(),
                deadline: Duration::from_secs(7),
                partial: Box::default(),
            }),
        ]);
        let mut said = Vec::new();
        for _ in 0..5 {
            said.push(match runner.run(&pvesm(&[])).await {
                Ok(finished) => finished.stderr_text().into_owned(),
                Err(error) => error.to_string(),
            });
        }
        assert_eq!(
            said,
            [
                "an earlier /usr/bin/pvesm has not ended yet (quorate-look-pvesm.service)",
                "/usr/bin/pvesm could not be started",
                "no such storage",
                "/usr/bin/systemd-run does not exist",
                "/usr/bin/pvesm did not finish within 7s and was killed",
            ]
        );
    }
}
