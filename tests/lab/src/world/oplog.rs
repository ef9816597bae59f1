//! The operation log: what really happened in the world, as JSON lines. Tests judge the product by it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// True wall time, RFC 3339, to the microsecond: when it could be seen from outside.
    pub at: String,
    /// Simulated milliseconds since the world began: differences are durations as on real servers, whatever the speed.
    pub ms: u64,
    /// The server it happened on; nothing for the lab as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What happened.
    pub what: What,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The tool and its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// The tool's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
}

/// The kinds of things that happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The world serves.
    WorldStarted,
    /// A host tool began on a server.
    ToolCalled,
    /// It ended with a code.
    ToolEnded,
    /// It ended by a signal, or its caller vanished.
    ToolDied,
    /// The world does not know this use of a tool: a hole in the lab or a mistake in the product.
    #[serde(rename = "UNKNOWN INVOCATION")]
    UnknownInvocation,
    /// A PVE task began.
    TaskStarted,
    /// A PVE task ended, with its status.
    TaskEnded,
    /// `pvecm create` wrote the first corosync.conf.
    ClusterCreated,
    /// A member wrote the joining node into corosync.conf.
    AddnodeCommitted,
    /// A member removed a node from corosync.conf.
    NodeRemoved,
    /// Corosync runs.
    CorosyncStarted,
    /// Corosync was stopped.
    CorosyncStopped,
    /// Corosync ended by itself.
    CorosyncExited,
    /// Corosync took over a changed configuration.
    ConfigReloaded,
    /// Corosync could not take over a changed configuration.
    ReloadFailed,
    /// knet called a link to a peer up: `host: 3 link: 0`.
    LinkUp,
    /// knet called it down.
    LinkDown,
    /// Corosync has not seen its token for too long: it begins to form another membership.
    TokenLost,
    /// Corosync knows its new members, and asks its quorum device before it provides service to them.
    DevicePolled,
    /// Corosync formed another membership, and provides service.
    MembershipChanged,
    /// The server's corosync became quorate.
    QuorumGained,
    /// The server's corosync lost quorum.
    QuorumLost,
    /// `/etc/pve` became writable.
    PmxcfsWritable,
    /// `/etc/pve` became read-only.
    PmxcfsReadOnly,
    /// `/etc/pve` was mounted.
    PmxcfsMounted,
    /// `/etc/pve` was unmounted.
    PmxcfsUnmounted,
    /// A node was fully joined.
    JoinCompleted,
    /// A ticket for root@pam was made.
    TicketMade,
    /// A ticket or a password was accepted.
    LoginAccepted,
    /// A ticket or a password was refused.
    LoginRefused,
    /// Making a ticket replaced the cluster's ticket key.
    AuthkeyRotated,
    /// `pvecm expected` changed the expected votes.
    ExpectedSet,
    /// corosync-qdevice runs on a node.
    QdeviceStarted,
    /// It reached its QNetd host.
    QdeviceConnected,
    /// It lost it.
    QdeviceLost,
    /// `pvecm qdevice setup` wrote the device into corosync.conf.
    QdeviceAdded,
    /// `pvecm qdevice remove` took it out.
    QdeviceRemoved,
    /// A package was installed.
    PackageInstalled,
    /// HA's watchdog was armed on a server.
    WatchdogArmed,
    /// It was closed in an orderly way.
    WatchdogClosed,
    /// It reset the server.
    WatchdogReset,
    /// An ordinary program wrote or removed files in `/etc/pve`: their paths, removed ones after a minus.
    PveWritten,
    /// It did so where `/etc/pve` may not be written, and the world took it back.
    PveWriteUndone,
    /// A server went off.
    PoweredOff,
    /// A server came up.
    PoweredOn,
    /// A network was cut.
    Cut,
    /// A network was healed.
    Healed,
    /// Misbehaviour was scripted.
    Scripted,
    /// A guest's process began: `vm:100 at 17`, the last numbered write that it found.
    GuestStarted,
    /// It ended, in order or not: `vm:100 at 243`, the last write that is on its disks.
    GuestStopped,
    /// A guest's configuration went to another server, its process with it if it ran: `vm:100 from prox1 at 243`.
    GuestMoved,
    /// A guest's configuration was moved away from a server that is gone: `vm:100 from prox1`.
    GuestRecovered,
    /// A replication run ended well: `100-0 to prox2 up to 243`.
    Replicated,
    /// One failed: `100-0 to prox2: …`.
    ReplicationFailed,
    /// `zfs recv -F` threw writes away that only this server had: `data_zfs/vm-100-disk-0 from 260 back to 243`.
    WritesDiscarded,
    /// The jobs of a guest were turned round, since it is here now: `100-0 to prox1`.
    ReplicationReversed,
    /// A server lets corosync's packets fall, at an address of its own or on a port: `10.10.10.3:5405`, `eno1`.
    CorosyncCut,
    /// It lets them pass again.
    CorosyncHealed,
    /// One of HA's daemons began on a server: `pve-ha-lrm`.
    HaStarted,
    /// It ended as it should.
    HaEnded,
    /// HA's master took another state of a node for true: `prox3: online => unknown`. On the master.
    HaNodeChanged,
    /// It decided to fence a node: `prox3`. On the master.
    FenceDecided,
    /// It has the lock of that node, so its guests are the others'. On the master.
    LockTaken,
    /// Whoever calls a guest from outside may get an answer from now on: `100`. On the server that it runs on.
    GuestAnswers,
    /// Nobody gets one any more.
    GuestSilent,
    /// A disk of a pool was taken offline: `tank ata-X`.
    DiskOffline,
    /// It was taken in again.
    DiskOnline,
    /// A server was told to `power off` or to `reboot`, and begins to.
    ShuttingDown,
    /// A guest starts that was heard from outside before: `100 up to 243`, the last number that it told there.
    NumbersTold,
}

/// The log's file.
#[derive(Debug)]
pub(crate) struct OpLog(File);

impl OpLog {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().create(true).append(true).open(path)?))
    }

    /// Each entry is one write, so that a reader sees whole lines only.
    pub(crate) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

/// The entries so far. A last line without an end is still being written and left for the next call.
///
/// # Errors
/// When the log can't be read, or holds something that is no entry.
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path)?;
    let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
    whole
        .lines()
        .map(|line| serde_json::from_str(line).map_err(io::Error::from))
        .collect()
}
