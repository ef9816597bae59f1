//! A server's journal: what its units have logged, with the time and the boot of each line, and what of that is on its disk.
//!
//! Source of what is kept: journald.conf(5), `SyncIntervalSec`: it writes to its file at once, and sees to it that this is on the disk at once
//! after a line of priority crit or higher, and else five minutes later. What a server that loses its power finds again is in between: the
//! kernel writes back earlier than that. Here it is the least that is promised.

use std::time::Duration;

use jiff::Timestamp;

use super::clock::SimTime;

/// journald's own default.
const SYNCS_AFTER: Duration = Duration::from_secs(300);

/// syslog(3)'s numbers.
pub(crate) const CRIT: u8 = 2;
pub(crate) const ERR: u8 = 3;
pub(crate) const WARNING: u8 = 4;
pub(crate) const NOTICE: u8 = 5;
pub(crate) const INFO: u8 = 6;

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// By the server's clock.
    pub(crate) at: Timestamp,
    /// Microseconds since its boot.
    pub(crate) monotonic: u64,
    /// How often it had booted before.
    pub(crate) boot: u32,
    pub(crate) unit: &'static str,
    pub(crate) pid: u32,
    pub(crate) priority: u8,
    pub(crate) text: String,
    /// A loss of power has taken it.
    lost: bool,
}

impl Line {
    /// A line that is in the journal.
    pub(crate) fn new(at: Timestamp, booted: Timestamp, boot: u32, unit: &'static str, pid: u32, text: String) -> Self {
        let uptime = at.as_microsecond() - booted.as_microsecond();
        Self {
            at,
            monotonic: u64::try_from(uptime).unwrap_or(0),
            boot,
            priority: priority(unit, &text),
            unit,
            pid,
            text,
            lost: false,
        }
    }

    /// The unit whose line it is, without `.service`.
    pub(crate) fn service(&self) -> &str {
        match self.unit {
            "pmxcfs" => "pve-cluster",
            unit => unit,
        }
    }

    /// What the program calls itself.
    pub(crate) fn identifier(&self) -> &str {
        match self.unit {
            "ssh" => "sshd",
            unit => unit,
        }
    }

    /// How it came to the journal: watchdog-mux prints, and systemd passes that on.
    pub(crate) fn transport(&self) -> &'static str {
        match self.unit {
            "watchdog-mux" => "stdout",
            _ => "syslog",
        }
    }
}

/// Source: pmxcfs's cfs-utils.c (`crit` is `LOG_CRIT`), corosync's log_printf calls.
fn priority(unit: &str, text: &str) -> u8 {
    let text = text.trim_start();
    let part = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (part, text) = part.map_or(("", text), |(part, text)| (part.trim(), text.trim_start()));
    match (unit, part) {
        ("pmxcfs", _) if text.starts_with("crit:") => CRIT,
        ("pmxcfs", _) if text.starts_with("notice:") => NOTICE,
        ("corosync", "CMAP") => ERR,
        ("corosync", "TOTEM") if text.starts_with("Token has not been received") => INFO,
        ("corosync", "TOTEM" | "QUORUM" | "MAIN" | "VOTEQ") => NOTICE,
        _ => INFO,
    }
}

/// All lines.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    lines: Vec<Line>,
    /// So many of them are on the disk for certain.
    synced: usize,
    /// The first one that is not is so old.
    waits_since: Option<SimTime>,
}

impl Journal {
    pub(crate) fn push(&mut self, line: Line) {
        let at_once = line.priority <= CRIT;
        self.lines.push(line);
        if at_once {
            self.sync();
        }
    }

    /// All that was ever said, also what a loss of power took.
    #[cfg(test)]
    pub(crate) fn said(&self) -> &[Line] {
        &self.lines
    }

    /// What can be read.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !line.lost)
    }

    /// All of it is on the disk.
    pub(crate) fn sync(&mut self) {
        self.synced = self.lines.len();
        self.waits_since = None;
    }

    /// What has waited for long enough goes to the disk.
    pub(crate) fn sync_when_due(&mut self, now: SimTime) {
        if self.lines.len() > self.synced {
            let since = *self.waits_since.get_or_insert(now);
            if now.saturating_sub(since) >= SYNCS_AFTER {
                self.sync();
            }
        }
    }

    /// The power goes: what is not on the disk is gone.
    pub(crate) fn lose(&mut self) {
        for line in self.lines.iter_mut().skip(self.synced) {
            line.lost = true;
        }
        self.sync();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(unit: &'static str, text: &str) -> Line {
        let booted = Timestamp::from_second(1_000).unwrap();
        let at = Timestamp::from_second(1_060).unwrap();
        Line::new(at, booted, 0, unit, 1, text.to_owned())
    }

    fn kept(journal: &Journal) -> Vec<&str> {
        journal.kept().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn what_was_not_synced_is_lost_with_the_power() {
        let mut journal = Journal::default();
        journal.push(line("corosync", "  [KNET  ] link: host: 3 link: 0 is down"));
        journal.push(line("pmxcfs", "[quorum] crit: quorum_dispatch failed: 2"));
        journal.push(line("pve-ha-lrm", "status change active => lost_agent_lock"));
        journal.lose();
        assert_eq!(kept(&journal).len(), 2, "a critical line takes those before it along");
        assert_eq!(journal.said().len(), 3);

        journal.push(line("corosync", "after the boot"));
        journal.sync_when_due(Duration::from_secs(10));
        journal.sync_when_due(Duration::from_secs(309));
        journal.lose();
        assert_eq!(kept(&journal).len(), 2, "not yet five minutes old");
        journal.push(line("corosync", "later"));
        journal.sync_when_due(Duration::from_secs(400));
        journal.sync_when_due(Duration::from_secs(700));
        journal.lose();
        assert_eq!(kept(&journal).last(), Some(&"later"));
    }

    #[test]
    fn lines_bear_what_their_programs_give_them() {
        let of = |unit, text| line(unit, text).priority;
        assert_eq!(of("pmxcfs", "[quorum] crit: quorum_initialize failed: 2"), CRIT);
        assert_eq!(of("pmxcfs", "[status] notice: node lost quorum"), NOTICE);
        assert_eq!(of("corosync", "  [KNET  ] link: host: 3 link: 0 is down"), INFO);
        assert_eq!(of("corosync", "  [QUORUM] Members[1]: 3"), NOTICE);
        let line = line("pmxcfs", "x");
        assert_eq!(
            (line.service(), line.identifier(), line.monotonic),
            ("pve-cluster", "pmxcfs", 60_000_000)
        );
    }
}
