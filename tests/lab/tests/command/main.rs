//! `quorate-lab` as its user types it, and what is left of it afterwards.
#![expect(clippy::expect_used, reason = "a test fails by panicking, and says why")]

mod demo;
mod outside;
mod running;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quorate_lab::Output;
use quorate_lab::process::{Daemon, Program};
use tempfile::TempDir;

/// Long in real time: nothing waits for it but a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// For a demo of several acts, or one that waits for HA more than once.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// A folder that takes the place of `/tmp` and of the user's runtime folder: all that a lab writes lies in it.
#[derive(Debug)]
pub(crate) struct Place {
    dir: TempDir,
    logs: TempDir,
}

impl Place {
    /// Once the product is built: on a fresh machine that takes minutes, which no command here is allowed.
    pub(crate) fn new() -> Self {
        quorate_lab::binaries::ensure_built().expect("the product builds");
        Self {
            dir: TempDir::new().expect("a folder"),
            logs: TempDir::new().expect("a folder"),
        }
    }

    fn program(&self, args: &[&str]) -> Program {
        let mut program = Program::new(env!("CARGO_BIN_EXE_quorate-lab"))
            .args(args)
            .deadline(PATIENCE)
            .env("TMPDIR", self.dir.path())
            .env("XDG_RUNTIME_DIR", self.dir.path())
            .env(quorate_lab::binaries::BESIDE_TESTS, "yes");
        // The demo asks cargo where the product is. Whoever builds it in another way than the tests has cargo build it anew, for minutes.
        let of_cargo = |name: &str| {
            let known = [
                "CARGO",
                "CARGO_HOME",
                "CARGO_INCREMENTAL",
                "CARGO_TARGET_DIR",
                "HOME",
                "PATH",
                "RUSTFLAGS",
                "RUSTUP_HOME",
                "RUSTUP_TOOLCHAIN",
            ];
            known.contains(&name) || name.starts_with("CARGO_BUILD_") || name.starts_with("CARGO_PROFILE_")
        };
        for (name, value) in std::env::vars_os() {
            if let Some(name) = name.to_str().filter(|name| of_cargo(name)) {
                program = program.env(name, value);
            }
        }
        program
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Output {
        self.program(args).run().await.expect("quorate-lab runs")
    }

    pub(crate) async fn run_within(&self, args: &[&str], deadline: Duration) -> Output {
        let program = self.program(args).deadline(deadline);
        program.run().await.expect("quorate-lab runs")
    }

    pub(crate) async fn run_fed(&self, args: &[&str], stdin: &str) -> Output {
        self.program(args).stdin(stdin).run().await.expect("quorate-lab runs")
    }

    /// Starts it, and waits until this stands in its output.
    pub(crate) async fn start(&self, args: &[&str], until: &str) -> Daemon {
        let log = self.log();
        let mut daemon = self.program(args).spawn(&log, false).expect("quorate-lab starts");
        let output = || std::fs::read_to_string(&log).unwrap_or_default();
        wait(until, || output().contains(until) || daemon.ended().is_some()).await;
        assert!(output().contains(until), "ended too early:\n{}", output());
        daemon
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.logs.path().join("output")
    }

    /// Nothing lies in the folder, and no process names it.
    pub(crate) fn is_empty(&self) -> bool {
        let files = std::fs::read_dir(self.dir.path()).expect("the folder").count();
        files == 0 && processes(self.dir.path()).is_empty()
    }

    pub(crate) fn assert_empty(&self) {
        let files: Vec<_> = std::fs::read_dir(self.dir.path()).expect("the folder").collect();
        assert!(files.is_empty(), "left behind: {files:?}");
        let processes = processes(self.dir.path());
        assert!(processes.is_empty(), "still running: {processes:?}");
    }
}

/// Processes that name the folder in their arguments or in their environment, by their arguments.
fn processes(dir: &Path) -> Vec<String> {
    let dir = dir.to_string_lossy().into_owned();
    let text = |path: PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).replace('\0', " ");
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let arguments = text(process.path().join("cmdline"));
        let environment = text(process.path().join("environ"));
        if arguments.contains(&dir) || environment.contains(&dir) {
            found.push(arguments);
        }
    }
    found
}

pub(crate) async fn wait(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
