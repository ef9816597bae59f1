//! PVE's own lock on disks: whoever makes pools, OSDs or file systems through PVE holds it as well.

use std::fs::File;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{Stopped, Task, say, stopped};
use crate::observe::disks::edges::DISK_LOCK;

/// PVE's own commands give up after ten seconds; what they do with disks may take minutes.
const WITHIN: Duration = Duration::from_secs(130);
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Takes the lock; it is let go of when what this gives is dropped, or when we die.
pub(super) async fn take(task: &Task<'_>) -> Result<Flock<File>, Stopped> {
    let clock = task.host.clock();
    let began = clock.monotonic();
    let mut file = task.host.root().open_lock(DISK_LOCK)?;
    let mut told = false;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Ok(held),
            Err((file, Errno::EWOULDBLOCK | Errno::EINTR)) => file,
            Err((_, error)) => return Err(error.into()),
        };
        if !told {
            say("waits for PVE's lock on disks, which another command holds");
            told = true;
        }
        if clock.since(began) >= task.pace.of(WITHIN) {
            return stopped("PVE's lock on disks was not to be had; nothing was changed");
        }
        task.pause(AGAIN_AFTER).await;
    }
}
