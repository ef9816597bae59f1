//! corosync-qdevice on a node: its connection to the QNetd host, and whether that gives it its vote.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::clock::SimTime;

/// How long a silent QNetd host stays unnoticed: heartbeats go every eight seconds (8.5 to 12.4 s were seen).
pub(crate) const NOTICES: Duration = Duration::from_secs(10);
/// The same while a membership is being formed, when heartbeats are rarer (15.1 s were seen).
pub(crate) const NOTICES_IN_SYNC: Duration = Duration::from_secs(15);
/// How soon a host that is reachable again answers an attempt that goes on.
pub(crate) const ANSWERS: Duration = Duration::from_millis(450);
/// The next attempt after one that was refused.
pub(crate) const TRIES_AGAIN: Duration = Duration::from_secs(5);
/// How long a membership waits for the vote of a host that answers: votequorum's own interval.
pub(crate) const POLL: Duration = Duration::from_millis(5050);
/// The same where the daemon knows that no vote will come.
pub(crate) const POLL_WITHOUT: Duration = Duration::from_millis(2000);
/// votequorum waits no longer than this.
pub(crate) const POLL_MAXIMUM: Duration = Duration::from_secs(30);

/// The running daemon.
#[derive(Debug, Clone)]
pub(crate) struct Qdevice {
    pub(crate) pid: u32,
    pub(crate) connection: Connection,
    /// QNetd gave it its vote.
    pub(crate) votes: bool,
    pub(crate) polled: Timestamp,
    pub(crate) connected_at: Timestamp,
    /// Since when reality differs from `connection`.
    pub(crate) differs_since: Option<SimTime>,
    /// The last attempt was answered by nobody on that port.
    pub(crate) refused: bool,
}

/// What `corosync-qdevice-tool -s` calls its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connection {
    Connected,
    Connecting,
    Failed,
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connected => "Connected",
            Self::Connecting => "Connecting",
            Self::Failed => "Connect failed",
        })
    }
}

impl Qdevice {
    pub(crate) fn new(pid: u32, now: Timestamp) -> Self {
        Self {
            pid,
            connection: Connection::Connecting,
            votes: false,
            polled: now,
            connected_at: now,
            differs_since: None,
            refused: false,
        }
    }
}

/// How a member's registration shows in the `Qdevice` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    /// Its daemon never registered, or went away in an orderly way.
    NotRegistered,
    /// It runs and votes.
    Votes,
    /// It runs, and has no vote to give.
    Silent,
    /// It registered, and died.
    Dead,
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRegistered => "NR",
            Self::Votes => "A,V,NMW",
            Self::Silent => "A,NV,NMW",
            Self::Dead => "NA,NV,NMW",
        })
    }
}

/// Whether a QNetd host answers a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    /// The host is there, the daemon is not.
    Refused,
    Silence,
}
