//! `corosync-qdevice-tool` on a node and `corosync-qnetd-tool` on the QNetd host.

use std::fmt::Write as _;

use super::Reply;
use crate::world::corosync::Corosync;
use crate::world::corosync::conf::Device;
use crate::world::qdevice::{Answer, Connection, Qdevice};
use crate::world::server::Server;
use crate::world::state::State;

const COST: u64 = 12;

pub(super) fn algorithm(device: &Device) -> &'static str {
    if device.algorithm == "lms" {
        "LMS"
    } else {
        "Fifty-Fifty split"
    }
}

fn ids<'a>(list: impl Iterator<Item = &'a u32>) -> String {
    list.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn sorted_ids(corosync: &Corosync) -> Vec<u32> {
    let mut list: Vec<u32> = corosync.conf.nodes.iter().map(|node| node.id).collect();
    list.sort_unstable();
    list
}

pub(super) fn qdevice(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let verbose = match args {
        ["-s"] => false,
        ["-sv" | "-vs"] | ["-s", "-v"] => true,
        _ => return None,
    };
    let running = server.corosync.as_ref().zip(server.qdevice.as_ref());
    let Some(((corosync, daemon), device)) = running.zip(running.and_then(|(c, _)| c.conf.device.as_ref())) else {
        let text =
            "corosync-qdevice-tool: Can't connect to QDevice socket (is QDevice running?): No such file or directory\n";
        return Some((COST, Reply::fail(3, text)));
    };
    Some((COST, Reply::ok(status(corosync, daemon, device, verbose))))
}

fn status(corosync: &Corosync, daemon: &Qdevice, device: &Device, verbose: bool) -> String {
    let when = |at: jiff::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let vote = if daemon.votes { " (cast vote)" } else { "" };
    let mut text = format!(
        "Qdevice information\n-------------------\nModel:\t\t\tNet\nNode ID:\t\t{}\n",
        corosync.node_id
    );
    if verbose {
        text.push_str("HB interval:\t\t10000ms\nSync HB interval:\t30000ms\n");
    }
    write!(
        text,
        "Configuration version:\t{}\nConfigured node list:\n",
        corosync.conf.version
    )
    .ok();
    for (position, id) in sorted_ids(corosync).iter().enumerate() {
        writeln!(text, "    {position}\tNode ID = {id}").ok();
    }
    if verbose {
        writeln!(text, "Heuristics:\t\tDisabled\nRing ID:\t\t{}", corosync.ring_id()).ok();
    }
    writeln!(text, "Membership node list:\t{}", ids(corosync.members.iter())).ok();
    if verbose {
        let quorate = if corosync.quorate { "Yes" } else { "No" };
        writeln!(text, "Quorate:\t\t{quorate}\nQuorum node list:").ok();
        for (position, id) in corosync.members.iter().rev().enumerate() {
            writeln!(text, "    {position}\tNode ID = {id}, State = member").ok();
        }
        write!(
            text,
            "Expected votes:\t\t{}\nLast poll call:\t\t{}{vote}\n",
            corosync.expected_votes,
            when(daemon.polled)
        )
        .ok();
    }
    write!(
        text,
        "\nQdevice-net information\n----------------------\nCluster name:\t\t{}\nQNetd host:\t\t{}:5403\n",
        corosync.conf.cluster_name, device.host
    )
    .ok();
    if verbose {
        text.push_str(
            "Connect timeout:\t8000ms\nHB interval:\t\t8000ms\nVQ vote timer interval:\t5000ms\nTLS:\t\t\tSupported\n",
        );
    }
    write!(
        text,
        "Algorithm:\t\t{}\nTie-breaker:\t\tNode with lowest node ID\n",
        algorithm(device)
    )
    .ok();
    if verbose {
        write!(
            text,
            "KAP Tie-breaker:\tEnabled\nPoll timer running:\t{}\n",
            if daemon.votes { "Yes (cast vote)" } else { "No" }
        )
        .ok();
    }
    writeln!(text, "State:\t\t\t{}", daemon.connection).ok();
    if verbose && daemon.connection == Connection::Connected {
        write!(
            text,
            "TLS active:\t\tYes (client certificate sent)\nConnected since:\t{}\nEcho reply received:\t{}\n",
            when(daemon.connected_at),
            when(daemon.polled)
        )
        .ok();
    }
    text
}

pub(super) fn qnetd(server: &Server, state: &State, args: &[&str]) -> Option<(u64, Reply)> {
    let (list, verbose) = match args {
        ["-l"] => (true, false),
        ["-lv" | "-vl"] | ["-l", "-v"] => (true, true),
        ["-s"] => (false, false),
        _ => return None,
    };
    if !server.qnetd_running {
        // As its sister says it; not recorded.
        let text =
            "corosync-qnetd-tool: Can't connect to QNetd socket (is QNetd running?): No such file or directory\n";
        return Some((COST, Reply::fail(3, text)));
    }
    let clients = clients(server, state);
    let mut keys: Vec<u64> = clients.iter().map(|(_, corosync)| corosync.key).collect();
    keys.sort_unstable();
    keys.dedup();
    if !list {
        return Some((
            COST,
            Reply::ok(format!(
                "QNetd address:\t\t\t*:5403\nTLS:\t\t\t\tSupported (client certificate required)\n\
                 Connected clients:\t\t{}\nConnected clusters:\t\t{}\n",
                clients.len(),
                keys.len()
            )),
        ));
    }
    let text = keys
        .into_iter()
        .map(|key| cluster(clients.iter().filter(|(_, corosync)| corosync.key == key), verbose))
        .collect::<String>();
    Some((COST, Reply::ok(text)))
}

/// Nodes that are connected to this host and are really heard by it.
fn clients<'a>(host: &Server, state: &'a State) -> Vec<(&'a Server, &'a Corosync)> {
    state
        .servers
        .iter()
        .filter_map(|server| {
            let corosync = server.corosync.as_ref()?;
            let daemon = server.qdevice.as_ref()?;
            let address = corosync.conf.device.as_ref()?.host.parse().ok()?;
            let heard = daemon.connection == Connection::Connected
                && host.has_address(address)
                && state.qnetd_answers(server.index) == Answer::Yes;
            heard.then_some((server, corosync))
        })
        .collect()
}

fn cluster<'a>(clients: impl Iterator<Item = &'a (&'a Server, &'a Corosync)>, verbose: bool) -> String {
    let mut text = String::new();
    let mut clients: Vec<_> = clients.collect();
    clients.sort_by_key(|(_, corosync)| corosync.node_id);
    for (position, (server, corosync)) in clients.into_iter().enumerate() {
        if let (0, Some(device)) = (position, &corosync.conf.device) {
            write!(
                text,
                "Cluster \"{}\":\n    Algorithm:\t\t{} (KAP Tie-breaker)\n    Tie-breaker:\tNode with lowest node ID\n",
                corosync.conf.cluster_name,
                algorithm(device)
            )
            .ok();
        }
        write!(
            text,
            "    Node ID {}:\n        Client address:\t\t::ffff:{}:{}\n",
            corosync.node_id,
            server.public(),
            40_000 + corosync.node_id * 7
        )
        .ok();
        if verbose {
            text.push_str("        HB interval:\t\t8000ms\n");
        }
        write!(
            text,
            "        Configuration version:\t{}\n        Configured node list:\t{}\n",
            corosync.conf.version,
            ids(sorted_ids(corosync).iter())
        )
        .ok();
        if verbose {
            writeln!(text, "        Ring ID:\t\t{}", corosync.ring_id()).ok();
        }
        writeln!(text, "        Membership node list:\t{}", ids(corosync.members.iter())).ok();
        if verbose {
            text.push_str(
                "        Heuristics:\t\tUndefined (membership: Undefined, regular: Undefined)\n        \
                 TLS active:\t\tYes (client certificate verified)\n",
            );
        }
        let given = server.qdevice.as_ref().is_some_and(|daemon| daemon.votes);
        let vote = match (given, position) {
            (true, 0) => "ACK (ACK)",
            (true, _) => "No change (ACK)",
            (false, _) => "NACK (NACK)",
        };
        writeln!(text, "        Vote:\t\t\t{vote}").ok();
    }
    text
}
