//! The logs of PVE's own tasks about one guest: found, followed line by line, and read to their end.

use std::collections::BTreeSet;

use quorate_model::observation::GuestKind;
use quorate_tools::guest;
use quorate_tools::pve_tasks::{self, FOLDER, SHELVES, TaskEnd};

use super::{Stopped, say};
use crate::host::{Host, ReadError};

/// Follows the next task that moves a guest, whoever starts it here.
pub(super) struct TaskLog<'h> {
    host: &'h Host,
    kind: GuestKind,
    guest: u32,
    /// Tasks that were there before.
    old: BTreeSet<String>,
    found: Option<String>,
    told: usize,
    reason: Option<String>,
}

impl<'h> TaskLog<'h> {
    /// Begins before anything is started, so that what comes is known to be new.
    pub(super) fn before(host: &'h Host, kind: GuestKind, guest: u32) -> Result<Self, Stopped> {
        let mut log = Self {
            host,
            kind,
            guest,
            old: BTreeSet::new(),
            found: None,
            told: 0,
            reason: None,
        };
        log.old = log.all()?.into_iter().map(|(_, path)| path).collect();
        Ok(log)
    }

    /// Tasks that move this guest, with their beginnings in seconds since 1970. What HA is asked by PVE's own commands (`hamigrate`) is none.
    fn all(&self) -> Result<Vec<(u64, String)>, Stopped> {
        let mut all = Vec::new();
        for shelf in SHELVES {
            let folder = format!("{FOLDER}/{shelf}");
            let names = match self.host.root().read_dir(&folder) {
                Err(ReadError::NotFound { .. }) => continue,
                names => names?,
            };
            for name in names {
                let moves = pve_tasks::read(&name)
                    .filter(|upid| upid.kind == guest::task_type(self.kind) && upid.id == self.guest.to_string());
                if let Some(upid) = moves {
                    all.push((upid.started, format!("{folder}/{name}")));
                }
            }
        }
        Ok(all)
    }

    /// Tells what it has written since, unless its lines are told by the tool itself; and how it ended, if it did.
    pub(super) fn follow(&mut self, tell: bool) -> Result<Option<TaskEnd>, Stopped> {
        if self.found.is_none() {
            let new = self.all()?.into_iter().filter(|(_, path)| !self.old.contains(path));
            self.found = new.max().map(|(_, path)| path);
            if let Some(path) = &self.found {
                say(&format!("PVE's task: {}", path.rsplit('/').next().unwrap_or(path)));
            }
        }
        let Some(path) = &self.found else { return Ok(None) };
        let text = match self.host.root().read_text(path) {
            Err(ReadError::NotFound { .. }) => return Ok(None),
            text => text?,
        };
        let whole = text.rfind('\n').map_or("", |end| text.get(..=end).unwrap_or_default());
        let lines: Vec<&str> = whole.lines().collect();
        for line in lines.get(self.told..).unwrap_or_default().iter().filter(|_| tell) {
            say(line);
        }
        self.told = lines.len();
        let end = pve_tasks::read_end(&text);
        self.reason = pve_tasks::read_reason(&text).map(str::to_owned);
        if end.is_some() && !tell {
            say(text.lines().last().unwrap_or_default());
        }
        Ok(end)
    }

    /// Why it failed, as far as it said so.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Was one found?
    pub(super) fn was_found(&self) -> bool {
        self.found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use quorate_clock::Clock;
    use quorate_exec::Tools;
    use quorate_exec::scripted::Scripted;

    use super::*;
    use crate::host::HostRoot;

    fn host(folder: &Path) -> Host {
        let root = HostRoot::lab(folder).unwrap();
        Host::new(root, Tools::imagined(), Arc::new(Scripted::new([])), Clock::system())
    }

    /// Writes the log of a task that began in this second.
    fn put(folder: &Path, second: &str, kind: &str, guest: u32, text: &str) {
        let shelf = second.chars().last().unwrap().to_string();
        let shelf = folder.join("var/log/pve/tasks").join(shelf);
        std::fs::create_dir_all(&shelf).unwrap();
        let name = format!("UPID:prox1:0000A1B2:00C0FFEE:{second}:{kind}:{guest}:root@pam:");
        std::fs::write(shelf.join(name), text).unwrap();
    }

    #[test]
    fn what_pve_only_left_with_ha_is_no_migration() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        let mut log = TaskLog::before(&host, GuestKind::Vm, 100).unwrap();
        put(
            dir.path(),
            "6650F1A0",
            "hamigrate",
            100,
            "Requesting HA migration for VM 100 to node prox2\nTASK OK\n",
        );
        put(dir.path(), "6650F1A1", "qmigrate", 101, "TASK OK\n");
        assert_eq!(log.follow(true).unwrap(), None);
        assert!(!log.was_found());
    }

    #[test]
    fn the_new_task_is_followed_to_its_last_line_and_the_old_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        put(dir.path(), "6650F1A0", "qmigrate", 100, "TASK OK\n");
        let mut log = TaskLog::before(&host, GuestKind::Vm, 100).unwrap();
        assert_eq!(log.follow(true).unwrap(), None, "that one is over");
        put(
            dir.path(),
            "6650F1FF",
            "qmigrate",
            100,
            "starting migration of VM 100\nhalf a li",
        );
        assert_eq!(log.follow(true).unwrap(), None);
        assert!(log.was_found());
        put(
            dir.path(),
            "6650F1FF",
            "qmigrate",
            100,
            "starting migration of VM 100\nhalf a line\n2026-11-28 10:00:00 ERROR: no space left\nTASK ERROR: migration aborted\n",
        );
        assert_eq!(
            log.follow(true).unwrap(),
            Some(TaskEnd::Error("migration aborted".to_owned()))
        );
        assert_eq!(log.reason(), Some("no space left"));
    }

    #[test]
    fn a_server_without_any_task_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        let mut log = TaskLog::before(&host, GuestKind::Container, 100).unwrap();
        assert_eq!(log.follow(false).unwrap(), None);
    }
}
