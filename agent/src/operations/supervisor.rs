//! Starts the supervisor of a tool out of reach of the agent's own end.

use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::geteuid;
use quorate_exec::{
    CommandLine, ExecError, InvalidCommand, Invocation, InvocationBuilder, Runner, Sink, Tools, spawn_detached,
    systemd_runs,
};
use quorate_model::ids::OperationId;

use super::folder::{Folder, FolderError};
use crate::config::Config;

/// systemd-run returns when the unit has started, in a fraction of a second; the rest is for a host under load.
const SYSTEMD_RUN_WITHIN: Duration = Duration::from_secs(30);

/// How to start a supervisor: this program again, in a place of its own.
#[derive(Debug, Clone)]
pub struct Supervisor {
    program: PathBuf,
    config: PathBuf,
    place: Place,
}

/// Where a supervisor lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a transient systemd unit: its own control group, outside the agent's sandbox and mount name space.
    Unit,
    /// In a session of its own, as a child of init.
    Session,
}

/// Why a supervisor may not have been started. Whether it was, its claim tells.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file of the operation can't be used.
    #[error("the operation's folder can't be used")]
    Folder(#[from] FolderError),
    /// The command line is not valid.
    #[error("the supervisor's command line is not valid")]
    Command(#[from] InvalidCommand),
    /// systemd-run is not installed.
    #[error("systemd runs, but there is no systemd-run")]
    NoSystemdRun(#[from] quorate_exec::ToolMissing),
    /// It could not be started.
    #[error("the supervisor could not be started")]
    Exec(#[from] ExecError),
    /// systemd refused.
    #[error("systemd-run failed: {0}")]
    Systemd(String),
}

impl Place {
    /// A unit where systemd runs and obeys us, unless the configuration says otherwise; else a session. A simulated server has no systemd.
    #[must_use]
    pub fn here(config: &Config) -> Self {
        let here = || geteuid().is_root() && systemd_runs();
        if config.lab.is_none() && config.units.unwrap_or_else(here) {
            Self::Unit
        } else {
            Self::Session
        }
    }
}

impl Supervisor {
    /// With this program (`quorate-agent`) and configuration file.
    #[must_use]
    pub fn new(program: PathBuf, config: PathBuf, place: Place) -> Self {
        Self { program, config, place }
    }

    /// A call of this program for something small that may block: it is killed when its deadline passes.
    pub fn helper(&self, command: &str) -> InvocationBuilder {
        let config = self.config.display().to_string();
        Invocation::of(self.program.clone()).args(["--config", &config, command])
    }

    /// How a task of ours is started: this program, as any tool would be.
    ///
    /// # Errors
    /// This program's path can't be used.
    pub fn task(&self, id: &OperationId) -> Result<CommandLine, InvalidCommand> {
        let config = self.config.display().to_string();
        CommandLine::new(&self.program, ["--config", &config, "task", "--", id.as_str()])
    }

    /// Starts the supervisor of an operation whose request is in its folder.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        &self,
        runner: &dyn Runner,
        tools: &Tools,
        id: &OperationId,
        folder: &Folder,
    ) -> Result<(), StartError> {
        let config = self.config.display().to_string();
        let run_op = |more: &[&str]| {
            let mut args = vec!["--config".to_owned(), config.clone(), "run-op".to_owned()];
            args.extend(more.iter().map(|arg| (*arg).to_owned()));
            args.extend(["--".to_owned(), id.to_string()]);
            args
        };
        match self.place {
            Place::Session => {
                // The middle one starts the real one and ends, so that init becomes the real one's parent.
                let command = CommandLine::new(&self.program, run_op(&["--detach"]))?;
                let log = Sink::File(folder.append("supervisor.log")?);
                spawn_detached(&command, &Sink::Null, &log)?;
                Ok(())
            }
            Place::Unit => {
                let invocation = Invocation::of(tools.find("systemd-run")?)
                    .args([
                        "--collect",
                        "--quiet",
                        "--service-type=exec",
                        "--property=KillMode=process",
                        // What repairs must come to its turn beside what loads the server, and is not what memory is taken from.
                        "--property=CPUWeight=500",
                        "--property=IOWeight=500",
                        "--property=OOMScoreAdjust=-500",
                    ])
                    .arg(format!("--unit=quorate-op-{id}"))
                    .arg(format!("--description=Quorate operation {id}"))
                    .arg("--")
                    .arg(self.program.clone())
                    .args(run_op(&[]))
                    .deadline(SYSTEMD_RUN_WITHIN)
                    .build()?;
                let finished = runner.run(&invocation).await?;
                if finished.exit.is_success() {
                    Ok(())
                } else {
                    Err(StartError::Systemd(format!(
                        "{}: {}",
                        finished.exit,
                        finished.stderr_text()
                    )))
                }
            }
        }
    }

    /// The middle one's part: starts the real supervisor.
    ///
    /// # Errors
    /// It can't be started.
    pub fn detach(&self, id: &OperationId, folder: &Folder) -> Result<(), StartError> {
        let config = self.config.display().to_string();
        let args = [
            "--config".to_owned(),
            config,
            "run-op".to_owned(),
            "--".to_owned(),
            id.to_string(),
        ];
        let command = CommandLine::new(&self.program, args)?;
        let log = Sink::File(folder.append("supervisor.log")?);
        spawn_detached(&command, &Sink::Null, &log)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use quorate_exec::Exit;
    use quorate_exec::scripted::{Call, Scripted};

    use super::*;

    #[tokio::test]
    async fn under_systemd_the_supervisor_gets_a_unit_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let id: OperationId = "op-1".parse().unwrap();
        let folder = Folder::of(dir.path(), &id);
        let supervisor = Supervisor::new(
            "/usr/bin/quorate-agent".into(),
            "/etc/quorate/agent.toml".into(),
            Place::Unit,
        );
        let argv = [
            "/usr/bin/systemd-run",
            "--collect",
            "--quiet",
            "--service-type=exec",
            "--property=KillMode=process",
            "--property=CPUWeight=500",
            "--property=IOWeight=500",
            "--property=OOMScoreAdjust=-500",
            "--unit=quorate-op-op-1",
            "--description=Quorate operation op-1",
            "--",
            "/usr/bin/quorate-agent",
            "--config",
            "/etc/quorate/agent.toml",
            "run-op",
            "--",
            "op-1",
        ];
        let runner = Scripted::new([
            Call::of(argv),
            Call::of(argv).exits(Exit::Code(1)).complains("no bus\n"),
        ]);
        let tools = Tools::imagined();
        supervisor.start(&runner, &tools, &id, &folder).await.unwrap();
        let refused = supervisor.start(&runner, &tools, &id, &folder).await.unwrap_err();
        assert_eq!(refused.to_string(), "systemd-run failed: exit code 1: no bus");
    }
}
