//! `pvecm addnode`: how a member takes a node in, asked by hand or by the node itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::io::Stop;
use super::super::options::{self, LINKS};
use super::super::{Call, Reply};
use super::locks::{self, NoLock};
use super::{BAD_NAME, CONF_DENIED, bad_parameter, one_word};
use crate::world::World;
use crate::world::corosync::conf::{Conf, ConfNode};
use crate::world::oplog::What;
use crate::world::pmxcfs::Replica;
use crate::world::server::Server;

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
    locks::lock_server(world, member).await?;
    let result = add_locked(world, member, addition).await;
    locks::unlock_server(world, member);
    result
}

async fn add_locked(world: &Arc<World>, member: usize, addition: &Addition) -> Result<(), String> {
    let held = match locks::lock_cluster(world, member, None).await {
        Ok(held) => held,
        Err(NoLock::Died(text)) => return Err(text),
        Err(NoLock::Stopped(stop)) => return Err(stop.to_string()),
    };
    locks::decided(world, member).await;
    let result = commit(world, member, addition);
    if result.is_ok() {
        world.pace.sleep(Duration::from_millis(1000)).await;
        // A failed reload is only logged.
        world.with(|state| state.reload(member)).ok();
    }
    locks::unlock_cluster(world, member, held);
    result
}

fn commit(world: &Arc<World>, member: usize, addition: &Addition) -> Result<(), String> {
    world.with(|state| {
        let conf = state.get(member).and_then(|server| server.pmxcfs.replica.conf.clone());
        let conf = conf.ok_or("invalid corosync.conf")?;
        if let Some(fault) = &conf.fault {
            return Err(fault.pve.to_owned());
        }
        let errors: String = conf.pve_errors().iter().map(|error| format!("\n! {error}")).collect();
        if !errors.is_empty() {
            return Err(format!("invalid corosync.conf{errors}"));
        }
        let conf = extended(conf, addition)?;
        state
            .write(member, |replica: &mut Replica| {
                replica.conf = Some(conf.clone());
                replica.revive(&format!("nodes/{}/", addition.name));
                if !replica.nodes.contains(&addition.name) {
                    replica.nodes.push(addition.name.clone());
                }
            })
            .map_err(|_| CONF_DENIED.to_owned())?;
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

const ADD_USAGE: &str = "pvecm addnode <node> [OPTIONS]";

/// `pvecm addnode`, called by hand on a member.
pub(super) async fn addnode(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let mut known = vec!["nodeid", "votes", "force", "new_node_ip", "apiversion"];
    known.extend(LINKS);
    let (name, parsed) = match one_word(args, &known, ADD_USAGE) {
        Ok(found) => found,
        Err(reply) => return call.reply(0, reply).await,
    };
    if !options::valid_name(&name) {
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
    let known = call.server(|server, _| {
        let conf = server.pmxcfs.replica.conf.as_ref();
        conf.is_some_and(|conf| conf.named(&name).is_some())
    });
    match add(&call.world, call.node, &addition).await {
        Ok(()) if known == Some(true) => {
            let text = format!("forcing overwrite of configured node '{name}'\n");
            call.reply(0, Reply::ok(text)).await
        }
        Ok(()) => Ok(0),
        Err(message) => call.reply(0, Reply::fail(255, format!("{message}\n"))).await,
    }
}
