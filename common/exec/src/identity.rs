//! Knowing a process again: a pid alone may belong to another one tomorrow.

use std::io;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process of this boot: its id and when it started. Ids are used again, the pair is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since boot: field 22 of `/proc/PID/stat`. It means nothing after a reboot; who keeps
    /// it on disk keeps the boot's id beside it.
    pub start_ticks: u64,
}

impl ProcessIdentity {
    /// The process that has this id now; `None` if there is none.
    ///
    /// # Errors
    /// When `/proc` cannot be read: then nothing is known.
    pub fn of(pid: i32) -> io::Result<Option<Self>> {
        Ok(Stat::read(pid)?.map(|stat| Self {
            pid,
            start_ticks: stat.start_ticks,
        }))
    }

    /// Whether this very process still runs. One that has ended but was not yet reaped by its parent does not.
    ///
    /// # Errors
    /// When `/proc` cannot be read: then nothing is known.
    pub fn is_alive(&self) -> io::Result<bool> {
        let alive = |stat: Stat| stat.start_ticks == self.start_ticks && !matches!(stat.state, 'Z' | 'X' | 'x');
        Ok(Stat::read(self.pid)?.is_some_and(alive))
    }

    /// Asks this very process to stop (SIGTERM), and no other one that has its id by now. Does nothing if it has ended.
    ///
    /// # Errors
    /// When `/proc` cannot be read, or the signal cannot be sent.
    pub fn terminate(&self) -> io::Result<()> {
        if !self.is_alive()? {
            return Ok(());
        }
        match kill(Pid::from_raw(self.pid), Signal::SIGTERM) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The identity of a child of ours that was not reaped yet: it exists even if it has ended already.
    pub(crate) fn of_child(pid: Pid) -> io::Result<Self> {
        Self::of(pid.as_raw())?.ok_or_else(|| io::Error::other("the child is missing in /proc"))
    }
}

/// The two fields of `/proc/PID/stat` that we use.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    start_ticks: u64,
}

impl Stat {
    fn read(pid: i32) -> io::Result<Option<Self>> {
        let text = match std::fs::read(format!("/proc/{pid}/stat")) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            // ESRCH: it ended between the opening and the reading of the file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => return Ok(None),
            Err(error) => return Err(error),
        };
        match Self::parse(&text) {
            Some(stat) => Ok(Some(stat)),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("unreadable process state: {text:?}"),
            )),
        }
    }

    /// `PID (NAME) STATE …`. The name is whatever the process wants, brackets and spaces included: what follows its
    /// *last* bracket counts.
    fn parse(text: &str) -> Option<Self> {
        const STATE: usize = 3;
        const START_TIME: usize = 22;
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let start_ticks = fields.nth(START_TIME - STATE - 1)?.parse().ok()?;
        Some(Self { state, start_ticks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_past_a_hostile_process_name() {
        let text = "42 (a) R 1 (b)) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2 18446744073709551615";
        assert_eq!(
            Stat::parse(text),
            Some(Stat {
                state: 'S',
                start_ticks: 987_654
            })
        );
        assert_eq!(Stat::parse("42 (a) S 1"), None);
    }

    #[test]
    fn this_process_is_alive_and_its_predecessor_with_the_same_id_is_not() {
        let me = ProcessIdentity::of(i32::try_from(std::process::id()).unwrap())
            .unwrap()
            .unwrap();
        assert!(me.is_alive().unwrap());
        let predecessor = ProcessIdentity {
            start_ticks: me.start_ticks - 1,
            ..me
        };
        assert!(!predecessor.is_alive().unwrap());
    }

    #[test]
    fn a_process_that_does_not_exist_is_absent_and_not_an_error() {
        // Linux gives no ids above this.
        let beyond = 4_194_304 + 1;
        assert_eq!(ProcessIdentity::of(beyond).unwrap(), None);
        assert!(
            !ProcessIdentity {
                pid: beyond,
                start_ticks: 1
            }
            .is_alive()
            .unwrap()
        );
    }
}
