//! `pvecm create`: a cluster of one.

use std::collections::BTreeMap;

use super::super::io::Stop;
use super::super::options::{self, LINKS};
use super::super::worker::{Failure, Worker, died};
use super::super::{Call, Reply};
use super::{BAD_NAME, CONF_DENIED, bad_parameter, one_word};
use crate::world::corosync::conf::{Conf, ConfNode};
use crate::world::oplog::What;
use crate::world::random;
use crate::world::units;

const USAGE: &str = "pvecm create <clustername> [OPTIONS]";

pub(super) async fn run(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let mut known = vec!["nodeid", "votes", "token-coefficient"];
    known.extend(LINKS);
    let (name, parsed) = match one_word(args, &known, USAGE) {
        Ok(found) => found,
        Err(reply) => return call.reply(0, reply).await,
    };
    if name.len() > 15 {
        return call
            .reply(
                0,
                bad_parameter("clustername", "value may only be 15 characters long", USAGE),
            )
            .await;
    }
    if !options::valid_name(&name) {
        return call.reply(0, bad_parameter("clustername", BAD_NAME, USAGE)).await;
    }
    if call
        .server(|server, _| server.pmxcfs.replica.conf.is_some())
        .unwrap_or(false)
    {
        return call
            .reply(
                0,
                Reply::fail(255, "cluster config '/etc/pve/corosync.conf' already exists\n"),
            )
            .await;
    }
    let worker = Worker::start(call, "clustercreate", &name);
    let number = |option: &str, default: u32| parsed.option(option).and_then(|v| v.parse().ok()).unwrap_or(default);
    let plan = Plan {
        name,
        links: parsed.links(),
        priorities: parsed.priorities(),
        id: number("nodeid", 1),
        votes: number("votes", 1),
    };
    let result = create(&worker, &plan).await;
    worker.end(result).await
}

struct Plan {
    name: String,
    links: BTreeMap<u8, String>,
    priorities: BTreeMap<u8, u32>,
    id: u32,
    votes: u32,
}

async fn create(worker: &Worker<'_>, plan: &Plan) -> Result<(), Failure> {
    let call = worker.call;
    let (fallback, major, has_key) = call
        .server(|server, _| (server.own_address(), server.spec.major(), server.authkey.is_some()))
        .unwrap_or((None, 8, false));
    worker.pause(60).await?;
    super::permit_root_login(call);
    if !has_key {
        worker
            .say(
                "Corosync Cluster Engine Authentication key generator.\nGathering 2048 bits for key from /dev/urandom.\n\
                 Writing corosync key to /etc/corosync/authkey.\n",
            )
            .await?;
    }
    worker
        .say("Writing corosync config to /etc/pve/corosync.conf\n")
        .await?;
    let mut rings = plan.links.clone();
    if rings.is_empty() {
        rings.insert(0, fallback.map(|ip| ip.to_string()).unwrap_or_default());
    }
    let node = ConfNode {
        name: call.server(|server, _| server.spec.name.clone()).unwrap_or_default(),
        id: plan.id,
        votes: plan.votes,
        rings,
    };
    let conf = Conf {
        priorities: plan.priorities.clone(),
        ..Conf::first(&plan.name, node, major)
    };
    let written = call.world.with(|state| {
        if let Some(server) = state.servers.get_mut(call.node) {
            server.authkey.get_or_insert_with(random);
        }
        let written = state.write(call.node, |replica| replica.conf = Some(conf.clone()));
        if written.is_ok() {
            state.note(Some(call.node), What::ClusterCreated, plan.name.clone());
        }
        written
    });
    if written.is_err() {
        return died(CONF_DENIED);
    }
    worker.say("Restart corosync and cluster filesystem\n").await?;
    call.world.with(|state| state.stop_pmxcfs(call.node));
    worker.pause(650).await?;
    let started = call.world.with(|state| state.start_pmxcfs(call.node));
    worker.pause(1050).await?;
    let corosync = call.world.with(|state| {
        let masked = state
            .get(call.node)
            .is_some_and(|server| units::file(server, "corosync") == "masked");
        if masked {
            return Err("Unit corosync.service is masked.".to_owned());
        }
        state.start_corosync(call.node)
    });
    worker.pause(450).await?;
    if started.is_err() || corosync.is_err() {
        return died("command 'systemctl restart corosync pve-cluster' failed: exit code 1");
    }
    Ok(())
}
