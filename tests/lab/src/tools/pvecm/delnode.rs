//! `pvecm delnode`: kills a node's corosync by its number, then takes its entry out. What else there is of the node stays:
//! its folder below `/etc/pve/nodes`, and its key.

use super::super::io::Stop;
use super::super::{Call, Reply};
use super::CONF_DENIED;
use super::locks::{self, NoLock};
use crate::world::corosync::conf::Conf;
use crate::world::oplog::What;

/// Exit codes are what some system call left behind; these were seen.
const PERMISSION_DENIED: i32 = 13;
const EXISTS: i32 = 17;

pub(super) async fn run(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let [wanted] = args else {
        return call
            .reply(0, Reply::fail(255, "400 not enough arguments\npvecm delnode <node>\n"))
            .await;
    };
    let (own, writable) = call
        .server(|server, _| (server.name() == *wanted, server.pmxcfs.writable()))
        .unwrap_or((false, false));
    if own {
        return call
            .reply(20, Reply::fail(255, "Cannot delete myself from cluster!\n"))
            .await;
    }
    if !writable {
        return call
            .reply(20, Reply::fail(255, "cluster not ready - no quorum?\n"))
            .await;
    }
    if let Err(text) = locks::lock_server(&call.world, call.node).await {
        return call.reply(0, Reply::fail(255, format!("{text}\n"))).await;
    }
    let result = locked(call, wanted).await;
    locks::unlock_server(&call.world, call.node);
    result
}

async fn locked(call: &Call, wanted: &str) -> Result<i32, Stop> {
    let held = match locks::lock_cluster(&call.world, call.node, Some(&call.io)).await {
        Ok(held) => held,
        Err(NoLock::Died(text)) => return call.reply(0, Reply::fail(EXISTS, format!("{text}\n"))).await,
        Err(NoLock::Stopped(stop)) => return Err(stop),
    };
    let reply = delete(call, wanted).await?;
    locks::unlock_cluster(&call.world, call.node, held);
    call.reply(0, reply).await
}

async fn delete(call: &Call, wanted: &str) -> Result<Reply, Stop> {
    let conf = call
        .server(|server, _| server.pmxcfs.replica.conf.clone())
        .flatten()
        .unwrap_or_default();
    if let Some(fault) = &conf.fault {
        return Ok(Reply::fail(255, format!("{}\n", fault.pve)));
    }
    let Some((name, id)) = find(&conf, wanted) else {
        let text = format!("Node/IP: {wanted} is not a known host of the cluster.\n");
        return Ok(Reply::fail(255, text));
    };
    call.world.with(|state| {
        if let Some(server) = state.servers.get_mut(call.node) {
            let pid = server.next_pid;
            server.log("pvecm", pid, format!("<root@pam> deleting node {name} from cluster"));
        }
    });
    call.io.out(&format!("Killing node {id}\n")).await?;
    if !kill(call, id) {
        call.io.err("Could not kill node (error = CS_ERR_NOT_EXIST)\n").await?;
    }
    // What is written next waits until the others have done without it.
    locks::decided(&call.world, call.node).await;
    let written = call.world.with(|state| {
        let written = state.write(call.node, |replica| {
            if let Some(conf) = &mut replica.conf {
                conf.nodes.retain(|node| node.name != name);
                conf.version += 1;
            }
        });
        if written.is_ok() {
            state.note(Some(call.node), What::NodeRemoved, name.clone());
        }
        written
    });
    if written.is_err() {
        return Ok(Reply::fail(PERMISSION_DENIED, format!("{CONF_DENIED}\n")));
    }
    super::join::wait(call, 1000).await;
    // A failed reload is only logged.
    call.world.with(|state| state.reload(call.node)).ok();
    Ok(Reply::default())
}

/// A node by its name, or by one of its first two addresses.
fn find(conf: &Conf, wanted: &str) -> Option<(String, u32)> {
    let has = |rings: &std::collections::BTreeMap<u8, String>| {
        [0, 1]
            .iter()
            .any(|ring| rings.get(ring).is_some_and(|address| address == wanted))
    };
    conf.nodes
        .iter()
        .find(|node| node.name == wanted || has(&node.rings))
        .map(|node| (node.name.clone(), node.id))
}

/// `corosync-cfgtool -k`: whoever of the membership has this number, whatever its name.
fn kill(call: &Call, id: u32) -> bool {
    call.world.with(|state| {
        let Some(corosync) = state.get(call.node).and_then(|server| server.corosync.as_ref()) else {
            return false;
        };
        let (key, members) = (corosync.key, corosync.members.clone());
        let victim = state.servers.iter().position(|server| {
            server
                .corosync
                .as_ref()
                .is_some_and(|c| c.key == key && c.node_id == id && members.contains(&id))
        });
        if let Some(victim) = victim {
            state.silence_corosync(victim, What::CorosyncExited, "killed by pvecm delnode");
        }
        victim.is_some()
    })
}
