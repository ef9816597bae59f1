//! One edit of corosync.conf, by PVE's own procedure: under its lock, with the version raised, put in place by a rename. What
//! corosync makes of it, the agent watches: the rename itself succeeds for any text.

use std::collections::BTreeMap;
use std::net::IpAddr;

use quorate_identity::write_secret_file;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_tools::corosync_conf;

use super::{CHANGING, Stopped, Task, lock, say, stopped};

const CONF: &str = "/etc/pve/corosync.conf";

pub(super) async fn run(
    task: &Task<'_>,
    cluster: &ClusterName,
    link: u8,
    addresses: &BTreeMap<NodeName, IpAddr>,
    priority: Option<u8>,
) -> Result<(), Stopped> {
    let held = lock::take(task).await?;
    let edited = edit(task, cluster, link, addresses, priority);
    let released = held.release();
    edited.and(released)
}

fn edit(
    task: &Task<'_>,
    cluster: &ClusterName,
    link: u8,
    addresses: &BTreeMap<NodeName, IpAddr>,
    priority: Option<u8>,
) -> Result<(), Stopped> {
    let root = task.host.root();
    let old = root.read_text(CONF)?;
    let seen = corosync_conf::read(&old)?;
    if seen.cluster != cluster.as_str() {
        return stopped(format!(
            "corosync.conf is of cluster {}, not of {cluster}",
            seen.cluster
        ));
    }
    let new = corosync_conf::with_link(&old, link, addresses, priority)?;
    write_secret_file(&task.folder.path("corosync.conf.before"), &old)?;
    say(CHANGING);
    root.replace(CONF, &new, 0o640)?;
    say(&format!(
        "corosync.conf has link {link} now, as version {}; corosync takes it over in a second",
        seen.config_version + 1
    ));
    Ok(())
}
