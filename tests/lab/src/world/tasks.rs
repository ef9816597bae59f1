//! PVE tasks of one server: their names, logs and lists under `/var/log/pve/tasks`, and the processes of those that run.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

use jiff::Timestamp;

/// The tasks so far, oldest first.
#[derive(Debug)]
pub(crate) struct Tasks {
    folder: PathBuf,
    /// The server's `/proc`: who reads the list looks there whether a worker lives.
    proc: PathBuf,
    pub(crate) list: Vec<Task>,
}

#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) upid: String,
    pub(crate) pid: u32,
    pub(crate) pstart: u64,
    pub(crate) started: i64,
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    pub(crate) lines: Vec<String>,
    pub(crate) state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Ended {
        at: i64,
        status: String,
    },
    /// The worker died without a last line.
    Vanished,
}

impl Tasks {
    pub(crate) fn new(folder: PathBuf, proc: PathBuf) -> Self {
        Self {
            folder,
            proc,
            list: Vec::new(),
        }
    }

    /// Begins a task; returns its UPID.
    pub(crate) fn start(
        &mut self,
        node: &str,
        pid: u32,
        booted: Timestamp,
        now: Timestamp,
        kind: &'static str,
        id: &str,
    ) -> io::Result<String> {
        let started = now.as_second();
        let pstart = u64::try_from((now.as_millisecond() - booted.as_millisecond()) / 10).unwrap_or(0);
        let upid = format!("UPID:{node}:{pid:08X}:{pstart:08X}:{started:08X}:{kind}:{id}:root@pam:");
        self.list.push(Task {
            upid: upid.clone(),
            pid,
            pstart,
            started,
            kind,
            id: id.to_owned(),
            lines: Vec::new(),
            state: State::Running,
        });
        self.append(&upid, "")?;
        self.write_active(now)?;
        let stat = format!("{pid} (task {upid}) S 1 {pid} {pid} 0 -1 4194560 9 0 0 0 1 0 0 0 20 0 1 0 {pstart} 0 0\n");
        let place = self.proc.join(pid.to_string());
        fs::create_dir_all(&place)?;
        fs::write(place.join("stat"), stat)?;
        Ok(upid)
    }

    pub(crate) fn get(&self, upid: &str) -> Option<&Task> {
        self.list.iter().find(|task| task.upid == upid)
    }

    /// Adds output to a task's log; `text` carries its own line ends.
    pub(crate) fn say(&mut self, upid: &str, text: &str) -> io::Result<()> {
        if let Some(task) = self.list.iter_mut().find(|task| task.upid == upid) {
            task.lines.extend(text.lines().map(str::to_owned));
        }
        self.append(upid, text)
    }

    /// Ends a task with `OK` or an error text.
    pub(crate) fn end(&mut self, upid: &str, now: Timestamp, status: &str) -> io::Result<()> {
        let at = now.as_second();
        let last = if status == "OK" {
            "TASK OK\n".to_owned()
        } else {
            format!("\nTASK ERROR: {status}\n")
        };
        self.say(upid, &last)?;
        if let Some(task) = self.list.iter_mut().find(|task| task.upid == upid) {
            task.state = State::Ended {
                at,
                status: status.to_owned(),
            };
        }
        let mut index = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("index"))?;
        index.write_all(format!("{upid} {at:08X} {status}\n").as_bytes())?;
        self.is_gone(upid);
        self.write_active(now)
    }

    /// Its process is.
    fn is_gone(&self, upid: &str) {
        if let Some(task) = self.get(upid) {
            fs::remove_dir_all(self.proc.join(task.pid.to_string())).ok();
        }
    }

    /// The worker was killed: its log just stops, and the list says so only when it is written the next time.
    pub(crate) fn vanish(&mut self, upid: &str) {
        self.is_gone(upid);
        if let Some(task) = self.list.iter_mut().find(|task| task.upid == upid) {
            task.state = State::Vanished;
        }
    }

    /// The server lost its power: no process is left, and the list is as it was.
    pub(crate) fn vanish_all(&mut self) {
        let running = self.list.iter().filter(|task| task.state == State::Running);
        let upids: Vec<String> = running.map(|task| task.upid.clone()).collect();
        upids.iter().for_each(|upid| self.vanish(upid));
    }

    fn append(&self, upid: &str, text: &str) -> io::Result<()> {
        let digit = self.get(upid).map_or(0, |task| task.started.rem_euclid(16));
        let folder = self.folder.join(format!("{digit:X}"));
        fs::create_dir_all(&folder)?;
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join(upid))?
            .write_all(text.as_bytes())
    }

    /// Source: pve-common RESTEnvironment.pm (`active_workers`): who has no process any more has ended now, and how, its log says.
    fn write_active(&mut self, now: Timestamp) -> io::Result<()> {
        let mut text = String::new();
        for task in self.list.iter_mut().rev().take(25) {
            if task.state == State::Vanished {
                task.state = State::Ended {
                    at: now.as_second(),
                    status: "unexpected status".to_owned(),
                };
            }
            let line = match &task.state {
                State::Running | State::Vanished => format!("{} 0\n", task.upid),
                State::Ended { at, status } => format!("{} 1 {at:08X} {status}\n", task.upid),
            };
            text.push_str(&line);
        }
        fs::create_dir_all(&self.folder)?;
        fs::write(self.folder.join("active"), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_what_runs_and_a_killed_worker_stands_there_until_the_next_one_begins() {
        let home = tempfile::tempdir().unwrap();
        let (folder, proc) = (home.path().join("tasks"), home.path().join("proc"));
        let mut tasks = Tasks::new(folder.clone(), proc.clone());
        let at = |second: i64| Timestamp::from_second(1_795_345_772 + second).unwrap();
        let list = || fs::read_to_string(folder.join("active")).unwrap();
        let backup = tasks.start("prox1", 4711, at(-100), at(0), "vzdump", "101").unwrap();
        assert_eq!(list(), format!("{backup} 0\n"));
        let stat = fs::read_to_string(proc.join("4711/stat")).unwrap();
        let began = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19);
        assert_eq!(began, Some("10000"), "{stat}");
        tasks.vanish_all();
        assert!(!proc.join("4711").exists());
        assert_eq!(list(), format!("{backup} 0\n"));
        let moved = tasks.start("prox1", 4712, at(-100), at(7), "qmigrate", "100").unwrap();
        let ended = format!("{backup} 1 {:08X} unexpected status\n", at(7).as_second());
        assert_eq!(list(), format!("{moved} 0\n{ended}"));
        tasks.end(&moved, at(9), "OK").unwrap();
        assert_eq!(list(), format!("{moved} 1 {:08X} OK\n{ended}", at(9).as_second()));
        assert!(!proc.join("4712").exists());
    }
}
