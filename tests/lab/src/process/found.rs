//! Finds the lab's processes among all others, and ends them.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The programs of ours that may be left over in a lab's folder.
const OURS: [&str; 4] = ["quorate", "quorate-agent", "quorate-lab", "quorate-labtool"];

/// Kills what the lab in `dir` left behind: detached supervisors, tools, agents. They are known by the program that they
/// run *and* by naming the lab's own folder, so nothing else can be meant. Tells how many were there.
pub fn reap(dir: &Path) -> usize {
    let own = std::process::id();
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    let mut found = 0;
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid != own
            && is_ours(&process.path())
            && names(&process.path(), dir)
            && let Ok(pid) = i32::try_from(pid)
        {
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
            found += 1;
        }
    }
    found
}

fn is_ours(process: &Path) -> bool {
    let Ok(program) = fs::read_link(process.join("exe")) else {
        return false;
    };
    let name = program
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    OURS.contains(&name.trim_end_matches(" (deleted)"))
}

/// A server's running agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its process.
    pub pid: u32,
    /// How it was called.
    pub argv: Vec<String>,
}

impl Agent {
    /// Kills it, and nothing else.
    pub fn kill(&self) {
        if let Ok(pid) = i32::try_from(self.pid) {
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
}

fn of_node(folder: &Path) -> Vec<(u32, PathBuf)> {
    // With its end, so that prox1 is not taken for prox10.
    let folder = folder.join("");
    let own = std::process::id();
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse::<u32>().ok()?;
            let path = process.path();
            (pid != own && is_ours(&path) && names(&path, &folder)).then_some((pid, path))
        })
        .collect()
}

/// The agent that runs for the server in `folder`.
#[must_use]
pub fn agent_of(folder: &Path) -> Option<Agent> {
    of_node(folder).into_iter().find_map(|(pid, process)| {
        let bytes = fs::read(process.join("cmdline")).ok()?;
        let argv: Vec<String> = bytes
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty())
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        let is_agent = argv.first().is_some_and(|name| name.ends_with("quorate-agent"));
        (is_agent && argv.get(1).is_some_and(|word| word == "run")).then_some(Agent { pid, argv })
    })
}

/// Ends everything of ours that runs for the server in `folder`: asks it to, or kills it.
pub(crate) fn end_node(folder: &Path, at_once: bool) {
    let signal = if at_once { Signal::SIGKILL } else { Signal::SIGTERM };
    for (pid, _) in of_node(folder) {
        if let Ok(pid) = i32::try_from(pid) {
            kill(Pid::from_raw(pid), signal).ok();
        }
    }
}

/// In its arguments or in its environment: the coordinator finds its configuration by a variable.
fn names(process: &Path, dir: &Path) -> bool {
    let dir = dir.as_os_str().as_bytes();
    ["cmdline", "environ"].iter().any(|file| {
        let bytes = fs::read(process.join(file)).unwrap_or_default();
        bytes.windows(dir.len()).any(|window| window == dir)
    })
}
