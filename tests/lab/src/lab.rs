//! A running lab, for tests and for the demo.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;

use crate::binaries;
use crate::control::{self, Answer, Misbehaviour, Request, Script, ServerStatus, ToolScript};
use crate::description::{LabSpec, ServerSpec};
use crate::layout::Layout;
use crate::process::{self, Daemon, Output, Program};
use crate::world::mount::make_removable;
use crate::world::oplog::{self, Entry};
use crate::world::{Ready, proxy};

/// Why a lab can't do what was asked.
#[derive(Debug, Error)]
pub enum LabError {
    /// Files or processes.
    #[error("{what}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The world ended early.
    #[error("the world ended before it was ready: {0}")]
    WorldEnded(String),
    /// The world refused a request.
    #[error("the world refused: {0}")]
    Refused(String),
    /// Something did not come true in time.
    #[error("{what} did not come true in {deadline:?}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        deadline: Duration,
    },
    /// There is no such server.
    #[error("the lab has no server called {0}")]
    NoSuchNode(String),
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> LabError {
    let what = what.into();
    move |source| LabError::Io { what, source }
}

/// How a lab shall be.
#[derive(Debug, Clone)]
pub struct Builder {
    spec: LabSpec,
    dir: Option<PathBuf>,
    keep: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            spec: LabSpec {
                speed: 20.0,
                servers: servers(3),
            },
            dir: None,
            keep: false,
        }
    }
}

fn servers(count: usize) -> Vec<ServerSpec> {
    (0..count).map(ServerSpec::standard).collect()
}

impl Builder {
    /// So many usual servers: `prox1`, `prox2`, …
    #[must_use]
    pub fn nodes(mut self, count: usize) -> Self {
        self.spec.servers = servers(count);
        self
    }

    /// Divides the durations of tools and timers.
    #[must_use]
    pub fn speed(mut self, speed: f64) -> Self {
        self.spec.speed = speed;
        self
    }

    /// Changes one server's description before it starts; an unknown name changes nothing.
    #[must_use]
    pub fn server(mut self, name: &str, change: impl FnOnce(&mut ServerSpec)) -> Self {
        if let Some(server) = self.spec.servers.iter_mut().find(|server| server.name == name) {
            change(server);
        }
        self
    }

    /// How far a server's clock runs ahead, in milliseconds.
    #[must_use]
    pub fn clock_offset(self, name: &str, ms: i64) -> Self {
        self.server(name, |server| server.clock_offset_ms = ms)
    }

    /// Where the lab lies; a new temporary folder without.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// The lab outlives the one who started it.
    #[must_use]
    pub fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Starts the world and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(self) -> Result<Lab, LabError> {
        let lab = binaries::lab_only().map_err(io_error("building the lab's programs"))?;
        let dir = match self.dir {
            Some(dir) => {
                fs::create_dir_all(&dir).map_err(io_error(format!("creating {}", dir.display())))?;
                dir
            }
            None => tempfile::Builder::new()
                .prefix("quorate-lab-")
                .tempdir()
                .map_err(io_error("creating a temporary folder"))?
                .keep(),
        };
        let dir = fs::canonicalize(&dir).map_err(io_error("resolving the lab's folder"))?;
        let layout = Layout::new(&dir);
        let spec = serde_json::to_vec_pretty(&self.spec).map_err(|e| io_error("writing lab.json")(e.into()))?;
        fs::write(layout.spec(), spec).map_err(io_error("writing lab.json"))?;
        let mut program = Program::new(lab).args(["world", "--dir", &dir.to_string_lossy()]);
        if !self.keep {
            program = program.args(["--owned"]);
        }
        let world = program
            .spawn(&layout.world_log(), !self.keep)
            .map_err(io_error("starting the world"))?;
        // From here on, dropping cleans up.
        let mut lab = Lab {
            spec: self.spec,
            network: Ipv4Addr::LOCALHOST,
            keep: self.keep,
            running: Mutex::new(Running {
                world,
                agents: BTreeMap::new(),
                coordinator: None,
            }),
            layout,
        };
        lab.network = lab.ready().await?.network;
        Ok(lab)
    }
}

#[derive(Debug)]
struct Running {
    world: Daemon,
    agents: BTreeMap<String, Daemon>,
    coordinator: Option<Daemon>,
}

/// A running lab. Dropping it ends everything and removes its folder, unless it shall be kept.
#[derive(Debug)]
pub struct Lab {
    layout: Layout,
    spec: LabSpec,
    network: Ipv4Addr,
    keep: bool,
    running: Mutex<Running>,
}

/// One server, from outside.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its root file system.
    pub root: PathBuf,
    /// Its host tools.
    pub bin: PathBuf,
    /// Where the coordinator reaches its agent (port 7443), and where the server reaches the coordinator's enrolment
    /// (port 7441): both pass through the world.
    pub address: Ipv4Addr,
    /// The address that the server itself believes to have.
    pub public_address: Ipv4Addr,
    /// Its agent's configuration.
    pub agent_config: PathBuf,
}

impl Lab {
    /// How a lab shall be.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ready(&self) -> Result<Ready, LabError> {
        let deadline = Duration::from_secs(30);
        let mut ready = None;
        let mut ended = None;
        let waited = self
            .wait_for("the world to be ready", deadline, async || {
                ready = fs::read(self.layout.ready())
                    .ok()
                    .and_then(|bytes| serde_json::from_slice(&bytes).ok());
                ended = self.running().world.ended();
                ready.is_some() || ended.is_some()
            })
            .await;
        match (ready, ended) {
            (Some(ready), _) => Ok(ready),
            (None, Some(status)) => {
                let log = fs::read_to_string(self.layout.world_log()).unwrap_or_default();
                Err(LabError::WorldEnded(format!("{status}: {}", log.trim())))
            }
            (None, None) => Err(waited.err().unwrap_or(LabError::WorldEnded(String::new()))),
        }
    }

    /// The lab's folder and what lies in it.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// By what durations are divided.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.spec.speed
    }

    /// Names of all servers.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.spec.servers.iter().map(|server| server.name.clone()).collect()
    }

    /// The coordinator's own address.
    #[must_use]
    pub fn coordinator_address(&self) -> Ipv4Addr {
        proxy::coordinator(self.network)
    }

    /// One server.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn node(&self, name: &str) -> Result<Node, LabError> {
        let index = self.spec.servers.iter().position(|server| server.name == name);
        let index = index.ok_or_else(|| LabError::NoSuchNode(name.to_owned()))?;
        Ok(Node {
            name: name.to_owned(),
            root: self.layout.root(name),
            bin: self.layout.bin(name),
            address: proxy::address(self.network, index),
            public_address: ServerSpec::public_address(index),
            agent_config: self.layout.agent_config(name),
        })
    }

    /// Where a server finds the coordinator's enrolment.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn enrolment(&self, name: &str) -> Result<SocketAddrV4, LabError> {
        Ok(SocketAddrV4::new(self.node(name)?.address, proxy::ENROL_PORT))
    }

    // ---- the product's programs ---------------------------------------------------------------------------------------

    fn agent_program(&self, name: &str) -> Result<Program, LabError> {
        let node = self.node(name)?;
        let built = binaries::ensure_built().map_err(io_error("building the product"))?;
        Ok(Program::new(built.agent).env("HOME", &node.root))
    }

    fn coordinator_program(&self) -> Result<Program, LabError> {
        let built = binaries::ensure_built().map_err(io_error("building the product"))?;
        Ok(Program::new(built.quorate)
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
        match daemon {
            Some(mut daemon) => daemon
                .stop(Duration::from_secs(10))
                .await
                .map(|_| ())
                .map_err(io_error(format!("stopping {name}'s agent"))),
            None => Ok(()),
        }
    }

    /// `kill -9` of a server's agent, of nothing else.
    pub fn kill_agent(&self, name: &str) {
        if let Some(mut daemon) = self.running().agents.remove(name) {
            daemon.kill_alone();
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
        let daemon = running.agents.get_mut(name)?;
        daemon.ended().is_none().then(|| daemon.pid())
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

    /// Runs the coordinator's command line.
    ///
    /// # Errors
    /// When it can't be run; a failure of the command itself is in the output.
    pub async fn quorate<S: AsRef<str>>(&self, args: &[S]) -> Result<Output, LabError> {
        self.coordinator_program()?
            .args(args)
            .run()
            .await
            .map_err(io_error("running quorate"))
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

    // ---- the world ----------------------------------------------------------------------------------------------------

    /// Asks the world.
    ///
    /// # Errors
    /// When it refuses or is not there.
    pub async fn ask(&self, request: Request) -> Result<Answer, LabError> {
        match control::ask(&self.layout.socket(), request)
            .await
            .map_err(io_error("asking the world"))?
        {
            Answer::Refused(reason) => Err(LabError::Refused(reason)),
            answer => Ok(answer),
        }
    }

    /// Cuts a server off from all networks: packets vanish, ports stay up.
    ///
    /// # Errors
    /// When the world refuses.
    pub async fn cut(&self, node: &str) -> Result<(), LabError> {
        self.ask(Request::Cut {
            node: node.to_owned(),
            link: None,
            unplug: false,
        })
        .await
        .map(|_| ())
    }

    /// Cuts a server off from one network (0: cluster network, 1: public network).
    ///
    /// # Errors
    /// When the world refuses.
    pub async fn cut_link(&self, node: &str, link: u8) -> Result<(), LabError> {
        self.ask(Request::Cut {
            node: node.to_owned(),
            link: Some(link),
            unplug: false,
        })
        .await
        .map(|_| ())
    }

    /// Pulls the cable of one network out of a server: its port loses the carrier.
    ///
    /// # Errors
    /// When the world refuses.
    pub async fn unplug(&self, node: &str, link: u8) -> Result<(), LabError> {
        self.ask(Request::Cut {
            node: node.to_owned(),
            link: Some(link),
            unplug: true,
        })
        .await
        .map(|_| ())
    }

    /// Undoes all cuts of a server.
    ///
    /// # Errors
    /// When the world refuses.
    pub async fn heal(&self, node: &str) -> Result<(), LabError> {
        self.ask(Request::Heal {
            node: node.to_owned(),
            link: None,
        })
        .await
        .map(|_| ())
    }

    /// Makes a server misbehave.
    ///
    /// # Errors
    /// When the world refuses.
    pub async fn script(&self, node: &str, script: Script) -> Result<(), LabError> {
        self.ask(Request::Script {
            node: node.to_owned(),
            script,
        })
        .await
        .map(|_| ())
    }

    /// Makes every call of a tool misbehave on a server.
    ///
    /// # Errors
    /// When the world refuses.
    pub async fn script_tool(&self, node: &str, tool: &str, script: ToolScript) -> Result<(), LabError> {
        let misbehaviour = Misbehaviour {
            tool: tool.to_owned(),
            matching: None,
            times: None,
            script,
        };
        self.script(node, Script::Tool(misbehaviour)).await
    }

    /// Every server as it really is.
    ///
    /// # Errors
    /// When the world is not there.
    pub async fn status(&self) -> Result<Vec<ServerStatus>, LabError> {
        match self.ask(Request::Status).await? {
            Answer::Status(list) => Ok(list),
            other => Err(LabError::Refused(format!("{other:?}"))),
        }
    }

    /// What really happened so far.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn operations(&self) -> Result<Vec<Entry>, LabError> {
        oplog::read(&self.layout.operations()).map_err(io_error("reading the operation log"))
    }

    /// Waits until something is true, looking often.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn wait_for(
        &self,
        what: &str,
        deadline: Duration,
        mut check: impl AsyncFnMut() -> bool,
    ) -> Result<(), LabError> {
        let end = tokio::time::Instant::now() + deadline;
        loop {
            if check().await {
                return Ok(());
            }
            if tokio::time::Instant::now() >= end {
                return Err(LabError::TimedOut {
                    what: what.to_owned(),
                    deadline,
                });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        {
            let mut running = self.running();
            if let Some(coordinator) = &mut running.coordinator {
                coordinator.kill();
            }
            for agent in running.agents.values_mut() {
                agent.kill();
            }
            running.world.kill();
        }
        remove(self.layout.dir());
    }
}

/// Ends what is left of the lab in `dir`, and removes it.
pub fn remove(dir: &Path) {
    process::reap(dir);
    // Folders of a server without quorum are read-only; and a dying process may still write for a moment.
    for _ in 0..3 {
        make_removable(dir).ok();
        if fs::remove_dir_all(dir).is_ok() || !dir.exists() {
            return;
        }
    }
}
