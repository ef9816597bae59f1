//! Starts and ends the lab's processes. The product starts its own through `common/exec`; the lab may not depend on it.
#![expect(
    clippy::disallowed_methods,
    reason = "the lab shares no code with the product, so it starts processes itself, here and nowhere else"
)]

mod found;

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, Uid};
use tokio::io::AsyncWriteExt;

pub use self::found::{Agent, agent_of, reap};
pub(crate) use self::found::{end_node, has_ended, own_mark};

/// What a finished program left.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Output {
    /// The exit code; nothing when a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Ended with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status.success()
    }
}

/// One program to run: nothing is inherited but what stands here.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    dir: PathBuf,
    stdin: Option<Vec<u8>>,
    deadline: Duration,
    bound: bool,
}

impl Program {
    /// A program by its path.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: PathBuf::from("/"),
            stdin: None,
            deadline: Duration::from_secs(120),
            bound: false,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<str>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.to_owned(), value.as_ref().to_string_lossy().into_owned()));
        self
    }

    /// Where it runs; in `/` without.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = dir.into();
        self
    }

    /// Feeds standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// When to give up and kill it.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// File modes bind it even where the lab runs as root: `/etc/pve` without quorum is read-only by its modes.
    #[must_use]
    pub fn bound_by_modes(mut self) -> Self {
        self.bound = true;
        self
    }

    fn command(&self) -> Command {
        let wrapper = Path::new("/usr/bin/setpriv");
        let mut command = if self.bound && Uid::effective().is_root() && wrapper.is_file() {
            let mut command = Command::new(wrapper);
            command
                .args(["--bounding-set", "-dac_override,-dac_read_search", "--"])
                .arg(&self.path);
            command
        } else {
            Command::new(&self.path)
        };
        command
            .args(&self.args)
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        // Where the developer asked for more, the product may say more.
        for name in ["RUST_LOG", "RUST_BACKTRACE", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .envs(self.env.iter().cloned())
            .current_dir(&self.dir)
            .process_group(0);
        command
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it can't be started, or does not end in time.
    pub async fn run(&self) -> io::Result<Output> {
        let mut command = tokio::process::Command::from(self.command());
        let stdin = if self.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| named(&self.path, &error))?;
        let group = child.id();
        let input = child.stdin.take().zip(self.stdin.clone());
        let feed = async {
            if let Some((mut pipe, bytes)) = input {
                // A program that does not read its input is no failure of the lab.
                pipe.write_all(&bytes).await.ok();
            }
        };
        let both = async { tokio::join!(feed, child.wait_with_output()).1 };
        match tokio::time::timeout(self.deadline, both).await {
            Ok(output) => {
                let output = output?;
                Ok(Output {
                    status: output.status,
                    stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                    stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
                })
            }
            Err(_) => {
                kill_group(group);
                let text = format!(
                    "{} {} did not end in {:?}",
                    self.path.display(),
                    self.args.join(" "),
                    self.deadline
                );
                Err(io::Error::new(io::ErrorKind::TimedOut, text))
            }
        }
    }

    /// Starts it in the background, with its output in a file.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn(&self, log: &Path, owned: bool) -> io::Result<Daemon> {
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = self.command();
        command.stdin(if owned || self.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        command.stdout(file.try_clone()?).stderr(file);
        let mut child = command.spawn().map_err(|error| named(&self.path, &error))?;
        if let Some(bytes) = &self.stdin
            && let Some(mut pipe) = child.stdin.take()
        {
            pipe.write_all(bytes)?;
        }
        Ok(Daemon { child })
    }

    /// Runs it with a standard output that nobody reads any more.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn run_unread(&self) -> io::Result<ExitStatus> {
        let (reader, writer) = io::pipe()?;
        drop(reader);
        let mut command = tokio::process::Command::from(self.command());
        command
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| named(&self.path, &error))?;
        match tokio::time::timeout(self.deadline, child.wait()).await {
            Ok(status) => status,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "did not end though nobody reads it",
            )),
        }
    }

    /// Runs it in the foreground with everything inherited, terminal and environment too; `own` variables are added.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn interact(&self) -> io::Result<ExitStatus> {
        Command::new(&self.path)
            .args(&self.args)
            .envs(self.env.iter().cloned())
            .current_dir(&self.dir)
            .status()
            .map_err(|error| named(&self.path, &error))
    }

    /// Runs cargo with the environment inherited and stderr shown, and returns what it printed on stdout.
    ///
    /// # Errors
    /// When it can't be started or fails.
    pub fn build(&self) -> io::Result<String> {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_cargo_s_own(name)) {
            command.env_remove(name);
        }
        let output = command
            .args(&self.args)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| named(&self.path, &error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(io::Error::other(format!(
            "{} {} ended with {}",
            self.path.display(),
            self.args.join(" "),
            output.status
        )))
    }
}

/// What cargo tells a program that it runs about that program's package. Some build scripts (ring's) run again when it changes, and
/// everything above them with it: minutes, each time that another package's program, or a shell, calls cargo.
fn is_cargo_s_own(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_PRIMARY_",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("can't start {}: {error}", path.display()))
}

fn kill_group(pid: Option<u32>) {
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended meanwhile.
        killpg(Pid::from_raw(pid), Signal::SIGKILL).ok();
    }
}

/// A program in the background, in its own process group.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it ended, and how?
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Ends it and everything it started in its group, at once.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            kill_group(Some(self.child.id()));
        }
        // Collects the exit status, so that no zombie stays.
        self.child.wait().ok();
    }

    /// Kills only the process itself, as `kill -9` would.
    pub fn kill_alone(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Asks it to end, and waits; kills it after `patience`.
    ///
    /// # Errors
    /// When it had to be killed.
    pub async fn stop(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        }
        let deadline = tokio::time::Instant::now() + patience;
        while tokio::time::Instant::now() < deadline {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.kill();
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("did not end in {patience:?} after SIGTERM"),
        ))
    }
}
