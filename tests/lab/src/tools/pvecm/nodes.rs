//! `pvecm addnode` and `pvecm delnode`: what a member does to the list of nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::io::Stop;
use super::super::options::{self, LINKS};
use super::super::{Call, Reply};
use super::{BAD_NAME, bad_option, bad_parameter, join};
use crate::world::World;
use crate::world::corosync::conf::{Conf, ConfNode};
use crate::world::oplog::What;
use crate::world::pmxcfs::Replica;
use crate::world::server::Server;

/// How long pmxcfs keeps a lock whose holder vanished.
const LOCK_LIFE: Duration = Duration::from_secs(120);
/// How long a lock is asked for.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_STEP: Duration = Duration::from_millis(500);

/// A node to take in.
#[derive(Debug, Clone)]
pub(crate) struct Addition {
    pub(crate) name: String,
    pub(crate) links: BTreeMap<u8, String>,
    /// `new_node_ip`.
    pub(crate) fallback: Option<String>,
    pub(crate) nodeid: Option<u32>,
    pub(crate) votes: Option<u32>,
    pub(crate) force: bool,
}

/// The configuration that a member answered to a joining node: the newest that names it.
pub(super) fn answer_for<'a>(member: &'a Server, name: &str) -> Option<&'a Conf> {
    member.added.get(name)
}

/// Takes a node in, on a member: under its locks, with the second that pmxcfs takes before it reloads corosync.
pub(super) async fn add(world: &Arc<World>, member: usize, addition: &Addition) -> Result<(), String> {
    world.pace.sleep(Duration::from_millis(90)).await;
    if !world.with(|state| state.get(member).is_some_and(|server| server.pmxcfs.writable())) {
        return Err("cluster not ready - no quorum?".to_owned());
    }
    lock_server(world, member).await?;
    let result = add_locked(world, member, addition).await;
    world.with(|state| {
        if let Some(server) = state.servers.get_mut(member) {
            server.pvecm_locked = false;
        }
    });
    result
}

async fn add_locked(world: &Arc<World>, member: usize, addition: &Addition) -> Result<(), String> {
    let many = world.with(|state| {
        let conf = state.get(member).and_then(|server| server.pmxcfs.replica.conf.as_ref());
        conf.is_some_and(|conf| conf.nodes.len() > 1)
    });
    if many {
        lock_cluster(world, member).await?;
    }
    let result = commit(world, member, addition);
    if result.is_ok() {
        world.pace.sleep(Duration::from_millis(1000)).await;
        // A failed reload is only logged.
        world.with(|state| state.reload(member)).ok();
    }
    if many {
        // Without quorum the lock stays until it expires.
        world
            .with(|state| state.write(member, |replica| replica.lock_until = None))
            .ok();
    }
    result
}

fn commit(world: &Arc<World>, member: usize, addition: &Addition) -> Result<(), String> {
    world.with(|state| {
        let conf = state.get(member).and_then(|server| server.pmxcfs.replica.conf.clone());
        let conf = extended(conf.ok_or("invalid corosync.conf")?, addition)?;
        state
            .write(member, |replica: &mut Replica| {
                replica.conf = Some(conf.clone());
                if !replica.nodes.contains(&addition.name) {
                    replica.nodes.push(addition.name.clone());
                }
            })
            .map_err(|_| "unable to open file '/etc/pve/corosync.conf.new.tmp' - Permission denied".to_owned())?;
        if let Some(server) = state.servers.get_mut(member) {
            server.added.insert(addition.name.clone(), conf.clone());
            let pid = server.next_pid;
            server.log(
                "pvedaemon",
                pid,
                format!("<root@pam> adding node {} to cluster", addition.name),
            );
        }
        state.note(
            Some(member),
            What::AddnodeCommitted,
            format!("{} in version {}", addition.name, conf.version),
        );
        Ok(())
    })
}

/// The configuration with one more node, or why not.
fn extended(mut conf: Conf, addition: &Addition) -> Result<Conf, String> {
    for address in addition.links.values() {
        for node in conf.nodes.iter().filter(|node| node.name != addition.name) {
            if let Some((ring, _)) = node.rings.iter().find(|(_, used)| *used == address) {
                return Err(format!(
                    "corosync: address '{address}' already used on link ring{ring}_addr by node '{}'",
                    node.name
                ));
            }
        }
    }
    let rings = rings(&conf, addition)?;
    if let Some(present) = conf.named(&addition.name) {
        let same = addition.nodeid.is_none_or(|id| id == present.id)
            && addition.votes.is_none_or(|votes| votes == present.votes);
        if !addition.force || !same {
            return Err(format!("can't add existing node '{}'", addition.name));
        }
    }
    let present = conf.named(&addition.name).cloned();
    let id = addition
        .nodeid
        .or(present.as_ref().map(|node| node.id))
        .unwrap_or_else(|| conf.lowest_free_id());
    let votes = addition.votes.or(present.map(|node| node.votes)).unwrap_or(1);
    conf.nodes.retain(|node| node.name != addition.name);
    // A number that is taken is not noticed here, as in PVE.
    conf.nodes.push(ConfNode {
        name: addition.name.clone(),
        id,
        votes,
        rings,
    });
    conf.version += 1;
    Ok(conf)
}

fn rings(conf: &Conf, addition: &Addition) -> Result<BTreeMap<u8, String>, String> {
    if addition.links.is_empty() {
        let Some(fallback) = &addition.fallback else {
            return Err("no links and no fallback ip (new_node_ip) given, cannot join cluster".to_owned());
        };
        return match conf.links.as_slice() {
            [only] => Ok(BTreeMap::from([(*only, fallback.clone())])),
            _ => Err(
                "no links given but multiple links found on other nodes, fallback only supported on single-link \
                      clusters"
                    .to_owned(),
            ),
        };
    }
    for link in addition.links.keys() {
        if !conf.links.contains(link) {
            return Err(format!(
                "corosync: link {link} specified for new node doesn't exist in cluster config"
            ));
        }
    }
    for link in &conf.links {
        if !addition.links.contains_key(link) {
            return Err(format!(
                "corosync: link {link} exists in cluster config but wasn't specified for new node"
            ));
        }
    }
    Ok(addition.links.clone())
}

/// `/var/lock/pvecm.lock`.
async fn lock_server(world: &Arc<World>, member: usize) -> Result<(), String> {
    let mut waited = Duration::ZERO;
    loop {
        let taken = world.with(|state| {
            state
                .servers
                .get_mut(member)
                .is_some_and(|server| !std::mem::replace(&mut server.pvecm_locked, true))
        });
        if taken {
            return Ok(());
        }
        if waited >= LOCK_PATIENCE {
            return Err("can't lock file '/var/lock/pvecm.lock' - got timeout".to_owned());
        }
        waited += LOCK_STEP;
        world.pace.sleep(LOCK_STEP).await;
    }
}

/// `file-corosync_conf`, below `/etc/pve/priv/lock`.
async fn lock_cluster(world: &Arc<World>, member: usize) -> Result<(), String> {
    let mut waited = Duration::ZERO;
    loop {
        let taken = world.with(|state| {
            let held = state
                .get(member)
                .is_none_or(|server| server.pmxcfs.replica.lock_until.is_some());
            let until = state.now + LOCK_LIFE;
            !held && state.write(member, |replica| replica.lock_until = Some(until)).is_ok()
        });
        if taken {
            return Ok(());
        }
        if waited >= LOCK_PATIENCE {
            return Err("cfs-lock 'file-corosync_conf' error: got lock request timeout".to_owned());
        }
        waited += LOCK_STEP;
        world.pace.sleep(LOCK_STEP).await;
    }
}

const ADD_USAGE: &str = "pvecm addnode <node> [OPTIONS]";

/// `pvecm addnode`, called by hand on a member.
pub(super) async fn addnode(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let mut known = vec!["nodeid", "votes", "force", "new_node_ip", "apiversion"];
    known.extend(LINKS);
    let parsed = match options::parse(args, &known) {
        Ok(parsed) => parsed,
        Err(name) => return call.reply(0, bad_option(&name, ADD_USAGE)).await,
    };
    let [name] = parsed.words.as_slice() else {
        return call
            .reply(0, Reply::fail(255, format!("400 not enough arguments\n{ADD_USAGE}\n")))
            .await;
    };
    if !options::valid_name(name) {
        return call.reply(0, bad_parameter("node", BAD_NAME, ADD_USAGE)).await;
    }
    let addition = Addition {
        name: name.clone(),
        links: parsed.links(),
        fallback: parsed.option("new_node_ip").map(str::to_owned),
        nodeid: parsed.option("nodeid").and_then(|id| id.parse().ok()),
        votes: parsed.option("votes").and_then(|votes| votes.parse().ok()),
        force: parsed.option("force") == Some("1"),
    };
    match add(&call.world, call.node, &addition).await {
        Ok(()) => Ok(0),
        Err(message) => call.reply(0, Reply::fail(255, format!("{message}\n"))).await,
    }
}

/// `pvecm delnode`: kills the node's corosync by its number, then takes its entry out.
pub(super) async fn delnode(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let [name] = args else {
        return call
            .reply(0, Reply::fail(255, "400 not enough arguments\npvecm delnode <node>\n"))
            .await;
    };
    let found = call.world.with(|state| {
        let server = state.get(call.node)?;
        let conf = server.pmxcfs.replica.conf.as_ref();
        let node = conf.and_then(|conf| conf.named(name)).map(|node| node.id);
        Some((node, server.name() == *name, server.pmxcfs.writable()))
    });
    let (id, own, writable) = found.unwrap_or((None, false, false));
    let refusal = match (id, own, writable) {
        (_, _, false) => Some("cluster not ready - no quorum?".to_owned()),
        (None, ..) => Some(format!("Node/IP: {name} is not a known host of the cluster.")),
        (_, true, _) => Some("Cannot delete myself from cluster!".to_owned()),
        _ => None,
    };
    if let Some(text) = refusal {
        return call.reply(20, Reply::fail(255, format!("{text}\n"))).await;
    }
    let id = id.unwrap_or_default();
    call.io.out(&format!("Killing node {id}\n")).await?;
    let killed = call.world.with(|state| {
        let corosync = state.get(call.node)?.corosync.as_ref()?;
        let (key, members) = (corosync.key, corosync.members.clone());
        let victim = state.servers.iter().position(|server| {
            server
                .corosync
                .as_ref()
                .is_some_and(|c| c.key == key && c.node_id == id && members.contains(&id))
        })?;
        state.stop_corosync(victim, What::CorosyncExited, "killed by pvecm delnode");
        Some(())
    });
    match killed {
        None => call.io.err("Could not kill node (error = CS_ERR_NOT_EXIST)\n").await?,
        // Long enough for the others to form a membership without it.
        Some(()) => join::wait(call, 6600).await,
    }
    let written = call.world.with(|state| {
        let conf = state
            .get(call.node)
            .and_then(|server| server.pmxcfs.replica.conf.clone());
        let written = state.write(call.node, |replica| {
            replica.conf.clone_from(&conf);
            if let Some(conf) = &mut replica.conf {
                conf.nodes.retain(|node| node.name != **name);
                conf.version += 1;
            }
        });
        if written.is_ok() {
            state.note(Some(call.node), What::NodeRemoved, (*name).to_owned());
        }
        written
    });
    if written.is_err() {
        let text = "unable to open file '/etc/pve/corosync.conf.new.tmp.1133' - Permission denied\n";
        return call.reply(0, Reply::fail(13, text)).await;
    }
    join::wait(call, 1000).await;
    call.world.with(|state| state.reload(call.node)).ok();
    Ok(0)
}
