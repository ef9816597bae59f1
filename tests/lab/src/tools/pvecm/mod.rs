//! `pvecm`.

mod add;
mod create;
mod delnode;
pub(super) mod join;
mod locks;
mod nodes;
mod qdevice;
mod updatecerts;

use std::time::Duration;

use super::io::Stop;
use super::options::{self, Parsed};
use super::{Call, Reply, corosync_quorumtool, unknown};
use crate::roots::ssh;
use crate::world::complain;
use crate::world::server::Server;

/// What every call costs before it does anything.
const START: Duration = Duration::from_millis(225);

const NOT_CLUSTERED: &str =
    "Error: Corosync config '/etc/pve/corosync.conf' does not exist - is this node part of a cluster?\n";

/// The number at the end is the process's; here it is always the recorded one.
const CONF_DENIED: &str = "unable to open file '/etc/pve/corosync.conf.new.tmp.1133' - Permission denied";

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    call.io.pause(START).await?;
    if let Some(refusal) = call.server(|server, _| refusal(server)).flatten() {
        return call.reply(0, refusal).await;
    }
    let args = call.args();
    match args.split_first() {
        Some((&"create", rest)) => create::run(call, rest).await,
        Some((&"add", rest)) => add::run(call, rest).await,
        Some((&"addnode", rest)) => nodes::addnode(call, rest).await,
        Some((&"delnode", rest)) => delnode::run(call, rest).await,
        Some((&"qdevice", rest)) => qdevice::run(call, rest).await,
        Some((&"apiver", [])) => call.reply(0, Reply::ok("1\n")).await,
        Some((&"status", [])) => simple(call, status).await,
        Some((&"nodes", [])) => simple(call, |server| corosync_quorumtool::members(server, false)).await,
        Some((&"expected", [votes])) => expected(call, votes).await,
        Some((&"updatecerts", rest)) => updatecerts::run(call, rest).await,
        Some((&word, _)) if !["qdevice", "keygen", "mtunnel", "help"].contains(&word) => {
            call.reply(
                0,
                Reply::fail(255, format!("ERROR: unknown command 'pvecm {word}'\n{USAGE}")),
            )
            .await
        }
        None => {
            call.reply(0, Reply::fail(255, format!("ERROR: no command specified\n{USAGE}")))
                .await
        }
        _ => unknown(call).await,
    }
}

/// Root may log in by ssh from now on.
fn permit_root_login(call: &Call) {
    call.world.with(|state| {
        if let Some(server) = state.servers.get_mut(call.node)
            && let Err(error) = ssh::permit_root_login(server)
        {
            complain(&format!("{}: can't change sshd_config: {error}", server.name()));
        }
    });
}

/// What stops every `pvecm` call: pmxcfs is down, or the own name leads nowhere.
fn refusal(server: &Server) -> Option<Reply> {
    let name = server.name();
    if !server.pmxcfs.running {
        let lines: String = (1..4)
            .map(|n| format!("ipcc_send_rec[{n}] failed: Connection refused\n"))
            .collect();
        return Some(Reply::fail(
            111,
            format!("{lines}Unable to load access control list: Connection refused\n"),
        ));
    }
    if server.own_address().is_some() {
        return None;
    }
    Some(if server.resolve(name).is_empty() {
        let text = format!(
            "hostname lookup '{name}' failed - failed to get address info for: {name}: Name or service not known\n"
        );
        Reply::fail(255, text)
    } else {
        Reply::fail(
            255,
            format!("address lookup for '{name}' did not find any IP address\n"),
        )
    })
}

async fn simple(call: &Call, look: impl FnOnce(&Server) -> Reply) -> Result<i32, Stop> {
    let reply = call.server(|server, _| {
        if server.pmxcfs.replica.conf.is_none() {
            Reply::fail(2, NOT_CLUSTERED)
        } else {
            broken(server).unwrap_or_else(|| look(server))
        }
    });
    call.reply(0, reply.unwrap_or_default()).await
}

/// PVE's own parser gives up on a file that somebody broke.
fn broken(server: &Server) -> Option<Reply> {
    let fault = server.pmxcfs.replica.conf.as_ref()?.fault.as_ref()?;
    Some(Reply::fail(1, format!("{}\n", fault.pve)))
}

fn status(server: &Server) -> Reply {
    let Some(conf) = &server.pmxcfs.replica.conf else {
        return Reply::fail(2, NOT_CLUSTERED);
    };
    let head = format!(
        "Cluster information\n-------------------\nName:             {}\nConfig Version:   {}\nTransport:        knet\n\
         Secure auth:      on\n\n",
        conf.cluster_name, conf.version
    );
    let tail = corosync_quorumtool::status(server, true);
    Reply {
        stdout: head + &tail.stdout,
        ..tail
    }
}

async fn expected(call: &Call, votes: &str) -> Result<i32, Stop> {
    let reply = call.world.with(|state| {
        if state
            .get(call.node)
            .is_none_or(|server| server.pmxcfs.replica.conf.is_none())
        {
            return Reply::fail(2, NOT_CLUSTERED);
        }
        if let Some(reply) = state.get(call.node).and_then(broken) {
            return reply;
        }
        let Ok(votes) = votes.parse::<u32>() else {
            return Reply::fail(
                255,
                format!(
                    "400 Parameter verification failed.\nexpected: type check ('integer') failed - got '{votes}'\n\
                     pvecm expected <expected>\n"
                ),
            );
        };
        match state.set_expected(call.node, votes) {
            Ok(()) => Reply::default(),
            Err(()) => Reply::fail(1, "Unable to set expected votes: CS_ERR_INVALID_PARAM\n"),
        }
    });
    call.reply(20, reply).await
}

/// The one argument and the options of a command, or how it refuses others.
fn one_word(args: &[&str], known: &[&str], usage: &str) -> Result<(String, Parsed), Reply> {
    let parsed = options::parse(args, known).map_err(|name| bad_option(&name, usage))?;
    match parsed.words.as_slice() {
        [word] => Ok((word.clone(), parsed)),
        [] => Err(Reply::fail(255, format!("400 not enough arguments\n{usage}\n"))),
        _ => Err(Reply::fail(255, format!("400 too many arguments\n{usage}\n"))),
    }
}

/// A refused parameter, as PVE's option parser prints it.
fn bad_parameter(name: &str, reason: &str, usage: &str) -> Reply {
    Reply::fail(
        255,
        format!("400 Parameter verification failed.\n{name}: {reason}\n{usage}\n"),
    )
}

const BAD_NAME: &str = "invalid format - value does not look like a valid node name\n";

fn bad_option(name: &str, usage: &str) -> Reply {
    Reply::fail(
        255,
        format!("Unknown option: {name}\n400 unable to parse option\n{usage}\n"),
    )
}

const USAGE: &str = "USAGE: pvecm <COMMAND> [ARGS] [OPTIONS]

       pvecm qdevice remove 
       pvecm qdevice setup <address> [OPTIONS]

       pvecm addnode <node> [OPTIONS]
       pvecm apiver 
       pvecm create <clustername> [OPTIONS]
       pvecm delnode <node>

       pvecm add <hostname> [OPTIONS]
       pvecm expected <expected>
       pvecm keygen <filename>
       pvecm mtunnel [<extra-args>] [OPTIONS]
       pvecm nodes 
       pvecm status 
       pvecm updatecerts  [OPTIONS]

       pvecm help [<extra-args>] [OPTIONS]
";
