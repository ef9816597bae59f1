//! Back to standing alone, as PVE's manual separates a node: both services stop, pmxcfs starts in local mode so that corosync.conf can
//! be taken out of its database, corosync's own files are put aside, pve-cluster starts again, and what every server has of its own in
//! /etc/pve is made anew.

use std::time::Duration;

use quorate_tools::{pmxcfs_daemon, pvecm, systemctl};

use super::{CHANGING, Stopped, Task, say, stopped};

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

/// Nothing may be written below /etc/pve, nor pmxcfs be started, before this is certain.
async fn mounted(task: &Task<'_>, wanted: bool) -> Result<(), Stopped> {
    let clock = task.host.clock();
    let began = clock.monotonic();
    loop {
        // `local` is a link that only pmxcfs shows.
        let seen = match task.host.root().read_link(MOUNTED) {
            Ok(_) => true,
            Err(crate::host::ReadError::NotFound { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        if seen == wanted {
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
