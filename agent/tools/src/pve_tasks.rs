//! The logs of PVE's tasks: /var/log/pve/tasks/X/UPID, where X is the last hex digit of the second at which it began; and the list of those that run.

use crate::ParseError;

/// Where they lie.
pub const FOLDER: &str = "/var/log/pve/tasks";
/// The list of tasks that run, and of some that ended. Source: pve-common RESTEnvironment.pm (`active_workers`).
pub const ACTIVE: &str = "/var/log/pve/tasks/active";
/// The names of the folders below it.
pub const SHELVES: [&str; 16] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "E", "F",
];

/// What a task's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upid<'t> {
    /// The node that ran it.
    pub node: &'t str,
    /// The worker's process.
    pub pid: u32,
    /// When that began, in clock ticks since boot: with this it is told from a later one of the same id.
    pub process_start: u64,
    /// Seconds since 1970 at which it began.
    pub started: u64,
    /// Its type, such as `qmigrate`.
    pub kind: &'t str,
    /// What it is about, such as a guest's id.
    pub id: &'t str,
    /// Who began it.
    pub user: &'t str,
}

/// Reads `UPID:NODE:PID:PSTART:STARTTIME:TYPE:ID:USER:`; `None`: it is no task's name.
#[must_use]
pub fn read(name: &str) -> Option<Upid<'_>> {
    let mut parts = name.strip_prefix("UPID:")?.split(':');
    let node = parts.next()?;
    let pid = u32::from_str_radix(parts.next()?, 16).ok()?;
    let process_start = u64::from_str_radix(parts.next()?, 16).ok()?;
    let started = u64::from_str_radix(parts.next()?, 16).ok()?;
    let (kind, id, user) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Upid {
        node,
        pid,
        process_start,
        started,
        kind,
        id,
        user,
    })
}

/// Reads the list: tasks of which it does not say that they have ended. A worker that was killed stands there, too, until PVE writes the list the
/// next time: whether its process is there says if it runs.
///
/// # Errors
/// When a line is no `UPID SAVED [ENDTIME [STATUS]]`.
pub fn read_active(text: &str) -> Result<Vec<Upid<'_>>, ParseError> {
    let mut unended = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let bad = || ParseError::at(ACTIVE, line, "expected `UPID SAVED [ENDTIME [STATUS]]`");
        let mut words = line.splitn(4, ' ');
        let upid = words.next().and_then(read).ok_or_else(bad)?;
        if !matches!(words.next(), Some("0" | "1")) {
            return Err(bad());
        }
        match words.next() {
            None => unended.push(upid),
            Some(ended) => drop(u64::from_str_radix(ended, 16).map_err(|_| bad())?),
        }
    }
    Ok(unended)
}

/// How a task ended, by the last line of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEnd {
    /// `TASK OK`.
    Ok,
    /// `TASK WARNINGS: N`, which PVE itself takes for success.
    Warnings(String),
    /// `TASK ERROR: …`: the text.
    Error(String),
}

impl TaskEnd {
    /// Did it succeed?
    #[must_use]
    pub fn is_success(&self) -> bool {
        !matches!(self, Self::Error(_))
    }
}

/// Reads it from the whole log; `None`: it runs, or its worker is gone without a word.
#[must_use]
pub fn read_end(log: &str) -> Option<TaskEnd> {
    let last = log.lines().rev().find(|line| !line.trim().is_empty())?.trim_end();
    if last == "TASK OK" {
        return Some(TaskEnd::Ok);
    }
    if let Some(count) = last.strip_prefix("TASK WARNINGS: ") {
        return Some(TaskEnd::Warnings(count.to_owned()));
    }
    last.strip_prefix("TASK ERROR: ")
        .map(|text| TaskEnd::Error(text.to_owned()))
}

/// Why it failed, in the words of its last line that is marked as an error; the task's own last line often says only that it was aborted.
/// Source: pve-guest-common PVE/AbstractMigrate.pm (`log`: `DATE TIME ERROR: TEXT`).
#[must_use]
pub fn read_reason(log: &str) -> Option<&str> {
    let marked = log.lines().filter(|line| !line.starts_with("TASK "));
    let mut texts = marked.filter_map(|line| line.split_once(" ERROR: "));
    let reason = texts.next_back().map(|(_, text)| text.trim_end())?;
    // `can't migrate VM - check log`: of disks it tells in lines of their own, which are not marked.
    if !reason.ends_with("check log") {
        return Some(reason);
    }
    let of_disks = log.lines().filter(|line| !line.contains(" ERROR: "));
    let mut told = of_disks.filter_map(|line| Some(line.get(line.find(" can't migrate ")?..)?.trim()));
    told.next_back().or(Some(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_it_failed_stands_in_its_log() {
        let log = "2026-11-28 10:00:00 starting migration\n2026-11-28 10:00:01 ERROR: storage 'x' is not available\n2026-11-28 10:00:01 ERROR: \
                   migration aborted (duration 00:00:01): storage 'x' is not available\nTASK ERROR: migration aborted\n";
        assert_eq!(
            read_reason(log),
            Some("migration aborted (duration 00:00:01): storage 'x' is not available")
        );
        let log = "2026-11-28 10:00:00 can't migrate local disk 'local:iso/x.iso': local cdrom image\n2026-11-28 10:00:01 ERROR: migration aborted \
                   (duration 00:00:01): Problem found while scanning volumes - can't migrate VM - check log\nTASK ERROR: migration aborted\n";
        assert_eq!(
            read_reason(log),
            Some("can't migrate local disk 'local:iso/x.iso': local cdrom image")
        );
        assert_eq!(read_reason("TASK ERROR: x\n"), None);
    }

    #[test]
    fn a_name_tells_who_when_and_what() {
        let upid = read("UPID:prox1:0001A2B3:00C0FFEE:6650F1A0:qmigrate:100:root@pam:").unwrap();
        assert_eq!(
            (upid.node, upid.started, upid.kind, upid.id),
            ("prox1", 0x6650_F1A0, "qmigrate", "100")
        );
        for none in [
            "active",
            "index.1",
            "UPID:prox1:0001A2B3",
            "UPID:a:b:c:xyz:qmigrate:100:root@pam:",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn the_list_tells_what_has_not_ended() {
        let list = fixture!("tasks/pve-9/active.list");
        let unended = read_active(list).unwrap();
        let shown: Vec<_> = unended.iter().map(|task| (task.kind, task.id, task.pid)).collect();
        assert_eq!(shown, [("vzdump", "101", 0x0001_A2B4), ("aptupdate", "", 0x0001_A2B5)]);
        assert_eq!((unended[0].process_start, unended[0].user), (0x00C0_FFEE, "root@pam"));
        assert!(read_active("").unwrap().is_empty());
        assert!(read_active(fixture!("tasks/pve-9/active-cut.list")).is_err());
        for bad in [
            "UPID:prox1:0001A2B3",
            "UPID:prox1:0001A2B3:00C0FFEE:6650F1A0:qmigrate:100:root@pam:",
            "UPID:prox1:0001A2B3:00C0FFEE:6650F1A0:qmigrate:100:root@pam: 2",
            "UPID:prox1:0001A2B3:00C0FFEE:6650F1A0:qmigrate:100:root@pam: 1 soon OK",
        ] {
            let error = read_active(&format!("{list}{bad}\n")).unwrap_err();
            assert!(error.to_string().contains(bad), "{error}");
        }
    }

    #[test]
    fn only_the_last_line_tells_the_end() {
        assert_eq!(read_end("a line\nTASK OK\n"), Some(TaskEnd::Ok));
        assert_eq!(read_end("TASK OK\nit goes on\n"), None);
        assert_eq!(read_end("x\nTASK WARNINGS: 2"), Some(TaskEnd::Warnings("2".to_owned())));
        let failed = read_end("x\nTASK ERROR: migration aborted\n").unwrap();
        assert_eq!(failed, TaskEnd::Error("migration aborted".to_owned()));
        assert!(!failed.is_success());
        assert_eq!(read_end(""), None);
        assert_eq!(read_end(fixture!("tasks/pve-9/qmigrate-ok.log")), Some(TaskEnd::Ok));
        assert_eq!(read_end(fixture!("tasks/pve-9/qmigrate-begun.log")), None);
        assert_eq!(
            read_end(fixture!("tasks/pve-9/qmigrate-aborted.log")),
            Some(TaskEnd::Error("migration aborted".to_owned()))
        );
    }
}
