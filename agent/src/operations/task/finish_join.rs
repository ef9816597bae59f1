//! A node that the cluster has taken in and that did not come in: it gets the cluster's present corosync.conf, and starts with it. Seen
//! to work after two joins in the same instant, of which one hung with an older version. A join that broke off before it had put its own
//! database aside has that done, too.

use std::time::Duration;

use quorate_model::ids::ClusterName;
use quorate_model::observation::FacetName;
use quorate_tools::{corosync_conf, pvecm, systemctl};

use super::abandon_join::{self, is_mounted};
use super::{CHANGING, Stopped, Task, say, stopped};
use crate::observe::observe;

const LOCAL: &str = "/etc/corosync/corosync.conf";
/// The cluster's own one, which only a database that began with the cluster has.
const CONF: &str = "/etc/pve/corosync.conf";
const DATABASE: &str = "/var/lib/pve-cluster/config.db";
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Corosync needs a few seconds to find the others, pmxcfs up to six more to find corosync.
const QUORATE_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn run(task: &Task<'_>, cluster: &ClusterName) -> Result<(), Stopped> {
    let root = task.host.root();
    let text = std::fs::read_to_string(task.folder.path("given"))?;
    let given = corosync_conf::read(&text)?;
    if given.cluster != cluster.as_str() || given.nodes.iter().all(|n| n.name != task.node.as_str()) {
        return stopped(format!(
            "the corosync.conf that came with the operation is of {} and does not name {}",
            given.cluster, task.node
        ));
    }
    if !root.exists("/etc/corosync/authkey")? {
        return stopped("there is no /etc/corosync/authkey: the join did not come that far, and can't be finished");
    }
    let tools = task.host.tools();
    let mounted = is_mounted(task)?;
    if !mounted && root.exists(DATABASE)? {
        return stopped(
            "pve-cluster does not run, and what is in its database can't be seen: systemctl start pve-cluster, then try again",
        );
    }
    // Mounted without the cluster's configuration, it runs in local mode, with the database of before the join: it would never come in.
    let old = mounted && !root.exists(CONF)?;
    if old {
        no_guests(task).await?;
    }
    say(CHANGING);
    root.replace(LOCAL, &text, 0o644)?;
    if old {
        task.change(systemctl::stop(tools, "pve-cluster")).await?;
        abandon_join::mounted(task, false).await?;
        put_database_aside(task)?;
    }
    task.change(systemctl::restart(tools, "corosync")).await?;
    task.change(systemctl::start(tools, "pve-cluster")).await?;
    wait_for_quorum(task).await?;
    task.change(pvecm::updatecerts(tools)).await?;
    task.change(systemctl::reload_or_restart(tools, &["pvedaemon", "pveproxy"]))
        .await
}

/// Its guests would go with the database.
async fn no_guests(task: &Task<'_>) -> Result<(), Stopped> {
    let seen = observe(task.host, &[FacetName::Guests]).await;
    match seen.guests.get() {
        Ok(guests) if guests.is_empty() => Ok(()),
        Ok(guests) => stopped(format!("it has {} guests, which would be lost", guests.len())),
        Err(unknown) => stopped(format!("whether it has guests can't be seen: {}", unknown.reason)),
    }
}

/// As `pvecm add` does before pmxcfs begins with an empty one, into which it takes /etc/corosync/corosync.conf. What sqlite keeps beside
/// it belongs to it.
fn put_database_aside(task: &Task<'_>) -> Result<(), Stopped> {
    let root = task.host.root();
    let aside = format!("{DATABASE}.{}.bak", task.host.now().seconds());
    for beside in ["-wal", "-shm", ""] {
        root.rename(&format!("{DATABASE}{beside}"), &format!("{aside}{beside}"))?;
    }
    say(&format!("the database of before the join is kept as {aside}"));
    Ok(())
}

async fn wait_for_quorum(task: &Task<'_>) -> Result<(), Stopped> {
    say("waits until corosync and /etc/pve are quorate");
    let clock = task.host.clock();
    let began = clock.monotonic();
    loop {
        let seen = observe(task.host, &[FacetName::Cluster]).await;
        if seen.cluster.get().is_ok_and(|c| c.member().is_some_and(|m| m.quorate)) {
            return Ok(());
        }
        if clock.since(began) >= task.pace.of(QUORATE_WITHIN) {
            return stopped(
                "with the cluster's corosync.conf the node does not become quorate either; look at journalctl -u corosync -u pve-cluster",
            );
        }
        task.pause(LOOK_EVERY).await;
    }
}
