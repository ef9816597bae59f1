//! How long what is done to guests takes. All of it is simulated time, and typical rather than measured.

use std::time::Duration;

/// Numbered writes of a running guest, each so long after the one before.
pub(crate) const WRITES_EVERY: Duration = Duration::from_millis(100);

pub(crate) const VM_STARTS: Duration = Duration::from_secs(2);
pub(crate) const CT_STARTS: Duration = Duration::from_secs(1);
/// From the order to the end of an orderly shutdown.
pub(crate) const VM_STOPS: Duration = Duration::from_secs(3);
pub(crate) const CT_STOPS: Duration = Duration::from_secs(2);
/// The plug is pulled.
pub(crate) const KILLED: Duration = Duration::from_secs(1);

/// PVE waits so long for the device of a volume on ZFS when a machine is started. Source: pve-storage ZFSPoolPlugin.pm
/// (`zfs_wait_for_zvol_link`): 300 looks in a worker, a second between two of them.
pub(crate) const DEVICE_APPEARS: Duration = Duration::from_secs(299);
/// So much longer than its own time-out pct waits for an lxc-stop, and then as long again for the container. Source: pve-container LXC.pm
/// (`vm_stop`).
pub(crate) const CT_STOP_MORE: Duration = Duration::from_secs(5);

/// From quorum to the first guest that a server starts after its boot.
pub(crate) const SETTLES: Duration = Duration::from_secs(2);

/// A virtual machine's memory goes over while it runs, without its disks.
pub(crate) const LIVE: Duration = Duration::from_secs(8);
/// A configuration file goes over, and nothing else: "about a second".
pub(crate) const MOVES: Duration = Duration::from_secs(1);
/// After the configuration went over: the old process ends, copies are removed, the lock is given back.
pub(crate) const CLEARS_UP: Duration = Duration::from_secs(1);
/// What a machine that goes over stands still for, in milliseconds as the log tells it.
pub(crate) const DOWNTIME_MS: u64 = 84;

/// What the network needs after that to learn where the guest is now. It is typical rather than measured, as all of this.
pub(crate) const LEARNS: Duration = Duration::from_millis(150);

/// What a replication costs without data: two logins and two lists.
pub(crate) const REPLICATES: Duration = Duration::from_secs(3);
/// A login to a server that does not answer.
pub(crate) const NO_ROUTE: Duration = Duration::from_secs(3);

/// What of a new volume is written when it is filled: an eighth of it.
pub(crate) const FILLED: u64 = 8;

/// Bytes per second on the 1 Gbit/s network.
pub(crate) const PUBLIC_RATE: u64 = 110_000_000;
/// The same on the 10 Gbit/s one, through ssh and without it.
pub(crate) const SECURE_RATE: u64 = 400_000_000;
pub(crate) const INSECURE_RATE: u64 = 900_000_000;

/// How long so many bytes take.
pub(crate) fn transfer(bytes: u64, rate: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000).checked_div(rate).unwrap_or(0))
}
