//! Rehearsed failures: how one begins, and that it ends.
//!
//! What ends a fault is there before the fault is. In this order, each step after the one before it is done:
//!
//! | step | what is done | if everything dies right after it |
//! |---|---|---|
//! | note | a file below `faults` in the agent's folder says what begins, when it ends and what undoes it; on disk, with its folder | nothing has begun; the agent finds the note and nothing that holds, and closes it |
//! | timer | systemd gets a transient timer with the very command that undoes it; none of our programs is needed for it | the timer undoes what is not there, and fails; the note is closed as above |
//! | break | it begins. Of networks: one nft table, whose sets the kernel empties by itself when the time is over | the kernel ends it in time; then the timer removes the table; then the agent closes the note. What is no network: the timer ends it |
//! | look | a fresh look says whether it really holds; if not, it is taken back at once | as above |
//!
//! Three dead men, and each works if the other two fail: the kernel (networks only), systemd's timer, and the agent, which looks every second, when it is
//! started, and at boot. A reboot ends every fault but a server that is off: nothing of it is written where it would come back.
//!
//! A server that was cut off for a failover and was not reset by its watchdog still runs guests that have been started elsewhere. So what is a failover of the
//! whole network ends in two stages: [`STAGE`] before its time is over the kernel lets corosync's packets pass. When the server is back in the
//! cluster, the agent stops each machine here whose configuration belongs to another server by now; only then the ports are opened
//! for all. If that can't be told until the time is over, the kernel opens them all the same: that it ends is promised. Containers are told and not
//! stopped.
//!
//! `quorate-agent heal` does the same by hand, without agent, coordinator or network, and so does the call `Heal` from a coordinator of any
//! generation.

mod guests;
mod heal;
mod inject;
mod keeper;
#[cfg(test)]
mod netns_tests;
mod places;
mod records;
#[cfg(test)]
mod tests;

use std::time::Duration;

use nix::unistd::geteuid;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::OperationId;

use crate::config::Config;
use crate::errors::chain;
use crate::host::{Host, ReadError};

pub use heal::heal;
pub(crate) use inject::{Step, prepare};
pub use keeper::keep;

/// How long before its end a failover of the whole network lets corosync pass: it has a new membership within 3 s, pmxcfs its locks within 12.
pub const STAGE: Duration = Duration::from_secs(30);

/// Is whoever asks on the console allowed to heal?
///
/// # Errors
/// Only root may, but on a simulated server.
pub fn may_heal(config: &Config) -> Result<(), Failure> {
    if config.lab.is_some() || geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::new(ExitCode::Refused, "only root can end a rehearsed failure")
        .hint("as root, type: quorate-agent heal"))
}

/// The timer's unit.
fn unit(id: &OperationId) -> String {
    format!("quorate-heal-{id}")
}

/// Which boot of the server this is.
///
/// # Errors
/// It can't be read.
fn boot(host: &Host) -> Result<String, String> {
    let read = host.root().read_text("/proc/sys/kernel/random/boot_id");
    let boot = read.map_err(|error: ReadError| chain(&error))?;
    Ok(boot.trim().to_owned())
}

/// Does HA's watchdog watch here? Source: the folder that watchdog-mux has while somebody is connected.
fn is_watched(host: &Host) -> bool {
    host.root().exists("/run/watchdog-mux.active").unwrap_or(true)
}
