//! The logs of vzdump: what became of the last backup of each guest that this server made, whoever asked for it and wherever it went, also to a
//! Proxmox Backup Server. A new backup of the guest begins its log anew.
//!
//! Source: pve-manager VZDump.pm (`$logdir`, `exec_backup_task`), pve-guest-common VZDump/Plugin.pm (`debugmsg`): each line begins with the local
//! time and a level, and a text of several lines becomes as many. What fails before the log is opened, such as a storage that is not there, leaves
//! the log of the backup before.

use quorate_model::observation::{BackupEnd, GuestKind};

/// Where the logs lie.
pub const FOLDER: &str = "/var/log/vzdump";

/// How much of the end of a log is looked at, in bytes: after its last word only a hook script may have spoken.
pub const TAIL: u64 = 64 << 10;

/// How much of a reason is kept, in characters: a command of a container's backup is in it whole.
const KEPT: usize = 300;

/// The guest of a file in that folder; `None`: it is another file.
#[must_use]
pub fn guest_of(file: &str) -> Option<(GuestKind, u32)> {
    let (word, id) = file.strip_suffix(".log")?.split_once('-')?;
    let kind = match word {
        "qemu" => GuestKind::Vm,
        "lxc" => GuestKind::Container,
        _ => return None,
    };
    let vmid: u32 = id.parse().ok()?;
    // A copy that somebody made, such as `qemu-0100.log`, is not PVE's.
    (vmid.to_string() == id).then_some((kind, vmid))
}

/// How the backup of this guest ended, by the end of its log. The last such line counts.
#[must_use]
pub fn read(guest: u32, text: &str) -> BackupEnd {
    let finished = format!("Finished Backup of VM {guest} (");
    let failed = format!("Backup of VM {guest} failed -");
    let end = text.lines().rev().find_map(|line| match message(line)? {
        ("INFO", text) if text.starts_with(&finished) => Some(BackupEnd::Finished),
        ("ERROR", text) => text.strip_prefix(&failed).map(|why| BackupEnd::Failed(reason(why))),
        _ => None,
    });
    end.unwrap_or(BackupEnd::Open)
}

/// `2025-08-24 00:05:02 INFO: …`: level and text. `None`: it is no such line, or the rest of one that is cut.
fn message(line: &str) -> Option<(&str, &str)> {
    let (date, rest) = line.split_once(' ')?;
    let (time, rest) = rest.split_once(' ')?;
    let is = |text: &str, length: usize, mark: u8| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || byte == mark)
    };
    if !is(date, 10, b'-') || !is(time, 8, b':') {
        return None;
    }
    rest.split_once(": ")
}

/// It may hold what programs of others print.
fn reason(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.trim().chars().take(KEPT).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_backup_ended_stands_at_the_end_of_its_log() {
        assert_eq!(
            read(104, fixture!("vzdump-log/pve-9/lxc-finished.log")),
            BackupEnd::Finished
        );
        let BackupEnd::Failed(why) = read(104, fixture!("vzdump-log/pve-9/lxc-failed.log")) else {
            panic!("it failed");
        };
        assert!(
            why.starts_with("command 'set -o pipefail") && why.ends_with("failed: exit code 1"),
            "{why}"
        );
        assert_eq!(read(104, fixture!("vzdump-log/pve-9/lxc-running.log")), BackupEnd::Open);
    }

    #[test]
    fn only_the_words_of_vzdump_about_this_guest_count() {
        let finished = fixture!("vzdump-log/pve-9/lxc-finished.log");
        assert_eq!(read(10, finished), BackupEnd::Open, "it is about another guest");
        for other in [
            "",
            "Finished Backup of VM 104 (00:00:22)",
            "2025-08-24 00:05:24 INFO: tar: ./Finished Backup of VM 104 (: file changed as we read it",
            "2025-08-24 00:05:24 WARN: Finished Backup of VM 104 (00:00:22)",
            "24 00:05:24 INFO: Finished Backup of VM 104 (00:00:22)",
        ] {
            assert_eq!(read(104, other), BackupEnd::Open, "{other}");
        }
        let twice = format!("{finished}2025-08-25 00:05:02 ERROR: Backup of VM 104 failed - got\u{1b}timeout\n");
        assert_eq!(read(104, &twice), BackupEnd::Failed("got\u{fffd}timeout".to_owned()));
    }

    #[test]
    fn a_log_is_a_guests_by_its_name() {
        assert_eq!(guest_of("qemu-100.log"), Some((GuestKind::Vm, 100)));
        assert_eq!(guest_of("lxc-104.log"), Some((GuestKind::Container, 104)));
        for other in [
            "qemu-100.log.1",
            "openvz-100.log",
            "qemu-+1.log",
            "qemu-0100.log",
            "lxc-.log",
            "x",
        ] {
            assert_eq!(guest_of(other), None, "{other}");
        }
    }
}
