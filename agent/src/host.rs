//! The host as the agent sees it: its files through one root, its tools through one runner, its time by one clock.
//!
//! With a lab's root nothing outside of that folder can be read, not by `..`, not by a symbolic link, and also not when
//! the agent runs as root.

mod cache;
mod hanging;
mod links;
mod memberships;
mod patience;
mod root;
mod write;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quorate_clock::Clock;
use quorate_exec::{ExecError, Finished, Invocation, OsRunner, Runner, Tools, UnitRunner};
use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::time::Timestamp;
use quorate_tools::{CallError, ParseError};

use crate::pace::Pace;
use cache::Cache;
pub(crate) use cache::Circumstances;
use hanging::Hanging;
pub use links::LinkMap;
use memberships::Memberships;
use patience::Patience;
pub use root::{HostRoot, ReadError};
pub use write::WriteError;

/// Where the agent answers: a firewall has to let it pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listening {
    /// Its TCP port.
    pub port: Option<u16>,
    /// The UDP ports on which it measures the network.
    pub measure: Option<RangeInclusive<u16>>,
}

/// Everything that observing and acting need of the machine.
pub struct Host {
    root: HostRoot,
    links: LinkMap,
    listening: Listening,
    never_touch: Vec<String>,
    tools: Tools,
    program: Option<PathBuf>,
    pace: Pace,
    runner: Arc<dyn Runner>,
    clock: Clock,
    started: Duration,
    pmxcfs: Patience,
    cache: Cache,
    hanging: Hanging,
    memberships: Memberships,
    state_dir: Option<PathBuf>,
    version: String,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("root", &self.root)
            .field("tools", &self.tools)
            .finish_non_exhaustive()
    }
}

/// How long a read below /etc/pve may take. Around a change of membership pmxcfs lets them wait, up to fifteen seconds;
/// whoever waits for an observation rather hears that it is blocked.
const PMXCFS_DEADLINE: Duration = Duration::from_secs(3);

impl Host {
    /// A host over its parts.
    #[must_use]
    pub fn new(root: HostRoot, tools: Tools, runner: Arc<dyn Runner>, clock: Clock) -> Self {
        Self {
            root,
            links: LinkMap::default(),
            listening: Listening::default(),
            never_touch: Vec::new(),
            tools,
            program: None,
            pace: Pace::REAL,
            runner,
            started: clock.monotonic(),
            pmxcfs: Patience::new(clock.clone(), PMXCFS_DEADLINE),
            clock,
            cache: Cache::default(),
            hanging: Hanging::default(),
            memberships: Memberships::default(),
            state_dir: None,
            version: quorate_model::version!().to_owned(),
        }
    }

    /// The machine that this process runs on.
    #[must_use]
    pub fn real(clock: Clock) -> Self {
        Self::new(
            HostRoot::real(),
            Tools::system(),
            Arc::new(OsRunner::new(clock.clone())),
            clock,
        )
    }

    /// The same host, for an agent in a sandbox: what must see the host as PID 1 does, or mounts something, is run beside it.
    #[must_use]
    pub fn beside_our_sandbox(mut self) -> Self {
        self.runner = Arc::new(UnitRunner::new(self.runner, self.tools.clone()));
        self
    }

    /// The same host, with this agent's own program, for what may hang in the kernel and is therefore done by another process.
    #[must_use]
    pub fn with_program(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    /// This agent's own program, where it is known.
    #[must_use]
    pub fn program(&self) -> Option<&Path> {
        self.program.as_deref()
    }

    /// The same host, with an agent that keeps what it must not forget in this folder.
    #[must_use]
    pub fn remembering_in(mut self, state_dir: PathBuf) -> Self {
        self.state_dir = Some(state_dir);
        self
    }

    /// The same host, with an agent that says that it is of this version: a simulated server's is what its packages say.
    #[must_use]
    pub fn of_version(mut self, version: String) -> Self {
        self.version = version;
        self
    }

    /// The agent's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where the agent keeps what it must not forget, where it is known.
    #[must_use]
    pub fn state_dir(&self) -> Option<&Path> {
        self.state_dir.as_deref()
    }

    /// The same host, on which things go as fast as that.
    #[must_use]
    pub fn at_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// How fast things go here.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// The root of all files.
    #[must_use]
    pub fn root(&self) -> &HostRoot {
        &self.root
    }

    /// The same host, in a lab that gives links' addresses to addresses of this machine.
    #[must_use]
    pub fn with_links(mut self, links: LinkMap) -> Self {
        self.links = links;
        self
    }

    /// The same host, with an agent that answers there.
    #[must_use]
    pub fn listening_at(mut self, listening: Listening) -> Self {
        self.listening = listening;
        self
    }

    /// The same host, of whose disks some are never touched.
    #[must_use]
    pub fn never_touching(mut self, disks: Vec<String>) -> Self {
        self.never_touch = disks;
        self
    }

    /// WWNs, serial numbers or `by-id` names of disks that are never touched, by its own policy.
    #[must_use]
    pub fn never_touch(&self) -> &[String] {
        &self.never_touch
    }

    /// Where the agent answers; nothing is told where none does.
    #[must_use]
    pub fn listening(&self) -> &Listening {
        &self.listening
    }

    /// Where links' addresses really are.
    #[must_use]
    pub fn links(&self) -> &LinkMap {
        &self.links
    }

    /// The host's tools.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// What runs the tools that read.
    #[must_use]
    pub fn runner(&self) -> &dyn Runner {
        &*self.runner
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The host's wall time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.unix_micros())
    }

    /// How long this process has been at it.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.clock.since(self.started)
    }

    /// How its membership changed while it was looked at.
    pub(crate) fn memberships(&self) -> &Memberships {
        &self.memberships
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Reads a text file. Files below /etc/pve are read on a thread of their own, so that a stalled pmxcfs stalls nobody
    /// else.
    ///
    /// # Errors
    /// As [`HostRoot::read_text`], and [`ReadError::Blocked`] when pmxcfs does not answer in time.
    pub async fn read_text(&self, path: &str) -> Result<String, ReadError> {
        let owned = path.to_owned();
        self.on_files(path, move |root| root.read_text(&owned)).await
    }

    /// Reads a text file; `None` if there is none.
    ///
    /// # Errors
    /// As [`read_text`](Self::read_text), but for a missing file.
    pub async fn read_if_there(&self, path: &str) -> Result<Option<String>, ReadError> {
        absent_is_none(self.read_text(path).await)
    }

    /// The permission bits of a file or folder; `None` if there is none.
    ///
    /// # Errors
    /// As [`read_text`](Self::read_text), but for a missing file.
    pub async fn mode(&self, path: &str) -> Result<Option<u32>, ReadError> {
        let owned = path.to_owned();
        absent_is_none(self.on_files(path, move |root| root.mode(&owned)).await)
    }

    /// When a file was last written, in seconds since 1970; `None` if there is none.
    ///
    /// # Errors
    /// As [`read_text`](Self::read_text), but for a missing file.
    pub async fn modified(&self, path: &str) -> Result<Option<i64>, ReadError> {
        let owned = path.to_owned();
        absent_is_none(self.on_files(path, move |root| root.modified(&owned)).await)
    }

    async fn on_files<T: Send + 'static>(
        &self,
        path: &str,
        read: impl FnOnce(&HostRoot) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        if !Path::new(path).starts_with("/etc/pve") {
            return read(&self.root);
        }
        self.patiently(path, read).await
    }

    /// Reads on the thread for what may stall: everything below /etc/pve, and links that lead there. `path` is what the error
    /// names.
    ///
    /// # Errors
    /// As `read`, and [`ReadError::Blocked`] when pmxcfs does not answer in time.
    pub(crate) async fn patiently<T: Send + 'static>(
        &self,
        path: &str,
        read: impl FnOnce(&HostRoot) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let root = self.root.clone();
        let answer = self.pmxcfs.with(move || read(&root)).await;
        answer.unwrap_or_else(|since| {
            Err(ReadError::Blocked {
                path: path.to_owned(),
                since,
            })
        })
    }

    /// Runs a tool and returns all that it left behind, whatever its exit. One that hangs in the kernel, where nobody can end it, is not
    /// started a second time while it does.
    ///
    /// # Errors
    /// When it is not installed, did not end in time, or could not be run.
    pub async fn run(&self, call: Result<Invocation, CallError>) -> Result<Finished, Unknown> {
        let invocation = call.map_err(|error| match error {
            CallError::Missing(missing) => Unknown::new(UnknownKind::ToolMissing, missing.to_string()),
            CallError::Invalid(invalid) => Unknown::new(UnknownKind::Failed, invalid.to_string()),
        })?;
        if let Some(since) = self.hanging.since(&invocation) {
            let ago = quorate_model::time::spoken(self.clock.since(since));
            let reason = format!("{} hangs in the kernel, and has for {ago}", tool_name(&invocation));
            return Err(Unknown::new(UnknownKind::TimedOut, reason));
        }
        let began = self.clock.monotonic();
        self.runner.run(&invocation).await.map_err(|error| {
            if let ExecError::Abandoned { pid, .. } = &error {
                self.hanging.note(&invocation, *pid, began);
            }
            let kind = match &error {
                ExecError::NotFound { .. } => UnknownKind::ToolMissing,
                ExecError::DeadlinePassed { .. } | ExecError::Abandoned { .. } | ExecError::StillRunning { .. } => {
                    UnknownKind::TimedOut
                }
                _ => UnknownKind::Failed,
            };
            Unknown::new(kind, with_sources(&error))
        })
    }

    /// Runs a tool that is believed only if it says that all is well.
    ///
    /// # Errors
    /// As [`run`](Self::run), and when its exit or its output's encoding is not as it should be.
    pub async fn ask(&self, call: Result<Invocation, CallError>) -> Result<String, Unknown> {
        let name = match &call {
            Ok(invocation) => tool_name(invocation),
            Err(_) => String::new(),
        };
        let finished = self.run(call).await?;
        if finished.exit.is_success() {
            text(&name, &finished)
        } else {
            Err(complaint(&name, &finished))
        }
    }
}

/// Stdout as text.
///
/// # Errors
/// When it is none.
pub(crate) fn text(tool: &str, finished: &Finished) -> Result<String, Unknown> {
    let unparsable = |error: quorate_exec::NotUtf8| Unknown::new(UnknownKind::Unparsable, format!("{tool}: {error}"));
    finished.stdout_text().map(str::to_owned).map_err(unparsable)
}

/// A tool's failure in its own words.
pub(crate) fn complaint(tool: &str, finished: &Finished) -> Unknown {
    let stderr = finished.stderr_text();
    let words = stderr.lines().map(str::trim).find(|line| !line.is_empty());
    let reason = match words {
        Some(words) => format!("{tool} failed ({}): {words}", finished.exit),
        None => format!("{tool} failed ({})", finished.exit),
    };
    Unknown::new(UnknownKind::Failed, reason)
}

/// The name by which an administrator knows the tool that an invocation calls.
fn tool_name(invocation: &Invocation) -> String {
    let name = invocation.command().program().file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// What was not understood, as the reason why nothing is known.
pub(crate) fn unparsable(error: ParseError) -> Unknown {
    Unknown::new(UnknownKind::Unparsable, error.to_string())
}

/// What could not be read, as the reason why nothing is known.
pub(crate) fn unreadable(error: ReadError) -> Unknown {
    let kind = match &error {
        ReadError::Blocked { .. } => UnknownKind::TimedOut,
        ReadError::NotText { .. } => UnknownKind::Unparsable,
        _ => UnknownKind::Failed,
    };
    Unknown::new(kind, with_sources(&error))
}

fn absent_is_none<T>(read: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(ReadError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
