//! Back to standing alone, as PVE's manual separates a node: both services stop, pmxcfs starts in local mode so that corosync.conf can
//! be taken out of its database, corosync's own files are put aside, pve-cluster starts again, and what every server has of its own in
//! /etc/pve is made anew.

use std::time::Duration;

use quorate_tools::{pmxcfs_daemon, pvecm, systemctl};

use super::{CHANGING, Stopped, Task, say, stopped};
use crate::host::ReadError;
use crate::observe::pmxcfs_is_gone;

const CONF: &str = "/etc/pve/corosync.conf";
const OWN: &str = "/etc/corosync";
/// Where a join puts the old database. Source: PVE::Cluster::Setup, seen live.
const BACKUPS: &str = "/var/lib/pve-cluster/backup";
const MOUNTED: &str = "/etc/pve/local";
const LOOK_EVERY: Duration = Duration::from_millis(500);
const MOUNTED_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn run(task: &Task<'_>) -> Result<(), Stopped> {
    let (root, tools) = (task.host.root(), task.host.tools());
    let aside = task.aside("corosync");
    root.copy_out(OWN, &aside)?;
    say(&format!("{OWN} is kept in {}", aside.display()));
    say(CHANGING);
    task.change(systemctl::stop(tools, "pve-cluster")).await?;
    task.change(systemctl::stop(tools, "corosync")).await?;
    // One in local mode that an earlier try left: it is no unit, and holds the lock that the next one needs.
    if is_mounted(task)? {
        task.change(pmxcfs_daemon::end(tools)).await?;
        mounted(task, false).await?;
    }
    task.change(pmxcfs_daemon::local(tools)).await?;
    mounted(task, true).await?;
    root.remove(CONF)?;
    for name in root.read_dir(OWN)? {
        // Folders (uidgid.d, qdevice) are not the cluster's.
        if ["authkey", "corosync.conf"].contains(&name.as_str()) {
            root.remove(&format!("{OWN}/{name}"))?;
        }
    }
    task.change(pmxcfs_daemon::end(tools)).await?;
    mounted(task, false).await?;
    task.change(systemctl::start(tools, "pve-cluster")).await?;
    mounted(task, true).await?;
    // A join begins with an empty database: without this there is no certificate, and no web interface.
    task.change(pvecm::updatecerts(tools)).await?;
    task.change(systemctl::reload_or_restart(tools, &["pvedaemon", "pveproxy"]))
        .await?;
    say(&format!(
        "what was in /etc/pve before the join is in {BACKUPS}, as config-TIME.sql.gz"
    ));
    Ok(())
}

/// `local` is a link that only pmxcfs shows.
pub(super) fn is_mounted(task: &Task<'_>) -> Result<bool, Stopped> {
    match task.host.root().read_link(MOUNTED) {
        Ok(_) => Ok(true),
        Err(ReadError::NotFound { .. }) => Ok(false),
        Err(error) if pmxcfs_is_gone(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Nothing may be written below /etc/pve, nor pmxcfs be started, before this is certain.
pub(super) async fn mounted(task: &Task<'_>, wanted: bool) -> Result<(), Stopped> {
    let clock = task.host.clock();
    let began = clock.monotonic();
    loop {
        if is_mounted(task)? == wanted {
            return Ok(());
        }
        if clock.since(began) >= task.pace.of(MOUNTED_WITHIN) {
            let state = if wanted { "mounted" } else { "unmounted" };
            return stopped(format!(
                "/etc/pve was not {state} in time; look at systemctl status pve-cluster"
            ));
        }
        task.pause(LOOK_EVERY).await;
    }
}
