//! PVE tasks of one server: their names, logs and lists under `/var/log/pve/tasks`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

use jiff::Timestamp;

/// The tasks so far, oldest first.
#[derive(Debug)]
pub(crate) struct Tasks {
    folder: PathBuf,
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
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
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
        self.write_active()?;
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
        self.write_active()
    }

    /// The worker was killed: its log just stops.
    pub(crate) fn vanish(&mut self, upid: &str) {
        if let Some(task) = self.list.iter_mut().find(|task| task.upid == upid) {
            task.state = State::Vanished;
        }
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

    fn write_active(&self) -> io::Result<()> {
        let mut text = String::new();
        for task in self.list.iter().rev().take(25) {
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
