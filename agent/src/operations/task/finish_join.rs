//! A node that the cluster has taken in and that did not come in: it gets the cluster's present corosync.conf, and starts with it. Seen
//! to work after two joins in the same instant, of which one hung with an older version.

use std::time::Duration;

use quorate_model::ids::ClusterName;
use quorate_model::observation::FacetName;
use quorate_tools::{corosync_conf, pvecm, systemctl};

use super::{CHANGING, Stopped, Task, say, stopped};
use crate::observe::observe;

const LOCAL: &str = "/etc/corosync/corosync.conf";
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
    say(CHANGING);
    root.replace(LOCAL, &text, 0o644)?;
    let tools = task.host.tools();
    task.change(systemctl::restart(tools, "corosync")).await?;
    task.change(systemctl::start(tools, "pve-cluster")).await?;
    wait_for_quorum(task).await?;
    task.change(pvecm::updatecerts(tools)).await?;
    task.change(systemctl::reload_or_restart(tools, &["pvedaemon", "pveproxy"]))
        .await
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
