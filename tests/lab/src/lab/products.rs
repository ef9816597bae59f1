//! Runs the product's programs and the host tools in a lab.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use super::error::io_error;
use super::{Lab, LabError};
use crate::binaries;
use crate::process::{self, Daemon, Output, Program};

/// How long a command of the coordinator may take: `apply` and `watch` end with their rollout, on a machine that may be busy.
const COMMAND: Duration = Duration::from_secs(300);

impl Lab {
    fn agent_program(&self, name: &str) -> Result<Program, LabError> {
        let node = self.node(name)?;
        let built = binaries::ensure_built().map_err(io_error("building the product"))?;
        Ok(Program::new(built.agent).env("HOME", &node.root).bound_by_modes())
    }

    fn coordinator_program(&self) -> Result<Program, LabError> {
        let built = binaries::ensure_built().map_err(io_error("building the product"))?;
        Ok(Program::new(built.quorate)
            .dir(self.layout.coordinator())
            .env("HOME", self.layout.coordinator())
            .env("QUORATE_CONFIG", self.layout.coordinator_config()))
    }

    /// Starts a server's agent.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start_agent(&self, name: &str) -> Result<(), LabError> {
        let config = self.layout.agent_config(name);
        let program = self
            .agent_program(name)?
            .args(["run", "--config", &config.to_string_lossy()]);
        let daemon = program
            .spawn(&self.layout.agent_log(name), false)
            .map_err(io_error("starting an agent"))?;
        if let Some(mut before) = self.running().agents.insert(name.to_owned(), daemon) {
            before.kill();
        }
        Ok(())
    }

    /// Stops a server's agent in an orderly way.
    ///
    /// # Errors
    /// When it had to be killed.
    pub async fn stop_agent(&self, name: &str) -> Result<(), LabError> {
        let daemon = self.running().agents.remove(name);
        if let Some(mut daemon) = daemon
            && daemon.ended().is_none()
        {
            return daemon
                .stop(Duration::from_secs(10))
                .await
                .map(|_| ())
                .map_err(io_error(format!("stopping {name}'s agent")));
        }
        // The world's own child, after its server was off.
        if let Some(agent) = process::agent_of(&self.layout.node(name)) {
            agent.kill();
        }
        Ok(())
    }

    /// `kill -9` of a server's agent, of nothing else.
    pub fn kill_agent(&self, name: &str) {
        if let Some(mut daemon) = self.running().agents.remove(name)
            && daemon.ended().is_none()
        {
            daemon.kill_alone();
        } else if let Some(agent) = process::agent_of(&self.layout.node(name)) {
            agent.kill();
        }
    }

    /// Stops and starts a server's agent.
    ///
    /// # Errors
    /// When it does not stop or start.
    pub async fn restart_agent(&self, name: &str) -> Result<(), LabError> {
        self.stop_agent(name).await?;
        self.start_agent(name)
    }

    /// Does a server's agent run?
    #[must_use]
    pub fn agent_pid(&self, name: &str) -> Option<u32> {
        let mut running = self.running();
        if let Some(daemon) = running.agents.get_mut(name)
            && daemon.ended().is_none()
        {
            return Some(daemon.pid());
        }
        // It may have started with its server.
        process::agent_of(&self.layout.node(name)).map(|agent| agent.pid)
    }

    /// Starts the coordinator (`quorate serve`).
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start_coordinator(&self, args: &[&str]) -> Result<(), LabError> {
        let program = self.coordinator_program()?.args(["serve"]).args(args);
        let log = self.layout.coordinator().join("coordinator.log");
        let daemon = program
            .spawn(&log, false)
            .map_err(io_error("starting the coordinator"))?;
        if let Some(mut before) = self.running().coordinator.replace(daemon) {
            before.kill();
        }
        Ok(())
    }

    /// `kill -9` of the coordinator.
    pub fn kill_coordinator(&self) {
        if let Some(mut daemon) = self.running().coordinator.take() {
            daemon.kill_alone();
        }
    }

    /// Stops the coordinator in an orderly way.
    ///
    /// # Errors
    /// When it had to be killed.
    pub async fn stop_coordinator(&self) -> Result<(), LabError> {
        let daemon = self.running().coordinator.take();
        match daemon {
            Some(mut daemon) => daemon
                .stop(Duration::from_secs(10))
                .await
                .map(|_| ())
                .map_err(io_error("stopping the coordinator")),
            None => Ok(()),
        }
    }

    /// Does the coordinator run?
    #[must_use]
    pub fn coordinator_pid(&self) -> Option<u32> {
        let mut running = self.running();
        let daemon = running.coordinator.as_mut()?;
        daemon.ended().is_none().then(|| daemon.pid())
    }

    /// How the coordinator that was started last ended by itself; `None`: it runs, or was killed or stopped from here.
    #[must_use]
    pub fn coordinator_ended(&self) -> Option<ExitStatus> {
        self.running().coordinator.as_mut()?.ended()
    }

    /// Runs the coordinator's command line, in the coordinator's folder.
    ///
    /// # Errors
    /// When it can't be run; a failure of the command itself is in the output.
    pub async fn quorate<S: AsRef<str>>(&self, args: &[S]) -> Result<Output, LabError> {
        self.quorate_within(args, COMMAND).await
    }

    /// The same, for a command that may take longer.
    ///
    /// # Errors
    /// When it can't be run or does not end in time; a failure of the command itself is in the output.
    pub async fn quorate_within<S: AsRef<str>>(&self, args: &[S], deadline: Duration) -> Result<Output, LabError> {
        self.coordinator_program()?
            .args(args)
            .deadline(deadline)
            .run()
            .await
            .map_err(io_error("running quorate"))
    }

    /// Starts a command of the coordinator in the background; its output goes to `log`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn quorate_in_background<S: AsRef<str>>(&self, args: &[S], log: &Path) -> Result<Daemon, LabError> {
        self.coordinator_program()?
            .args(args)
            .spawn(log, false)
            .map_err(io_error("starting quorate"))
    }

    /// Runs a server's agent program for one command; `--config` is added.
    ///
    /// # Errors
    /// When it can't be run; a failure of the command itself is in the output.
    pub async fn agent_cli<S: AsRef<str>>(
        &self,
        name: &str,
        args: &[S],
        stdin: Option<&[u8]>,
    ) -> Result<Output, LabError> {
        let config = self.layout.agent_config(name);
        let mut program = self
            .agent_program(name)?
            .args(args)
            .args(["--config", &config.to_string_lossy()]);
        if let Some(bytes) = stdin {
            program = program.stdin(bytes);
        }
        program.run().await.map_err(io_error("running quorate-agent"))
    }

    /// Calls a host tool on a server, as an agent or an administrator would.
    ///
    /// # Errors
    /// When it can't be run; a failure of the tool itself is in the output.
    pub async fn tool(&self, name: &str, argv: &[&str], stdin: Option<&[u8]>) -> Result<Output, LabError> {
        let (tool, args) = argv
            .split_first()
            .ok_or_else(|| LabError::Refused("no tool given".to_owned()))?;
        let mut program = Program::new(self.node(name)?.bin.join(tool)).args(args);
        if let Some(bytes) = stdin {
            program = program.stdin(bytes);
        }
        program.run().await.map_err(io_error(format!("running {tool}")))
    }

    /// Starts a host tool on a server in the background; its output goes to `log`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn tool_in_background(
        &self,
        name: &str,
        argv: &[&str],
        stdin: Option<&[u8]>,
        log: &Path,
    ) -> Result<Daemon, LabError> {
        let (tool, args) = argv
            .split_first()
            .ok_or_else(|| LabError::Refused("no tool given".to_owned()))?;
        let mut program = Program::new(self.node(name)?.bin.join(tool)).args(args);
        if let Some(bytes) = stdin {
            program = program.stdin(bytes);
        }
        program.spawn(log, false).map_err(io_error(format!("starting {tool}")))
    }
}
