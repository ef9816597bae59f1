//! Finds the lab's processes among all others, and ends them.

use std::fs;
use std::io;
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

/// Names the process that called, in a way that no later one shares: number space, number, start.
pub(crate) fn own_mark() -> io::Result<String> {
    let space = fs::read_link("/proc/self/ns/pid")?;
    let pid = std::process::id();
    let started = started(pid).ok_or_else(|| io::Error::other("/proc/self/stat can't be read"))?;
    Ok(format!("{} {pid} {started}\n", space.display()))
}

/// Has the process of that mark ended, as far as can be told from here?
pub(crate) fn has_ended(mark: &str) -> bool {
    let words: Vec<&str> = mark.split_whitespace().collect();
    let [space, pid, start] = words.as_slice() else {
        return false;
    };
    let Ok(pid) = pid.parse::<u32>() else { return false };
    let here = fs::read_link("/proc/self/ns/pid").is_ok_and(|own| own.as_os_str() == *space);
    here && started(pid).is_none_or(|now| now != *start)
}

/// When a process started, in ticks since boot: the 22nd field, counted behind its name.
fn started(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    fields.split_whitespace().nth(19).map(str::to_owned)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_whether_its_process_has_ended() -> io::Result<()> {
        let own = own_mark()?;
        assert!(!has_ended(&own));
        // The number was given again: another start.
        let words: Vec<&str> = own.split_whitespace().collect();
        let [space, pid, _] = words.as_slice() else {
            return Err(io::Error::other(own));
        };
        assert!(has_ended(&format!("{space} {pid} 1")));
        assert!(has_ended(&format!("{space} 4294967294 1")));
        // Of another number space nothing is known.
        assert!(!has_ended("pid:[1] 4294967294 1"));
        assert!(!has_ended(""));
        Ok(())
    }
}
