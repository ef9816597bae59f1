//! `pvecm qdevice setup` and `remove`: PVE's own hand-work over ssh, step by step, with what it leaves behind when it fails.

mod certificates;
mod login;
mod setup;

use std::fs;
use std::net::Ipv4Addr;

use super::super::io::Stop;
use super::super::{Call, Reply, options, unknown};
use super::locks::{self, NoLock};
use super::{CONF_DENIED, NOT_CLUSTERED, bad_option, bad_parameter};
use crate::plants::ServiceIs;
use crate::world::corosync::conf::{Conf, Device};
use crate::world::oplog::What;
use crate::world::server::Server;
use crate::world::state::State;

use self::setup::Setup;

const USAGE: &str = "pvecm qdevice setup <address> [OPTIONS]";
const DAEMON: &str = "corosync-qdevice";

/// Ends the tool with a text on stderr and a code.
struct Died(i32, String);

enum Failure {
    Died(Died),
    Stopped(Stop),
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

fn died<T>(code: i32, text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Died(Died(code, text.into())))
}

pub(super) async fn run(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let result = match args.split_first() {
        Some((&"setup", rest)) => {
            let parsed = match options::parse(rest, &["force", "network"]) {
                Ok(parsed) => parsed,
                Err(name) => return call.reply(0, bad_option(&name, USAGE)).await,
            };
            let [address] = parsed.words.as_slice() else {
                return call
                    .reply(0, Reply::fail(255, format!("400 not enough arguments\n{USAGE}\n")))
                    .await;
            };
            let Ok(host) = address.parse::<Ipv4Addr>() else {
                let reason = "invalid format - value does not look like a valid IP address\n";
                return call.reply(0, bad_parameter("address", reason, USAGE)).await;
            };
            let force = matches!(parsed.option("force"), Some("1" | "yes" | "on" | "true" | ""));
            Setup { call, host, force }.run().await
        }
        Some((&"remove", [])) => remove(call).await,
        _ => return unknown(call).await,
    };
    match result {
        Ok(()) => Ok(0),
        Err(Failure::Died(Died(code, text))) => call.reply(0, Reply::fail(code, text)).await,
        Err(Failure::Stopped(stop)) => Err(stop),
    }
}

/// The configuration, if the node is in a cluster and sees all members.
fn ready(server: &Server) -> Result<Conf, Died> {
    let Some(conf) = server.pmxcfs.replica.conf.clone() else {
        return Err(Died(2, NOT_CLUSTERED.to_owned()));
    };
    let online = |name: &str| {
        let view = server.pmxcfs.view.as_ref();
        view.is_some_and(|view| view.nodes.iter().any(|node| node.name == name && node.online))
    };
    match conf.nodes.iter().find(|node| !online(&node.name)) {
        Some(node) => Err(Died(
            255,
            format!("All nodes must be online! Node {} is offline, aborting.\n", node.name),
        )),
        None => Ok(conf),
    }
}

fn checked<T>(call: &Call, look: impl FnOnce(&Server) -> Result<T, Died>) -> Result<T, Failure> {
    match call.server(|server, _| look(server)) {
        Some(Ok(value)) => Ok(value),
        Some(Err(reason)) => Err(Failure::Died(reason)),
        None => died(255, ""),
    }
}

fn change_device(state: &mut State, index: usize, device: Option<&Device>) -> Result<(), Failure> {
    let conf = state.get(index).and_then(|server| server.pmxcfs.replica.conf.clone());
    let written = state.write(index, |replica| {
        replica.conf.clone_from(&conf);
        if let Some(conf) = &mut replica.conf {
            conf.device = device.cloned();
            conf.version += 1;
        }
    });
    match written {
        Ok(_) => Ok(()),
        Err(_) => died(13, format!("{CONF_DENIED}\n")),
    }
}

async fn lock(call: &Call) -> Result<bool, Failure> {
    match locks::lock_cluster(&call.world, call.node, Some(&call.io)).await {
        Ok(held) => Ok(held),
        Err(NoLock::Died(text)) => died(17, format!("{text}\n")),
        Err(NoLock::Stopped(stop)) => Err(Failure::Stopped(stop)),
    }
}

async fn remove(call: &Call) -> Result<(), Failure> {
    let conf = checked(call, |server| {
        let conf = ready(server)?;
        if conf.device.is_none() {
            return Err(Died(255, "No QDevice configured!\n".to_owned()));
        }
        Ok(conf)
    })?;
    let setup = Setup {
        call,
        host: Ipv4Addr::LOCALHOST,
        force: false,
    };
    let held = lock(call).await?;
    let result = call.world.with(|state| change_device(state, call.node, None));
    locks::unlock_cluster(&call.world, call.node, held);
    result?;
    for index in setup.members(&conf) {
        setup.pause(700).await?;
        call.world.with(|state| {
            if let Some(server) = state.servers.get_mut(index) {
                server.hardware.enabled.insert(DAEMON.to_owned(), false);
                server.hardware.units.insert(DAEMON.to_owned(), ServiceIs::Stopped);
                // The certificates on the host of the daemon stay.
                fs::remove_dir_all(server.root.join("etc/corosync/qdevice")).ok();
            }
            state.end_qdevice(index);
        });
    }
    setup.pause(1000).await?;
    call.world.with(|state| {
        state.reload(call.node).ok();
        state.note(Some(call.node), What::QdeviceRemoved, "");
    });
    call.world.with(|_| ());
    setup
        .say("Reloading corosync.conf...\nDone\n\nRemoved Qdevice.\n")
        .await
}
