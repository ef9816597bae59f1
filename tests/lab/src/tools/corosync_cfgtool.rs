//! `corosync-cfgtool`.

use std::fmt::Write as _;

use super::Reply;
use crate::world::corosync::Corosync;
use crate::world::server::Server;

const COST: u64 = 14;

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let show = match args {
        ["-s"] => status,
        ["-n"] => nodes,
        _ => return None,
    };
    let reply = match &server.corosync {
        Some(corosync) => Reply::ok(show(corosync)),
        None => Reply::fail(1, "Could not initialize corosync configuration API error 2\n"),
    };
    Some((COST, reply))
}

fn head(corosync: &Corosync) -> String {
    format!("Local node ID {}, transport knet\n", corosync.node_id)
}

fn sorted(corosync: &Corosync) -> Vec<u32> {
    let mut ids: Vec<u32> = corosync.conf.nodes.iter().map(|node| node.id).collect();
    ids.sort_unstable();
    ids
}

fn status(corosync: &Corosync) -> String {
    let mut text = head(corosync);
    for link in &corosync.conf.links {
        let own = corosync.address_of(corosync.node_id, *link).unwrap_or_default();
        write!(text, "LINK ID {link} udp\n\taddr\t= {own}\n\tstatus:\n").ok();
        for id in sorted(corosync) {
            let word = if id == corosync.node_id {
                "localhost"
            } else if connected(corosync, id, *link) {
                "connected"
            } else {
                "disconnected"
            };
            writeln!(text, "\t\tnodeid: {id:>10}:\t{word}").ok();
        }
    }
    text
}

/// Only nodes that can be reached by some link.
fn nodes(corosync: &Corosync) -> String {
    let mut text = head(corosync);
    for id in sorted(corosync) {
        if id == corosync.node_id || !corosync.conf.links.iter().any(|link| connected(corosync, id, *link)) {
            continue;
        }
        writeln!(text, "nodeid: {id} reachable").ok();
        for link in &corosync.conf.links {
            let own = corosync.address_of(corosync.node_id, *link).unwrap_or_default();
            let peer = corosync.address_of(id, *link).unwrap_or_default();
            let word = if connected(corosync, id, *link) {
                " connected"
            } else {
                ""
            };
            let mtu = if corosync.links.get(&(id, *link)).is_some_and(|link| link.up_count > 0) {
                1397
            } else {
                469
            };
            writeln!(text, "   LINK: {link} udp ({own}->{peer}) enabled{word} mtu: {mtu}").ok();
        }
        text.push('\n');
    }
    text
}

fn connected(corosync: &Corosync, id: u32, link: u8) -> bool {
    corosync.links.get(&(id, link)).is_some_and(|link| link.connected)
}
