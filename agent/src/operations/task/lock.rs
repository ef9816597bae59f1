//! PVE's own lock on corosync.conf: whoever changes the file by other means holds it as well.

use std::time::Duration;

use super::{Stopped, Task, say, stopped};

/// The lock of corosync.conf in pmxcfs. Source: PVE::Cluster's `cfs_lock_file('corosync.conf')`.
const LOCK: &str = "/etc/pve/priv/lock/file-corosync_conf";

/// How long it is tried. Ten seconds is what PVE's own commands give it; a lock that was left behind expires after 120.
const WITHIN: Duration = Duration::from_secs(130);
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A lock that is held. Let go by [`Held::release`], or by pmxcfs itself two minutes after we died.
pub(super) struct Held<'t, 'h>(&'t Task<'h>);

/// Takes the lock.
pub(super) async fn take<'t, 'h>(task: &'t Task<'h>) -> Result<Held<'t, 'h>, Stopped> {
    let root = task.host.root();
    let clock = task.host.clock();
    let began = clock.monotonic();
    let mut told = false;
    loop {
        if root.take_folder(LOCK)? {
            return Ok(Held(task));
        }
        if !told {
            say("waits for the lock on corosync.conf, which another command holds or has left behind");
            told = true;
        }
        if clock.since(began) >= task.pace.of(WITHIN) {
            return stopped("the lock on corosync.conf was not to be had; nothing was changed");
        }
        // Only asks; pmxcfs lets go of it if it has expired.
        if let Err(error) = root.ask_to_unlock(LOCK) {
            tracing::debug!(%error, "pmxcfs could not be asked to let go of the lock");
        }
        task.pause(AGAIN_AFTER).await;
    }
}

impl Held<'_, '_> {
    /// Lets go of it.
    pub(super) fn release(self) -> Result<(), Stopped> {
        Ok(self.0.host.root().remove_folder(LOCK)?)
    }
}
